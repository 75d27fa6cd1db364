"""### Numbers

PrintNumbers and SquaredNumbers, two Luigi tasks with a parameter, on the worker.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import Param, dag

from airflow_domino.forms import target_field
from airflow_domino.operators.luigi import LuigiTaskOperator

PROJECT = Path(__file__).parent / "projects" / "luigi-multi-run"
DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()
FORM = {
    "target": target_field("SquaredNumbers", ["SquaredNumbers", "PrintNumbers"]),
    "n": Param(
        10, type="integer", minimum=1, maximum=1_000_000, title="The last number", description_md="1 to 1,000,000."
    ),
}


@dag(schedule=None, doc_md=__doc__, params=FORM, tags=["airflow-domino", "sample"])
def numbers() -> None:
    LuigiTaskOperator(
        task_id="squared_numbers",
        task="numbers_pipeline:{{ params.target }}",
        params={"n": "{{ params.n }}"},
        project_path=str(PROJECT),
        working_dir=str(DATA),
    )


numbers()
