"""The sample DAGs of Luigi pipelines in a real Airflow: drawn ones, and one whose shape is known only when it runs."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SAMPLES: dict[str, dict[str, Any]] = {
    "time_gate": {},
    "hello_world_luigi": {},
    "ensemble_luigi": {"luigi_select": ["TrainNNet"], "nnet_tier": "Large"},
    "pivot": {"rows": 2000, "shard_kib": 24},
    "run_anyway": {},
}
PATIENCE = 300


@pytest.fixture(scope="module")
def closing_time(airflow: Any) -> datetime:
    """What the time gate waits for: a moment soon after the trigger."""
    airflow.api.wait_for_dags(list(SAMPLES))
    return datetime.now(UTC) + timedelta(seconds=30)


@pytest.fixture(scope="module")
def dag_runs(airflow: Any, closing_time: datetime) -> dict[str, str]:
    """A DAG run of each sample, all triggered at once."""
    forms = {**SAMPLES, "time_gate": {"closing_time": closing_time.isoformat()}}
    return {dag_id: airflow.api.trigger(dag_id, form) for dag_id, form in forms.items()}


@pytest.fixture(scope="module")
def states(airflow: Any, dag_runs: Mapping[str, str]) -> Callable[..., dict[str, str]]:
    """The states of a DAG run's tasks once it has succeeded; of the first run, or of another."""

    def wait(dag_id: str, run_id: str | None = None) -> dict[str, str]:
        run_id = run_id or dag_runs[dag_id]
        ended = airflow.api.wait_for_dag_run(dag_id, run_id, timeout=PATIENCE)
        found = {task["task_id"]: task["state"] for task in airflow.api.task_instances(dag_id, run_id)}
        assert ended == "success", {name: log(airflow, dag_id, run_id, name) for name, state in found.items()}
        return found

    return wait


def log(airflow: Any, dag_id: str, run_id: str, task_id: str) -> str:
    return str(airflow.api.task_log(dag_id, run_id, task_id))[-3000:]


def test_hello_world_is_drawn_with_its_domino_run(
    airflow: Any,
    dag_runs: Mapping[str, str],
    states: Callable[..., dict[str, str]],
    data_folder: Path,
    local_domino: Any,
) -> None:
    found = states("hello_world_luigi")
    assert (found["Hello"], found["DominoHelloWorld"]) == ("success", "success")
    assert (data_folder / "hello_world_luigi" / "data" / "hello_world.txt").read_text() == "hello\nworld\n"
    said = log(airflow, "hello_world_luigi", dag_runs["hello_world_luigi"], "Hello")
    assert f"on tier Small: {local_domino.url}" in said


def test_the_form_makes_one_model_of_the_drawn_ensemble_on_the_tier_that_it_says(
    airflow: Any, dag_runs: Mapping[str, str], states: Callable[..., dict[str, str]], data_folder: Path
) -> None:
    found = states("ensemble_luigi")
    assert (found["TrainNNet"], found["TrainRForest"], found["ScoreReport"]) == ("success", "skipped", "skipped")
    assert "on tier Large" in log(airflow, "ensemble_luigi", dag_runs["ensemble_luigi"], "TrainNNet")
    made = {path.name for path in (data_folder / "ensemble_luigi").rglob("*") if path.is_file()}
    assert made == {"nnet.zip"}


def test_the_pivot_table_is_the_sum_of_the_sales(
    airflow: Any, dag_runs: Mapping[str, str], states: Callable[..., dict[str, str]], data_folder: Path
) -> None:
    assert states("pivot") == {"pivot_table": "success"}
    folder = data_folder / "pivot" / "2000-7"
    sums: Counter[tuple[str, str]] = Counter()
    with (folder / "sales.csv").open() as sales:
        for sale in csv.DictReader(sales):
            sums[sale["region"], sale["product"]] += int(sale["cents"])
    with (folder / "pivot.csv").open() as pivot:
        rows = list(csv.DictReader(pivot))
    assert {(row["region"], name): int(row[name]) for row in rows for name in row if name != "region"} == sums
    ran = airflow.api.xcom("pivot", dag_runs["pivot"], "pivot_table")["ran"]
    assert Counter(task.split("_")[0] for task in ran) == {
        "SalesTable": 1,
        "SumShard": 3,
        "MergeSums": 2,
        "PivotTable": 1,
    }


def test_the_report_is_made_when_the_gate_on_the_clock_opens_and_not_before(
    airflow: Any,
    dag_runs: Mapping[str, str],
    states: Callable[..., dict[str, str]],
    data_folder: Path,
    closing_time: datetime,
) -> None:
    assert states("time_gate")["OrderReport"] == "success"
    report = airflow.api.task_instance("time_gate", dag_runs["time_gate"], "OrderReport")
    assert datetime.fromisoformat(report["start_date"]) > closing_time
    (written,) = (data_folder / "time_gate").glob("report_*.txt")
    assert written.read_text().startswith("5 orders, counted at ")


def test_run_anyway_makes_each_task_once_at_every_trigger(
    airflow: Any, states: Callable[..., dict[str, str]], data_folder: Path
) -> None:
    diary = data_folder / "run_anyway.txt"
    names = ["AnnounceNews", "EmptyCaches", "WarmImages", "WarmSearch"]
    first = states("run_anyway")
    assert sorted(made(diary)) == names
    again = states("run_anyway", airflow.api.trigger("run_anyway"))
    assert set(first.values()) == set(again.values()) == {"success"}
    assert sorted(made(diary)[len(names) :]) == names


def made(diary: Path) -> list[str]:
    return [line.split()[-1] for line in diary.read_text().splitlines()]
