"""What large Luigi pipelines cost: drawn as a DAG, planned, made as one Airflow task, and looked at again.

    python -m benchmarks.luigi_graphs [--sizes 100,1000,5000,10000] [--shapes wide,deep,diamond] [--json FILE]
                                      [--times 3] [--most-luigi-build 5000] [--airflow 50]

The pipelines (:mod:`benchmarks.luigi_pipelines`) are independent tasks under one wrapper, a chain, and diamonds one
below the other. Each task writes an empty file, so that nothing but the handling of tasks is measured. Where something
is measured several times, the quickest counts: what else the machine does only makes it slower.

- cold, warm parse: a LuigiDag without and with a plan that was drawn before, less the `objects`: as many
  LuigiTaskOperators with their edges, written by hand. A graph too deep for a DAG is refused. The cold one, which
  starts a process, by the clock on the wall; the others by that of the process, as the plan.
- plan: the first task of each DAG run asks all tasks, of which none is complete.
- one task: a whole process that makes the pipeline as LuigiTaskOperator does; ratio: luigi.build with a local
  scheduler, in a process of its own in the same way, against it. Luigi's time grows with the square of the size.
- recheck: the same process once more, with everything complete. Luigi, and so we, do not look below a complete root: a
  wide pipeline is asked whole, of the others the root alone. Existence pass: a process that makes the tasks and asks
  each one's complete() once.
- Airflow (on demand): seconds for each node of a wide LuigiDag in a real Airflow, and in one task there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from airflow_domino.luigi.execute import EngineProcess, EngineRequest
from benchmarks.full_domino import ROOT, clean_environment
from benchmarks.luigi_measures import MODULE
from benchmarks.luigi_pipelines import root_of
from benchmarks.watch import machine

SHAPES = ("wide", "deep", "diamond")
SMALLEST = 4
COLUMNS = {
    "parse_cold_ms": "cold parse ms",
    "parse_warm_ms": "warm parse ms",
    "dag_objects_ms": "objects ms",
    "plan_ms": "plan ms",
    "one_task_seconds": "one task s",
    "luigi_build_seconds": "luigi.build s",
    "ratio": "ratio",
    "recheck_seconds": "recheck s",
    "existence_pass_seconds": "existence s",
    "load_average_before": "load",
}


class BenchmarkError(Exception):
    """A pipeline that was not made, or not as it should be: its times would mean nothing."""


@dataclass(frozen=True)
class Spent:
    """What a process took.

    :param seconds: from its start to its end
    :param cpu_seconds: of it and its own children
    """

    seconds: float
    cpu_seconds: float


class Pipeline:
    """One pipeline with a project folder, a working folder and a place for plans of its own.

    :param folder: an empty folder
    """

    def __init__(self, shape: str, size: int, folder: Path) -> None:
        self.shape, self.size = shape, size
        self.family, self.params = root_of(shape, size)
        self._project, self._work, self._tmp = (folder / name for name in ("project", "work", "tmp"))
        for place in (self._project, self._work, self._tmp):
            place.mkdir()
        shutil.copy(ROOT / "benchmarks" / f"{MODULE}.py", self._project)
        airflow = {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        mine = {"TMPDIR": str(self._tmp), "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        self._environment = clean_environment() | airflow | mine

    @property
    def made(self) -> int:
        """How many files its tasks have made."""
        return sum(len(files) for _, _, files in os.walk(self._work / "out"))

    def forget(self) -> None:
        """Remove all that its tasks have made."""
        shutil.rmtree(self._work / "out", ignore_errors=True)

    def ask(self, question: str, times: int = 1) -> dict[str, Any]:
        """Ask one of :mod:`benchmarks.luigi_measures`, in a fresh process."""
        order = {"family": self.family, "params": self.params, "size": self.size, "times": times}
        command = [sys.executable, "-m", "benchmarks.luigi_measures", question]
        done = subprocess.run(
            [*command, json.dumps(order | {"project": str(self._project)})],
            cwd=self._work,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchmarkError(f"{question} of {self.shape} {self.size} failed:\n{done.stderr[-2000:]}")
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def run_as_one_task(self) -> None:
        """Make it as LuigiTaskOperator does."""
        lines: list[str] = []
        request = EngineRequest("run", f"{MODULE}:{self.family}", self.params, project_path=str(self._project))
        answer = EngineProcess(request, working_dir=self._work, env=self._environment).run(lines.append)
        if not answer.is_complete:
            raise BenchmarkError(f"{self.shape} {self.size}: {answer.message}\n" + "\n".join(lines[-20:]))

    def check_made(self) -> None:
        """See that all tasks that have a file have made it.

        :raises BenchmarkError: they have not
        """
        due = self.size - (self.shape == "wide")
        if self.made != due:
            raise BenchmarkError(f"{self.shape} {self.size}: {self.made} of {due} files were made")


def spent_on(do: Callable[[], object]) -> Spent:
    """Measure what processes take that are started and awaited in a call."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    do()
    seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def quickest(do: Callable[[], object], times: int, before_each: Callable[[], object] = lambda: None) -> Spent:
    """Measure the quickest of some times."""
    found = []
    for _ in range(times):
        before_each()
        found.append(spent_on(do))
    return min(found, key=lambda spent: spent.seconds)


