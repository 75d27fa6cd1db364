"""### Ensemble in one run

The whole Luigi pipeline, or a part of it, as a single Domino run, which starts a further run for each model that is not
there yet.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import Param, dag

from airflow_domino.forms import commit_field, target_field, tier_field
from airflow_domino.operators.domino import DominoRunOperator

DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()
TIERS = ["Small", "Medium", "Large"]
MAKES = {
    "ScoreReport": "report/score_report.json",
    "TrainRForest": "models/rforest.zip",
    "TrainNNet": "models/nnet.zip",
}
FORM = {
    "target": target_field("ScoreReport", {task: f"{task}: {file}" for task, file in MAKES.items()}),
    "tier": tier_field("Medium", TIERS, help_text="Of this run; the runs that it starts have tiers of their own."),
    "workers": Param(
        3, type="integer", minimum=1, maximum=8, title="Luigi workers", description_md="Tasks at once, 1 to 8."
    ),
    "commit": commit_field(
        help_text="The full SHA of a commit of the Domino project: 40 digits, 0-9 and a-f. Empty: the latest. "
        "Models that it holds are not trained again."
    ),
}


@dag(schedule=None, doc_md=__doc__, params=FORM, tags=["airflow-domino", "sample"], max_active_runs=1)
def ensemble_one_run() -> None:
    DominoRunOperator(
        task_id="score_report",
        command=["example_ensemble.py", "{{ params.target }}", "--workers", "{{ params.workers }}"],
        tier="{{ params.tier }}",
        commit_id="{{ params.commit or '' }}",
        outputs=[f"{{{{ {MAKES}[params.target] }}}}"],
        output_dir=str(DATA / "ensemble_one_run"),
    )


ensemble_one_run()
