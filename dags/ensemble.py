"""### Ensemble

Two classifiers of handwritten digits, trained side by side by Domino runs on hardware of their own; then the report on
the worker. What is complete is not made again: a second trigger trains nothing, unless `retrain` is chosen.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, task

from airflow_domino.forms import commit_field, target_field, tier_field
from airflow_domino.operators.luigi import LuigiTaskOperator

PROJECT = Path(__file__).parent / "projects" / "luigi-multi-run"
DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()
TIERS = {"Small": "Small: 1 core, 4 GiB", "Medium": "Medium: 4 cores, 15 GiB", "Large": "Large: 8 cores, 30 GiB"}
TIERS |= {"X-Large": "X-Large: 16 cores, 60 GiB", "GPU": "GPU: 1 GPU, 8 cores, 60 GiB"}
TARGETS = {
    "ScoreReport": "ScoreReport: both models and the report",
    "TrainRForest": "TrainRForest: the random forest alone",
    "TrainNNet": "TrainNNet: the neural network alone",
}
FORM = {
    "target": target_field("ScoreReport", TARGETS),
    "retrain": Param(False, type="boolean", title="Train again", description_md="Although the models are there."),
    "forest_tier": tier_field("X-Large", TIERS, title="Tier of the random forest"),
    "nnet_tier": tier_field("GPU", TIERS, title="Tier of the neural network"),
    "commit": commit_field(),
}
START = "{{ (ti.xcom_pull(task_ids='extract_features') or {}).get('output_commit') or params.commit or '' }}"
AFTER_TRAINING = ["PredictRForest", "PredictNNet", "CombinePredictions", "ScoreReport"]


def luigi_task(family: str, **options: Any) -> LuigiTaskOperator:
    """Make the task of one Luigi family, with its targets in the data folder."""
    where = {"project_path": str(PROJECT), "working_dir": str(DATA), "domino_conn_id": "domino_default"}
    return LuigiTaskOperator(task=f"example_ensemble:{family}", **where, **options)


@dag(
    schedule="@weekly",
    catchup=False,
    doc_md=__doc__,
    params=FORM,
    tags=["airflow-domino", "sample"],
    max_active_runs=1,
)
def ensemble() -> None:
    features = luigi_task(
        "ExtractFeatures",
        task_id="extract_features",
        run_on="domino",
        tier="Small",
        commit_id="{{ params.commit or '' }}",
    )
    on_domino = {"run_on": "domino", "commit_id": START, "force": "{{ params.retrain }}"}
    forest = luigi_task("TrainRForest", task_id="train_rforest", tier="{{ params.forest_tier }}", **on_domino)
    net = luigi_task("TrainNNet", task_id="train_nnet", tier="{{ params.nnet_tier }}", **on_domino)
    again = "{{ '" + ",".join(AFTER_TRAINING) + "' if params.retrain else 'false' }}"
    report = luigi_task("ScoreReport", task_id="score_report", force=again)

    @task.branch
    def choose_target(params: dict[str, Any]) -> list[str]:
        training = {"TrainRForest": ["train_rforest"], "TrainNNet": ["train_nnet"]}
        return training.get(params["target"], ["train_rforest", "train_nnet"])

    features >> choose_target() >> [forest, net] >> report


ensemble()
