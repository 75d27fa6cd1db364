"""The ledger can be filtered and waited for, and its totals tell how much of what there was."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_entries_can_be_chosen_by_run_project_and_event(local_domino):
    first, second = (local_domino.run("true")["id"] for _ in range(2))
    assert {entry["runId"] for entry in local_domino.ledger(run=first)} == {first}
    assert [entry["runId"] for entry in local_domino.starts()][-2:] == [first, second]
    by_name = local_domino.ledger(project=local_domino.project, event=["start", "stop"])
    assert by_name == local_domino.ledger(project=local_domino.project_id, event=["start", "stop"])
    assert {entry["event"] for entry in by_name} <= {"start", "stop"}
    assert len(local_domino.ledger(limit=3)) == 3


def test_the_states_of_a_run_follow_on_each_other_and_the_last_tells_of_its_results(local_domino):
    job = local_domino.run("write.py a.txt=1")
    states = local_domino.ledger(run=job["id"], event="state")
    assert [entry["from"] for entry in states[1:]] == [entry["to"] for entry in states[:-1]]
    assert states[-1]["outputCommitId"] == job["commitDetails"]["outputCommitId"]
    assert local_domino.statuses(job["id"])[-1] == "Succeeded"


def test_uploads_and_archiving_are_entered(local_domino):
    last = local_domino.get("/_local/ledger/totals")["last"]
    run_id = local_domino.run("true")["id"]
    key = local_domino.answer("PUT", f"/v1/projects/{local_domino.project}/noted.txt", data=b"1").json()["key"]
    local_domino.post("/v4/jobs/archive", jobId=run_id)
    entries = local_domino.ledger(after=last, event=["upload", "archive"])
    assert [entry["event"] for entry in entries] == ["upload", "archive"]
    assert (entries[0]["path"], entries[0]["key"], entries[0]["runId"]) == ("noted.txt", key, None)


def test_somebody_can_wait_for_the_next_entry(local_domino):
    last = local_domino.get("/_local/ledger/totals")["last"]
    found = []
    waiting = threading.Thread(
        target=lambda: found.extend(local_domino.ledger(after=last, event="stop", wait=30)), daemon=True
    )
    waiting.start()
    run_id = local_domino.start("sleep.py 600")["id"]
    local_domino.post("/v4/jobs/stop", jobId=run_id, commitResults=False)
    waiting.join(30)
    assert [entry["runId"] for entry in found] == [run_id]


def test_waiting_ends_with_nothing_when_nothing_happens(local_domino):
    assert local_domino.ledger(event="nothing of that sort", wait=0.05) == []


def test_totals_count_events_and_statuses(local_domino):
    before = local_domino.get("/_local/ledger/totals")
    local_domino.run("true")
    after = local_domino.get("/_local/ledger/totals")
    assert after["events"]["start"] == before["events"].get("start", 0) + 1
    assert after["states"]["Succeeded"] == before["states"].get("Succeeded", 0) + 1
    assert after["last"] > before["last"]


@pytest.mark.parametrize("query", [{"wait": -1}, {"wait": 10_000}, {"limit": 0}, {"project": "nobody/nothing"}])
def test_a_question_that_makes_no_sense_is_refused(local_domino, query):
    assert local_domino.request("GET", "/_local/ledger", params=query).status_code in (400, 404)


def test_the_latest_requests_are_told_with_their_answers(local_domino):
    last = local_domino.get("/_local/requests")["last"]
    local_domino.request("GET", "/v4/users/self")
    local_domino.request("GET", f"/v4/jobs/{'0' * 24}")
    latest = local_domino.get("/_local/requests", after=last)["requests"]
    assert [(request["path"], request["status"]) for request in latest] == [
        ("/v4/users/self", 200),
        (f"/v4/jobs/{'0' * 24}", 404),
    ]


def test_every_route_of_the_control_plane_is_listed_and_documented(local_domino):
    routes = local_domino.get("/_local/")["routes"]
    assert "POST /_local/faults" in routes
    rows = re.findall(r"^\| (`.*?`) \|", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
    told = " ".join(rows)
    for route in routes:
        method, _, path = route.partition(" /_local/")
        name = re.sub(r"\{\w+\}", "{id}", path)
        assert not name or (f"{name}`" in told and method in told), route
