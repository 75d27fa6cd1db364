"""What it costs to wait for many runs: one watcher, against one poll for each run, and against Domino's own client.

    python -m benchmarks.watch [--sizes 10,100,1000,5000] [--json FILE]

A local Domino, a server of its own, holds as many queued runs as are waited for. Each way waits for all of them in one
process of its own. After a warm-up come quiet intervals, of which requests and CPU (of the waiting process alone) are
taken; then some runs are stopped at random moments, and it is noted when their waiters knew.

- watcher: :class:`airflow_domino.domino.RunWatcher`, as this package's triggers use it, without reading logs.
- single polls: a coroutine for each run asks for it every interval, through a pool of threads, as providers do that
  call a blocking hook from a trigger. All share one client with open connections, which is the cheapest form; a
  client for each trigger costs more.
- own client: Domino's Python client, unmodified and in an environment of its own. It blocks, so each run has a thread;
  it is left out where there would be more than 1,000 of them, and where it cannot be installed.

Up to 100 runs all ways and sizes are measured at the same time; above that one after the other.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.full_domino import PROJECT, ROOT, FullDomino, clean_environment

OWN_CLIENT = "dominodatalab==2.2.0"
MOST_THREADS = 1000
AT_ONCE = 100
MOST_ENDS = 60
WARM_UP, ENDING, TAIL = 2.0, 1.5, 3.0
"""How long the phases around the measured intervals are, in intervals; the tail is over when all ends are known."""
COLUMNS = {
    "requests_per_interval": "requests/interval",
    "cpu_percent": "CPU %",
    "cpu_spread": "from-to",
    "cpu_seconds_per_minute": "CPU s/min",
    "rss_mb": "RSS MB",
    "loop_block_ms": "loop block ms",
    "delay_median_intervals": "delay median",
    "delay_p99_intervals": "delay p99",
}


@dataclass(frozen=True)
class Pace:
    """How long is measured.

    :param interval: seconds between two looks at a run.
    :param intervals: how many quiet ones are measured.
    """

    interval: float
    intervals: int

    def sleep_until(self, begin: float, intervals: float) -> None:
        """Wait until so many intervals have passed since a monotonic time."""
        time.sleep(max(0.0, begin + intervals * self.interval - time.monotonic()))


class Waiting:
    """A process that waits for all runs of a Domino in one way.

    :param python: interpreter of the process.
    """

    def __init__(self, domino: FullDomino, way: str, python: str, interval: float) -> None:
        script = ["-m", "benchmarks.waiters"] if python == sys.executable else [str(ROOT / "benchmarks" / "waiters.py")]
        self._process = subprocess.Popen(
            [python, *script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=clean_environment() | {"DOMINO_LOG_LEVEL": "ERROR"},
        )
        order = {"way": way, "url": domino.url, "token": domino.token, "project": PROJECT, "interval": interval}
        self._ask(json.dumps({**order, "project_id": domino.project_id, "runs": domino.runs}), answered=False)

    def _ask(self, line: str, *, answered: bool = True) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline())) if answered else {}

    def reading(self) -> dict[str, Any]:
        """What it has used up to now."""
        return self._ask("reading")

    def known(self) -> dict[str, float]:
        """The runs of which it knows that they are over, and since when."""
        return self._ask("known")

    def __enter__(self) -> Waiting:
        """Return itself, once it waits."""
        self.reading()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.communicate(timeout=30)


def measure(domino: FullDomino, ways: dict[str, str], pace: Pace) -> dict[str, dict[str, Any]]:
    """Let some ways, each with its interpreter, wait for all runs of a Domino side by side; gives what each did."""
    print(f"{len(domino.runs)} runs: {', '.join(ways)} …", file=sys.stderr, flush=True)
    with ExitStack() as stack:
        waiting = {
            way: stack.enter_context(Waiting(domino, way, python, pace.interval)) for way, python in ways.items()
        }
        time.sleep(WARM_UP * pace.interval)
        begin, readings = time.monotonic(), {way: [process.reading()] for way, process in waiting.items()}
        for number in range(1, pace.intervals + 1):
            pace.sleep_until(begin, number)
            for way, process in waiting.items():
                readings[way].append(process.reading())
        ends = end_some(domino, pace)
        ending = {way: process.reading() for way, process in waiting.items()}
        tail = time.monotonic()
        while time.monotonic() < tail + TAIL * pace.interval:
            if all(ends.keys() <= process.known().keys() for process in waiting.values()):
                break
            time.sleep(pace.interval / 10)
        return {
            way: quiet(readings[way], pace) | busy(readings[way][-1], ending[way], ends, process.known(), pace)
            for way, process in waiting.items()
        }


def end_some(domino: FullDomino, pace: Pace) -> dict[str, float]:
    """Stop some of the queued runs at random moments; gives when each was over."""
    chosen = random.sample(domino.runs[1:], min(MOST_ENDS, len(domino.runs) // 2))
    moments = sorted(random.uniform(0, ENDING) for _ in chosen)
    begin, ends = time.monotonic(), {}
    for run_id, moment in zip(chosen, moments, strict=True):
        pace.sleep_until(begin, moment)
        ends[run_id] = domino.end(run_id)
    pace.sleep_until(begin, ENDING)
    return ends


def quiet(readings: Sequence[dict[str, Any]], pace: Pace) -> dict[str, Any]:
    """Give the cost of intervals in which no run ends, from the readings at their borders."""
    each = [used(before, after) for before, after in pairwise(readings)]
    whole = used(readings[0], readings[-1])
    return {
        "requests_per_interval": round(whole["requests"] * pace.interval, 2),
        "cpu_percent": round(100 * whole["cpu"], 3),
        "cpu_percent_each_interval": [round(100 * one["cpu"], 3) for one in each],
        "cpu_seconds_per_minute": round(60 * whole["cpu"], 3),
        "rss_mb": round(readings[-1]["rss_mb"], 1),
        "threads": readings[-1]["threads"],
        "loop_block_ms": round(max(reading["block_ms"] for reading in readings[1:]), 1),
    }


def busy(
    before: dict[str, Any], after: dict[str, Any], ends: dict[str, float], known: dict[str, float], pace: Pace
) -> dict[str, Any]:
    """Give the cost of the time in which runs ended, and after how many intervals it was known."""
    now = time.time()
    delays = sorted(max(0.0, known.get(run_id, now) - at) / pace.interval for run_id, at in ends.items())
    cost = used(before, after)
    return {
        "delay_median_intervals": round(statistics.median(delays), 3),
        "delay_p99_intervals": round(delays[math.ceil(0.99 * len(delays)) - 1], 3),
        "delay_longest_intervals": round(delays[-1], 3),
        "ended_runs": len(ends),
        "ended_runs_not_noticed": len(ends.keys() - known.keys()),
        "requests_per_interval_while_runs_end": round(cost["requests"] * pace.interval, 2),
        "cpu_percent_while_runs_end": round(100 * cost["cpu"], 3),
        "loop_block_ms_while_runs_end": round(after["block_ms"], 1),
    }


def used(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    """Give what was used between two readings, for each second."""
    seconds = after["time"] - before["time"]
    return {name: (after[name] - before[name]) / seconds for name in ("cpu", "requests")}


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


def compare(size: int, own_client: str | None, pace: Pace) -> dict[str, Any]:
    """Measure all ways at one size."""
    ways = {"watcher": sys.executable, "single polls": sys.executable}
    if own_client and size <= MOST_THREADS:
        ways["own client"] = own_client
    load = os.getloadavg()[0]
    groups = [ways] if size <= AT_ONCE else [{way: python} for way, python in ways.items()]
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder, FullDomino(Path(folder)) as domino:
        for group in groups:
            domino.fill(size)
            found |= measure(domino, group, pace)
    ours, single = found.pop("watcher"), found["single polls"]
    # Single polls that cannot keep their pace cost less than they should: the second ratio is for all that were due.
    in_time = min(1.0, single["requests_per_interval"] / size)
    ratio = single["cpu_percent"] / max(ours["cpu_percent"], 1e-3)
    return {
        "waiting": size,
        **ours,
        "cpu_ratio_vs_single_polls": round(ratio, 1),
        "cpu_ratio_vs_single_polls_if_all_were_in_time": round(ratio / max(in_time, 1e-3), 1),
        "single_polls_in_time": round(in_time, 3),
        "other_ways": found,
        "interval_seconds": pace.interval,
        "measured_intervals": pace.intervals,
        "load_average_before": round(load, 2),
        "machine": machine(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("airflow-domino", "requests", "urllib3")},
    }


def show_head(interval: float) -> None:
    """Print what stands above the table."""
    print(f"Python {platform.python_version()}, {machine()}; interval {interval:g} s, delays in these")
    print(f"{'waiting':>7}  {'way':<12}" + "".join(f"{title:>18}" for title in COLUMNS.values()), flush=True)


def show(result: dict[str, Any]) -> None:
    """Print the part of the table for one size."""
    for way, found in {"watcher": result, **result["other_ways"]}.items():
        each = found["cpu_percent_each_interval"]
        cells = found | {"cpu_spread": f"{min(each):g}-{max(each):g}"}
        print(f"{result['waiting']:>7}  {way:<12}" + "".join(f"{cells[name]!s:>18}" for name in COLUMNS))
    in_time = result["single_polls_in_time"]
    late = f", though only {in_time:.0%} of them were made in time" if in_time < 0.95 else ""
    print(
        f"{'':>7}  single polls take {result['cpu_ratio_vs_single_polls']:g} x the CPU of the watcher{late}; "
        f"{result['ended_runs']} runs ended, {result['ended_runs_not_noticed']} unnoticed; "
        f"load average before {result['load_average_before']:g}",
        flush=True,
    )


def machine() -> str:
    """Say what this is measured on."""
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"


def compare_all(sizes: Sequence[int], pace: Pace) -> Iterator[dict[str, Any]]:
    """Measure all sizes: the small ones at once, then the others in turn."""
    small, large = [size for size in sizes if size <= AT_ONCE], [size for size in sizes if size > AT_ONCE]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(max(1, len(small))) as pool:
        own = own_client_environment(Path(folder) / "env") if min(sizes) <= MOST_THREADS else None
        yield from pool.map(lambda size: compare(size, own, pace), small)
        yield from (compare(size, own, pace) for size in large)


def whole_numbers(text: str) -> list[int]:
    """Read sizes as they are given on the command line."""
    sizes = [int(part) for part in text.split(",")]
    if min(sizes) < 2 or len(set(sizes)) < len(sizes):
        raise argparse.ArgumentTypeError("sizes must be different numbers of at least 2")
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = "how many runs are waited for (%(default)s)"
    parser.add_argument("--sizes", type=whole_numbers, default="10,100,1000,5000", help=sizes)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two looks (%(default)g)")
    parser.add_argument("--intervals", type=int, default=3, help="how many quiet ones are measured (%(default)d)")
    options = parser.parse_args()
    show_head(options.interval)
    results = []
    for result in compare_all(options.sizes, Pace(options.interval, options.intervals)):
        show(result)
        results.append(result)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
