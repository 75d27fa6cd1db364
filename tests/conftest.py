"""A local Domino for tests: the shipped server in a process of its own, on a free port, in a temporary folder.

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from airflow_domino.demo.airflow_stack import AirflowStack

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


@dataclass
class LocalDomino:
    """A running local Domino.

    ``project`` is ``owner/name`` of its first project.
    """

    url: str
    token: str
    projects: dict[str, str]
    root: Path
    process: subprocess.Popen[str]
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def project(self) -> str:
        return next(iter(self.projects))

    @property
    def project_id(self) -> str:
        return next(iter(self.projects.values()))

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask with the token, and without going through any proxy."""
        return self.session.request(method, f"{self.url}{path}", timeout=PATIENCE, **options)

    def get(self, path: str, /, **query: Any) -> Any:
        """The JSON of a good answer to a GET."""
        answer = self.request("GET", path, params=query)
        assert answer.ok, answer.text
        return answer.json()

    def post(self, path: str, /, **body: Any) -> Any:
        """The JSON of a good answer to a POST."""
        answer = self.request("POST", path, json=body)
        assert answer.ok, answer.text
        return answer.json()

    def start(self, command: str, **fields: Any) -> dict[str, Any]:
        """Start a run of the first project, or of the one that `projectId` names."""
        return self.post("/v4/jobs/start", **{"projectId": self.project_id, "commandToRun": command, **fields})

    def job(self, run_id: str) -> dict[str, Any]:
        return self.get(f"/v4/jobs/{run_id}")

    def wait(self, run_id: str, until: Callable[[dict[str, Any]], bool] | None = None) -> dict[str, Any]:
        """The job once it has ended, or once something else is so."""
        is_reached = until or (lambda job: job["statuses"]["isCompleted"])
        deadline = time.monotonic() + PATIENCE
        while not is_reached(job := self.job(run_id)):
            assert time.monotonic() < deadline, f"still {job['statuses']}, log: {self.log(run_id)}"
            time.sleep(0.02)
        return job

    def wait_for_status(self, run_id: str, *words: str) -> dict[str, Any]:
        return self.wait(run_id, lambda job: job["statuses"]["executionStatus"] in words)

    def run(self, command: str, **fields: Any) -> dict[str, Any]:
        """Start a run and wait for its end."""
        return self.wait(self.start(command, **fields)["id"])

    def log(self, run_id: str, log_type: str = "console") -> list[str]:
        """The lines of a log."""
        logset = self.get(f"/v4/jobs/{run_id}/logsWithProblemSuggestions", logType=log_type)["logset"]
        return [line["log"] for line in logset["logContent"]]

    def content(self, commit_id: str, path: str) -> bytes:
        """A file of the first project at a commit."""
        answer = self.request("GET", f"/api/projects/v1/projects/{self.project_id}/files/{commit_id}/{path}/content")
        assert answer.ok, answer.text
        return answer.content

    def files(self, commit_id: str) -> dict[str, str]:
        """Paths and keys of the files of the first project at a commit."""
        found = self.get(f"/v1/projects/{self.project}/files/{commit_id}//")["data"]
        return {file["path"]: file["key"] for file in found}

    def head(self) -> str:
        return str(self.get(f"/v4/projects/{self.project_id}/commits/head")["id"])

    def ledger(self) -> list[dict[str, Any]]:
        """Everything that happened, in order."""
        entries: list[dict[str, Any]] = self.get("/_local/ledger")["entries"]
        return entries

    def order_fault(self, action: str, **fault: Any) -> None:
        """Let the next matching request get a bad answer."""
        self.post("/_local/faults", action=action, **fault)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self._finish()

    def stop(self) -> int:
        """End it politely, once or again; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self._finish()
        return self.process.returncode

    def _finish(self) -> None:
        self.process.wait(PATIENCE)
        self.session.close()
        if self.process.stdout is not None:
            self.process.stdout.close()


def serve_local_domino(
    root: Path,
    projects: Mapping[str, Path | None],
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> LocalDomino:
    """Start `python -m airflow_domino.local` on a free port and wait until it is ready."""
    root.parent.mkdir(parents=True, exist_ok=True)
    log_file = root.with_name(f"{root.name}.log")
    words = [f"--project={name}" + (f"={folder}" if folder else "") for name, folder in projects.items()]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DOMINO_"))}
    with log_file.open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow_domino.local", "--port=0", f"--root={root}", *words, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env=kept | dict(environment or {}),
            start_new_session=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait(PATIENCE)
        process.stdout.close()
        pytest.fail(f"the local Domino did not start:\n{log_file.read_text()}")
    ready = json.loads(line)
    found = {f"{project['owner']}/{project['name']}": project["id"] for project in ready["projects"]}
    domino = LocalDomino(ready["url"], _told_token(ready, environment or {}), found, root, process)
    domino.session.trust_env = False
    domino.session.headers["X-Domino-Api-Key"] = domino.token
    return domino


def _told_token(ready: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    if "token_file" in ready:
        return Path(ready["token_file"]).read_text().strip()
    return str(ready["token"]) if "token" in ready else environment["DOMINO_LOCAL_TOKEN"]


@pytest.fixture(scope="session")
def local_domino(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDomino]:
    """One local Domino for all tests, with the project of the sample DAGs and a few small programs in it."""
    folder = tmp_path_factory.mktemp("local-domino")
    files = folder / "files"
    if SAMPLE_PROJECT.is_dir():
        shutil.copytree(SAMPLE_PROJECT, files, ignore=shutil.ignore_patterns("__pycache__"))
    write_files(files, SAMPLE_FILES)
    domino = serve_local_domino(folder / "root", {SAMPLE_PROJECT_NAME: files})
    yield domino
    domino.stop()


@pytest.fixture(scope="session")
def serve_domino() -> Callable[..., LocalDomino]:
    """What starts a local Domino, for fixtures of wider scope than `start_local_domino`; they stop it."""
    return serve_local_domino


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which tasks on the worker keep their targets and outputs."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def airflow(
    local_domino: LocalDomino, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowStack]:
    """Airflow with the sample DAGs, the DAGs of tests/e2e/dags and a connection to the local Domino."""
    from airflow_domino.demo.airflow_stack import AirflowStack

    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "dags", dags, ignore=ignored)
    if (ROOT / "tests" / "e2e" / "dags").is_dir():
        shutil.copytree(ROOT / "tests" / "e2e" / "dags", dags / "e2e", ignore=ignored)
    connection = {
        "conn_type": "domino",
        "host": local_domino.url,
        "password": local_domino.token,
        "extra": {"project": local_domino.project},
    }
    environment = {
        "AIRFLOW_CONN_DOMINO_DEFAULT": json.dumps(connection),
        "AIRFLOW_DOMINO_DATA": str(data_folder),
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


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files into a folder that may not exist yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
