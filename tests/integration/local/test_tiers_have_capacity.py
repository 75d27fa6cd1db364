"""More runs than a tier executes at once wait in a queue, oldest first, and say why."""

from __future__ import annotations

import pytest

TIERS = [
    {"id": "one", "name": "One", "cores": 1, "memory_gib": 2, "cents_per_minute": 1.5, "capacity": 1, "default": True},
    {"id": "two", "name": "Two", "cores": 4, "memory_gib": 8, "cents_per_minute": 3, "capacity": 2, "gpus": 1},
    {"id": "old", "name": "Old", "cores": 1, "memory_gib": 1, "cents_per_minute": 0, "capacity": 1, "archived": True},
]


@pytest.fixture
def domino(start_local_domino):
    return start_local_domino(tiers=TIERS)


def stop(domino, run_id: str) -> None:
    domino.post("/v4/jobs/stop", jobId=run_id, commitResults=False)
    domino.wait(run_id)


def test_runs_beyond_the_capacity_wait_and_follow_in_order(domino):
    first, second, third = (domino.start("sleep.py 600")["id"] for _ in range(3))
    domino.wait_for_status(first, "Running")
    job = domino.job(second)
    assert job["statuses"]["executionStatus"] == "Queued"
    assert "at most 1 runs at once" in job["queuedJobHistoryDetails"]["explanation"]
    assert "ahead of this one: 1" in domino.job(third)["queuedJobHistoryDetails"]["explanation"]
    stop(domino, first)
    assert "queuedJobHistoryDetails" not in domino.wait_for_status(second, "Running")
    assert domino.job(third)["statuses"]["executionStatus"] == "Queued"
    stop(domino, second)
    domino.wait_for_status(third, "Running")


def test_a_full_tier_does_not_hold_up_another(domino):
    first = domino.start("sleep.py 600")["id"]
    domino.wait_for_status(first, "Running")
    queued = domino.start("hello.py")["id"]
    assert domino.run("hello.py", overrideHardwareTierId="two")["statuses"]["executionStatus"] == "Succeeded"
    assert domino.job(queued)["statuses"]["executionStatus"] == "Queued"


def test_the_list_of_tiers_says_how_full_they_are(domino):
    first = domino.start("sleep.py 600")["id"]
    domino.wait_for_status(first, "Running")
    domino.start("hello.py")
    listed = domino.get(f"/v4/projects/{domino.project_id}/hardwareTiers")
    one, two = ({**entry["hardwareTier"], "capacity": entry["capacity"]} for entry in listed)
    assert (one["id"], one["hwtFlags"]["isDefault"], one["centsPerMinute"]) == ("one", True, 1.5)
    assert (one["capacity"]["numberOfCurrentlyExecutingRuns"], one["capacity"]["numberOfQueuedRuns"]) == (1, 1)
    assert one["capacity"]["capacityLevel"] == "FULL"
    assert two["capacity"]["capacityLevel"] == "CAN_EXECUTE_WITH_CURRENT_INSTANCES"
    assert two["gpuConfiguration"]["numberOfGpus"] == 1


def test_an_archived_tier_is_listed_only_on_request_and_starts_nothing(domino):
    ids = [
        entry["hardwareTier"]["id"]
        for entry in domino.get(f"/v4/projects/{domino.project_id}/hardwareTiers", showArchived="true")
    ]
    assert ids == ["one", "two", "old"]
    body = {"projectId": domino.project_id, "commandToRun": "hello.py", "overrideHardwareTierId": "old"}
    assert domino.request("POST", "/v4/jobs/start", json=body).status_code == 400
