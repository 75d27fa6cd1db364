"""What it costs to wait for many runs: one watcher, against one poll for each run, and against Domino's own client.

    python -m benchmarks.watch [--sizes 10,100,1000,5000] [--json FILE]

A local Domino, a server of its own, holds as many queued runs as are waited for. Each way waits for all of them in one
process of its own, whose CPU and memory are measured; during the measurement some runs are stopped, and it is noted
when their waiters knew.

- watcher: :class:`airflow_domino.domino.RunWatcher`, as our triggers use it.
- single polls: a coroutine for each run, which asks for its run every interval through one shared client and a pool of
  threads, as providers do that call a blocking hook from a trigger.
- own client: Domino's Python client, unmodified and in an environment of its own; it blocks, so each run has a thread.
  It is left out above 100 runs, where a thread for each is not a way to wait.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "domino/benchmark"
OWN_CLIENT = "dominodatalab==2.2.0"
MOST_THREADS_OF_OWN_CLIENT = 100
ENDS = 30
TIER = {"id": "t", "name": "T", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "capacity": 1, "default": True}
COLUMNS = ("requests_per_interval", "cpu_percent", "rss_mb", "delay_median_intervals", "delay_p99_intervals")


# ---- the waiting processes


class Meter:
    """Counts the requests of this process, and writes down when each run was known to be over."""

    def __init__(self) -> None:
        self.requests = 0
        self.known: dict[str, float] = {}
        send = requests.Session.send

        def counted(session: requests.Session, *arguments: Any, **options: Any) -> requests.Response:
            self.requests += 1
            return send(session, *arguments, **options)

        requests.Session.send = counted  # type: ignore[method-assign]

    def reading(self) -> dict[str, Any]:
        """CPU seconds, requests and memory up to now."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "cpu": usage.ru_utime + usage.ru_stime,
            "requests": self.requests,
            "rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            "time": time.time(),
            "known": dict(self.known),
        }


async def wait_by_watcher(order: dict[str, Any], meter: Meter) -> None:
    from airflow_domino.domino import ApiKey, DominoClient, RunWatcher

    def connect() -> DominoClient:
        return DominoClient(order["url"], ApiKey(order["token"]))

    watcher = RunWatcher(connect, order["project_id"], interval=order["interval"])

    async def wait(run_id: str) -> None:
        await watcher.wait(run_id)
        meter.known[run_id] = time.time()

    await asyncio.gather(*(wait(run_id) for run_id in order["runs"]))


async def wait_by_single_polls(order: dict[str, Any], meter: Meter) -> None:
    from airflow_domino.domino import ApiKey, DominoClient

    client, pool = DominoClient(order["url"], ApiKey(order["token"])), ThreadPoolExecutor(8)
    loop, interval = asyncio.get_running_loop(), order["interval"]

    async def wait(run_id: str) -> None:
        await asyncio.sleep(random.uniform(0, interval))
        while not (await loop.run_in_executor(pool, client.run, run_id)).status.is_completed:  # noqa: ASYNC110
            await asyncio.sleep(interval)
        meter.known[run_id] = time.time()

    await asyncio.gather(*(wait(run_id) for run_id in order["runs"]))


def wait_by_own_client(order: dict[str, Any], meter: Meter) -> None:
    from domino import Domino  # type: ignore[import-not-found]

    client, interval = Domino(PROJECT, api_key=order["token"], host=order["url"]), order["interval"]

    def wait(run_id: str) -> None:
        while not client.job_status(run_id)["statuses"]["isCompleted"]:
            time.sleep(interval)
        meter.known[run_id] = time.time()

    for run_id in order["runs"]:
        threading.Thread(target=wait, args=(run_id,), daemon=True).start()
        time.sleep(interval / len(order["runs"]))


def wait_as_told(way: str, order: dict[str, Any]) -> None:
    """Wait in one way; answer each line on the standard input with a reading."""
    meter, longest = Meter(), [0.0]

    async def on_loop() -> None:
        wait = wait_by_watcher if way == "watcher" else wait_by_single_polls
        task = asyncio.create_task(wait(order, meter))
        while not task.done():
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            longest[0] = max(longest[0], time.perf_counter() - before - 0.005)

    if way == "own client":
        threading.Thread(target=wait_by_own_client, args=(order, meter), daemon=True).start()
    else:
        from airflow_domino.domino import waiting

        waiting.SHARE_OF_AGE = 1.0  # the quick looks at young runs are over sooner: it is the long wait that counts
        threading.Thread(target=lambda: asyncio.run(on_loop()), daemon=True).start()
    for _ in sys.stdin:
        print(json.dumps(meter.reading() | {"block_ms": longest[0] * 1000}), flush=True)
        longest[0] = 0.0
    os._exit(0)


# ---- the measurement


class Server:
    """A local Domino whose only tier is full, so that runs stay queued."""

    def __init__(self, folder: Path) -> None:
        files = folder / "files"
        files.mkdir()
        (files / "sleep.py").write_text("import time\ntime.sleep(86400)\n")
        (folder / "tiers.json").write_text(json.dumps([TIER]))
        arguments = ["--port=0", f"--root={folder / 'root'}", f"--project={PROJECT}={files}"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "airflow_domino.local", *arguments, f"--tiers={folder / 'tiers.json'}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        self.url, self.project_id = ready["url"], ready["projects"][0]["id"]
        self.token = Path(ready["token_file"]).read_text().strip() if "token_file" in ready else ready["token"]
        self.runs: list[str] = []
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["X-Domino-Api-Key"] = self.token

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self._session.post(f"{self.url}{path}", json=body, timeout=60)
        answer.raise_for_status()
        return dict(answer.json())

    def fill(self, count: int) -> None:
        """Start as many runs as are missing."""
        while len(self.runs) < count:
            title = f"run {len(self.runs)} [airflow 0123456789ab-0123456789abcdef-01234567]"
            run = self._post("/v4/jobs/start", projectId=self.project_id, commandToRun="sleep.py", title=title)
            self.runs.append(str(run["id"]))

    def end(self, run_id: str) -> float:
        """Stop a queued run; returns when it was over."""
        self._post("/v4/jobs/stop", jobId=run_id, projectId=self.project_id, commitResults=False)
        self.runs.remove(run_id)
        return time.time()

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)
        self._session.close()


