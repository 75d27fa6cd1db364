"""DAGs for the tests of Domino runs in a real Airflow."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import dag, task

from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.sensors.domino import DominoRunSensor

DATA = os.environ["AIRFLOW_DOMINO_DATA"]
MODES = {"deferred": True, "on_worker": False}
OPTIONS = {"schedule": None, "default_args": {"poll_interval": 1, "retries": 0}}


class DiesOnce(DominoRunOperator):
    """A task whose first worker process is gone right after the launch."""

    def _remember(self, context, identity, launched):
        super()._remember(context, identity, launched)
        if context["ti"].try_number == 1:
            os._exit(9)


@dag(**OPTIONS)
def e2e_domino_success() -> None:
    DiesOnce(task_id="dies_once", command="hello.py", retries=2, retry_delay=timedelta(seconds=1))
    for mode, deferrable in MODES.items():
        DominoRunOperator(task_id=mode, command="hello.py", tier="Small", deferrable=deferrable)
    launched = DominoRunOperator(
        task_id="with_output", command="hello.py", tier="Large", outputs=["hello.txt"], output_dir=f"{DATA}/e2e"
    )
    DominoRunSensor(task_id="sensor", run_id=launched.output["run_id"])
    DominoRunOperator(task_id="titled", command="hello.py", title="Told apart by its title")
    for name, deferrable in {"by_title_deferred": True, "by_title_poking": False}.items():
        DominoRunSensor(
            task_id=name,
            title="^Told apart by its title",
            since="{{ dag_run.start_date }}",
            mode="poke",
            poke_interval=1,
            deferrable=deferrable,
        )
    for number in (1, 2):
        DominoRunOperator(task_id=f"pinned_{number}", command=f"write.py {number}=x", commit_id="dag_run")
    staged = DominoRunOperator(
        task_id="with_inputs", command="hello.py", inputs={"staged/hello.txt": f"{DATA}/e2e/hello.txt"}
    )
    launched >> staged
    DominoRunOperator.partial(task_id="mapped", command="hello.py").expand(tier=["Small", "Medium", "Large"])

    @task.domino(tier="Small")
    def decorated(**context):
        return ["hello.py", context["run_id"]]

    decorated()


@dag(**OPTIONS)
def e2e_domino_failure() -> None:
    failed = [
        DominoRunOperator(task_id=mode, command="fail.py", tier="Small", deferrable=deferrable)
        for mode, deferrable in MODES.items()
    ]
    run_id = "{{ ti.xcom_pull(task_ids='deferred', key='run_id') }}"
    skips = DominoRunSensor(
        task_id="skips", run_id=run_id, on_failure="skip", trigger_rule="all_done", deferrable=False
    )
    failed >> skips
    DominoRunOperator(task_id="unknown_tier", command="hello.py", tier="Enormous", retries=3)
    DominoRunOperator(
        task_id="too_long", command="sleep.py 600", tier="Medium", execution_timeout=timedelta(seconds=10)
    )


@dag(**OPTIONS)
def e2e_domino_long() -> None:
    for mode, deferrable in MODES.items():
        DominoRunOperator(task_id=mode, command="sleep.py 600", tier="Large", deferrable=deferrable)


@dag(**OPTIONS)
def e2e_domino_left() -> None:
    for task_id in ("waits", "left"):
        DominoRunOperator(task_id=task_id, command="sleep.py 600", tier="Small", on_kill="leave")


@dag(**OPTIONS)
def e2e_domino_tried() -> None:
    for mode, deferrable in MODES.items():
        DominoRunOperator(task_id=mode, command="sleep.py 3", tier="Small", deferrable=deferrable)


e2e_domino_left()
e2e_domino_tried()
e2e_domino_success()
e2e_domino_failure()
e2e_domino_long()
