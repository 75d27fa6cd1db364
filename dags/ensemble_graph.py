"""### Ensemble, drawn by Luigi

The Luigi pipeline of `ensemble` as it is, one Airflow task for each of its tasks: the trainings are Domino runs on the
tiers of the form, all else is made on the worker. What is complete is skipped; the form makes a part, or a part again.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow_domino.forms import tier_field
from airflow_domino.luigi_dag import LuigiDag

PROJECT = Path(__file__).parent / "projects" / "luigi-multi-run"
DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()
TIERS = {"Small": "Small: 1 core, 4 GiB", "Medium": "Medium: 4 cores, 15 GiB", "Large": "Large: 8 cores, 30 GiB"}
TIERS |= {"X-Large": "X-Large: 16 cores, 60 GiB", "GPU": "GPU: 1 GPU, 8 cores, 60 GiB"}
FORM = {
    "forest_tier": tier_field("X-Large", TIERS, title="Tier of the random forest"),
    "nnet_tier": tier_field("GPU", TIERS, title="Tier of the neural network"),
}

LuigiDag(
    "ensemble_luigi",
    task="example_ensemble:ScoreReport",
    tiers={"TrainRForest": "{{ params.forest_tier }}", "TrainNNet": "{{ params.nnet_tier }}"},
    project_path=PROJECT,
    working_dir=DATA / "ensemble_luigi",
    domino_conn_id="domino_default",
    dag_params=FORM,
    schedule=None,
    doc_md=__doc__,
    tags=["airflow-domino", "sample"],
)
