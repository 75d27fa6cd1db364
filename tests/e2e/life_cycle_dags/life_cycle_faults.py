"""DAGs for the tests of killed workers and triggerers, of users' wishes about kills and clears, and of many at once."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

from airflow.sdk import dag

from airflow_domino.domino.client import DominoClient
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.operators.luigi import LuigiTaskOperator
from airflow_domino.sensors.domino import DominoRunSensor

RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1)}
OPTIONS = {"schedule": None, "max_active_runs": 20, "default_args": {"poll_interval": 1, **RETRIES}}
FROZEN_SECONDS = {"frozen": 30, "wakes_early": 24}
DATA = Path(os.environ["AIRFLOW_DOMINO_DATA"])
LUIGI = {
    "task": "life_pipeline:Writes",
    "project_path": Path(__file__).parent / "luigi_project",
    "working_dir": DATA / "life",
    "run_on": "domino",
}
# How a task waits: started by the scheduler in the triggerer, deferred by a worker, or on its worker.
WAYS = {
    "started": {"deferrable": True},
    "deferred": {"deferrable": True, "start_from_trigger": False},
    "worker": {"deferrable": False},
}


def lose_worker() -> None:
    """End the task's process and its supervisor at once, as the loss of a machine would."""
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def end_worker() -> None:
    """Ask the supervisor to end, as a deployment or an eviction does; it passes that on to the task."""
    os.kill(os.getppid(), signal.SIGTERM)


def freeze_worker(seconds: float) -> None:
    """Stop the supervisor and the task's process until Airflow has held them for dead."""
    family = (os.getppid(), os.getpid())
    wake = f"sleep {seconds}; kill -CONT {family[0]} {family[1]}"
    subprocess.Popen(["sh", "-c", wake], start_new_session=True)
    for process in family:
        os.kill(process, signal.SIGSTOP)


class LosesItsWorker:
    """A task whose first worker goes, or freezes, at a point of its run's life."""

    point = ""

    def is_at(self, point: str) -> bool:
        return self.point == point and self._context["ti"].try_number == 1

    def execute(self, context):
        self._context = context
        start, resolve_tier = DominoClient.start_run, DominoClient.resolve_tier

        def freeze_and_resolve(client, *arguments):
            if self.is_at("frozen"):
                freeze_worker(FROZEN_SECONDS["frozen"])
            return resolve_tier(client, *arguments)

        def start_and_go(client, request):
            if self.is_at("before_post"):
                lose_worker()
            run = start(client, request)
            if self.is_at("after_accept"):
                lose_worker()
            return run

        DominoClient.start_run, DominoClient.resolve_tier = start_and_go, freeze_and_resolve
        return super().execute(context)

    def _remember(self, context, identity, launched):
        super()._remember(context, identity, launched)
        freeze = partial(freeze_worker, FROZEN_SECONDS["wakes_early"])
        for point, go in {"while_waiting": lose_worker, "shutdown": end_worker, "wakes_early": freeze}.items():
            if self.is_at(point):
                threading.Timer(2.0, go).start()


class Run(LosesItsWorker, DominoRunOperator):
    pass


class Luigi(LosesItsWorker, LuigiTaskOperator):
    pass


@dag(**OPTIONS)
def life_workers() -> None:
    points = {"deferred": ("before_post", "after_accept"), "worker": ("before_post", "after_accept", "while_waiting")}
    for way in points:
        for point in points[way]:
            Run(task_id=f"{way}_{point}", command=["sleep.py", "5", way, point], **WAYS[way]).point = point
    for way in points:
        Run(task_id=f"{way}_frozen", command=["sleep.py", "20", way], **WAYS[way]).point = "frozen"
    # The next attempt is not due yet when this one wakes up.
    early = {"deferrable": False, "retry_delay": timedelta(seconds=15)}
    Run(task_id="worker_wakes_early", command="sleep.py 40", **early).point = "wakes_early"
    Run(task_id="worker_shutdown", command="sleep.py 12", deferrable=False).point = "shutdown"
    for point in ("while_waiting", "shutdown"):
        task = Luigi(task_id=f"luigi_{point}", params={"name": point, "seconds": 8}, deferrable=False, **LUIGI)
        task.point = point


@dag(**OPTIONS)
def life_wishes() -> None:
    for way, arguments in WAYS.items():
        common = {"tier": "Wide", **arguments}
        until_cleared = ["wait_for.py", str(DATA / f"{way}_cleared")]
        DominoRunOperator(task_id=f"{way}_leave", command="sleep.py 600", on_kill="leave", **common)
        DominoRunOperator(task_id=f"{way}_discard", command="write_and_sleep.py 600", keep_results=False, **common)
        DominoRunOperator(task_id=f"{way}_keep", command="write_and_sleep.py 600", **common)
        DominoRunOperator(task_id=f"{way}_reattach", command=until_cleared, on_clear="reattach", **common)
        DominoRunOperator(task_id=f"{way}_clear_leave", command="sleep.py 600", on_clear="leave", **common)
        DominoRunOperator(task_id=f"{way}_again", command="hello.py", **common)


@dag(**OPTIONS)
def life_no_triggerer() -> None:
    limit = {"execution_timeout": timedelta(seconds=30), "retries": 0}
    wait = ["wait_for.py", str(DATA / "may_end")]
    for way in ("started", "deferred"):
        common = {"tier": "Wide", **WAYS[way]}
        DominoRunOperator(task_id=f"{way}_undelivered", command=wait, **common)
        DominoRunOperator(task_id=f"{way}_marked", command="sleep.py 600", **common)
        DominoRunOperator(task_id=f"{way}_deadline", command="sleep.py 600", **common, **limit)
        DominoRunSensor(
            task_id=f"{way}_sensor",
            title="^life_no_triggerer.started_undelivered",
            since="{{ dag_run.start_date }}",
            poke_interval=1,
            start_from_trigger=way == "started",
        )
    LuigiTaskOperator(task_id="luigi_undelivered", params={"name": "undelivered", "seconds": 20}, tier="Wide", **LUIGI)


@dag(**OPTIONS)
def life_launching() -> None:
    """Launches whose answers are on their way when something happens: by the scheduler's and by a worker's wish."""
    DominoRunOperator(task_id="started", command="sleep.py 4", domino_conn_id="patient")
    DominoRunOperator(task_id="limited", command="sleep.py 4", domino_conn_id="limited", start_from_trigger=False)


@dag(**OPTIONS)
def life_deployment() -> None:
    for way in ("started", "deferred"):
        DominoRunOperator(task_id=way, command="sleep.py 15", **WAYS[way])
        DominoRunSensor(
            task_id=f"sensor_{way}",
            title="^life_deployment.started",
            since="{{ dag_run.start_date }}",
            poke_interval=1,
            start_from_trigger=way == "started",
        )
    LuigiTaskOperator(task_id="luigi", params={"name": "deployment", "seconds": 15}, **LUIGI)


@dag(**OPTIONS)
def life_mapped_many() -> None:
    DominoRunOperator.partial(task_id="waits", tier="Full").expand(
        command=[["sleep.py", "600", str(number)] for number in range(40)]
    )


@dag(**OPTIONS)
def life_mapped_short() -> None:
    DominoRunOperator.partial(task_id="short", tier="Wide").expand(
        command=[["hello.py", str(number)] for number in range(50)]
    )


life_workers()
life_wishes()
life_no_triggerer()
life_launching()
life_deployment()
life_mapped_many()
life_mapped_short()
