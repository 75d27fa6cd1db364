"""How quick the local Domino is, and how much memory it takes: starts, status requests, lists, the way to a command.

    python -m benchmarks.local_domino [--runs 10000] [--requests 5000] [--repetitions 20] [--json FILE]

Starts, requests, lists and memory are measured in the depth `simulate`, all runs being active at once, over four
connections that are kept open. Memory is what the server's process has grown by since just before the first start.
Beside the status requests stand requests that ask nothing (`/health`, the floor of this web server).

The way to a command is measured in the depth `execute`, one run after the other: from sending the start until the first
line of the user's program is executed, on the clock of this machine. Beside it stands the same program as a bare
subprocess, started by this process with nothing around it; the two take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.full_domino import TIER, LocalDomino, clean_environment
from benchmarks.raw_http import RawClient

CONNECTIONS = 4
PAGE = 100
SHORTEST = 1e-9
FIRST = "import time\nprint(time.time_ns(), flush=True)\n"
WARM_UP = 20
SIMULATION = {"default": {"seconds": 86400}}


def simulated(folder: Path, runs: int, requests: int) -> dict[str, Any]:
    """Measure starts, status requests, lists and memory."""
    folder.mkdir()
    (folder / "simulation.json").write_text(json.dumps(SIMULATION))
    tier = TIER | {"capacity": runs + WARM_UP}
    with (
        LocalDomino(folder, {"train.py": "\n"}, tier, f"--simulation={folder / 'simulation.json'}") as domino,
        RawClient(domino.url, domino.token, CONNECTIONS) as client,
    ):
        server = psutil.Process(domino.pid)
        jobs = f"/v4/jobs?projectId={domino.project_id}&page_size"
        start = client.request("POST", "/v4/jobs/start", {"projectId": domino.project_id, "commandToRun": "train.py"})
        first = [json.loads(answer)["id"] for answer in client.ask_all([start] * WARM_UP)]
        list(client.ask_all([client.request("GET", f"{jobs}={PAGE}"), client.request("GET", f"/v4/jobs/{first[0]}")]))

        before = server.memory_info().rss
        seconds, answers = timed(client, [start] * runs)
        after = server.memory_info().rss
        ids = [json.loads(answer)["id"] for answer in answers]
        status = [client.request("GET", f"/v4/jobs/{ids[number % len(ids)]}") for number in range(requests)]
        status_seconds, _ = timed(client, status)
        floor_seconds, _ = timed(client, [client.request("GET", "/health")] * requests)
        page = [timed(client, [client.request("GET", f"{jobs}={PAGE}")])[0] for _ in range(5)]
        whole = [timed(client, [client.request("GET", f"{jobs}={runs + WARM_UP}")])[0] for _ in range(3)]
        end = server.memory_info().rss
    return {
        "runs": runs,
        "starts_per_second": runs / seconds,
        "status_requests_per_second": requests / status_seconds,
        "empty_requests_per_second": requests / floor_seconds,
        "list_10000_ms": 1000 * statistics.median(page),
        "list_whole_10000_ms": 1000 * statistics.median(whole),
        "mb_per_1000_runs": max(0.0, (after - before) / 1e6 / runs * 1000),
        "server_mb": after / 1e6,
        "server_mb_after_lists": end / 1e6,
    }


def timed(client: RawClient, requests: Sequence[bytes]) -> tuple[float, list[bytes]]:
    """Send requests; gives the seconds until the last answer was there, and the answers."""
    begin = time.perf_counter()
    answers = list(client.ask_all(requests))
    return max(SHORTEST, time.perf_counter() - begin), answers


def executed(folder: Path, repetitions: int) -> dict[str, Any]:
    """Measure the way from a start to the first line of the user's program, and that of a bare subprocess."""
    folder.mkdir()
    program = folder / "first.py"
    program.write_text(FIRST)
    with (
        LocalDomino(folder, {"first.py": FIRST}, TIER | {"memory_gib": 4}) as domino,
        RawClient(domino.url, domino.token, 1) as client,
    ):
        start = client.request("POST", "/v4/jobs/start", {"projectId": domino.project_id, "commandToRun": "first.py"})
        to_command, bare, whole = [], [], []
        for number in range(repetitions + 1):
            begin = time.time_ns()
            run_id = json.loads(client.ask(start))["id"]
            ended = wait(client, run_id)
            log = json.loads(client.ask(client.request("GET", f"/v4/jobs/{run_id}/logsWithProblemSuggestions")))
            reached = int(log["logset"]["logContent"][0]["log"])
            bare_begin = time.time_ns()
            done = subprocess.run([sys.executable, program], capture_output=True, check=True, env=clean_environment())
            if number:
                to_command.append((reached - begin) / 1e6)
                whole.append((ended - begin) / 1e6)
                bare.append((int(done.stdout) - bare_begin) / 1e6)
    return {
        "repetitions": repetitions,
        "start_to_command_ms": statistics.median(to_command),
        "bare_subprocess_ms": statistics.median(bare),
        "start_to_end_ms": statistics.median(whole),
    }


def wait(client: RawClient, run_id: str) -> int:
    """Wait for the end of a run; gives the time at which it was known."""
    request = client.request("GET", f"/v4/jobs/{run_id}")
    while not json.loads(client.ask(request))["statuses"]["isCompleted"]:
        time.sleep(0.002)
    return time.time_ns()


def table(result: dict[str, Any]) -> str:
    """Write the result for people."""
    whole = result["runs"]
    rows = [
        ("starts per second", f"{result['starts_per_second']:.0f}", ""),
        (
            "status requests per second",
            f"{result['status_requests_per_second']:.0f}",
            f"{result['status_requests_per_second'] / result['empty_requests_per_second']:.2f} of empty requests "
            f"({result['empty_requests_per_second']:.0f})",
        ),
        (f"page of {PAGE} jobs, of {whole}, ms", f"{result['list_10000_ms']:.1f}", ""),
        (f"all {whole} jobs in one answer, ms", f"{result['list_whole_10000_ms']:.0f}", ""),
        ("MB per 1000 runs", f"{result['mb_per_1000_runs']:.2f}", f"server: {result['server_mb']:.0f} MB"),
        (
            "start to command, ms",
            f"{result['start_to_command_ms']:.1f}",
            f"{result['start_to_command_ms'] / result['bare_subprocess_ms']:.2f} times a bare subprocess "
            f"({result['bare_subprocess_ms']:.1f})",
        ),
        ("start to end as seen by a client, ms", f"{result['start_to_end_ms']:.1f}", ""),
    ]
    return "\n".join(f"{name:<40} {value:>10}   {beside}".rstrip() for name, value, beside in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there, too")
    arguments = parser.parse_args()
    print(
        f"Python {platform.python_version()}, FastAPI {version('fastapi')}, uvicorn {version('uvicorn')}, "
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        result = simulated(Path(folder) / "simulated", arguments.runs, arguments.requests)
        result |= executed(Path(folder) / "executed", arguments.repetitions)
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
