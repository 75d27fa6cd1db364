"""### Killed worker

Two Domino runs that last until they are told to end, and a task that reads what they wrote. `tests/compose/run` kills
the worker of the first while its task is deferred, and the worker of the second while its task waits there.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, task

from airflow_domino.operators.domino import DominoRunOperator

DATA = Path(os.environ["AIRFLOW_DOMINO_DATA"])
# `touch` at the local Domino ends the run.
LASTS = "while [ ! -e /tmp/end-{name} ]; do sleep 1; done; mkdir -p data; echo {name} >data/{name}.txt"
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1)}


@dag(schedule=None, doc_md=__doc__, default_args=RETRIES, tags=["airflow-domino", "test"])
def killed_worker() -> None:
    runs = [
        DominoRunOperator(
            task_id=name,
            command=["bash", "-c", LASTS.format(name=name)],
            tier="Small",
            outputs=[f"data/{name}.txt"],
            output_dir=str(DATA / "killed_worker"),
            poll_interval=2,
            **waits,
        )
        for name, waits in {
            "deferred": {"deferrable": True, "start_from_trigger": False},
            "on_worker": {"deferrable": False},
        }.items()
    ]

    @task
    def read() -> list[str]:
        return [(DATA / "killed_worker" / "data" / f"{run.task_id}.txt").read_text() for run in runs]

    runs[0] >> runs[1] >> read()


killed_worker()
