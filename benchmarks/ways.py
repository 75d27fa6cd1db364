"""What each way through Airflow costs a short run: many of them side by side, in a real Airflow and a local Domino.

    python -m benchmarks.ways [--runs 50] [--repetitions 3] [--seconds 2] [--json FILE]

All tasks do the same: a run that writes one small file and sleeps for two seconds (one that is over at once needs no
waiting, and then no way differs from the last one). They differ in where they begin and end:

- worker to worker: launched by a worker, awaited in the triggerer, its file brought back by a worker.
- worker, ends in trigger: launched by a worker, ended in the triggerer.
- trigger to trigger: launched and ended in the triggerer, as it is by default.
- on the worker: launched and awaited by one worker (`deferrable=False`).

Seconds are from the start of the DAG run to its end, as Airflow keeps them. Worker processes are those that have
reported to Airflow's API that they begin, by its log; launched runs are those in the local Domino's ledger. The ways
take turns, and each turn begins with another one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from airflow_domino.demo.airflow_stack import AirflowStack
from benchmarks.full_domino import PROJECT, LocalDomino

WAYS = {
    "worker to worker": 'start_from_trigger=False, outputs={"result.txt": folder + "/{{ run_id }}-" + str(number)}',
    "worker, ends in trigger": "start_from_trigger=False",
    "trigger to trigger": "",
    "on the worker": "deferrable=False",
}
DAG_FILE = """\
from airflow.sdk import DAG
from airflow_domino.operators.domino import DominoRunOperator

folder = {folder!r}
with DAG({dag_id!r}, schedule=None, max_active_tasks=1000):
    for number in range({runs}):
        DominoRunOperator(task_id=f"t{{number}}", command="short.py {seconds:g}", {arguments})
"""
SHORT = 'import sys, time\nopen("result.txt", "w").write("done")\ntime.sleep(float(sys.argv[1]))\n'
TASK_PROCESS = re.compile(r"method=PATCH path=/execution/task-instances/[-0-9a-f]+/run .*status_code=200")
PARALLELISM = 4
PATIENCE = 600.0
SETTLE = 3.0
"""Seconds of rest between two DAG runs."""


def dag_id_of(way: str) -> str:
    """Name the DAG of a way."""
    return re.sub(r"\W+", "_", way)


class Bench:
    """An Airflow and a local Domino, and what they have counted so far."""

    def __init__(self, airflow: AirflowStack, domino: LocalDomino) -> None:
        self._airflow = airflow
        self._domino = domino

    def task_processes(self) -> int:
        """Count the worker processes of tasks that have begun so far."""
        log = self._airflow.home / "logs" / "components" / "api-server.log"
        return sum(bool(TASK_PROCESS.search(line)) for line in log.read_text(errors="replace").splitlines())

    def launched_runs(self) -> int:
        """Count the starts that the local Domino has accepted so far."""
        return sum(entry["event"] == "start" for entry in self._domino.ask("GET", "/_local/ledger")["entries"])

    def measure(self, way: str, runs: int) -> dict[str, Any]:
        """Let one DAG run go its way."""
        api, dag_id = self._airflow.api, dag_id_of(way)
        processes, launched = self.task_processes(), self.launched_runs()
        load = os.getloadavg()[0]
        run_id = api.trigger(dag_id)
        api.wait_for_dag_run(dag_id, run_id, PATIENCE)
        time.sleep(SETTLE)
        found = api.dag_run(dag_id, run_id)
        states = [
            api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", query={"state": state, "limit": 1})
            for state in ("success", "failed")
        ]
        succeeded, failed = (int(answer["total_entries"]) for answer in states)
        return {
            "seconds": round(found["duration"], 2),
            "load": round(load, 2),
            "worker_processes": self.task_processes() - processes,
            "failed_tasks": failed,
            "unfinished_tasks": runs - succeeded - failed,
            "launched_runs": self.launched_runs() - launched,
        }


def measure_all(runs: int, seconds: float, repetitions: int) -> dict[str, list[dict[str, Any]]]:
    """Let all ways take turns."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    tier = {"id": "t", "name": "T", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "capacity": runs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dags, outputs = folder / "dags", folder / "outputs"
        dags.mkdir()
        outputs.mkdir()
        for way, arguments in WAYS.items():
            own = {"dag_id": dag_id_of(way), "arguments": arguments}
            text = DAG_FILE.format(folder=str(outputs), runs=runs, seconds=seconds, **own)
            (dags / f"{dag_id_of(way)}.py").write_text(text)
        with LocalDomino(folder / "domino", {"short.py": SHORT}, tier | {"default": True}) as domino:
            connection = {"conn_type": "domino", "host": domino.url, "password": domino.token}
            setting = {
                "AIRFLOW_CONN_DOMINO_DEFAULT": json.dumps(connection | {"extra": {"project": PROJECT}}),
                "PYTHONUNBUFFERED": "1",  # so that the log is complete when it is read
            }
            stack = AirflowStack(folder / "airflow", dags, environment=setting, parallelism=PARALLELISM)
            with stack as airflow:
                airflow.api.wait_for_dags([dag_id_of(way) for way in WAYS])
                bench = Bench(airflow, domino)
                for turn in range(repetitions):
                    order = list(WAYS)[turn % len(WAYS) :] + list(WAYS)[: turn % len(WAYS)]
                    for way in order:
                        print(f"turn {turn + 1} of {repetitions}: {way} …", file=sys.stderr, flush=True)
                        found[way].append(bench.measure(way, runs))
    return found


