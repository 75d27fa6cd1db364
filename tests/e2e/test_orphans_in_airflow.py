"""`airflow domino orphans`: runs that no task waits for any more."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from airflow_domino.demo.airflow_api import AirflowApiError
from airflow_domino.domino.launch import RunMark

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

DAG = "e2e_domino_left"


def orphans(airflow, *arguments):
    """Run the command; gives its exit code, what it lists, and what it says beside."""
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "domino", "orphans", "--output", "json", *arguments],
        env=airflow.environment | {"COLUMNS": "500"},
        cwd=airflow.home,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    start = done.stdout.find("[")
    return done.returncode, json.loads(done.stdout[start:]) if start >= 0 else [], done.stderr


def launched(airflow, run_id, task_id):
    deadline = time.monotonic() + 120
    while True:
        try:
            return airflow.api.xcom(DAG, run_id, task_id, key="run_id")
        except AirflowApiError:
            assert time.monotonic() < deadline, f"{task_id} has launched nothing"
            time.sleep(0.3)


@pytest.fixture(scope="module")
def left(airflow, local_domino):
    """Two runs: one whose task still waits, and one whose task was marked failed and leaves its run alone."""
    airflow.api.wait_for_dags([DAG])
    run_id = airflow.api.trigger(DAG)
    runs = {task_id: launched(airflow, run_id, task_id) for task_id in ("waits", "left")}
    airflow.api.mark(DAG, run_id, "left", "failed")
    foreign = RunMark.for_task("of", "another", "airflow").text
    runs["foreign"] = local_domino.start("sleep.py 600", title=f"elsewhere {foreign}")["id"]
    for run in runs.values():
        local_domino.wait_for_status(run, "Running")
    yield run_id, runs
    airflow.api.mark(DAG, run_id, "waits", "failed")
    for run in runs.values():
        local_domino.post("/v4/jobs/stop", jobId=run, projectId=local_domino.project_id, commitResults=False)


@pytest.fixture(scope="module")
def listing(airflow, left):
    """What the command lists and says when nothing further is asked for."""
    code, listed, said = orphans(airflow)
    assert code == 0, said
    return listed, said


def test_a_run_is_listed_with_its_task_its_age_and_its_cost_when_nobody_waits_for_it(local_domino, left, listing):
    run_id, runs = left
    (orphan,) = [row for row in listing[0] if row["dag_id"] == DAG]
    assert (orphan["dag_run"], orphan["task_id"], orphan["task_state"]) == (run_id, "left", "failed")
    assert orphan["run"] == str(local_domino.job(runs["left"])["number"])
    assert orphan["project"] == local_domino.project
    assert (orphan["status"], orphan["tier"]) == ("Running", "Small")
    assert float(orphan["cost_cents"]) > 0
    assert orphan["url"].startswith(local_domino.url)


def test_a_run_of_an_airflow_that_this_one_does_not_know_is_only_listed_on_request(
    airflow, local_domino, left, listing
):
    number = str(local_domino.job(left[1]["foreign"])["number"])
    assert number not in [row["run"] for row in listing[0]]
    assert "--unknown lists them" in listing[1]
    _, everything, _ = orphans(airflow, "--unknown")
    assert number in [row["run"] for row in everything]


def test_nothing_is_stopped_without_a_yes(airflow, local_domino, left):
    code, _, said = orphans(airflow, "--stop")
    assert (code, "--yes" in said, "Traceback" in said) == (1, True, False)
    assert local_domino.job(left[1]["left"])["statuses"]["isCompleted"] is False


def test_an_orphan_is_stopped_and_a_run_that_is_awaited_is_not(airflow, local_domino, left):
    _, runs = left
    code, _, said = orphans(airflow, "--stop", "--yes")
    assert code == 0, said
    assert local_domino.job(runs["left"])["statuses"]["executionStatus"] == "Stopped"
    for name in ("waits", "foreign"):
        assert local_domino.job(runs[name])["statuses"]["isCompleted"] is False
