"""How a demo gathers what it shows of a task from Airflow and Domino."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_domino.demo.airflow_api import AirflowApiError
from airflow_domino.demo.rows import RowReader
from airflow_domino.domino import DominoUnavailableError, Run, RunDetails, RunStatus

START = datetime(2026, 1, 1, tzinfo=UTC)


def instance(task_id: str, state: str | None, *, started: bool = True, ended: bool = False) -> dict[str, Any]:
    return {
        "dag_id": "ensemble",
        "dag_run_id": "manual",
        "task_id": task_id,
        "state": state,
        "try_number": 1,
        "start_date": START.isoformat() if started else None,
        "end_date": (START + timedelta(seconds=5)).isoformat() if ended else None,
    }


class Airflow:
    """An Airflow with task instances and XComs."""

    def __init__(self, instances: list[dict[str, Any]], xcoms: dict[tuple[str, str], Any]) -> None:
        self.instances = instances
        self.xcoms = xcoms
        self.questions = 0

    def task_instances(self, dag_id: str, dag_run_id: str) -> list[dict[str, Any]]:
        return list(self.instances)

    def xcom(self, dag_id: str, dag_run_id: str, task_id: str, key: str) -> Any:
        self.questions += 1
        if (task_id, key) not in self.xcoms:
            raise AirflowApiError("Airflow answered 404")
        return self.xcoms[task_id, key]


class Domino:
    """A Domino with one run, or out of reach."""

    def __init__(self, *, reachable: bool = True) -> None:
        self.reachable = reachable

    def run(self, run_id: str) -> Run:
        if not self.reachable:
            raise DominoUnavailableError("no answer")
        return Run(run_id, 7, None, "a command", "project", RunStatus("Running", is_completed=False))

    def run_details(self, run_id: str) -> RunDetails:
        return RunDetails("gpu", "GPU")


def reader(airflow: Airflow, domino: Domino | None = None) -> RowReader:
    return RowReader(airflow, domino or Domino())  # type: ignore[arg-type]


def test_a_task_that_is_a_run_shows_its_tier_and_number_while_it_goes_on() -> None:
    airflow = Airflow([instance("train_nnet", "deferred")], {("train_nnet", "run_id"): "a-run"})
    (row,) = reader(airflow).read("ensemble", "manual")
    assert (row.tier, row.number, row.run_status) == ("GPU", 7, "Running")


@pytest.mark.parametrize("domino", [Domino(), Domino(reachable=False)])
def test_a_task_on_the_worker_or_out_of_domino_s_reach_is_shown_all_the_same(domino: Domino) -> None:
    xcoms = {} if domino.reachable else {("score_report", "run_id"): "a-run"}
    (row,) = reader(Airflow([instance("score_report", "running")], xcoms), domino).read("ensemble", "manual")
    assert (row.state, row.tier, row.number) == ("running", None, None)


def test_what_an_ended_task_returned_is_its_result_and_is_asked_once() -> None:
    result = {
        "tier": "GPU",
        "number": 7,
        "status": "Succeeded",
        "queued_seconds": 1.0,
        "run_seconds": 4.0,
        "cost_cents": 2.5,
    }
    airflow = Airflow([instance("train_nnet", "success", ended=True)], {("train_nnet", "return_value"): result})
    rows = reader(airflow)
    (row,) = rows.read("ensemble", "manual")
    assert (row.seconds, row.run_status, row.cost_cents, row.already_complete) == (5.0, "Succeeded", 2.5, False)
    assert rows.read("ensemble", "manual") == [row]
    assert airflow.questions == 1


def test_a_task_that_found_its_targets_is_already_complete() -> None:
    result = {"already_complete": True, "ran": []}
    airflow = Airflow([instance("train_nnet", "success", ended=True)], {("train_nnet", "return_value"): result})
    (row,) = reader(airflow).read("ensemble", "manual")
    assert row.already_complete


def test_a_failed_run_keeps_its_number_although_the_task_returned_nothing() -> None:
    airflow = Airflow([instance("train_nnet", "failed", ended=True)], {("train_nnet", "run_id"): "a-run"})
    (row,) = reader(airflow).read("ensemble", "manual")
    assert (row.state, row.number) == ("failed", 7)


def test_tasks_come_in_the_order_of_their_start_and_those_that_wait_last() -> None:
    late = {**instance("late", "running"), "start_date": (START + timedelta(seconds=1)).isoformat()}
    airflow = Airflow([instance("waits", None, started=False), late, instance("early", "success", ended=True)], {})
    assert [row.task_id for row in reader(airflow).read("ensemble", "manual")] == ["early", "late", "waits"]
