"""### Ensemble in one run

The whole Luigi pipeline as a single Domino run, which starts a further run for each model that is not there yet.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import Param, dag

from airflow_domino.operators.domino import DominoRunOperator

DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()
FORM = {
    "commit": Param(
        None,
        type=["null", "string"],
        description="Commit to start from; by default the latest. Models that it holds are not trained again.",
    ),
}


@dag(schedule=None, doc_md=__doc__, params=FORM, tags=["airflow-domino", "sample"], max_active_runs=1)
def ensemble_one_run() -> None:
    DominoRunOperator(
        task_id="score_report",
        command="example_ensemble.py ScoreReport --workers 3",
        tier="Medium",
        commit_id="{{ params.commit or '' }}",
        outputs=["report/score_report.json"],
        output_dir=str(DATA / "ensemble_one_run"),
    )


ensemble_one_run()
