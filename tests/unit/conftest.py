"""A tiny Domino over real HTTP whose runs end as a test decides."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

TOKEN = "unit-token-7f3a"
FINAL = {"Succeeded", "Failed", "Error", "Stopped", "Faulty"}


def tier(tier_id: str, name: str, cents: float, *, default: bool = False) -> dict[str, Any]:
    flags = {"isDefault": default, "isArchived": False}
    return {"hardwareTier": {"id": tier_id, "name": name, "centsPerMinute": cents, "hwtFlags": flags}}


@dataclass
class FakeDomino:
    """State of one project `domino/quick-start` and its runs; what each test wants to see or to change."""

    url: str = ""
    token: str = TOKEN
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    v1_logs: dict[str, str] = field(default_factory=dict)
    starts: list[dict[str, Any]] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=lambda: ["a" * 40])
    trees: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"a" * 40: {"main.py": b"print(1)\n"}})
    tiers: list[dict[str, Any]] = field(
        default_factory=lambda: [
            tier("small-k8s", "Small", 1.0, default=True),
            tier("xlarge-k8s", "X-Large", 12.0),
            tier("gpu-1", "GPU", 30.0),
            tier("gpu-2", "GPU", 60.0),
        ]
    )
    is_git_based: bool = False
    on_start: Callable[[FakeDomino, str], None] = lambda domino, run_id: domino.end(run_id, "Succeeded")
    lose_answers: int = 0
    broken: bool = False
    lock: Any = field(default_factory=threading.RLock)

    def end(self, run_id: str, status: str, *, wrote: dict[str, bytes] | None = None, reason: str = "") -> None:
        """End a run, with what it wrote as its output commit and as the new head."""
        with self.lock:
            job = self.jobs[run_id]
            job["statuses"] = {"isCompleted": True, "executionStatus": status}
            start = job["stageTime"]["submissionTime"] + 2_000
            job["stageTime"] |= {"runStartTime": start, "completedTime": start + 30_000}
            if reason:
                job["abnormalStatus"] = {"runFailureReason": reason, "runFailureMessage": "see its log"}
            if wrote:
                tree = self.trees[job["commitDetails"]["inputCommitId"]] | wrote
                job["commitDetails"]["outputCommitId"] = self.commit(tree)

    def leave_running(self) -> None:
        """Let runs that are started go on until a test ends them."""
        self.on_start = lambda domino, run_id: None

    def commit(self, tree: dict[str, bytes]) -> str:
        sha = hashlib.sha1(repr((sorted(tree.items()), len(self.commits))).encode(), usedforsecurity=False).hexdigest()
        self.trees[sha] = tree
        self.commits.insert(0, sha)
        return sha

    def start(self, body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            number = len(self.jobs) + 1
            run_id = f"{number:024x}"
            self.starts.append(body)
            self.jobs[run_id] = {
                "id": run_id,
                "number": number,
                "projectId": "p1",
                "title": body.get("title"),
                "jobRunCommand": body["commandToRun"],
                "statuses": {"isCompleted": False, "executionStatus": "Running"},
                "stageTime": {"submissionTime": int(time.time() * 1000)},
                "commitDetails": {"inputCommitId": body.get("commitId") or self.commits[0]},
                "tier": body.get("overrideHardwareTierId"),
            }
            self.logs[run_id] = [f"line 1 of run {number}", f"line 2 of run {number}"]
            self.on_start(self, run_id)
            return self.jobs[run_id]

    def asked_to_stop(self, body: dict[str, Any]) -> dict[str, Any]:
        self.kept.append(body["commitResults"])
        return self.stop(body["jobId"])

    def stop(self, run_id: str) -> dict[str, Any]:
        self.stops.append(run_id)
        if not self.jobs[run_id]["statuses"]["isCompleted"]:
            self.end(run_id, "Stopped")
        return self.jobs[run_id]

    @property
    def last(self) -> dict[str, Any]:
        return list(self.jobs.values())[-1]


class Handler(BaseHTTPRequestHandler):
    """Routes of the fake."""

    domino: FakeDomino
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_: Any) -> None: ...

    def _answer(self, status: int, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _dispatch(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        path = unquote(parts.path)
        self.domino.requests.append(f"{self.command} {path}")
        credentials = (self.headers.get("X-Domino-Api-Key"), self.headers.get("Authorization"))
        if self.domino.broken:
            return self._answer(503, {"message": "down for maintenance"})
        if path != "/version" and self.domino.token not in credentials and f"Bearer {TOKEN}" not in credentials:
            return self._answer(401, {"message": "not logged in"})
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for pattern, route in ROUTES:
            method, _, expression = pattern.partition(" ")
            match = re.fullmatch(expression, path)
            if method == self.command and match:
                try:
                    status, answer = route(self.domino, query, body, *match.groups())
                except KeyError as missing:
                    return self._answer(404, {"message": f"not found: {missing}"})
                if "start" in pattern and self.domino.lose_answers:
                    self.domino.lose_answers -= 1
                    self.close_connection = True
                    return self.connection.close()
                return self._answer(status, answer)
        return self._answer(404, {"message": f"no route {path}"})

    do_GET = do_POST = do_PUT = _dispatch  # noqa: N815


def _project(domino: FakeDomino, query: dict[str, str], body: bytes) -> tuple[int, Any]:
    if (query["ownerName"], query["projectName"]) != ("domino", "quick-start"):
        return 403, {"message": "no access"}
    project = {"id": "p1", "name": "quick-start", "owner": {"userName": "domino"}, "hardwareTierId": "small-k8s"}
    return 200, project | ({"mainRepository": {"uri": "https://git"}} if domino.is_git_based else {})


def _jobs(domino: FakeDomino, query: dict[str, str], body: bytes) -> tuple[int, Any]:
    newest_first = list(domino.jobs.values())[::-1]
    if query["status"] == "active":
        newest_first = [job for job in newest_first if not job["statuses"]["isCompleted"]]
    size, number = int(query["page_size"]), int(query["page_no"])
    return 200, {"jobs": newest_first[(number - 1) * size : number * size], "totalCount": len(newest_first)}


def _log(domino: FakeDomino, query: dict[str, str], body: bytes, run_id: str) -> tuple[int, Any]:
    lines, begin = domino.logs[run_id], int(query.get("latestTimeNano") or 0)
    content = [{"timestamp": 1, "logType": "stdout", "log": line} for line in lines[begin:]]
    done = domino.jobs[run_id]["statuses"]["isCompleted"]
    pages = {"limit": 1000, "offset": 0, "latestTimeNano": str(len(lines))}
    return 200, {"logset": {"logContent": content, "isComplete": done, "pagination": pages}}


def _details(domino: FakeDomino, query: dict[str, str], body: bytes, run_id: str) -> tuple[int, Any]:
    used = domino.jobs[run_id]["tier"]
    entry = next(t["hardwareTier"] for t in domino.tiers if t["hardwareTier"]["id"] == used)
    return 200, {"hardwareTier": {"id": used, "name": entry["name"]}}


def _files(domino: FakeDomino, query: dict[str, str], body: bytes, commit: str, folder: str) -> tuple[int, Any]:
    entries = [
        {"path": path, "size": len(content), "key": hashlib.sha1(content, usedforsecurity=False).hexdigest()}
        for path, content in domino.trees[commit].items()
        if path.startswith(folder.strip("/"))
    ]
    return 200, {"data": entries}


def _upload(domino: FakeDomino, query: dict[str, str], body: bytes, path: str) -> tuple[int, Any]:
    domino.commit(domino.trees[domino.commits[0]] | {path: body})
    key = hashlib.sha1(body, usedforsecurity=False).hexdigest()
    return 201, {"path": path, "size": len(body), "key": key, "lastModified": 1}


ENVIRONMENTS = {
    "currentlySelectedEnvironment": {"id": "e1", "name": "Standard"},
    "environments": [{"id": "e1", "name": "Standard", "archived": False}, {"id": "e2", "name": "R", "archived": False}],
}
V1 = "/v1/projects/domino/quick-start"
ROUTES: list[tuple[str, Callable[..., tuple[int, Any]]]] = [
    ("GET /version", lambda d, q, b: (200, {"version": "6.2.0"})),
    ("GET /v4/users/self", lambda d, q, b: (200, {"id": "u1", "userName": "ada"})),
    ("GET /v4/gateway/projects/findProjectByOwnerAndName", _project),
    ("GET /v4/projects/p1/hardwareTiers", lambda d, q, b: (200, d.tiers)),
    ("GET /v4/projects/p1/useableEnvironments", lambda d, q, b: (200, ENVIRONMENTS)),
    ("POST /v4/jobs/start", lambda d, q, b: (200, d.start(json.loads(b)))),
    ("POST /v4/jobs/stop", lambda d, q, b: (200, d.asked_to_stop(json.loads(b)))),
    ("GET /v4/jobs", _jobs),
    ("GET /v4/jobs/([0-9a-f]+)/logsWithProblemSuggestions", _log),
    ("GET /v4/jobs/([0-9a-f]+)/runtimeExecutionDetails", _details),
    (f"GET {V1}/run/([0-9a-f]+)/stdout", lambda d, q, b, run_id: (200, {"setup": "", "stdout": d.v1_logs[run_id]})),
    ("GET /v4/jobs/([0-9a-f]+)", lambda d, q, b, run_id: (200, d.jobs[run_id])),
    (f"GET {V1}/commits", lambda d, q, b: (200, d.commits)),
    (f"GET {V1}/files/([0-9a-f]+)/?(.*)", _files),
    (
        "GET /api/projects/v1/projects/p1/files/([0-9a-f]+)/(.+)/content",
        lambda d, q, b, commit, path: (200, d.trees[commit][path]),
    ),
    (f"PUT {V1}/(.+)", _upload),
]


@pytest.fixture
def fake_domino() -> Iterator[FakeDomino]:
    """Serve a fresh fake on a free port."""
    domino = FakeDomino()
    handler = type("BoundHandler", (Handler,), {"domino": domino})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    domino.url = f"http://127.0.0.1:{server.server_port}"
    yield domino
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def domino_connection(fake_domino: FakeDomino, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define the connection `domino_default` for the fake; call it to change fields."""

    def define(**changes: Any) -> None:
        fields = {
            "conn_type": "domino",
            "host": fake_domino.url,
            "password": TOKEN,
            "extra": {"project": "domino/quick-start"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_DOMINO_DEFAULT", json.dumps(fields | changes))

    define()
    return define


@dataclass
class FakeTaskInstance:
    """The part of a running task instance that tasks of ours touch, with its XComs and what outlives a retry."""

    dag_id: str = "train"
    run_id: str = "manual__1"
    task_id: str = "forest"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 2
    start_date: Any = None
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, key: str, **_: Any) -> Any:
        return self.xcoms.get(key)


class FakeStore(dict[str, Any]):
    """Airflow 3.3's task state store."""

    def set(self, key: str, value: Any, retention: Any = None) -> None:
        self[key] = json.loads(json.dumps(value))


@pytest.fixture
def task_context() -> Callable[..., dict[str, Any]]:
    """Make a task context; the same store over several attempts stands for Airflow 3.3, None for older versions.

    All are of one DAG run.
    """
    from datetime import UTC, datetime, timedelta

    from airflow.sdk.execution_time.context import OutletEventAccessors

    began = datetime.now(UTC)

    def make(store: FakeStore | None = None, **task_instance: Any) -> dict[str, Any]:
        now = datetime.now(UTC)
        dag_run = SimpleNamespace(run_after=began, start_date=began - timedelta(seconds=5), run_id="manual__1")
        context: dict[str, Any] = {
            "ti": FakeTaskInstance(start_date=now, **task_instance),
            "dag_run": dag_run,
            "outlet_events": OutletEventAccessors(),
        }
        if store is not None:
            context["task_state_store"] = store
        return context

    return make


class Supervisor:
    """Keeps XComs as a triggerer's supervisor does; refuses them like Airflow 3.4's betas when it is told to."""

    def __init__(self) -> None:
        self.xcoms: dict[tuple[Any, ...], Any] = {}
        self.asked: list[str] = []
        self.refuses: bool | str = False

    async def asend(self, message: Any) -> Any:
        from airflow.sdk.execution_time import comms

        self.asked.append(type(message).__name__)
        if not isinstance(message, comms.SetXCom | comms.GetXCom):
            return None
        if self.refuses is True or self.refuses == message.key:
            raise RuntimeError("403: not for triggers")
        place = (message.dag_id, message.run_id, message.task_id, message.map_index, message.key)
        if isinstance(message, comms.SetXCom):
            self.xcoms[place] = message.value
            return None
        return comms.XComResult(key=message.key, value=self.xcoms.get(place))

    @property
    def pushed(self) -> dict[str, Any]:
        """The XComs of a test's only task, by their keys."""
        return {place[-1]: value for place, value in self.xcoms.items()}


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """What the triggers of a test ask for XComs; `refuses` may be the key that it does not take."""
    from airflow.sdk.execution_time import task_runner

    made = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    return made


@pytest.fixture
def state_store() -> FakeStore:
    """An empty store that outlives retries."""
    return FakeStore()
