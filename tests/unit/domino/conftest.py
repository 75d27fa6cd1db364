"""A Domino that says exactly what a test tells it to, over real HTTP."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from airflow_domino.domino import ApiKey, DominoClient, RetryPolicy

QUICK = RetryPolicy(retries=3, first_wait=0.001, longest_wait=0.002, longest_retry_after=0.01)
CANARY = "canary-5f0c-secret"


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """One answer; `fault` is "" or "reset" (no answer) or "half" (half the body)."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""
    gate: threading.Event | None = None

    @property
    def bytes(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Rule = Answer | list[Answer] | Callable[[Asked], Answer]


class FakeDomino:
    """Answers by rules, most recent first; keeps every request."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._rules: dict[tuple[str, str], Rule] = {}
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                )
                outer.reply(self, outer.answer_to(asked))

            do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def on(self, method: str, path: str, rule: Rule) -> None:
        """Answer such requests with one answer, a sequence (the last one stays), or by a function."""
        self._rules[method, path] = rule

    def says(self, path: str, body: Any, **more: Any) -> None:
        """Answer GETs of a path with this JSON."""
        self.on("GET", path, Answer(body, **more))

    def answer_to(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            rule = self._rules.get((asked.method, asked.path))
            if rule is None:
                return Answer({"message": "nothing here"}, 404)
            if isinstance(rule, list):
                return rule.pop(0) if len(rule) > 1 else rule[0]
        return rule(asked) if callable(rule) else rule

    @staticmethod
    def reply(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.gate:
            answer.gate.wait(30)
        if answer.fault == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            handler.close_connection = True
            return
        body = answer.bytes
        handler.send_response(answer.status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if answer.fault == "half":
            handler.wfile.write(body[: len(body) // 2])
            handler.close_connection = True
            return
        handler.wfile.write(body)

    def count(self, method: str, path: str) -> int:
        """How often that was asked."""
        return sum(asked.method == method and asked.path == path for asked in self.asked)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def domino() -> Iterator[FakeDomino]:
    """A Domino without any rule: everything is 404."""
    fake = FakeDomino()
    yield fake
    fake.close()


@pytest.fixture
def other_site() -> Iterator[FakeDomino]:
    """Another server, on another origin."""
    fake = FakeDomino()
    yield fake
    fake.close()


@pytest.fixture
def connect(domino: FakeDomino) -> Iterator[Callable[..., DominoClient]]:
    """Makes clients of the fake Domino that repeat quickly, and closes them."""
    clients: list[DominoClient] = []

    def make(host: str | None = None, credentials: Any = None, **options: Any) -> DominoClient:
        options.setdefault("retries", QUICK)
        client = DominoClient(host or domino.url, credentials or ApiKey(CANARY), **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(connect: Callable[..., DominoClient]) -> DominoClient:
    """A client of the fake Domino."""
    return connect()


@pytest.fixture
def answer() -> type[Answer]:
    """The class of answers, for tests to make them."""
    return Answer


@pytest.fixture
def canary() -> str:
    """The secret that no text may ever show."""
    return CANARY


@pytest.fixture
def job() -> Callable[..., dict[str, Any]]:
    """Makes Job objects as v4 answers them."""

    def make(
        run_id: str = "run1", status: str = "Running", completed: bool | None = None, **more: Any
    ) -> dict[str, Any]:
        over = status in ("Succeeded", "Failed", "Error", "Stopped", "Faulty") if completed is None else completed
        return {
            "id": run_id,
            "number": 7,
            "title": "a run",
            "projectId": "p1",
            "jobRunCommand": "python train.py",
            "statuses": {"isCompleted": over, "isArchived": False, "isScheduled": False, "executionStatus": status},
            "stageTime": {"submissionTime": 1_700_000_000_000},
            "commitDetails": {"inputCommitId": "c" * 40},
            "dominoStats": [],
            **more,
        }

    return make


@pytest.fixture
def project_data() -> dict[str, Any]:
    """A project as v4 findProjectByOwnerAndName answers it."""
    return {
        "id": "p1",
        "name": "quick-start",
        "owner": {"id": "u1", "userName": "ada"},
        "hardwareTierId": "small-k8s",
        "requestingUserRole": "Owner",
    }
