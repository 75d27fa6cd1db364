"""Complete tasks are made again on request, and nothing is lost when that fails."""

from __future__ import annotations

import pytest

PIPELINE = """
import pathlib
class Model(luigi.Task):
    name = luigi.Parameter(default="a")
    def output(self):
        return luigi.LocalTarget(f"{self.name}.model")
    def run(self):
        if pathlib.Path("fail").exists():
            raise RuntimeError("told to fail")
        with self.output().open("w") as file:
            file.write("new")

class Report(luigi.Task):
    def requires(self):
        return [Model(name="a"), Model(name="b")]
    def output(self):
        return luigi.LocalTarget("report.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write("new")

class Everything(luigi.WrapperTask):
    def requires(self):
        return Report()
"""


@pytest.fixture
def made(write_module, work):
    """A pipeline whose outputs are all there, with old content."""
    write_module("pipeline", PIPELINE)
    for name in ("a.model", "b.model", "report.txt"):
        (work / name).write_text("old")
    return work


def contents(work):
    return {path.name: path.read_text() for path in sorted(work.iterdir())}


def test_force_makes_the_task_itself_again_and_not_what_it_requires(made, ask):
    answer = ask("run", "pipeline:Report", force=True)
    assert (answer.outcome, answer.facts["already_complete"]) == ("done", False)
    assert contents(made) == {"a.model": "old", "b.model": "old", "report.txt": "new"}


def test_force_with_families_makes_exactly_those_again(made, ask):
    answer = ask("run", "pipeline:Report", force=["Model"])
    assert answer.outcome == "done"
    assert contents(made) == {"a.model": "new", "b.model": "new", "report.txt": "old"}


def test_a_failed_attempt_puts_the_old_output_back(made, ask):
    (made / "fail").touch()
    assert ask("run", "pipeline:Model", force=True).outcome == "run_failed"
    (made / "fail").unlink()
    assert contents(made) == {"a.model": "old", "b.model": "old", "report.txt": "old"}


def test_a_family_that_is_not_in_the_graph_is_refused(made, ask):
    answer = ask("run", "pipeline:Report", force=["Modle"])
    assert answer.outcome == "force_impossible"
    assert "Model" in answer.message
    assert contents(made)["report.txt"] == "old"


def test_a_task_without_outputs_of_its_own_cannot_be_forced(made, ask):
    answer = ask("run", "pipeline:Everything", force=True)
    assert answer.outcome == "force_impossible"
    assert "Name the families" in answer.message


def test_an_output_that_is_no_local_file_is_not_touched(write_module, ask):
    write_module(
        "remote",
        """
        from luigi.mock import MockTarget
        class Remote(luigi.Task):
            def output(self):
                return MockTarget("x")
            def complete(self):
                return True
        """,
    )
    assert ask("run", "remote:Remote", force=True).outcome == "force_impossible"


def test_what_a_killed_attempt_put_aside_comes_back_when_the_next_one_fails(made, ask):
    (made / "a.model").rename(made / "a.model.before-force")
    (made / "fail").touch()
    assert ask("run", "pipeline:Model", force=True).outcome == "run_failed"
    assert (made / "a.model").read_text() == "old"
    assert not (made / "a.model.before-force").exists()


def test_a_folder_is_put_aside_whole(write_module, ask, work):
    write_module(
        "folders",
        """
        import pathlib
        class Folder(luigi.Task):
            def output(self):
                return luigi.LocalTarget("folder")
            def run(self):
                pathlib.Path("folder").mkdir()
                pathlib.Path("folder/new.txt").touch()
        """,
    )
    (work / "folder").mkdir()
    (work / "folder" / "old.txt").touch()
    assert ask("run", "folders:Folder", force=True).outcome == "done"
    assert [path.name for path in (work / "folder").iterdir()] == ["new.txt"]
    assert [path.name for path in work.iterdir()] == ["folder"]
