"""All that an event loop asks of one connection: one client, few threads, shared readings, rests that are heeded."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_domino.domino import ApiKey, DominoClient, RunWaitTimeoutError, wait_for_run, waiting, watcher_for
from airflow_domino.domino.errors import QueueWaitTimeoutError
from airflow_domino.domino.launch import RunMark
from airflow_domino.domino.shared_client import MOST_THREADS

BUSY_SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

def job(number):
    return {"id": f"{number:024x}", "number": number, "title": f"run {number}", "jobRunCommand": "train.py",
            "statuses": {"isCompleted": False, "executionStatus": "Running"},
            "stageTime": {"submissionTime": 1, "runStartTime": 2}, "tags": [{"name": "t"}] * 10}
jobs = [job(number) for number in range(2000)]

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        size, page = int(query.get("page_size", 3)), int(query.get("page_no", 1))
        body = json.dumps({"jobs": jobs[(page - 1) * size:page * size], "totalCount": len(jobs)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
"""


def watching_threads() -> int:
    return sum(thread.name.startswith("domino-watch") for thread in threading.enumerate())


async def settle(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_the_projects_of_a_connection_share_one_client_and_a_handful_of_threads(
    domino: Any, answer: Any, job: Any, connect: Any
) -> None:
    domino.on("GET", "/v4/jobs", lambda asked: answer({"jobs": [], "totalCount": 0}))
    made: list[DominoClient] = []
    threads: list[int] = []

    def make() -> DominoClient:
        made.append(connect(retries=0))
        return made[-1]

    for number in range(60):
        domino.on("GET", f"/v4/jobs/r{number}", lambda asked, n=number: answer(job(f"r{n}", "Running")))

    async def wait_in_many_projects() -> None:
        waits = [
            asyncio.create_task(watcher_for("conn", make, f"p{number % 20}").wait(f"r{number}")) for number in range(60)
        ]
        for _ in range(20):
            await asyncio.sleep(0.02)
            threads.append(watching_threads())
        await settle(waits)

    asyncio.run(wait_in_many_projects())
    assert len(made) == 1
    assert 1 <= max(threads) <= MOST_THREADS


def test_a_wish_to_be_left_alone_holds_for_all_questions_of_the_connection(
    domino: Any, answer: Any, job: Any, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "QUICKEST", 0.01)
    asked_at: list[float] = []

    def busy(asked: Any) -> Any:
        asked_at.append(time.monotonic())
        if len(asked_at) == 1:
            return answer({"message": "busy"}, status=429, headers={"Retry-After": "1"})
        return answer(job(asked.path.rpartition("/")[2], "Succeeded"))

    for name in ("r1", "r2"):
        domino.on("GET", f"/v4/jobs/{name}", busy)

    async def wait_in_two_projects() -> None:
        first = asyncio.create_task(watcher_for("conn", lambda: connect(retries=0), "p1", interval=0.05).wait("r1"))
        await asyncio.sleep(0.3)
        await asyncio.gather(first, watcher_for("conn", lambda: connect(retries=0), "p2", interval=0.05).wait("r2"))

    asyncio.run(wait_in_two_projects())
    assert asked_at[1] - asked_at[0] >= 0.9


def test_marked_runs_are_read_once_for_all_who_ask_before_the_reading_begins(
    domino: Any, answer: Any, job: Any, connect: Any
) -> None:
    mark = RunMark.for_task("d", "r", "t")
    lists: list[str] = []

    def listed(asked: Any) -> Any:
        lists.append(asked.query["status"])
        return answer({"jobs": [job("r1", "Running") | {"title": f"t {mark.text}"}], "totalCount": 1})

    domino.on("GET", "/v4/jobs", listed)

    async def ask() -> list[Any]:
        watcher = watcher_for("conn", lambda: connect(retries=0), "p1")
        return await asyncio.gather(*(watcher.marked_runs(datetime.now(UTC)) for _ in range(50)))

    found = asyncio.run(ask())
    assert lists == ["active", "all"]
    assert {run.id for marked in found for run in marked.of_launch(mark)} == {"r1"}


@pytest.mark.parametrize("way", ["watcher", "blocking"])
def test_a_run_that_is_still_queued_at_its_queue_deadline_is_told_apart_from_one_that_takes_too_long(
    domino: Any, answer: Any, job: Any, connect: Any, way: str
) -> None:
    domino.on("GET", "/v4/jobs/r1", lambda asked: answer(job("r1", "Queued")))
    soon = datetime.now(UTC) + timedelta(seconds=0.1)

    with pytest.raises(QueueWaitTimeoutError):
        wait(way, connect, queue_deadline=soon)


@pytest.mark.parametrize("way", ["watcher", "blocking"])
def test_the_queue_deadline_does_not_count_for_a_run_that_has_started(
    domino: Any, answer: Any, job: Any, connect: Any, way: str
) -> None:
    domino.on("GET", "/v4/jobs/r1", lambda asked: answer(job("r1", "Running")))
    now = datetime.now(UTC)

    with pytest.raises(RunWaitTimeoutError) as caught:
        wait(way, connect, queue_deadline=now + timedelta(seconds=0.1), deadline=now + timedelta(seconds=0.6))
    assert not isinstance(caught.value, QueueWaitTimeoutError)


def wait(way: str, connect: Any, **deadlines: Any) -> Any:
    if way == "blocking":
        return wait_for_run(connect(retries=0), "r1", interval=0.05, **deadlines)

    async def on_loop() -> Any:
        return await watcher_for("conn", lambda: connect(retries=0), "p1", interval=0.05).wait("r1", **deadlines)

    return asyncio.run(on_loop())


def test_two_thousand_waits_never_keep_the_event_loop_for_fifty_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each callback's own CPU time is taken, so that a busy machine changes nothing."""
    monkeypatch.setattr(waiting, "QUICKEST", 0.3)
    server = subprocess.Popen([sys.executable, "-c", textwrap.dedent(BUSY_SERVER)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    longest = [0.0]
    run_handle = asyncio.events.Handle._run

    def timed(handle: Any) -> None:
        begin = time.thread_time()
        run_handle(handle)
        longest[0] = max(longest[0], time.thread_time() - begin)

    async def wait_for_all() -> None:
        watcher = watcher_for("conn", lambda: DominoClient(url, ApiKey("k"), retries=0), "p1", interval=0.3)
        waits = [asyncio.create_task(watcher.wait(f"{number:024x}")) for number in range(2000)]
        await asyncio.sleep(1.0)  # to begin 2,000 waits at once is another matter
        longest[0] = 0.0
        monkeypatch.setattr(asyncio.events.Handle, "_run", timed)
        await asyncio.sleep(3.0)
        monkeypatch.undo()
        await settle(waits)

    gc.collect()
    gc.freeze()  # what other tests have left is not to be gone through on this loop's time
    try:
        asyncio.run(wait_for_all())
    finally:
        gc.unfreeze()
        server.kill()
        server.communicate()
    assert 0.0 < longest[0] < 0.05
