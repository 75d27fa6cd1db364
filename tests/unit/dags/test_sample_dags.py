"""The sample DAGs as Airflow reads them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.exceptions import ParamValidationError
from airflow.sdk.execution_time import macros

from airflow_domino.sensors.luigi import LuigiTargetSensor

DAGS = Path(__file__).parents[3] / "dags"
IDS = {
    "ensemble",
    "ensemble_luigi",
    "ensemble_one_run",
    "hello_world",
    "hello_world_luigi",
    "numbers",
    "pivot",
    "run_anyway",
    "time_gate",
}
DRAWN = {
    "hello_world_luigi": {"Hello": set(), "DominoHelloWorld": {"Hello"}},
    "ensemble_luigi": {
        "CleanDigits": set(),
        "ExtractFeatures": {"CleanDigits"},
        "TrainRForest": set(),
        "TrainNNet": set(),
        "PredictRForest": {"ExtractFeatures", "TrainRForest"},
        "PredictNNet": {"ExtractFeatures", "TrainNNet"},
        "CombinePredictions": {"PredictRForest", "PredictNNet"},
        "ScoreReport": {
            "ExtractFeatures",
            "PredictRForest",
            "PredictNNet",
            "CombinePredictions",
            "TrainRForest",
            "TrainNNet",
        },
    },
    "run_anyway": {
        "EmptyCaches": set(),
        "WarmSearch": {"EmptyCaches"},
        "WarmImages": {"EmptyCaches"},
        "AnnounceNews": {"WarmSearch", "WarmImages"},
    },
    "time_gate": {"Orders": set(), "ClosingTime": set(), "OrderReport": {"Orders", "ClosingTime"}},
}
# Run at every start of Python: nothing of a pipeline is asked what is complete, and nobody is called.
WATCH = """\
import socket
def refuse(*arguments):
    raise AssertionError("a DAG file uses the network")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
try:
    import luigi
except ImportError:
    pass
else:
    def complete(task):
        raise AssertionError(f"a DAG file asks {task} whether it is complete")
    def exists(target):
        raise AssertionError(f"a DAG file asks whether {target} exists")
    luigi.Task.complete = complete
    luigi.LocalTarget.exists = luigi.target.FileSystemTarget.exists = exists
