"""The server is killed again and again under load, answers are lost and spoiled, and nothing that it had said is lost.

For minutes instead of seconds: set AIRFLOW_DOMINO_SOAK_SECONDS, say to 300. AIRFLOW_DOMINO_SOAK_SEED plays the same
choices again, as far as the machine does.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pygit2
import pytest
import requests

from airflow_domino.testing import LocalDomino

SECONDS = float(os.environ.get("AIRFLOW_DOMINO_SOAK_SECONDS", "3"))
SEED = int(os.environ.get("AIRFLOW_DOMINO_SOAK_SEED", str(random.randrange(1 << 30))))
KILLED_AFTER = (0.3, 1.5)
PATIENCE = 120.0
WORK = """\
# work.sh NAME: writes a file of its own and one that every run writes.
echo "begin $1"
mkdir -p out
echo "$1" > "out/$1.txt"
echo "$1" > shared.txt
sleep "$2"
echo "middle $1"
echo "{\\"name\\": \\"$1\\"}" > dominostats.json
echo "end $1"
"""
TIERS = [
    {"id": "four", "name": "Four", "cores": 1, "memory_gib": 4, "cents_per_minute": 1, "capacity": 4, "default": True}
]


@dataclass
class Acknowledged:
    """What the server has said to its clients, and so must not lose."""

    runs: dict[str, str] = field(default_factory=dict)
    stops: set[str] = field(default_factory=set)
    uploads: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)


@dataclass
class Soak:
    """A server that is killed, and the clients that go on asking it."""

    serve: Callable[[], LocalDomino]
    domino: LocalDomino
    project_ids: list[str]
    said: Acknowledged = field(default_factory=Acknowledged)
    is_over: threading.Event = field(default_factory=threading.Event)
    kills: int = 0
    problems: list[str] = field(default_factory=list)

    # The clients

    def client(self, number: int) -> None:
        """Do one thing after the other until it is over; what fails since the server is gone is left."""
        chance = random.Random(f"{SEED}/{number}")
        doings = (
            [self.start] * 4 + [self.read] * 6 + [self.look] * 3 + [self.stop, self.upload, self.upload, self.spoil]
        )
        for count in range(1_000_000):
            if self.is_over.is_set():
                return
            try:
                chance.choice(doings)(chance, f"c{number}n{count}")
            except requests.RequestException:
                time.sleep(0.05)
            except Exception as error:
                self.problems.append(f"{type(error).__name__}: {error}")
                return

    def start(self, chance: random.Random, name: str) -> None:
        if self.waiting() > 40:
            time.sleep(0.05)
            return
        body = {
            "projectId": chance.choice(self.project_ids),
            "commandToRun": f"work.sh {name} {chance.choice(['0', '0.05', '0.3'])}",
            "title": name,
        }
        answer = self.ask("POST", "/v4/jobs/start", json=body)
        self.said.runs[answer["id"]] = name

    def waiting(self) -> int:
        return len(self.said.runs) - len(self.said.outputs)

    def stop(self, chance: random.Random, name: str) -> None:
        if run_id := self.some_run(chance):
            body = {"jobId": run_id, "commitResults": chance.random() < 0.5}
            self.ask("POST", "/v4/jobs/stop", json=body)
            self.said.stops.add(run_id)

    def look(self, chance: random.Random, name: str) -> None:
        if run_id := self.some_run(chance):
            job = self.ask("GET", f"/v4/jobs/{run_id}")
            if job["statuses"]["isCompleted"]:
                self.said.outputs[run_id] = job["commitDetails"].get("outputCommitId", "")

    def read(self, chance: random.Random, name: str) -> None:
        if run_id := self.some_run(chance):
            cursor = self.said.cursors.get(run_id, "0")
            path = f"/v4/jobs/{run_id}/logsWithProblemSuggestions"
            logset = self.ask("GET", path, params={"latestTimeNano": cursor})["logset"]
            with contextlib.suppress(KeyError):
                if self.said.cursors.get(run_id, "0") == cursor:
                    self.said.cursors[run_id] = logset["pagination"]["latestTimeNano"]
                    new = [(line["log"], line["timestamp"]) for line in logset["logContent"]]
                    self.said.lines.setdefault(run_id, []).extend(new)

    def upload(self, chance: random.Random, name: str) -> None:
        path = f"up/{name}.txt"
        answer = self.ask("PUT", f"/v1/projects/me/main/{path}", data=name.encode() * chance.randrange(1, 50))
        self.said.uploads[path] = answer["key"]

    def spoil(self, chance: random.Random, name: str) -> None:
        """Let the answer to somebody's next start or upload be lost, halved or bad."""
        action = chance.choice(["drop", "reset", "half", "status", "html"])
        moment = {} if action == "half" else {"moment": chance.choice(["before", "after"])}
        path = chance.choice(["^/v4/jobs/start", "^/v1/projects/me/main/up/"])
        self.ask("POST", "/_local/faults", json={"action": action, "path": path, **moment})

    def some_run(self, chance: random.Random) -> str | None:
        return chance.choice(list(self.said.runs)[-12:]) if self.said.runs else None

    def ask(self, method: str, path: str, **options: Any) -> Any:
        domino = self.domino
        headers = {"X-Domino-Api-Key": domino.token}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, f"{domino.url}{path}", headers=headers, timeout=10, **options)
        if answer.status_code == 503:
            # What a fault on order makes of an answer.
            raise requests.RequestException("spoiled")
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    # Its life

    def play(self, seconds: float) -> None:
        """Kill the server again and again for some time, then let all runs come to their end."""
        chance = random.Random(SEED)
        clients = [threading.Thread(target=self.client, args=(number,), daemon=True) for number in range(4)]
        for client in clients:
            client.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            # The reader of one line each has its place between two kills.
            time.sleep(chance.uniform(*KILLED_AFTER))
            self.domino.kill()
            self.kills += 1
            self.domino = self.serve()
        self.is_over.set()
        for client in clients:
            client.join(PATIENCE)
        self.wait_for_the_end()

    def wait_for_the_end(self) -> None:
        deadline = time.monotonic() + PATIENCE
        for project_id in self.project_ids:
            while self.domino.get("/v4/jobs", projectId=project_id, status="active", page_size=1)["totalCount"]:
                assert time.monotonic() < deadline, self.domino.ledger()[-20:]
                time.sleep(0.05)


