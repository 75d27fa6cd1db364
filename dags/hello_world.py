"""### Hello world

`hello` is a Domino run on the tier Small that writes `hello`; `hello_world` is a Luigi task on the worker that adds
`world`. Luigi would start the Domino run itself, but its file is already there, so it does not.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import dag

from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.operators.luigi import LuigiTaskOperator

PROJECT = Path(__file__).parent / "projects" / "luigi-multi-run"
DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()


@dag(schedule=None, doc_md=__doc__, tags=["airflow-domino", "sample"], max_active_runs=1)
def hello_world() -> None:
    hello = DominoRunOperator(
        task_id="hello",
        command="example_pipeline.py Hello",
        tier="Small",
        outputs=["data/hello.txt"],
        output_dir=str(DATA),
    )
    world = LuigiTaskOperator(
        task_id="hello_world",
        task="example_pipeline:DominoHelloWorld",
        project_path=str(PROJECT),
        working_dir=str(DATA),
        domino_conn_id="domino_default",
    )
    hello >> world


hello_world()
