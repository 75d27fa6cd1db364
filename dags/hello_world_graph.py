"""### Hello world, drawn by Luigi

The Luigi pipeline of `hello_world` as it is, one Airflow task for each of its tasks: its `DominoRunTask` is a Domino
run on the tier that the pipeline names, with a link to it.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow_domino.luigi_dag import LuigiDag

PROJECT = Path(__file__).parent / "projects" / "luigi-multi-run"
DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()

LuigiDag(
    "hello_world_luigi",
    task="example_pipeline:DominoHelloWorld",
    project_path=PROJECT,
    working_dir=DATA / "hello_world_luigi",
    domino_conn_id="domino_default",
    schedule=None,
    doc_md=__doc__,
    tags=["airflow-domino", "sample"],
)
