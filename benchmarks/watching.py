"""What it costs to wait for 1,000 runs: one watcher, against one GET for each run.

    python benchmarks/watching.py [--runs 1000] [--intervals 5] [--repetitions 5]

Both ways run against a tiny server in a process of its own, so that the CPU measured is the waiting side's alone.
Each way asks, once an interval, how every run is doing; no run ends meanwhile. Printed are means over the repetitions
with their standard deviations.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from airflow_domino.domino import ApiKey, DominoClient, RunWatcher, watch

INTERVAL = 1.0
# How often the event loop is looked at, in seconds; a longer gap is a block.
LOOK = 0.005


def job(number: int) -> dict[str, Any]:
    """A running job with the fields that v4 requires."""
    return {
        "id": f"{number:024x}",
        "number": number,
        "title": f"Run {number} [airflow 0123456789ab-0123456789abcdef]",
        "projectId": "0" * 24,
        "jobRunCommand": "train.py --epochs 100",
        "statuses": {"isCompleted": False, "isArchived": False, "isScheduled": False, "executionStatus": "Running"},
        "stageTime": {"submissionTime": 1_700_000_000_000, "runStartTime": 1_700_000_001_000},
        "startedBy": {"id": "1" * 24, "username": "ada"},
        "commitDetails": {"inputCommitId": "a" * 40},
        "queuedJobHistoryDetails": {"expectedWait": "", "explanation": "", "helpText": ""},
        "tags": [],
        "dominoStats": [],
        "dependentRepositories": [],
        "dependentDatasetMounts": [],
        "dependentProjects": [],
        "commentsCount": 0,
        "goalIds": [],
    }


def serve(runs: int, pipe: Connection) -> None:
    """Answer for that many running jobs until told to end; counts requests."""
    jobs = [job(number) for number in range(1, runs + 1)]
    by_id = {entry["id"]: json.dumps(entry).encode() for entry in jobs}
    count = 0
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            nonlocal count
            parts = urlsplit(self.path)
            with lock:
                count += 1
            if parts.path == "/v4/jobs":
                query = dict(parse_qsl(parts.query))
                size, page = int(query["page_size"]), int(query["page_no"])
                some = jobs[(page - 1) * size : page * size]
                body = json.dumps({"jobs": some, "totalCount": len(jobs)}).encode()
            else:
                body = by_id[parts.path.rpartition("/")[2]]
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_port)
    while pipe.recv() == "count":
        pipe.send(count)
    server.shutdown()


@dataclass
class Cost:
    """What one interval costs."""

    requests: float
    cpu_ms: float
    longest_block_ms: float


async def measured(pipe: Connection, intervals: int, waits: Callable[[], list[asyncio.Task[Any]]]) -> Cost:
    """Let the waits settle for an interval, then look at some intervals more."""
    tasks = waits()
    await asyncio.sleep(2.5 * INTERVAL)
    begun, before = time.process_time(), asked(pipe)
    longest, last = 0.0, time.perf_counter()
    end = last + intervals * INTERVAL
    while last < end:
        await asyncio.sleep(LOOK)
        now = time.perf_counter()
        longest, last = max(longest, now - last - LOOK), now
    cpu, requests = time.process_time() - begun, asked(pipe) - before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return Cost(requests / intervals, cpu * 1000 / intervals, longest * 1000)


def asked(pipe: Connection) -> int:
    """How many requests the server has had."""
    pipe.send("count")
    return int(pipe.recv())


def by_watcher(url: str, run_ids: list[str]) -> list[asyncio.Task[Any]]:
    """All waits share one watcher."""
    watcher = RunWatcher(lambda: DominoClient(url, ApiKey("k")), "0" * 24, interval=INTERVAL)
    return [asyncio.create_task(watcher.wait(run_id)) for run_id in run_ids]


def by_one_get_each(url: str, run_ids: list[str]) -> list[asyncio.Task[Any]]:
    """Each wait asks for its own run, over one shared client and pool of the same size as the watcher's."""
    client = DominoClient(url, ApiKey("k"))
    pool = ThreadPoolExecutor(watch.MOST_THREADS)

    async def wait(run_id: str) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not (await loop.run_in_executor(pool, client.run, run_id)).status.is_completed:
            due = max(due + INTERVAL, loop.time())
            await asyncio.sleep(due - loop.time())

    return [asyncio.create_task(wait(run_id)) for run_id in run_ids]


def repeated(way: Callable[[str, list[str]], list[asyncio.Task[Any]]], arguments: argparse.Namespace) -> list[Cost]:
    """Measure one way several times, each against a fresh server."""
    costs = []
    for _ in range(arguments.repetitions):
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(arguments.runs, theirs))
        server.start()
        url = f"http://127.0.0.1:{ours.recv()}"
        run_ids = [f"{number:024x}" for number in range(1, arguments.runs + 1)]
        costs.append(asyncio.run(measured(ours, arguments.intervals, partial(way, url, run_ids))))
        ours.send("end")
        server.join()
    return costs


def main() -> int:
    """Measure both ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="runs waited for (default: 1000)")
    parser.add_argument("--intervals", type=int, default=5, help="intervals of one second to look at (default: 5)")
    parser.add_argument("--repetitions", type=int, default=5, help="repetitions of each way (default: 5)")
    arguments = parser.parse_args()
    each, together = (repeated(way, arguments) for way in (by_one_get_each, by_watcher))
    print(f"{arguments.runs} waiting runs, asked for every {INTERVAL:g} s, {arguments.repetitions} repetitions")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}\n")
    print(f"{'per interval':<28}{'one GET each':>22}{'one watcher':>22}{'ratio':>10}")
    for name, field in (
        ("requests", "requests"),
        ("CPU of the waiter, ms", "cpu_ms"),
        ("longest loop block, ms", "longest_block_ms"),
    ):
        columns = [[getattr(cost, field) for cost in costs] for costs in (each, together)]
        means = [statistics.mean(column) for column in columns]
        shown = [f"{mean:.1f} ± {statistics.pstdev(column):.1f}" for mean, column in zip(means, columns, strict=True)]
        ratio = f"{means[0] / means[1]:.0f}x" if means[1] else "-"
        print(f"{name:<28}{shown[0]:>22}{shown[1]:>22}{ratio:>10}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
