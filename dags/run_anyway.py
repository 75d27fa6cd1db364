"""### Run anyway

A Luigi pipeline that is made whole at every trigger, each of its tasks once: their targets
(`luigi.contrib.simulate.RunAnywayTarget`) are there until the DAG run has ended, whichever process asks. A retry, or
a task that is cleared within the DAG run, still makes only what is missing.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow_domino.luigi_dag import LuigiDag

PROJECT = Path(__file__).parent / "projects" / "run-anyway"
DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()

LuigiDag(
    "run_anyway",
    task="run_anyway_pipeline:AnnounceNews",
    project_path=PROJECT,
    working_dir=DATA,
    schedule=None,
    doc_md=__doc__,
    tags=["airflow-domino", "sample"],
)