def summed_up(way: str, runs: int, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Give one result for all repetitions of a way."""
    seconds = [one["seconds"] for one in found]
    return {
        "way": way,
        "runs": runs,
        "seconds_median": round(statistics.median(seconds), 2),
        "seconds": seconds,
        "load_average_before": [one["load"] for one in found],
        "worker_processes": [one["worker_processes"] for one in found],
        "failed_tasks": sum(one["failed_tasks"] + one["unfinished_tasks"] for one in found),
        "launched_runs": [one["launched_runs"] for one in found],
    }


def show(results: list[dict[str, Any]]) -> None:
    """Print the table."""
    print(f"{'way':<24}{'seconds':>9}{'from-to':>16}{'worker processes':>18}{'failed tasks':>14}{'launched runs':>15}")
    for result in results:
        seconds = f"{min(result['seconds']):g}-{max(result['seconds']):g}"
        processes, launched = (spread(result[name]) for name in ("worker_processes", "launched_runs"))
        print(
            f"{result['way']:<24}{result['seconds_median']:>9g}{seconds:>16}{processes:>18}"
            f"{result['failed_tasks']:>14}{launched:>15}"
        )


def spread(numbers: list[int]) -> str:
    """Show one number for all repetitions, or from where to where they go."""
    return str(numbers[0]) if len(set(numbers)) == 1 else f"{min(numbers)}-{max(numbers)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="how many tasks a DAG run has (%(default)d)")
    parser.add_argument("--repetitions", type=int, default=3, help="how many DAG runs of each way (%(default)d)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a run sleeps (%(default)g)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results")
    options = parser.parse_args()
    found = measure_all(options.runs, options.seconds, options.repetitions)
    results = [summed_up(way, options.runs, ones) for way, ones in found.items()]
    versions = {"python": platform.python_version(), "apache-airflow": version("apache-airflow")}
    machine = f"{os.cpu_count()} cores, LocalExecutor of {PARALLELISM}"
    print(f"Airflow {versions['apache-airflow']}, Python {versions['python']}, {machine}")
    print(f"{options.runs} runs of {options.seconds:g} s side by side, {options.repetitions} times")
    show(results)
    if options.json:
        facts = {"run_seconds": options.seconds, "machine": machine, "versions": versions}
        options.json.write_text(json.dumps([result | facts for result in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
