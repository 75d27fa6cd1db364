"""What was incomplete when the pipeline was planned is run, though a requirement's run made its target appear."""

from __future__ import annotations

import pytest

APPEARS = """
import os

class InPlace(luigi.Task):
    word = luigi.Parameter(default="one")
    def requires(self):
        return Made() if self.word == "one" else InPlace()
    def output(self):
        return self.input()
    def run(self):
        with open(self.output().path, "a") as file:
            file.write(f" {self.word}")

class MakesFolder(luigi.Task):
    def output(self):
        return luigi.LocalTarget("folder/part.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write("part")

class FillsFolder(luigi.Task):
    def requires(self):
        return MakesFolder()
    def output(self):
        return luigi.LocalTarget("folder")
    def run(self):
        open("folder/rest.txt", "w").close()
"""


@pytest.mark.parametrize("check", ["strict", "luigi"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_target_that_a_requirements_run_makes_appear_keeps_no_task_from_running(pipeline, ask, work, workers, check):
    pipeline("appears", APPEARS)
    how = {"workers": workers, "check": check}
    answer = ask("run", "appears:InPlace", {"word": "two"}, **how)
    assert (answer.outcome, answer.facts["counts"]) == ("done", {"done": 3})
    (made,) = work.glob("Made*.txt")
    assert made.read_text() == " one two"
    assert ask("run", "appears:FillsFolder", **how).outcome == "done"
    assert (work / "folder" / "rest.txt").exists()


@pytest.mark.parametrize("check", ["strict", "luigi"])
@pytest.mark.parametrize("only_self", [False, True])
def test_a_planned_task_runs_although_it_is_complete_by_now(pipeline, ask, work, only_self, check):
    pipeline("appears", APPEARS)
    for _ in range(2):
        ask("run", "appears:Made")
    assert ask("run", "appears:InPlace").outcome == "complete"
    answer = ask("run", "appears:InPlace", planned=True, only_self=only_self, check=check)
    assert (answer.outcome, len(answer.facts["ran"])) == ("done", 1)
    (made,) = work.glob("Made*.txt")
    assert made.read_text() == " one"


def test_what_a_planned_task_requires_is_asked_and_made_first(pipeline, ask, work):
    pipeline("appears", APPEARS)
    (work / "folder").mkdir()
    answer = ask("run", "appears:FillsFolder", planned=True)
    assert answer.facts["counts"] == {"done": 2}


def test_planned_external_data_is_asked_all_the_same(pipeline, ask, work):
    pipeline(
        "outside", "class Outside(luigi.ExternalTask):\n    def output(self):\n        return luigi.LocalTarget('x')\n"
    )
    assert ask("run", "outside:Outside", planned=True).outcome == "external_missing"
    (work / "x").touch()
    assert ask("run", "outside:Outside", planned=True).outcome == "complete"
