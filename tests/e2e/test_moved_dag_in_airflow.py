"""A DAG file of Airflow 2, with Domino's own operators and Luigi in a shell, runs once it is converted."""

from __future__ import annotations

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