def measure(pipeline: Pipeline, times: int, most_luigi_build: int) -> dict[str, Any]:
    """Measure everything about one pipeline."""
    load = os.getloadavg()[0]
    print(f"{pipeline.shape}, {pipeline.size} tasks …", file=sys.stderr, flush=True)
    found: dict[str, Any] = {"shape": pipeline.shape, "tasks": pipeline.size, **parses(pipeline, times)}
    found["plan_ms"] = round(1000 * min(asked(pipeline, "survey")["seconds"] for _ in range(times)), 1)
    one = quickest(pipeline.run_as_one_task, times, pipeline.forget)
    pipeline.check_made()
    again = quickest(pipeline.run_as_one_task, times)
    everything = quickest(lambda: asked(pipeline, "ask_all"), times)
    found |= spent("one_task", one) | spent("recheck", again) | spent("existence_pass", everything)
    found["existence_calls_seconds"] = round(asked(pipeline, "ask_all")["exists_seconds"], 4)
    found["recheck_ratio"] = round(again.seconds / everything.seconds, 2)
    return found | luigi_build(pipeline, one, most_luigi_build) | {"load_average_before": round(load, 2)}


def parses(pipeline: Pipeline, times: int) -> dict[str, Any]:
    """Measure the drawing of a DAG."""
    drawn = pipeline.ask("parse", times)
    names = ("parse_cold_ms", "parse_warm_ms", "dag_objects_ms", "empty_operators_ms")
    if refusal := drawn.get("refused"):
        return {**dict.fromkeys(names), "parse_refused": refusal}
    cold, warm, objects, empty = (1000 * drawn[name] for name in ("cold", "warm", "objects", "empty_operators"))
    beyond = dict(zip(names, (cold - objects, warm - objects, objects, empty), strict=True))
    whole = {"parse_cold_whole_ms": cold, "parse_warm_whole_ms": warm}
    return {name: round(number, 1) for name, number in (beyond | whole).items()}


def luigi_build(pipeline: Pipeline, one: Spent, most: int) -> dict[str, Any]:
    """Measure Luigi's own way, up to a size."""
    if pipeline.size > most:
        return {"luigi_build_seconds": None, "luigi_build_cpu_seconds": None, "ratio": None, "cpu_ratio": None}
    pipeline.forget()
    luigis = spent_on(lambda: asked(pipeline, "build"))
    pipeline.check_made()
    ratios = {"ratio": luigis.seconds / one.seconds, "cpu_ratio": luigis.cpu_seconds / one.cpu_seconds}
    return spent("luigi_build", luigis) | {name: round(number, 1) for name, number in ratios.items()}


