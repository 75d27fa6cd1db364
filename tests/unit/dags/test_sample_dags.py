"""The sample DAGs as Airflow reads them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.exceptions import ParamValidationError

DAGS = Path(__file__).parents[3] / "dags"
IDS = {"hello_world", "ensemble", "ensemble_one_run", "numbers"}


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how Airflow itself reads .airflowignore
        bag = DagBag(str(DAGS))
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_all_four_import_and_nothing_of_the_project_is_taken_for_a_dag(dags: dict[str, Any]) -> None:
    assert set(dags) == IDS


@pytest.mark.parametrize("dag_id", sorted(IDS))
def test_each_is_documented_and_tagged(dags: dict[str, Any], dag_id: str) -> None:
    assert dags[dag_id].doc_md.startswith("### ")
    assert {"airflow-domino", "sample"} <= dags[dag_id].tags


@pytest.mark.parametrize("file", sorted(DAGS.glob("*.py")))
def test_each_is_short_enough_to_read_at_a_glance(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 75


def test_the_ensemble_trains_side_by_side_once_a_week_and_never_catches_up(dags: dict[str, Any]) -> None:
    ensemble = dags["ensemble"]
    assert ensemble.schedule == "@weekly"
    assert ensemble.catchup is False
    assert ensemble.task_dict["choose_target"].downstream_task_ids == {"train_rforest", "train_nnet"}
    assert ensemble.task_dict["score_report"].upstream_task_ids == {"train_rforest", "train_nnet"}


@pytest.mark.parametrize(
    ("target", "tasks"),
    [
        ("ScoreReport", ["train_rforest", "train_nnet"]),
        ("TrainRForest", ["train_rforest"]),
        ("TrainNNet", ["train_nnet"]),
    ],
)
def test_the_target_picks_what_is_trained(dags: dict[str, Any], target: str, tasks: list[str]) -> None:
    choose = dags["ensemble"].task_dict["choose_target"].python_callable
    assert choose(params={"target": target}) == tasks


def test_the_form_refuses_a_tier_that_is_not_offered(dags: dict[str, Any]) -> None:
    params = dags["ensemble"].params
    assert params.validate()["forest_tier"] == "X-Large"
    with pytest.raises(ParamValidationError):
        params["forest_tier"] = "Gigantic"


def test_retrain_makes_the_models_and_all_that_follows_from_them_again(dags: dict[str, Any]) -> None:
    def rendered(task_id: str, *, retrain: bool) -> str:
        task = dags["ensemble"].task_dict[task_id]
        return str(task.render_template(task.force, {"params": {"retrain": retrain}}))

    assert rendered("train_nnet", retrain=True) == "True"
    assert rendered("train_nnet", retrain=False) == "False"
    assert rendered("score_report", retrain=False) == "false"
    assert rendered("score_report", retrain=True).split(",") == [
        "PredictRForest",
        "PredictNNet",
        "CombinePredictions",
        "ScoreReport",
    ]