"""
READ = """\
import json, sys, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
graphs = {
    dag_id: {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks} for dag_id, dag in bag.dags.items()
}
print(json.dumps({"errors": bag.import_errors, "graphs": graphs}))
"""


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how Airflow itself reads .airflowignore
        bag = DagBag(str(DAGS))
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_all_import_and_nothing_of_the_project_is_taken_for_a_dag(dags: dict[str, Any]) -> None:
    assert set(dags) == IDS


@pytest.mark.parametrize("dag_id", sorted(IDS))
def test_each_is_documented_and_tagged(dags: dict[str, Any], dag_id: str) -> None:
    assert dags[dag_id].doc_md.startswith("### ")
    assert {"airflow-domino", "sample"} <= dags[dag_id].tags


def test_reading_them_touches_no_network_and_no_target_and_gives_the_same_graphs(
    dags: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "TMPDIR": str(tmp_path),  # so that each plan is drawn anew
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
    }
    read = subprocess.run(
        [sys.executable, "-c", READ, str(DAGS)], env=environment, capture_output=True, text=True, check=False
    )
    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout.splitlines()[-1])
    assert found["errors"] == {}
    assert found["graphs"] == {dag_id: edges(dag) for dag_id, dag in dags.items()}


def edges(dag: Any) -> dict[str, list[str]]:
    return {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}


@pytest.mark.parametrize(("dag_id", "graph"), DRAWN.items())
def test_pipelines_are_drawn_as_they_require(dags: dict[str, Any], dag_id: str, graph: dict[str, set[str]]) -> None:
    tasks = dags[dag_id].task_dict
    drawn = {name: task.upstream_task_ids & graph.keys() for name, task in tasks.items() if name in graph}
    assert drawn == graph


def test_the_domino_runs_of_the_drawn_ensemble_are_on_the_tiers_of_the_form(dags: dict[str, Any]) -> None:
    dag = dags["ensemble_luigi"]
    for name, tier in (("TrainRForest", "Large"), ("TrainNNet", "X-Large")):
        task = dag.task_dict[name].prepare_for_execution()
        task.render_template_fields({"params": {"forest_tier": "Large", "nnet_tier": "X-Large"}})
        assert (task.tier, task.env) == (tier, {"AIRFLOW_DOMINO_RUN_TIER": tier})
    assert dag.params.validate()["nnet_tier"] == "GPU"


def test_the_form_of_the_drawn_ensemble_offers_its_parts_by_name(dags: dict[str, Any]) -> None:
    offered = dags["ensemble_luigi"].params.get_param("luigi_select").schema["examples"]
    assert {"TrainRForest", "TrainNNet", "ScoreReport"} <= set(offered)


def test_the_time_gate_is_a_sensor_that_waits_for_the_moment_of_the_form(dags: dict[str, Any]) -> None:
    assert isinstance(dags["time_gate"].task_dict["ClosingTime"], LuigiTargetSensor)
    now, past = datetime(2026, 11, 21, 8, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC)
    minute, evening = "2026-11-21 08:01:00+00:00", "2026-11-21T18:00:00Z"
    for chosen, logical_date, day, moment in (
        (None, None, "2026-11-21", minute),
        (None, past, "2026-11-10", minute),  # a minute after the trigger, for whatever day
        (evening, past, "2026-11-20", evening),
    ):
        form = {"closing_time": chosen, "day": "2026-11-20" if chosen else None}
        gate = dags["time_gate"].task_dict["ClosingTime"].prepare_for_execution()
        dag_run = SimpleNamespace(run_after=now, logical_date=logical_date)
        gate.render_template_fields({"params": form, "dag_run": dag_run, "macros": macros})
        assert gate.luigi_params == {"day": day, "closing_time": moment}


@pytest.mark.parametrize("storage", ["s3://sales/here", None])
def test_the_form_of_the_pivot_reaches_luigi(dags: dict[str, Any], storage: str | None) -> None:
    dag = dags["pivot"]
    form = dag.params.validate() | {"storage": storage, "rows": 500, "merge_tier": "GPU", "workers": 3}
    task = dag.task_dict["pivot_table"].prepare_for_execution()
    task.render_template_fields({"params": form})
    assert task.workers == "3"
    assert task.luigi_params == {
        "rows": "500",
        "shard_kib": "64",
        "storage": storage or "pivot",
        "run_on": "here",
        "environment": "",
        "tiers": '{"MergeSums": "GPU", "SumShard": "Small"}',
        "max_retries": "2",
    }


@pytest.mark.parametrize("storage", ["sales", "s3://", "s3://sales", "s3://sales/", "/tmp"])
def test_the_form_of_the_pivot_refuses_a_storage_that_is_no_address(dags: dict[str, Any], storage: str) -> None:
    with pytest.raises(ParamValidationError):
        dags["pivot"].params["storage"] = storage


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


def test_the_form_shows_what_a_tier_is(dags: dict[str, Any]) -> None:
    tier = dags["ensemble"].params.get_param("forest_tier")
    assert tier.value == "X-Large"
    assert tier.schema["values_display"]["X-Large"] == "X-Large: 16 cores, 60 GiB"
    assert list(tier.schema["values_display"]) == tier.schema["enum"]


BAD_VALUES = [
    ("ensemble", "target", "EverythingAtOnce", "ScoreReport"),
    ("ensemble", "retrain", "perhaps", "Train again"),
    ("ensemble", "commit", "main", "40 digits"),
    ("ensemble_luigi", "nnet_tier", "Gigantic", "X-Large"),
    ("ensemble_one_run", "workers", 0, "1 to 8"),
    ("ensemble_one_run", "target", "ScoreReport; rm -r /", "TrainNNet"),
    ("ensemble_one_run", "commit", "0" * 39, "40 digits"),
    ("numbers", "n", 0, "1 to 1,000,000"),
    ("numbers", "target", "CubedNumbers", "PrintNumbers"),
    ("pivot", "rows", 10**9, "1 to 10,000,000"),
    ("pivot", "run_on", "elsewhere", "domino"),
    ("pivot", "shard_tier", None, "Small"),
    ("time_gate", "day", "tomorrow", "YYYY-MM-DD"),
    ("time_gate", "day", "2026-02-30", "YYYY-MM-DD"),
    ("time_gate", "closing_time", "at six", "YYYY-MM-DD HH:MM"),
]


@pytest.mark.parametrize(("dag_id", "field", "value", "what_is_wanted"), BAD_VALUES)
def test_a_bad_value_is_refused_with_what_the_field_wants(
    dags: dict[str, Any], dag_id: str, field: str, value: object, what_is_wanted: str
) -> None:
    with pytest.raises(ParamValidationError) as refused:
        copy(dags[dag_id].params)[field] = value
    assert f"Invalid input for param {field}" in str(refused.value)
    said = re.sub(r"'\s+'", "", str(refused.value))  # Airflow prints a long text of the schema in several lines
    assert what_is_wanted in said


@pytest.mark.parametrize("dag_id", sorted(IDS))
def test_each_field_of_a_form_has_a_label_and_says_what_it_wants(dags: dict[str, Any], dag_id: str) -> None:
    params = dags[dag_id].params
    for name in params:
        param = params.get_param(name)
        assert param.schema["title"] != name
        assert (param.description or param.schema["description_md"]).endswith(".")


def test_the_run_of_a_part_of_the_ensemble_brings_home_the_file_of_that_part(dags: dict[str, Any]) -> None:
    dag = dags["ensemble_one_run"]
    task = dag.task_dict["score_report"].prepare_for_execution()
    task.render_template_fields({"params": dag.params.validate() | {"target": "TrainNNet", "commit": "ab" * 20}})
    assert task.command == ["example_ensemble.py", "TrainNNet", "--workers", "3"]
    assert (task.tier, task.commit_id, task.outputs) == ("Medium", "ab" * 20, ["models/nnet.zip"])


def test_the_form_of_the_numbers_chooses_the_luigi_task(dags: dict[str, Any]) -> None:
    dag = dags["numbers"]
    task = dag.task_dict["squared_numbers"].prepare_for_execution()
    task.render_template_fields({"params": dag.params.validate() | {"target": "PrintNumbers"}})
    assert task.task == "numbers_pipeline:PrintNumbers"


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
