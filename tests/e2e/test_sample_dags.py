"""The sample DAGs in a real Airflow, on runs of the local Domino."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.demo.airflow_api import AirflowApiError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

Outcome = Mapping[str, Any]


@pytest.fixture(scope="module")
def run_dag(airflow) -> Callable[..., dict[str, Outcome]]:
    """Triggers a DAG, waits for its end, and tells each task's state and what it returned."""
    airflow.api.wait_for_dags(["ensemble", "ensemble_one_run", "numbers"])

    def returned(dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        try:
            value = airflow.api.xcom(dag_id, run_id, task_id)
        except AirflowApiError:
            return {}
        return value if isinstance(value, dict) else {}

    def run(dag_id: str, conf: Mapping[str, Any] | None = None) -> dict[str, Outcome]:
        run_id = airflow.api.trigger(dag_id, conf)
        state = airflow.api.wait_for_dag_run(dag_id, run_id)
        tasks = {
            task["task_id"]: {**returned(dag_id, run_id, task["task_id"]), "state": task["state"]}
            for task in airflow.api.task_instances(dag_id, run_id)
        }
        assert state == "success", tasks
        return tasks

    return run


@pytest.fixture(scope="module")
def trained(run_dag: Callable[..., dict[str, Outcome]]) -> None:
    """Has everything that the ensemble makes made, whoever ran it before."""
    run_dag("ensemble")


def numbers_of_runs(tasks: Mapping[str, Outcome]) -> dict[str, int]:
    return {name: outcome["number"] for name, outcome in tasks.items() if outcome.get("number")}


def test_numbers_follow_the_form(run_dag: Callable[..., dict[str, Outcome]], data_folder: Path) -> None:
    tasks = run_dag("numbers", {"n": 7})
    assert len(tasks["squared_numbers"]["ran"]) == 2
    squares = (data_folder / "data" / "squares_up_to_7.txt").read_text().splitlines()
    assert squares[-1] == "7:49"


def test_a_second_trigger_of_the_ensemble_starts_no_run(
    run_dag: Callable[..., dict[str, Outcome]], trained: None
) -> None:
    tasks = run_dag("ensemble")
    assert numbers_of_runs(tasks) == {}
    done = ("extract_features", "train_rforest", "train_nnet", "score_report")
    assert all(tasks[name]["already_complete"] for name in done)


@pytest.fixture(scope="module")
def commit(trained: None, local_domino) -> str:
    """A commit of the project that has everything, and is not the latest."""
    commit = str(local_domino.head())
    local_domino.request("PUT", f"/v1/projects/{local_domino.project}/later.txt", data=b"later")
    assert local_domino.head() != commit
    return commit


@pytest.fixture(scope="module")
def retrained(run_dag: Callable[..., dict[str, Outcome]], commit: str) -> dict[str, Outcome]:
    """The ensemble, trained again as the form says."""
    return run_dag("ensemble", {"retrain": True, "forest_tier": "Large", "commit": commit})


def test_retrain_trains_on_the_chosen_tiers_and_makes_the_report_again(retrained: dict[str, Outcome]) -> None:
    tasks = retrained
    assert set(numbers_of_runs(tasks)) == {"train_rforest", "train_nnet"}
    assert tasks["train_rforest"]["tier"] == "Large"
    assert tasks["train_nnet"]["tier"] == "GPU"
    assert float(tasks["train_nnet"]["stats"]["accuracy"]) > 0.9
    made = {luigi_id.split("__")[0] for luigi_id in tasks["score_report"]["ran"]}
    assert made == {"PredictRForest", "PredictNNet", "CombinePredictions", "ScoreReport"}


def test_both_trainings_go_on_at_the_same_time(retrained: dict[str, Outcome], local_domino) -> None:
    times = [local_domino.job(retrained[name]["run_id"])["stageTime"] for name in ("train_rforest", "train_nnet")]
    assert max(time["runStartTime"] for time in times) < min(time["completedTime"] for time in times)


def test_the_trainings_start_from_the_commit_in_the_form(retrained: dict[str, Outcome], commit: str) -> None:
    assert [retrained[name]["input_commit"] for name in ("train_rforest", "train_nnet")] == [commit, commit]


def test_the_next_run_of_the_ensemble_is_on_sunday(airflow, trained: None) -> None:
    told = airflow.api.call("GET", "/dags/ensemble")
    assert not told["is_paused"]
    following = datetime.fromisoformat(told["next_dagrun_run_after"])
    assert (following.strftime("%A"), following.hour, following.minute) == ("Sunday", 0, 0)
    assert following - datetime.now(UTC) <= timedelta(days=7)


def test_a_target_below_the_report_leaves_the_rest_out(
    run_dag: Callable[..., dict[str, Outcome]], trained: None
) -> None:
    tasks = run_dag("ensemble", {"target": "TrainNNet"})
    states = {name: outcome["state"] for name, outcome in tasks.items()}
    assert states["train_nnet"] == "success"
    assert states["train_rforest"] == states["score_report"] == "skipped"


def test_the_ensemble_in_one_run_starts_further_runs_for_models_that_its_commit_lacks(
    run_dag: Callable[..., dict[str, Outcome]], local_domino, data_folder: Path
) -> None:
    without_models = next(
        commit
        for commit in reversed(local_domino.get(f"/v1/projects/{local_domino.project}/commits"))
        if "example_ensemble.py" in local_domino.files(commit)
    )
    assert "models/nnet.zip" not in local_domino.files(without_models)
    outcome = run_dag("ensemble_one_run", {"commit": without_models})["score_report"]
    later = local_domino.get("/v4/jobs", projectId=local_domino.project_id, page_size=10)["jobs"]
    started = {job["jobRunCommand"] for job in later if job["number"] > outcome["number"]}
    assert {"example_ensemble.py TrainRForest", "example_ensemble.py TrainNNet"} <= started
    report = json.loads((data_folder / "ensemble_one_run" / "report" / "score_report.json").read_text())
    assert report["accuracy"]["ensemble"] > 0.9
