"""What a task is going to read, what no other machine sees of it, and files of a project that count as existing."""

from __future__ import annotations

import tempfile

import pytest

from airflow_domino.luigi.plan import Plan, PlanError, PlanNode, make_plan
from airflow_domino.luigi.visibility import refuse_invisible

PIPELINE = """
from luigi.contrib.simulate import RunAnywayTarget
from luigi.mock import MockTarget

class Raw(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("raw/data.csv")

class Clean(luigi.Task):
    def requires(self):
        return Raw()
    def output(self):
        return [luigi.LocalTarget("clean/a.csv"), luigi.LocalTarget("clean/b.csv")]

class Outside(luigi.Task):
    def output(self):
        return luigi.LocalTarget("/outside/x.txt")

class Climbing(luigi.Task):
    def output(self):
        return luigi.LocalTarget("a/../../x.txt")

class InMemory(luigi.Task):
    def output(self):
        return MockTarget("memory")

class Anyway(luigi.Task):
    def output(self):
        return RunAnywayTarget(self)

class Passing(luigi.Task):
    def output(self):
        return luigi.LocalTarget(is_tmp=True)

class Broken(luigi.Task):
    def output(self):
        raise RuntimeError("not now")

class Both(luigi.WrapperTask):
    def requires(self):
        return [Clean(), Outside()]

class Report(luigi.Task):
    def requires(self):
        return Both()
    def output(self):
        return luigi.LocalTarget("report.txt")

class Odd(luigi.WrapperTask):
    def requires(self):
        return [Outside(), Climbing(), InMemory(), Anyway(), Passing(), Broken(), Clean()]
"""


@pytest.fixture(autouse=True)
def _pipeline(write_module):
    write_module("pipeline", PIPELINE)


@pytest.fixture
def make_files(work):
    def make(*names):
        for name in names:
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text("here")

    return make


def read_by(answer):
    """Paths of the inputs, and whether the task that they belong to is complete."""
    return {one["path"]: one["complete"] for one in answer.facts["inputs"]}


def test_a_task_reads_the_targets_of_complete_requirements_through_wrappers(ask, make_files):
    make_files("clean/a.csv", "clean/b.csv")
    answer = ask("check", "pipeline:Report", inputs=True)
    assert read_by(answer) == {"clean/a.csv": True, "clean/b.csv": True}
    assert {one["task"] for one in answer.facts["inputs"]} == {"Clean()"}


def test_below_an_incomplete_requirement_is_what_that_one_reads(ask, make_files):
    make_files("raw/data.csv", "clean/a.csv")
    answer = ask("check", "pipeline:Report", inputs=True)
    assert read_by(answer) == {"raw/data.csv": True}


def test_an_incomplete_direct_requirement_is_told_as_such(ask):
    assert read_by(ask("check", "pipeline:Clean", inputs=True)) == {"raw/data.csv": False}


def test_inputs_of_a_complete_task_are_not_looked_for_unless_it_is_made_again(ask, make_files):
    make_files("report.txt", "clean/a.csv", "clean/b.csv")
    assert "inputs" not in ask("check", "pipeline:Report", inputs=True).facts
    assert set(read_by(ask("check", "pipeline:Report", inputs=True, force=True))) == {"clean/a.csv", "clean/b.csv"}


def test_files_of_the_project_count_as_existing_also_as_folders(ask, write_module, work):
    write_module(
        "folders",
        """
        import os
        class Folder(luigi.Task):
            def output(self):
                return [luigi.LocalTarget("clean"), luigi.LocalTarget(os.path.abspath("./clean/deep"))]
        """,
    )
    assert ask("check", "folders:Folder").outcome == "incomplete"
    assert ask("check", "folders:Folder", project_files=["clean/deep/a.csv"]).outcome == "complete"
    assert ask("check", "folders:Folder", project_files=["clean/deeper/a.csv", "x"]).outcome == "incomplete"
    assert list(work.iterdir()) == []


def test_files_of_the_project_do_not_count_for_who_would_open_them(ask):
    answer = ask("run", "pipeline:Clean", project_files=["clean/a.csv", "clean/b.csv", "raw/data.csv"])
    assert not answer.is_good


def test_targets_that_no_other_machine_sees_are_told_with_the_reason_while_a_plan_is_drawn(
    project, tmp_path, monkeypatch
):
    (tmp_path / "plans").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "plans"))
    plan = make_plan("pipeline:Odd", project_path=project, visible_below="/data")
    told = {node.family: " ".join(node.invisible) for node in plan.nodes}
    assert told["Outside"] == "'/outside/x.txt' (LocalTarget) lies outside the working directory /data"
    assert "lies outside" in told["Climbing"]
    assert "lives in the memory of one process" in told["InMemory"]
    assert "is remembered on one machine only" in told["Anyway"]
    assert "is a temporary file of one process" in told["Passing"]
    assert (told["Broken"], told["Clean"], told["Odd"]) == ("", "", "")
    assert make_plan("pipeline:Outside", project_path=project, visible_below="/outside").root.invisible == ()
    assert make_plan("pipeline:Outside", project_path=project).root.invisible == ()


def node(family, requires=(), **more):
    return PlanNode(key=family, module="m", family=family, requires=tuple(requires), **more)


@pytest.fixture
def plan():
    return Plan(
        (
            node("Report", ["Both"]),
            node("Both", ["Local", "Fine"], is_wrapper=True),
            node("Local", invisible=("'/x' (LocalTarget) lies outside",)),
            node("Fine"),
        )
    )


def test_a_plan_is_refused_where_a_task_on_domino_reads_what_only_this_machine_sees(plan):
    with pytest.raises(PlanError, match=r"Report cannot run on Domino: it requires Local, whose target '/x'.*run_on"):
        refuse_invisible(plan, {"Report", "Fine"})


def test_a_plan_is_refused_where_a_task_on_domino_writes_it(plan):
    with pytest.raises(PlanError, match="Local cannot run on Domino: its target '/x'"):
        refuse_invisible(plan, ["Local"])


def test_a_plan_is_drawn_where_only_tasks_on_the_worker_are_concerned(plan):
    refuse_invisible(plan, {"Fine"})
