"""What users do to tasks and what becomes of their runs, and many mapped runs at once, in a real Airflow."""

from __future__ import annotations

import re
import time
from collections import Counter
from urllib.parse import quote

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WAYS = ("started", "deferred", "worker")


@pytest.fixture(scope="module")
def wishes(life):
    """Tasks of each way, all of them waiting for their first runs."""
    run_id = life.api.trigger("life_wishes")
    wishes = ("leave", "discard", "keep", "reattach", "clear_leave")
    runs = {}
    for task_id in [f"{way}_{wish}" for way in WAYS for wish in wishes]:
        runs[task_id] = life.run_of("life_wishes", run_id, task_id)
        life.domino.wait_for_status(runs[task_id], "Running")
    for way in WAYS:
        for wish in ("reattach", "clear_leave"):
            life.api.clear("life_wishes", run_id, [f"{way}_{wish}"])
        for wish in ("discard", "keep"):
            life.until(lambda: "written" in life.domino.log(runs[f"{way}_{wish}"]), "nothing written")  # noqa: B023
        for wish in ("leave", "discard", "keep"):
            life.api.mark("life_wishes", run_id, f"{way}_{wish}", "failed")
    return run_id, runs


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("wish", "keeps"), [("keep", True), ("discard", False)])
def test_a_stopped_run_keeps_what_it_wrote_or_not_as_the_task_wants_it(life, wishes, way, wish, keeps):
    run = wishes[1][f"{way}_{wish}"]
    job = life.domino.wait(run)
    assert job["statuses"]["executionStatus"] == "Stopped"
    assert {stop["commitResults"] for stop in life.accepted("stop", run)} == {keeps}
    commit = job["commitDetails"].get("outputCommitId") or job["commitDetails"]["inputCommitId"]
    assert ("half.txt" in life.domino.files(commit)) is keeps


@pytest.mark.parametrize("way", ["started", "deferred"])
def test_the_log_of_a_task_marked_failed_says_that_its_run_is_over(life, wishes, way):
    run_id, runs = wishes
    life.domino.wait(runs[f"{way}_keep"])

    def told():
        log = life.logs("life_wishes", run_id, f"{way}_keep")
        return re.search(r"Domino run \d+( is over)?: Stopped", log)

    life.until(told, lambda: life.logs("life_wishes", run_id, f"{way}_keep"), 30)


@pytest.mark.parametrize("way", WAYS)
def test_a_cleared_task_goes_on_with_its_run_where_it_wants_that(life, wishes, way):
    run_id, runs = wishes
    where = ("life_wishes", run_id, f"{way}_reattach")
    life.until(lambda: "Going on with Domino run" in life.logs(*where), lambda: life.logs(*where))
    (life.data / f"{way}_cleared").touch()
    result = life.succeeded(*where)
    assert result["run_id"] == runs[f"{way}_reattach"]
    assert life.statuses(f"life_wishes.{way}_reattach") == {"Succeeded": 1}


@pytest.mark.parametrize("way", WAYS)
def test_a_cleared_task_leaves_its_run_beside_the_new_one_where_it_wants_that(life, wishes, way):
    run_id, runs = wishes
    first = runs[f"{way}_clear_leave"]
    second = life.run_of("life_wishes", run_id, f"{way}_clear_leave", other_than=first)
    life.domino.wait_for_status(second, "Running")
    assert life.accepted("stop", first) == []
    assert len(life.jobs(f"life_wishes.{way}_clear_leave")) == 2


@pytest.mark.parametrize("way", WAYS)
def test_clearing_a_task_that_has_succeeded_launches_another_run(life, wishes, way):
    run_id, _ = wishes
    where = ("life_wishes", run_id, f"{way}_again")
    first = life.succeeded(*where)["run_id"]
    life.api.clear("life_wishes", run_id, [f"{way}_again"])
    second = life.run_of(*where, other_than=first)
    assert life.succeeded(*where)["run_id"] == second
    assert life.statuses(f"life_wishes.{way}_again") == {"Succeeded": 2}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_goes_on_after_a_kill_where_its_task_wants_that(life, wishes, way):
    run_id, runs = wishes
    life.api.wait_for_task("life_wishes", run_id, f"{way}_leave", ["failed"])
    assert life.accepted("stop", runs[f"{way}_leave"]) == []
    assert life.status(runs[f"{way}_leave"]) == "Running"
    life.domino.post("/v4/jobs/stop", jobId=runs[f"{way}_leave"], commitResults=False)


def test_failing_a_dag_run_stops_the_runs_of_forty_mapped_tasks(life):
    run_id = life.api.trigger("life_mapped_many")
    path = f"/dags/life_mapped_many/dagRuns/{quote(run_id, safe='')}"
    deferred = {"state": "deferred", "limit": 1}
    life.until(
        lambda: life.api.call("GET", f"{path}/taskInstances", query=deferred)["total_entries"] == 40,
        lambda: f"{len(life.jobs('life_mapped_many.waits'))} of 40 are launched",
    )
    life.api.call("PATCH", path, body={"state": "failed"})
    life.until(
        lambda: life.statuses("life_mapped_many.waits") == {"Stopped": 40},
        lambda: str(life.statuses("life_mapped_many.waits")),
    )
    time.sleep(5)
    assert len(life.jobs("life_mapped_many.waits")) == 40


@pytest.mark.deep
def test_fifty_mapped_short_runs_fail_no_task(life):
    run_id = life.api.trigger("life_mapped_short")
    assert life.api.wait_for_dag_run("life_mapped_short", run_id) == "success"
    states = Counter(task["try_number"] for task in life.api.task_instances("life_mapped_short", run_id))
    assert states == {1: 50}
    assert life.statuses("life_mapped_short.short") == {"Succeeded": 50}