class Waiting:
    """A process that waits for all runs of a server in one way."""

    def __init__(self, server: Server, way: str, python: str, interval: float) -> None:
        order = {"url": server.url, "token": server.token, "project_id": server.project_id}
        script = ["-m", "benchmarks.watch"] if python == sys.executable else [str(Path(__file__))]
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self._process = subprocess.Popen(
            [python, *script, "--way", way],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=kept | {"DOMINO_LOG_LEVEL": "ERROR"},
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**order, "runs": server.runs, "interval": interval}) + "\n")

    def reading(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=30)


def measure(server: Server, way: str, python: str, interval: float, intervals: int) -> dict[str, Any]:
    """Let one way wait for all runs, and end some of them meanwhile."""
    print(f"{len(server.runs)} runs, {way} …", file=sys.stderr, flush=True)
    waiting = Waiting(server, way, python, interval)
    try:
        waiting.reading()
        time.sleep(2.5 * interval)
        before, begin = waiting.reading(), time.monotonic()
        ends: dict[str, float] = {}
        to_end = random.sample(server.runs[1:], min(ENDS, len(server.runs) // 3))
        for number, run_id in enumerate(to_end):
            time.sleep(max(0.0, begin + interval * intervals * number / len(to_end) - time.monotonic()))
            ends[run_id] = server.end(run_id)
        time.sleep(max(0.0, begin + interval * intervals - time.monotonic()))
        after = waiting.reading()
        time.sleep(2.2 * interval)  # the last ends may be known late
        known = waiting.reading()["known"]
    finally:
        waiting.close()
    seconds = after["time"] - before["time"]
    delays = sorted(max(0.0, known[run_id] - at) / interval for run_id, at in ends.items() if run_id in known)
    late = len(ends) - len(delays)
    return {
        "requests_per_interval": round((after["requests"] - before["requests"]) * interval / seconds, 2),
        "cpu_percent": round(100 * (after["cpu"] - before["cpu"]) / seconds, 3),
        "cpu_seconds_per_minute": round(60 * (after["cpu"] - before["cpu"]) / seconds, 3),
        "rss_mb": round(after["rss_mb"], 1),
        "loop_block_ms": round(after["block_ms"], 1),
        "delay_median_intervals": round(statistics.median(delays), 2) if delays else None,
        # Ends that were not known at all count as if they had been known when the measurement was over.
        "delay_p99_intervals": round([*delays, *[intervals + 2.2] * late][-1], 2) if delays else None,
        "ends_known": f"{len(delays)} of {len(ends)}",
    }


def own_client_environment(folder: Path) -> str | None:
    """Make an environment with Domino's client; None where that cannot be had."""
    beside, python = Path(sys.executable).with_name("uv"), folder / "bin" / "python"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return None
    make = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
    install = [uv, "pip", "install", "--quiet", "--python", str(python), OWN_CLIENT]
    is_made = all(subprocess.run(command, check=False).returncode == 0 for command in (make, install))
    return str(python) if is_made else None


def compare(size: int, interval: float, intervals: int, own_client: str | None) -> dict[str, Any]:
    """Measure all ways at one size."""
    others: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            server.fill(size)
            ours = measure(server, "watcher", sys.executable, interval, intervals)
            server.fill(size)
            single = others["single polls"] = measure(server, "single polls", sys.executable, interval, intervals)
            if own_client and size <= MOST_THREADS_OF_OWN_CLIENT:
                server.fill(size)
                others["own client"] = measure(server, "own client", own_client, interval, intervals)
        finally:
            server.close()
    # Single polls that cannot keep the interval are cheaper than they should be: what counts is the CPU of all due.
    kept = min(1.0, single["requests_per_interval"] / size)
    ratio = single["cpu_percent"] / max(kept, 1e-3) / max(ours["cpu_percent"], 1e-3)
    facts = {"waiting": size, "interval_seconds": interval, "cpu_ratio_vs_single_polls": round(ratio, 1)}
    return {**facts, **ours, "single_polls_in_time": round(kept, 3), "other_ways": others}


def show(results: list[dict[str, Any]]) -> None:
    """Print the table."""
    print(f"{'waiting':>7}  {'way':<12}" + "".join(f"{name.replace('_', ' '):>24}" for name in COLUMNS))
    for result in results:
        for way, found in {"watcher": result, **result["other_ways"]}.items():
            print(f"{result['waiting']:>7}  {way:<12}" + "".join(f"{found[name]!s:>24}" for name in COLUMNS))
        print(f"{'':>7}  single polls take {result['cpu_ratio_vs_single_polls']:g} x the CPU of the watcher")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10,100,1000,5000", help="how many runs are waited for (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two looks (%(default)g)")
    parser.add_argument("--intervals", type=int, default=3, help="how many are measured (%(default)d)")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        wait_as_told(options.way, json.loads(sys.stdin.readline()))
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, interval {options.interval:g} s", flush=True)
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        own = own_client_environment(Path(folder) / "env") if min(sizes) <= MOST_THREADS_OF_OWN_CLIENT else None
        results = [compare(size, options.interval, options.intervals, own) for size in sizes]
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
