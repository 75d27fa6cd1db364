"""A real Airflow that notices soon when a part of it is gone, beside a local Domino that is the witness."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from airflow_domino.demo.airflow_api import AirflowApi, AirflowApiError

if TYPE_CHECKING:
    from airflow_domino.demo.airflow_stack import AirflowStack

DAGS = Path(__file__).parent / "life_cycle_dags"
PROJECT = "domino/life"
PATIENCE = 240.0
TAKE_OVER = 10
FILES = {
    "hello.py": 'print("hello")\n',
    "fail.py": "raise SystemExit(3)\n",
    "sleep.py": "import sys, time\ntime.sleep(float(sys.argv[1]))\n",
    "count.py": (
        "import sys, time\n"
        "for n in range(int(sys.argv[1])):\n"
        "    print(f'count {n}', flush=True)\n"
        "    time.sleep(0.5)\n"
    ),
    "needs_memory.py": (
        "import os, signal\n"
        'if os.environ["DOMINO_HARDWARE_TIER_ID"] != "large-id":\n    os.kill(os.getpid(), signal.SIGKILL)\n'
    ),
    "wait_for.py": ("import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists():\n    time.sleep(0.2)\n"),
    "write_and_sleep.py": (
        "import sys, time\n"
        'open("half.txt", "w").write("so far")\n'
        'print("written", flush=True)\n'
        "time.sleep(float(sys.argv[1]))\n"
    ),
}
TIERS = [
    {"id": f"{name.lower()}-id", "name": name, "cores": 1, "memory_gib": 1, "cents_per_minute": 1.0, "capacity": room}
    for name, room in {"Small": 30, "Medium": 30, "Large": 30, "Wide": 60, "Full": 1}.items()
]
QUICK = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "3",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(TAKE_OVER),
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
}


@dataclass
class LifeCycle:
    """An Airflow, a Domino, and what tests of a run's life ask them both.

    :param domino: the local Domino (`LocalDomino` of tests/conftest.py).
    :param data: the folder that DAGs know as AIRFLOW_DOMINO_DATA.
    :param left_behind: what parts that were killed had started; ended at last.
    """

    airflow: AirflowStack
    domino: Any
    data: Path
    left_behind: list[psutil.Process] = field(default_factory=list)

    @property
    def api(self) -> AirflowApi:
        return self.airflow.api

    def until(self, condition: Callable[[], Any], what: str | Callable[[], str], seconds: float = PATIENCE) -> Any:
        """Wait for something that is true, and return it."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, what() if callable(what) else what
            time.sleep(0.3)
        return value

    # ---- Domino's side

    def jobs(self, title: str) -> list[dict[str, Any]]:
        """The runs of a task, newest first, by the readable part of their titles."""
        found = self.domino.get("/v4/jobs", projectId=self.domino.project_id, page_size=5000, status="all")["jobs"]
        return [job for job in found if (job.get("title") or "").startswith(f"{title} [")]

    def status(self, run: str) -> str:
        return str(self.domino.job(run)["statuses"]["executionStatus"])

    def statuses(self, title: str) -> Counter[str]:
        return Counter(job["statuses"]["executionStatus"] for job in self.jobs(title))

    def accepted(self, event: str, run: str) -> list[dict[str, Any]]:
        """What the ledger has of a kind ("start", "stop") about a run."""
        return [entry for entry in self.domino.ledger() if entry["event"] == event and entry["runId"] == run]

    def faults(self) -> list[dict[str, Any]]:
        """The faults that no request has met so far."""
        return list(self.domino.get("/_local/faults")["faults"])

    def forget_faults(self) -> None:
        self.domino.request("DELETE", "/_local/faults").raise_for_status()

    # ---- Airflow's side

    def run_of(self, *where: str, other_than: str | None = None) -> str:
        """The XCom `run_id` of a task, once it is there."""

        def pushed() -> Any:
            try:
                value = self.api.xcom(*where, key="run_id")
            except AirflowApiError:
                return None
            return value if value != other_than else None

        return str(self.until(pushed, f"{where} has pushed no run_id"))

    def logs(self, *where: str) -> str:
        tries = self.api.task_instance(*where)["try_number"]
        return "\n".join(self.api.task_log(*where, try_number=number) for number in range(1, tries + 1))

    def succeeded(self, *where: str) -> Any:
        """Wait for a task's end, which must be a good one, and return its result."""
        state = self.api.wait_for_task(*where, ["success", "failed"], timeout=PATIENCE)
        assert state == "success", self.logs(*where)
        return self.api.xcom(*where)

    def delivered_once(self, *where: str) -> Any:
        """Assert that a task succeeded with the whole result of the only run that it ever had, and return that."""
        result = self.succeeded(*where)
        dag_id, _, task_id = where
        jobs = self.jobs(f"{dag_id}.{task_id}")
        assert len(jobs) == 1, self.logs(*where)
        (job,) = jobs
        assert (result["run_id"], result["status"], result["number"]) == (job["id"], "Succeeded", job["number"])
        assert {"url", "project", "tier", "output_commit", "run_seconds", "cost_cents"} <= result.keys()
        assert self.api.xcom(*where, key="run_id") == job["id"]
        assert self.api.links(*where) == {"Domino run": result["url"]}
        assert len(self.accepted("start", job["id"])) == 1
        assert self.accepted("stop", job["id"]) == []
        return result

    def kill(self, label: str) -> None:
        """End a component and what is in its process group at once, as a crash would."""
        process = self.airflow.processes.pop(label)
        self.left_behind += psutil.Process(process.pid).children(recursive=True)  # workers are in groups of their own
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def end(self, label: str) -> None:
        """Ask a component to end, as a deployment does, and wait until it has."""
        process = self.airflow.processes.pop(label)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGTERM)
        process.wait(30)
        for child in psutil.wait_procs(family, timeout=5)[1]:
            child.kill()