@pytest.fixture(scope="module")
def soak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Soak]:
    """The soak, played to its end; the server answers."""
    folder = tmp_path_factory.mktemp("soak")
    (folder / "files").mkdir()
    (folder / "files" / "work.sh").write_text(WORK)

    def serve() -> LocalDomino:
        projects = {"me/main": folder / "files", "me/isolated": folder / "files"}
        arguments = ["--results=me/isolated=isolated", "--stop-grace=0.5"]
        return LocalDomino.serve(projects, root=folder / "root", tiers=TIERS, arguments=arguments)

    domino = serve()
    soak = Soak(serve, domino, list(domino.projects.values()))
    print(f"seed {SEED}")
    try:
        soak.play(SECONDS)
        print(f"{soak.kills} kills, {len(soak.said.runs)} runs, {len(soak.said.uploads)} uploads")
        yield soak
    finally:
        soak.domino.stop()


@pytest.fixture(scope="module")
def documents(soak: Soak) -> dict[str, dict[str, Any]]:
    """All runs as the database has them, by id."""
    with contextlib.closing(sqlite3.connect(soak.domino.root / "state.sqlite")) as database:
        rows = database.execute("SELECT document FROM runs").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    runs = [json.loads(row[0]) for row in rows]
    return {run["id"]: run for run in runs}


@pytest.fixture(scope="module")
def repositories(soak: Soak) -> dict[str, pygit2.Repository]:
    """The repositories of the projects, by project id."""
    return {
        project_id: pygit2.Repository(str(soak.domino.root / "projects" / f"{project_id}.git"))
        for project_id in soak.project_ids
    }


def test_the_server_was_killed_and_its_clients_saw_nothing_wrong(soak):
    assert soak.kills > 0
    assert soak.said.runs
    assert soak.problems == []


def test_every_accepted_run_is_known_has_ended_and_is_in_the_ledger_once(soak, documents):
    starts = [entry["runId"] for entry in soak.domino.ledger(event="start")]
    assert len(starts) == len(set(starts))
    assert set(starts) == set(documents)
    assert set(soak.said.runs) <= set(documents)
    assert {run["status"] for run in documents.values()} <= {"Succeeded", "Failed", "Stopped", "Error"}
    assert [run["id"] for run in documents.values() if run["status"] == "Failed"] == []


