"""The parts of the sample pipeline `pivot`: each line of the table in one shard, jobs that are tried again."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import luigi
import pytest
from hypothesis import given
from hypothesis import strategies as st

PROJECT = Path(__file__).parents[3] / "dags" / "projects" / "pivot"
MODULES = ("pivot_job", "pivot_storage", "pivot_pipeline", "container_job")
LINES = st.lists(st.text("abc,1", max_size=9), max_size=30)


@pytest.fixture(scope="module")
def project() -> Iterator[dict[str, ModuleType]]:
    """The modules of the project by their names."""
    sys.path.insert(0, str(PROJECT))
    yield {name: __import__(name) for name in MODULES}
    sys.path.remove(str(PROJECT))
    for name in MODULES:
        del sys.modules[name]


@given(lines=LINES, shard=st.integers(1, 40), ends_with_newline=st.booleans())
def test_each_line_of_a_table_is_in_one_shard(
    project: dict[str, ModuleType], tmp_path_factory: pytest.TempPathFactory, lines, shard, ends_with_newline
) -> None:
    text = "".join(f"{line}\n" for line in lines)
    text = text if ends_with_newline else text.rstrip("\n")
    table = tmp_path_factory.mktemp("table") / "table.csv"
    table.write_text(text)
    begins = range(0, len(text), shard)
    read = [
        line for begin in begins for line in project["pivot_job"].lines_that_begin(str(table), begin, begin + shard)
    ]
    assert read == text.encode().splitlines(keepends=True)


@pytest.fixture
def sales(project: dict[str, ModuleType], tmp_path: Path) -> Path:
    """A table of 300 sales."""
    task = project["pivot_pipeline"].SalesTable(rows=300, storage=str(tmp_path))
    task.run()
    return Path(task.output().path)


def test_equal_seeds_make_equal_sales_and_others_do_not(project: dict[str, ModuleType], tmp_path: Path) -> None:
    tables = []
    for seed, folder in ((1, "a"), (1, "b"), (2, "c")):
        task = project["pivot_pipeline"].SalesTable(rows=50, seed=seed, storage=str(tmp_path / folder))
        task.run()
        tables.append(Path(task.output().path).read_text())
    assert tables[0] == tables[1] != tables[2]
    assert len(tables[0].splitlines()) == 51


def test_the_program_sums_shards_and_merges_sums_without_the_pipeline(sales: Path, tmp_path: Path) -> None:
    def job(*arguments: object) -> None:
        subprocess.run([sys.executable, PROJECT / "pivot_job.py", *map(str, arguments)], check=True)

    middle = sales.stat().st_size // 2
    job("count", sales, 0, middle, tmp_path / "first.json")
    job("count", sales, middle, 2 * middle + 2, tmp_path / "second.json")
    parts = (tmp_path / "first.json", tmp_path / "second.json")
    job("merge", *parts, tmp_path / "all", "--report", tmp_path / "report.json")
    expected: Counter[tuple[str, str]] = Counter()
    with sales.open() as file:
        for sale in csv.DictReader(file):
            expected[sale["region"], sale["product"]] += int(sale["cents"])
    assert json.loads((tmp_path / "all").read_text()) == [[*key, cents] for key, cents in sorted(expected.items())]
    assert json.loads((tmp_path / "report.json").read_text())["sums"] == len(expected)


@pytest.mark.parametrize(("failures", "retries", "succeeds"), [(0, 0, True), (2, 2, True), (2, 1, False)])
def test_a_job_is_tried_again_as_often_as_it_may(
    project: dict[str, ModuleType], tmp_path: Path, failures: int, retries: int, succeeds: bool
) -> None:
    (tmp_path / "job.py").write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        tries = Path({str(tmp_path / "tries")!r})
        tries.write_text("x" + (tries.read_text() if tries.exists() else ""))
        raise SystemExit(len(tries.read_text()) <= {failures})
        """)
    )

    class FlakyJob(project["container_job"].ContainerJob):
        def command(self) -> list[str]:
            return [str(tmp_path / "job.py")]

    if succeeds:
        assert list(FlakyJob(max_retries=retries).run()) == []
    else:
        with pytest.raises(RuntimeError, match=r"job\.py ended with exit code 1"):
            list(FlakyJob(max_retries=retries).run())
    assert len((tmp_path / "tries").read_text()) == min(failures, retries) + 1


def test_domino_runs_are_refused_for_files_that_they_cannot_see(project: dict[str, ModuleType], tmp_path: Path) -> None:
    make = project["pivot_pipeline"].PivotTable
    with pytest.raises(ValueError, match="address such as s3://bucket/folder"):
        make(run_on="domino", storage=str(tmp_path))
    assert make(run_on="domino", storage="s3://sales/here").run_on == "domino"


def test_on_domino_a_job_is_a_run_with_its_tier_environment_and_retries(
    project: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    class Job(project["container_job"].ContainerJob):
        def command(self) -> list[str]:
            return ["job.py", "1"]

        def output(self) -> luigi.Target:
            return luigi.LocalTarget("made.txt")

    job = Job(run_on="domino", environment="R", tiers={"Job": "GPU"}, max_retries=5)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / f"{job.task_id}.json").write_text("{}")
    (run,) = job.run()
    assert run.domino_run_command == ("job.py", "1", f"--report=reports/{job.task_id}.json")
    assert (run.domino_run_tier, run.environment, run.max_retries) == ("GPU", "R", 5)
    assert not run.complete(), "the report of a job whose result is gone counts for nothing"


def test_where_and_how_often_a_job_runs_does_not_make_it_another_task(project: dict[str, ModuleType]) -> None:
    make = project["pivot_pipeline"].SumShard
    here = make(shard=1, storage="s3://sales/here")
    there = make(shard=1, storage="s3://sales/here", run_on="domino", environment="R", tiers={"SumShard": "GPU"})
    assert here.task_id == there.task_id


def test_shards_are_merged_two_by_two(project: dict[str, ModuleType]) -> None:
    root = project["pivot_pipeline"].PivotTable().sums(0, 5)
    depths: dict[str, int] = {}

    def walk(task: luigi.Task, depth: int) -> None:
        if task.task_family == "MergeSums":
            assert len(task.requires()) == 2
            for part in task.requires():
                walk(part, depth + 1)
        else:
            depths[task.shard] = depth

    walk(root, 0)
    assert depths == {0: 2, 1: 2, 2: 2, 3: 3, 4: 3}