def asked(pipeline: Pipeline, question: str) -> dict[str, Any]:
    """Ask a question whose answer must be good."""
    answer = pipeline.ask(question)
    if not answer["is_good"]:
        raise BenchmarkError(f"{question} of {pipeline.shape} {pipeline.size} did not go well: {answer}")
    return answer


def spent(name: str, one: Spent) -> dict[str, float]:
    """Give what a process took as a part of a result."""
    return {f"{name}_seconds": round(one.seconds, 3), f"{name}_cpu_seconds": round(one.cpu_seconds, 3)}


def measure_all(sizes: Sequence[int], shapes: Sequence[str], times: int, most: int) -> Iterator[dict[str, Any]]:
    """Measure all pipelines, the small ones first."""
    names = ("airflow-domino", "apache-airflow", "luigi")
    about = {"machine": machine(), "versions": {"python": platform.python_version()} | {n: version(n) for n in names}}
    for size in sizes:
        for shape in shapes:
            with tempfile.TemporaryDirectory() as folder:
                yield measure(Pipeline(shape, size, Path(folder)), times, most) | about


def show_head() -> None:
    """Print what stands above the table."""
    versions = f"Luigi {version('luigi')}, Airflow {version('apache-airflow')}, Python {platform.python_version()}"
    print(f"{versions}; {machine()}")
    print(f"{'tasks':>6}  {'shape':<8}" + "".join(f"{title:>15}" for title in COLUMNS.values()), flush=True)


def show(result: dict[str, Any]) -> None:
    """Print the part of the table for one pipeline."""
    cells = ("-" if result[name] is None else f"{result[name]:g}" for name in COLUMNS)
    print(f"{result['tasks']:>6}  {result['shape']:<8}" + "".join(f"{cell:>15}" for cell in cells), flush=True)
    if result.get("parse_refused"):
        print(f"{'':>16}no DAG: {result['parse_refused']}")
    if result["luigi_build_seconds"] is None:
        print(f"{'':>16}luigi.build is left out at this size; see --most-luigi-build")


def sizes_of(text: str) -> list[int]:
    """Read sizes as they are given on the command line."""
    sizes = sorted({int(part) for part in text.split(",")})
    if sizes[0] < SMALLEST:
        raise argparse.ArgumentTypeError(f"sizes must be at least {SMALLEST}")
    return sizes


def shapes_of(text: str) -> list[str]:
    """Read shapes as they are given on the command line."""
    shapes = text.split(",")
    if unknown := sorted(set(shapes) - set(SHAPES)):
        raise argparse.ArgumentTypeError(f"no such shape {', '.join(unknown)}; there are {', '.join(SHAPES)}")
    return shapes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=sizes_of, default="100,1000,5000,10000", help="how many tasks (%(default)s)")
    parser.add_argument("--shapes", type=shapes_of, default=",".join(SHAPES), help="%(default)s")
    parser.add_argument("--times", type=int, default=3, help="how often each is measured (%(default)d)")
    most = "largest pipeline that luigi.build makes too, once (%(default)d)"
    parser.add_argument("--most-luigi-build", type=int, default=5000, metavar="TASKS", help=most)
    inside = "also run a LuigiDag of so many tasks in a real Airflow"
    parser.add_argument("--airflow", type=int, metavar="TASKS", help=inside)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results")
    options = parser.parse_args()
    show_head()
    results = []
    for result in measure_all(options.sizes, options.shapes, options.times, options.most_luigi_build):
        show(result)
        results.append(result)
    if options.airflow:
        from benchmarks.luigi_in_airflow import measure_in_airflow, show_in_airflow

        in_airflow = measure_in_airflow(options.airflow)
        show_in_airflow(in_airflow)
        results.append(in_airflow)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
