"""The health check of the containers, against a real HTTP server."""

from __future__ import annotations

import json
import runpy
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

HEALTH = runpy.run_path(str(Path(__file__).resolve().parents[2] / "docker" / "health.py"))["main"]


@pytest.fixture
def answering() -> Iterator[Callable[[int, object], str]]:
    """Starts a server that always answers the same."""
    servers = []

    def start(status: int, body: object) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/health"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_service_that_answers_is_healthy(answering):
    assert HEALTH(answering(200, b"")) is None


def test_a_component_that_airflow_calls_healthy_is_healthy(answering):
    assert HEALTH(answering(200, {"triggerer": {"status": "healthy"}}), "triggerer") is None


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"triggerer": {"status": "unhealthy"}}, "triggerer is unhealthy"),
        ({"scheduler": {"status": "healthy"}}, "triggerer is unknown"),
        (b"<html>", "Expecting value"),
    ],
)
def test_anything_else_is_not_and_says_why(answering, answer, complaint):
    assert complaint in HEALTH(answering(200, answer), "triggerer")


def test_a_service_that_refuses_is_not_healthy(answering):
    assert "503" in HEALTH(answering(503, b""))


def test_a_service_that_is_not_there_is_not_healthy():
    assert "refused" in HEALTH("http://127.0.0.1:1/health")


@pytest.mark.parametrize("answers", [[{"a worker": {"ok": "pong"}}], []])
def test_the_celery_worker_of_this_container_is_pinged_through_the_broker_of_the_environment(monkeypatch, answers):
    pinged = []

    def celery(broker):
        return SimpleNamespace(control=SimpleNamespace(ping=lambda workers, timeout: pinged.append(workers) or answers))

    # Celery is in the image, not among what the tests install.
    monkeypatch.setitem(sys.modules, "celery", SimpleNamespace(Celery=celery))
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", "redis://redis")
    complaint = HEALTH("celery")

    assert pinged == [[f"celery@{socket.gethostname()}"]]
    assert (complaint is None) == bool(answers)
