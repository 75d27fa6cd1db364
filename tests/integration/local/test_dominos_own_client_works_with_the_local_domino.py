"""Domino's own Python client, unchanged and in an environment of its own, works with the local Domino."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.local import described

CLIENT = "dominodatalab==2.2.0"

pytestmark = pytest.mark.timeout(600)


# What docs/local-domino.md says of this client is made from this list.
PUBLISHED = Path(__file__).parents[2] / "contract" / "asked_by_dominos_client.txt"
ASKED: set[str] = set()


def operations_asked(server: Any) -> set[str]:
    """The operations that a server was asked for, as it describes them."""
    operations = []
    for generation in described.GENERATIONS:
        operations += described.operations(server.get(generation.address))
    found = set()
    for asked in server.get("/_local/requests", limit=100_000)["requests"]:
        fitting = [one for one in operations if one.method == asked["method"] and _fits(one.path, asked["path"])]
        if fitting:
            best = min(fitting, key=lambda one: one.path.count("{"))
            found.add(f"{best.method} {best.path}")
    return found


def _fits(template: str, path: str) -> bool:
    pattern = re.sub(r"{([^}]*)}", lambda name: ".*" if name[1] == "path" else "[^/]+", template)
    return re.fullmatch(pattern, path) is not None


@pytest.fixture(scope="session")
def clients_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has Domino's client and nothing of this package."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    folder = tmp_path_factory.mktemp("client") / "environment"
    python = folder / "bin" / "python"
    if uv is not None:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), CLIENT], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", CLIENT], check=True)
    return python


@pytest.fixture
def ask(clients_python: Path, start_local_domino, tmp_path: Path):
    """Runs a program that has `domino`, a client of a fresh project, and gives what it has in `answer` at its end."""
    server = start_local_domino(arguments=["--results=main"])

    def call(program: str) -> Any:
        script = tmp_path / "program.py"
        head = "import json\nfrom domino import Domino\n"
        connect = f"domino = Domino({server.project!r})\n"
        script.write_text(f"{head}{connect}{program}\njson.dump(answer, open('answer.json', 'w'))\n")
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment = kept | {"DOMINO_API_HOST": server.url, "DOMINO_USER_API_KEY": server.token}
        done = subprocess.run(
            [str(clients_python), str(script)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "answer.json").read_text())

    call.server = server  # type: ignore[attr-defined]
    yield call
    ASKED.update(operations_asked(server))


def test_a_job_is_started_awaited_and_read(ask):
    answer = ask(
        """
job = domino.job_start_blocking(command="hello.py", title="from the client", hardware_tier_name="Medium", poll_freq=1)
answer = {
    "job": job,
    "details": domino.job_runtime_execution_details(job["id"]),
    "listed": domino.jobs_list(domino.project_id)["jobs"],
    "log": domino.get_run_log(job["id"]),
    "stdout": domino.runs_stdout(job["id"]),
    "file": domino.files_download("hello.txt", job["commitDetails"]["outputCommitId"]).read().decode(),
}
"""
    )
    job = answer["job"]
    assert job["statuses"]["executionStatus"] == "Succeeded"
    assert job["title"] == "from the client"
    assert answer["details"]["hardwareTier"]["name"] == "Medium"
    assert [listed["id"] for listed in answer["listed"]] == [job["id"]]
    assert "hello" in answer["log"]
    assert answer["stdout"] == "hello"
    assert answer["file"] == "hello\nworld\n"


def test_a_job_of_a_commit_an_environment_and_a_tier_is_stopped_and_started_again(ask):
    answer = ask(
        """
import time
commit = domino.commits_list()[0]
environment = domino.environments_list()["data"][0]
tier = domino.get_hardware_tier_id_from_name("Large")
job = domino.job_start(
    "sleep.py 300", commit_id=commit, environment_id=environment["id"], hardware_tier_id=tier
)
while domino.job_status(job["id"])["statuses"]["executionStatus"] != "Running":
    time.sleep(0.1)
domino.job_stop(job["id"], commit_results=False)
while not domino.job_status(job["id"])["statuses"]["isCompleted"]:
    time.sleep(0.1)
again = domino.job_restart(job["id"]).json()
domino.run_stop(again["id"])
answer = {"stopped": domino.job_status(job["id"]), "again": again, "commit": commit}
"""
    )
    assert answer["stopped"]["statuses"]["executionStatus"] == "Stopped"
    assert answer["stopped"]["commitDetails"]["inputCommitId"] == answer["commit"]
    assert answer["again"]["id"] != answer["stopped"]["id"]
    assert answer["again"]["jobRunCommand"] == "sleep.py 300"


def test_a_failed_job_raises_in_the_client(ask):
    answer = ask(
        """
from domino.exceptions import RunFailedException
try:
    domino.job_start_blocking(command="fail.py", poll_freq=1)
except RunFailedException as error:
    answer = str(error)
"""
    )
    assert "Failed" in answer


def test_a_run_of_version_1_is_started_awaited_and_read(ask):
    answer = ask(
        """
started = domino.runs_start_blocking(["write.py", "a.txt=one two"], title="old", tier="Small", poll_freq=1)
shell = domino.runs_start_blocking(["echo from $((1 + 1)) shells > shell.txt"], is_direct=True, poll_freq=1)
run = domino.runs_status(started["runId"])
files = domino.files_list(run["outputCommitId"])["data"]
key = next(file["key"] for file in files if file["path"] == "a.txt")
answer = {
    "run": run,
    "listed": [one["id"] for one in domino.runs_list()["data"]],
    "ids": [shell["runId"], started["runId"]],
    "file": domino.blobs_get(key).read().decode(),
    "shell": domino.files_download("shell.txt", domino.runs_status(shell["runId"])["outputCommitId"]).read().decode(),
}
"""
    )
    assert answer["run"]["status"] == "Succeeded"
    assert answer["run"]["isCompleted"] is True
    assert answer["listed"] == answer["ids"]
    assert answer["file"] == "one two"
    assert answer["shell"] == "from 2 shells\n"


def test_a_file_is_uploaded_and_listed(ask, tmp_path):
    (tmp_path / "local.bin").write_bytes(bytes(range(256)))
    answer = ask(
        """
with open("local.bin", "rb") as file:
    uploaded = domino.files_upload("data/new.bin", file)
commit = domino.commits_list()[0]
listed = {file["path"]: file["size"] for file in domino.files_list(commit, "/")["data"]}
content = domino.blobs_get_v2("data/new.bin", commit, domino.project_id).read()
answer = {"status": uploaded.status_code, "listed": listed, "content": list(content)}
"""
    )
    assert answer["status"] == 201
    assert answer["listed"]["data/new.bin"] == 256
    assert answer["content"] == list(range(256))


def test_projects_and_tiers_are_listed(ask):
    answer = ask(
        """
answer = {
    "projects": [project["name"] for project in domino.projects_list()],
    "tiers": [tier["hardwareTier"]["name"] for tier in domino.hardware_tiers_list()],
    "version": domino.deployment_version()["version"],
}
"""
    )
    assert answer["projects"] == ["quick-start"]
    assert answer["tiers"] == ["Small", "Medium", "Large", "X-Large", "GPU"]
    assert answer["version"].startswith("6.")


def test_what_it_asked_for_is_what_is_published(request: pytest.FixtureRequest) -> None:
    published = set(PUBLISHED.read_text().splitlines())
    assert published >= ASKED
    here = {item.name.partition("[")[0] for item in request.session.items if item.path == request.path}
    if here >= {name for name in vars(sys.modules[__name__]) if name.startswith("test_")}:
        assert published == ASKED
