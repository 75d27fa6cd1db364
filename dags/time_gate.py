"""### Time gate

"Not before X o'clock" as a requirement: `ClosingTime` is a Luigi task that nobody runs (an `ExternalTask`) and that is
complete once the clock is past a moment. Its Airflow task is a sensor: it gives its worker slot back between two looks.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow_domino.forms import day_field, moment_field
from airflow_domino.luigi_dag import LuigiDag

PROJECT = Path(__file__).parent / "projects" / "time-gate"
DATA = Path(os.environ.get("AIRFLOW_DOMINO_DATA", "~/airflow-domino-data")).expanduser()
FORM = {
    "day": day_field(title="Day of the orders"),
    "closing_time": moment_field(
        title="Closing time",
        help_text="The report is not made before. Choose in the calendar, or write YYYY-MM-DD HH:MM (UTC, unless an "
        "offset such as +02:00 follows). Empty: one minute after the trigger.",
    ),
}

LuigiDag(
    "time_gate",
    task="time_gate_pipeline:OrderReport",
    params={
        "day": "{{ params.day or (dag_run.logical_date or dag_run.run_after) | ds }}",
        "closing_time": "{{ params.closing_time or (dag_run.run_after + macros.timedelta(minutes=1)) }}",
    },
    overrides={"ClosingTime": {"poke_interval": 10, "timeout": 24 * 3600}},
    dag_params=FORM,
    project_path=PROJECT,
    working_dir=DATA,
    schedule=None,
    doc_md=__doc__,
    tags=["airflow-domino", "sample"],
)
