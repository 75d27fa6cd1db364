"""A local Domino for tests, by the fixtures that the package ships.

And a real Airflow beside it, one for all tests that need one (end to end, and in a browser).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_domino.testing import LocalDomino
from airflow_domino.testing.server import write_files

if TYPE_CHECKING:
    from airflow_domino.demo.airflow_stack import AirflowStack

pytest_plugins = ["airflow_domino.testing"]

DEEP = "AIRFLOW_DOMINO_DEEP_TESTS"

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_PROJECT = ROOT / "dags" / "projects" / "luigi-multi-run"
SAMPLE_PROJECT_NAME = "domino/luigi-multi-run"
HELLO = """\
print("hello")
open("hello.txt", "w").write("hello\\nworld\\n")
"""
WRITE = """\
# write.py NAME=TEXT ...: writes files.
import pathlib, sys
for pair in sys.argv[1:]:
    name, _, text = pair.partition("=")
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
"""
FAIL = """\
import sys
print("about to fail", file=sys.stderr)
sys.exit(3)
"""
SLEEP = """\
import sys, time
print("sleeping", flush=True)
time.sleep(float(sys.argv[1]))
"""
SAMPLE_FILES = {"hello.py": HELLO, "write.py": WRITE, "fail.py": FAIL, "sleep.py": SLEEP}
PATIENCE = 60.0


def serve_local_domino(
    root: Path,
    projects: Mapping[str, Path | None],
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> LocalDomino:
    """Start a local Domino in a folder."""
    return LocalDomino.serve(projects, root=root, arguments=arguments, environment=environment)


def pytest_configure() -> None:
    """Be interruptible, and so all that tests start and interrupt: what a shell starts with & ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for."""
    for item in items:
        if item.get_closest_marker("deep") and not os.environ.get(DEEP):
            item.add_marker(pytest.mark.skip(reason=f"takes long; {DEEP}=1 runs it"))


@pytest.fixture(scope="session")
def is_deep() -> bool:
    """Whether there is time to try things often."""
    return bool(os.environ.get(DEEP))


@pytest.fixture(scope="session")
def local_domino_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One local Domino for all tests, with the project of the sample DAGs and a few small programs in it."""
    files = tmp_path_factory.mktemp("local-domino-project") / "files"
    if SAMPLE_PROJECT.is_dir():
        shutil.copytree(SAMPLE_PROJECT, files, ignore=shutil.ignore_patterns("__pycache__"))
    write_files(files, SAMPLE_FILES)
    return {"projects": {SAMPLE_PROJECT_NAME: files}}