def test_runs_are_numbered_without_a_gap(soak, documents):
    for project_id in soak.project_ids:
        numbers = sorted(run["number"] for run in documents.values() if run["project_id"] == project_id)
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_ledger_and_the_database_agree_about_every_status(soak, documents):
    states: dict[str, list[dict[str, Any]]] = {}
    for entry in soak.domino.ledger(event="state"):
        states.setdefault(entry["runId"], []).append(entry)
    for run_id, run in documents.items():
        entries = states[run_id]
        assert [entry["from"] for entry in entries] == [None, *(entry["to"] for entry in entries[:-1])]
        assert entries[-1]["to"] == run["status"]
        assert entries[-1].get("outputCommitId") == run["output_commit"]


def test_every_stop_and_tag_that_was_acknowledged_is_there(soak, documents):
    stops = {entry["runId"] for entry in soak.domino.ledger(event="stop")}
    assert soak.said.stops <= stops


def test_every_commit_of_a_run_is_in_git_and_every_one_in_git_is_a_runs(soak, documents, repositories):
    for project_id, repository in repositories.items():
        runs = [run for run in documents.values() if run["project_id"] == project_id]
        known = {f"refs/domino/runs/{run['id']}": run["output_commit"] for run in runs if run["output_commit"]}
        kept = {name: str(repository.references[name].target) for name in repository.references}
        assert {name: commit for name, commit in kept.items() if name.startswith("refs/domino/runs/")} == known
    for run_id, commit in soak.said.outputs.items():
        assert (documents[run_id]["output_commit"] or "") == commit


def test_results_of_every_run_that_succeeded_are_whole(soak, documents, repositories):
    for run in documents.values():
        if run["status"] == "Succeeded":
            name = run["arguments"][1]
            tree = repositories[run["project_id"]][run["output_commit"]].tree
            assert tree[f"out/{name}.txt"].data.decode() == f"{name}\n"
            assert run["stats"] == [{"name": "name", "value": name}]
            assert {f"begin {name}", f"end {name}"} <= set(tree["results/stdout.txt"].data.decode().splitlines())


def test_the_main_line_has_what_every_run_and_every_upload_has_put_there(soak, documents, repositories):
    main, isolated = (repositories[soak.domino.projects[name]] for name in ("me/main", "me/isolated"))
    tree = main[main.references["refs/heads/main"].target].tree
    for run in documents.values():
        if run["output_commit"] and run["project_id"] == soak.domino.projects["me/main"]:
            head = main.references["refs/heads/main"].target
            assert head == pygit2.Oid(hex=run["output_commit"]) or main.descendant_of(head, run["output_commit"])
    for path, key in soak.said.uploads.items():
        assert str(tree[path].id) == key
    assert "out" not in isolated[isolated.references["refs/heads/main"].target].tree


def test_every_object_that_is_referred_to_can_be_read(repositories):
    for repository in repositories.values():
        heads = [repository.references[name].target for name in repository.references]
        seen: set[pygit2.Oid] = set()
        for head in heads:
            for commit in repository.walk(head):
                read_tree(repository, commit.tree, seen)


def read_tree(repository: pygit2.Repository, tree: pygit2.Tree, seen: set[pygit2.Oid]) -> None:
    if tree.id in seen:
        return
    seen.add(tree.id)
    for entry in tree:
        if isinstance(entry, pygit2.Tree):
            read_tree(repository, entry, seen)
        elif entry.id not in seen:
            seen.add(entry.id)
            assert entry.size == len(repository[entry.id].data)


def test_every_line_of_a_log_that_was_shown_is_still_there_in_its_place(soak):
    for run_id, lines in soak.said.lines.items():
        content = soak.domino.get(f"/v4/jobs/{run_id}/logsWithProblemSuggestions")["logset"]["logContent"]
        assert [(line["log"], line["timestamp"]) for line in content][: len(lines)] == lines


def test_nothing_is_left_behind(soak):
    root: Path = soak.domino.root
    deadline = time.monotonic() + 5
    while list((root / "work").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list((root / "work").iterdir()) == []
    assert [path.name for path in root.iterdir() if path.name.startswith("tmp")] == []
    assert [str(path) for path in (root / "projects").rglob("*.lock")] == []
    left = [process.pid for process in psutil.process_iter() if str(root) in working_folder(process)]
    assert left == []


def working_folder(process: psutil.Process) -> str:
    try:
        return process.cwd() if re.search("sh|sleep", process.name()) else ""
    except psutil.Error:
        return ""
