"""DAGs for the tests of a run's life cycle: tasks of each way of waiting, some of which die at a given point."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, task_group

from airflow_domino.domino.client import DominoClient
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.operators.luigi import LuigiTaskOperator
from airflow_domino.sensors.domino import DominoRunSensor

DATA = Path(os.environ["AIRFLOW_DOMINO_DATA"])
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1)}
OPTIONS = {"schedule": None, "max_active_runs": 20, "default_args": {"poll_interval": 1, **RETRIES}}
# How a task waits: started by the scheduler in the triggerer, deferred by a worker, or on its worker.
WAYS = {
    "started": {"deferrable": True},
    "deferred": {"deferrable": True, "start_from_trigger": False},
    "worker": {"deferrable": False},
}
FROM_WORKER = {name: arguments for name, arguments in WAYS.items() if name != "started"}
POINTS = ("before_post", "after_accept", "after_record", "while_waiting", "after_end")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Dies:
    """A task whose first worker process is gone at a point of its run's life."""

    point = ""

    def is_to_die(self, point: str, context) -> bool:
        return self.point == point and context["ti"].try_number == 1

    def execute(self, context):
        start = DominoClient.start_run

        def start_and_die(client, request):
            if self.is_to_die("before_post", context):
                die()
            run = start(client, request)
            if self.is_to_die("after_accept", context):
                die()
            return run

        DominoClient.start_run = start_and_die
        return super().execute(context)

    def _remember(self, context, identity, launched):
        task_instance = context["ti"]
        if self.is_to_die("after_record", context):
            object.__setattr__(task_instance, "xcom_push", lambda **values: die())
        super()._remember(context, identity, launched)
        if self.is_to_die("while_waiting", context) and not self.deferrable:
            threading.Timer(1.0, die).start()

    def deliver(self, context, client, run, result):
        if self.is_to_die("after_end", context):
            die()
        return super().deliver(context, client, run, result)


class DyingRun(Dies, DominoRunOperator):
    def needs_worker_at_end(self) -> bool:
        return True


class DyingLuigi(Dies, LuigiTaskOperator):
    pass


def is_possible(way: str, point: str) -> bool:
    return (way, point) != ("deferred", "while_waiting")  # no process is there to die


@dag(**OPTIONS)
def life_worker_dies() -> None:
    for way, arguments in FROM_WORKER.items():
        for point in POINTS:
            if not is_possible(way, point):
                continue
            name = f"{way}_{point}"
            run = DyingRun(task_id=name, command=["sleep.py", "2", name], **arguments)
            luigi = DyingLuigi(
                task_id=f"luigi_{name}",
                task="life_pipeline:Writes",
                params={"name": f"life-{name}"},
                project_path=Path(__file__).parent / "luigi_project",
                working_dir=DATA / "life",
                run_on="domino",
                **arguments,
            )
            run.point = luigi.point = point


@dag(**OPTIONS)
def life_lost_answers() -> None:
    for way, arguments in WAYS.items():
        DominoRunOperator(task_id=way, command=["hello.py", way], domino_conn_id="impatient", **arguments)


@dag(**OPTIONS)
def life_restarts() -> None:
    for way, arguments in WAYS.items():
        DominoRunOperator(task_id=way, command=["count.py", "60", way], **arguments)
    title = "^life_restarts.started"
    since = "{{ dag_run.start_date }}"
    DominoRunSensor(task_id="sensor_started", title=title, since=since, poke_interval=1, log_run=True)
    DominoRunSensor(
        task_id="sensor_deferred", title=title, since=since, poke_interval=1, log_run=True, start_from_trigger=False
    )
    LuigiTaskOperator(
        task_id="luigi",
        task="life_pipeline:Writes",
        params={"name": "{{ run_id | replace(':', '-') | replace('+', '-') }}", "seconds": 25},
        project_path=Path(__file__).parent / "luigi_project",
        working_dir=DATA / "life",
        run_on="domino",
    )


@dag(**OPTIONS)
def life_stopped() -> None:
    for way, arguments in WAYS.items():
        for kill in ("failed", "success", "clear"):
            name = f"{way}_{kill}"
            DominoRunOperator(task_id=name, command=["sleep.py", "600", name], tier="Wide", **arguments)
    LuigiTaskOperator(
        task_id="luigi_failed",
        task="life_pipeline:Writes",
        params={"name": "never", "seconds": 600},
        project_path=Path(__file__).parent / "luigi_project",
        working_dir=DATA / "life",
        run_on="domino",
        tier="Wide",
    )


@dag(**OPTIONS | {"default_args": {"poll_interval": 1, "retries": 0}})
def life_deadlines() -> None:
    limit = {"execution_timeout": timedelta(seconds=8)}
    for way, arguments in WAYS.items():
        DominoRunOperator(task_id=f"{way}_running", command="sleep.py 600", tier="Wide", **limit, **arguments)
        DominoRunOperator(task_id=f"{way}_queued", command="sleep.py 600", tier="Full", **limit, **arguments)
        DominoRunOperator(
            task_id=f"{way}_queue_timeout", command="sleep.py 600", tier="Full", queue_timeout=4, **arguments
        )


@dag(**OPTIONS)
def life_climbs() -> None:
    for way, arguments in WAYS.items():
        DominoRunOperator(
            task_id=f"{way}_memory", command="needs_memory.py", tier=["Small", "Medium", "Large"], **arguments
        )
        DominoRunOperator(
            task_id=f"{way}_queue", command="hello.py", tier=["Full", "Small"], queue_timeout=3, **arguments
        )
        DominoRunOperator(task_id=f"{way}_code", command="fail.py", tier=["Small", "Medium"], **arguments)


@dag(**OPTIONS)
def life_wide() -> None:
    for number in range(150):
        DominoRunOperator(task_id=f"t{number}", command=["sleep.py", "600", str(number)], tier="Full")


@dag(**OPTIONS)
def life_short() -> None:
    for number in range(50):
        DominoRunOperator(task_id=f"t{number}", command="hello.py", tier="Wide")


@dag(**OPTIONS)
def life_marks() -> None:
    @task_group
    def group():
        DominoRunOperator(task_id="one", command="hello.py", title="The forest of {{ run_id }}")
        DominoRunOperator.partial(task_id="mapped", tier="Wide").expand(
            command=[["hello.py", str(n)] for n in range(5)]
        )

    group()
    DominoRunOperator(task_id="one", command="hello.py")


@dag(**OPTIONS)
def life_again() -> None:
    for way, arguments in WAYS.items():
        DominoRunOperator(task_id=way, command=["hello.py", way], tier="Wide", **arguments)
    DominoRunOperator.partial(task_id="mapped", tier="Wide").expand(command=[["hello.py", "mapped", "0"]])


@dag(**OPTIONS)
def life_limits() -> None:
    for number in range(4):
        DominoRunOperator(task_id=f"t{number}", command="sleep.py 4", tier="Wide", domino_conn_id="narrow")
    DominoRunOperator.partial(task_id="mapped", tier="Wide", max_active_runs=1).expand(
        command=[["sleep.py", "1", "mapped", str(n)] for n in range(3)]
    )


life_worker_dies()
life_lost_answers()
life_restarts()
life_stopped()
life_deadlines()
life_climbs()
life_wide()
life_short()
life_marks()
life_limits()
life_again()