@pytest.fixture(scope="session")
def serve_domino() -> Callable[..., LocalDomino]:
    """What starts a local Domino, for fixtures of wider scope than `start_local_domino`; they stop it."""
    return serve_local_domino


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes environments of their own with this package, and gives their interpreters.

    All else is as in requirements.txt, but for packages whose names begin with one of `free`.
    """
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")

    def make(*asked: str, extras: str = "", free: str = "airflow-domino", options: Sequence[str] = ()) -> Path:
        if uv is None:
            pytest.skip("no uv to make an environment with")
        folder = tmp_path_factory.mktemp("environment")
        pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith(free)]
        (folder / "pins.txt").write_text("\n".join(pins))
        python = folder / "python" / "bin" / "python"
        subprocess.run([uv, "venv", "--quiet", f"--python={sys.executable}", python.parents[1]], check=True)
        where = [f"--python={python}", f"--constraint={folder / 'pins.txt'}"]
        subprocess.run([uv, "pip", "install", "--quiet", *where, *options, f"{ROOT}{extras}", *asked], check=True)
        return python

    return make


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which tasks on the worker keep their targets and outputs."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def airflow(
    local_domino: LocalDomino, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowStack]:
    """Airflow with the sample DAGs, those of tests/e2e, converted where they are old, and a connection to Domino."""
    from airflow_domino.demo.airflow_stack import AirflowStack
    from airflow_domino.migrate import migrate

    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "dags", dags, ignore=ignored)
    if (ROOT / "tests" / "e2e" / "dags").is_dir():
        shutil.copytree(ROOT / "tests" / "e2e" / "dags", dags / "e2e", ignore=ignored)
        for old in (ROOT / "tests" / "e2e" / "airflow_2_dags").glob("*.py"):
            (dags / "e2e" / old.name).write_text(migrate(old.read_text()).after)
    connection = {
        "conn_type": "domino",
        "host": local_domino.url,
        "password": local_domino.token,
        "extra": {"project": local_domino.project},
    }
    environment = {
        "AIRFLOW_CONN_DOMINO_DEFAULT": json.dumps(connection),
        "AIRFLOW_DOMINO_DATA": str(data_folder),
        # Files that have not changed need not be read again soon; no test waits for tenths of a second.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    }
    with AirflowStack(folder / "home", dags, environment=environment, parallelism=6) as stack:
        yield stack


@pytest.fixture
def start_local_domino(tmp_path: Path) -> Iterator[Callable[..., LocalDomino]]:
    """Starts local Dominos of a test's own: `start_local_domino(files={...}, arguments=[...], root=..., ...)`.

    The files are those of the project `domino/quick-start`; `projects` gives other projects by their folders.
    """
    started: list[LocalDomino] = []

    def start(
        files: Mapping[str, str | bytes] | None = None,
        *,
        projects: Mapping[str, Path | None] | None = None,
        arguments: Sequence[str] = (),
        tiers: Sequence[Mapping[str, Any]] | None = None,
        root: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> LocalDomino:
        if projects is None:
            folder = tmp_path / "quick-start"
            write_files(folder, SAMPLE_FILES if files is None else files)
            projects = {"domino/quick-start": folder}
        words = list(arguments)
        if tiers is not None:
            file = tmp_path / "tiers.json"
            file.write_text(json.dumps(list(tiers)))
            words.append(f"--tiers={file}")
        domino = serve_local_domino(root or tmp_path / "root", projects, words, environment)
        started.append(domino)
        return domino

    yield start
    for domino in started:
        domino.stop()


@dataclass
class CentralScheduler:
    """A running luigid, and what its page would ask it."""

    url: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("task_list")
                return
            except requests.ConnectionError:
                assert self.process.poll() is None, "luigid has ended"
                assert time.monotonic() < deadline, "luigid does not answer"
                time.sleep(0.1)

    def kill(self) -> None:
        """End it without a farewell, so that it keeps nothing of what it knew."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def ask(self, method: str, /, **arguments: Any) -> Any:
        """Call one of its methods."""
        answer = requests.get(f"{self.url}/api/{method}", params={"data": json.dumps(arguments)}, timeout=10)
        answer.raise_for_status()
        return answer.json()["response"]

    def refusals(self) -> list[str]:
        """The lines of its log about calls that it could not work out."""
        return [line for line in self.log.read_text().splitlines() if " 500 " in line or " 404 POST" in line]

    def states(self) -> dict[str, str]:
        """The state of each task by the name that its page shows."""
        return {task["display_name"]: task["status"] for task in self.ask("task_list").values()}

    def task(self, name: str) -> dict[str, Any]:
        """What it knows of a task."""
        (task,) = (task for task in self.ask("task_list").values() if task["display_name"] == name)
        return dict(task)


@pytest.fixture
def luigid(tmp_path: Path) -> Iterator[CentralScheduler]:
    """A central Luigi scheduler (luigid) in a process of its own, that knows nothing yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "import sys; from luigi.cmdline import luigid; luigid(sys.argv[1:])"
    where = ["--address", "127.0.0.1", "--port", str(port), "--state-path", str(tmp_path / "luigid.pickle")]
    command = [sys.executable, "-W", "ignore", "-c", program, *where]
    scheduler = CentralScheduler(f"http://127.0.0.1:{port}", command, tmp_path / "luigid.log")
    scheduler.start()
    yield scheduler
    scheduler.kill()