@pytest.fixture(scope="module")
def life(whole_life: LifeCycle) -> LifeCycle:
    """An Airflow and a Domino whose parts may be killed and frozen; a module begins with one of each."""
    for label in [label for label in whole_life.airflow.processes if label.startswith("triggerer ")]:
        whole_life.kill(label)
    for name in ("scheduler", "dag-processor", "triggerer"):
        process = whole_life.airflow.processes.get(name)
        if process is None or process.exit_code is not None:
            whole_life.airflow.start_component(name)
    whole_life.airflow.wait_until_healthy()
    whole_life.forget_faults()
    return whole_life


@pytest.fixture(scope="session")
def whole_life(tmp_path_factory: pytest.TempPathFactory, serve_domino: Callable[..., Any]) -> Iterator[LifeCycle]:
    """An Airflow and a Domino of their own for the tests of a run's life."""
    from airflow_domino.demo.airflow_stack import AirflowStack

    folder = tmp_path_factory.mktemp("life")
    domino = serve_domino(folder / "domino", {PROJECT: _project_files(folder)}, [f"--tiers={_tiers_file(folder)}"])
    domino.start("sleep.py 3600", title="keeps the tier full", overrideHardwareTierId="full-id")
    dags = folder / "dags"
    shutil.copytree(DAGS, dags, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data" / "life").mkdir(parents=True)
    plain = {"conn_type": "domino", "host": domino.url, "password": domino.token}
    patient = {"project": PROJECT, "read_timeout": 60}
    environment = {
        "AIRFLOW_CONN_DOMINO_DEFAULT": json.dumps(plain | {"extra": {"project": PROJECT}}),
        "AIRFLOW_CONN_PATIENT": json.dumps(plain | {"extra": patient}),
        "AIRFLOW_CONN_IMPATIENT": json.dumps(plain | {"extra": {"project": PROJECT, "read_timeout": 3}}),
        "AIRFLOW_CONN_NARROW": json.dumps(plain | {"extra": patient | {"max_active_runs_per_tier": {"Wide": 2}}}),
        "AIRFLOW_CONN_LIMITED": json.dumps(plain | {"extra": patient | {"max_active_runs": 1000}}),
        "AIRFLOW_DOMINO_DATA": str(folder / "data"),
    }
    try:
        with AirflowStack(folder / "home", dags, environment=environment | QUICK, parallelism=8) as airflow:
            airflow.api.wait_for_dags(["life_workers", "life_short"])
            yield (life := LifeCycle(airflow, domino, folder / "data"))
            for process in life.left_behind:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
    finally:
        domino.stop()


def _project_files(folder: Path) -> Path:
    files = folder / "files"
    shutil.copytree(DAGS / "luigi_project", files, ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in FILES.items():
        (files / name).write_text(content)
    return files


def _tiers_file(folder: Path) -> Path:
    file = folder / "tiers.json"
    file.write_text(json.dumps([tier | {"default": tier["name"] == "Small"} for tier in TIERS]))
    return file
