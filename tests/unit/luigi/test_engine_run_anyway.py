"""RunAnywayTarget over the processes of one DAG run."""

from __future__ import annotations

import os
import time

import pytest

from airflow_domino.luigi.engine.run_anyway import KEPT_SECONDS, number_of
from airflow_domino.luigi.execute import engine_environment

PIPELINE = """
from luigi.contrib.simulate import RunAnywayTarget

class Part(luigi.Task):
    n = luigi.IntParameter()
    def output(self):
        return RunAnywayTarget(self)
    def run(self):
        with open("ran.txt", "a") as file:
            print(self.task_family, self.n, file=file)
        self.output().done()

class Whole(luigi.Task):
    def requires(self):
        return [Part(n=n) for n in range(3)]
    def output(self):
        return RunAnywayTarget(self)
    def run(self):
        with open("ran.txt", "a") as file:
            print(self.task_family, file=file)
        self.output().done()
"""


@pytest.fixture
def shared(tmp_path, monkeypatch):
    folder = tmp_path / "shared"
    monkeypatch.setenv("AIRFLOW_DOMINO_LUIGI_SHARED", str(folder))
    return folder


@pytest.fixture
def ran(write_module, work):
    write_module("anyway", PIPELINE)

    def read() -> list[str]:
        path = work / "ran.txt"
        return path.read_text().splitlines() if path.exists() else []

    return read


def test_one_process_sees_what_another_one_of_the_same_dag_run_has_done(shared, ran, ask):
    for n in range(3):
        assert ask("run", "anyway:Part", {"n": n}, dag_run="daily/manual__1").outcome == "done"
    assert ask("run", "anyway:Whole", only_self=True, dag_run="daily/manual__1").outcome == "done"
    assert ran() == ["Part 0", "Part 1", "Part 2", "Whole"]


def test_a_task_that_is_cleared_in_its_dag_run_is_still_done(shared, ran, ask):
    ask("run", "anyway:Whole", dag_run="daily/manual__1")
    again = ask("run", "anyway:Whole", dag_run="daily/manual__1")
    assert (again.outcome, len(ran())) == ("complete", 4)


def test_another_dag_run_begins_anew(shared, ran, ask):
    for run_id in ("manual__1", "manual__2"):
        assert ask("run", "anyway:Whole", dag_run=f"daily/{run_id}").outcome == "done"
    assert len(ran()) == 8


def test_children_of_an_engine_see_the_same_marks(shared, ran, ask):
    assert ask("run", "anyway:Whole", workers=3, dag_run="daily/manual__1").outcome == "done"
    assert ask("check", "anyway:Whole", dag_run="daily/manual__1").is_complete
    assert len(ran()) == 4


def test_marks_are_in_the_shared_folder_below_the_dag_runs_number(shared, ran, ask):
    ask("run", "anyway:Part", {"n": 1}, dag_run="daily/manual__1")
    (mark,) = [path for path in shared.rglob("*") if path.is_file()]
    assert mark.parent.name == str(number_of("daily/manual__1"))


def test_without_a_shared_folder_luigis_own_is_used(ran, ask, tmp_path):
    env = {**engine_environment(), "TMPDIR": str(tmp_path / "tmp")}
    env.pop("AIRFLOW_DOMINO_LUIGI_SHARED", None)
    (tmp_path / "tmp").mkdir()
    ask("run", "anyway:Part", {"n": 1}, dag_run="daily/manual__1", env=env)
    assert (tmp_path / "tmp" / "luigi-simulate" / str(number_of("daily/manual__1"))).is_dir()


def test_without_a_dag_run_each_process_begins_anew_as_in_luigi(shared, ran, ask):
    for _ in range(2):
        ask("run", "anyway:Part", {"n": 1})
    assert ran() == ["Part 1", "Part 1"]


def test_marks_are_kept_for_a_week_and_then_removed(shared, ran, ask):
    marks = {days: shared / "luigi-simulate" / str(days) for days in (2, 8)}
    for days, folder in marks.items():
        folder.mkdir(parents=True)
        then = time.time() - days * 24 * 3600
        os.utime(folder, (then, then))
    assert KEPT_SECONDS == 7 * 24 * 3600
    ask("run", "anyway:Part", {"n": 1}, dag_run="daily/manual__1")
    assert marks[2].exists()
    assert not marks[8].exists()


@pytest.mark.parametrize("dag_run", ["", "a/b", "täglich/scheduled__2026-01-01T00:00:00+00:00", "x" * 10_000])
def test_the_number_of_a_dag_run_fits_a_c_int(dag_run):
    assert 0 < number_of(dag_run) < 2**31


def test_dag_runs_have_numbers_of_their_own():
    assert len({number_of(f"daily/scheduled__{n}") for n in range(10_000)}) == 10_000
