"""DAGs for the tests of Luigi tasks in a real Airflow."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from airflow.sdk import dag

from airflow_domino.luigi_dag import LuigiDag
from airflow_domino.operators.luigi import LuigiTaskOperator
from airflow_domino.sensors.luigi import LuigiTargetSensor

DATA = Path(os.environ["AIRFLOW_DOMINO_DATA"])
WHERE = {"project_path": Path(__file__).parent / "luigi_project", "working_dir": DATA / "luigi"}
OPTIONS = {"schedule": None, "default_args": {"retries": 0}}
# Not less: a look that is due before Airflow has noticed the end of the last one fails the task.
SECONDS = 10


def named(family: str) -> dict[str, object]:
    return {"task": f"e2e_pipeline:{family}", **WHERE}


@dag(**OPTIONS)
def e2e_luigi_twice() -> None:
    LuigiTaskOperator(task_id="on_worker", params={"name": "{{ dag.dag_id }}"}, **named("Writes"))
    LuigiTaskOperator(
        task_id="other_python",
        params={"name": datetime.date(2026, 1, 2)},
        python=str(DATA / "luigi-only" / "bin" / "python"),
        **named("Writes"),
    )
    LuigiTaskOperator(
        task_id="on_domino",
        params={"name": "on-domino"},
        run_on="domino",
        tier="Small",
        poll_interval=1,
        **named("Writes"),
    )


@dag(**OPTIONS)
def e2e_luigi_failure() -> None:
    LuigiTaskOperator(task_id="fails", params={"name": "x"}, **named("Fails"))
    LuigiTaskOperator(task_id="forgets", params={"name": "x"}, **named("Forgets"))
    secrets = {"DB_PASSWORD": "{{ conn.domino_default.password }}", "API_TOKEN": "e2e-secret-4711"}
    LuigiTaskOperator(task_id="leaks", env=secrets, **named("Leaks"))
    LuigiTargetSensor(task_id="never", params={"name": "never"}, poke_interval=SECONDS, timeout=8, **named("Delivered"))


@dag(**OPTIONS)
def e2e_luigi_long() -> None:
    LuigiTargetSensor(task_id="late", params={"name": "late"}, poke_interval=SECONDS, timeout=300, **named("Delivered"))
    LuigiTaskOperator(task_id="sleeps", params={"name": "x"}, **named("Sleeps"))


LuigiDag(
    "e2e_luigi_pipeline",
    params={"name": "diamond"},
    overrides={"Delivered": {"poke_interval": SECONDS}},
    **named("Report"),
    **OPTIONS,
)

LuigiDag("e2e_luigi_risky", **named("Risky"), **OPTIONS)

e2e_luigi_twice()
e2e_luigi_failure()
e2e_luigi_long()
