"""A DAG file of Airflow 2, with Domino's own operators and Luigi in a shell, runs once it is converted."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_a_converted_dag_runs(airflow, data_folder: Path) -> None:
    airflow.api.wait_for_dags(["e2e_moved"])
    # Its templates name a date, as those of a DAG with a schedule do; a DAG run made by hand need have none.
    body = {"logical_date": datetime.now(UTC).isoformat()}
    run_id = airflow.api.call("POST", "/dags/e2e_moved/dagRuns", body=body)["dag_run_id"]
    airflow.api.call("PATCH", "/dags/e2e_moved", body={"is_paused": False})
    state = airflow.api.wait_for_dag_run("e2e_moved", run_id)
    tasks = {task["task_id"]: task["state"] for task in airflow.api.task_instances("e2e_moved", run_id)}
    assert (state, set(tasks.values())) == ("success", {"success"}), tasks
    words, line, luigi = (airflow.api.xcom("e2e_moved", run_id, task_id) for task_id in ("words", "line", "luigi"))
    assert (words["status"], words["tier"]) == ("Succeeded", "Small")
    assert line["title"].startswith("Moved")
    (target,) = luigi["outputs"]
    assert (data_folder / "moved" / target).is_file()


def test_a_scheduled_run_of_a_converted_dag_is_for_the_day_that_it_was_for_on_airflow_2(airflow, local_domino) -> None:
    dag_id = "e2e_moved_nightly"
    airflow.api.wait_for_dags([dag_id])
    airflow.api.call("PATCH", f"/dags/{dag_id}", body={"is_paused": False})
    deadline = time.monotonic() + 200
    while not (runs := airflow.api.call("GET", f"/dags/{dag_id}/dagRuns")["dag_runs"]):
        assert time.monotonic() < deadline, "the scheduler makes no DAG run"
        time.sleep(0.5)
    (run,) = runs
    assert (run["logical_date"], run["run_after"]) == ("2026-03-01T03:00:00Z", "2026-03-02T03:00:00Z")
    assert airflow.api.wait_for_dag_run(dag_id, run["dag_run_id"]) == "success"
    launched, luigi = (airflow.api.xcom(dag_id, run["dag_run_id"], task_id) for task_id in ("ds", "clock"))
    assert local_domino.job(launched["run_id"])["jobRunCommand"] == "write.py moved_day.txt=2026-03-01"
    assert "of-the-clock-2026-03-02" in luigi["outputs"][0]
