"""The graph that an engine draws of its tasks, for people who look at it elsewhere."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import luigi
import pytest
from luigi.mock import MockTarget
from luigi.parameter import ParameterVisibility
from luigi.target import FileSystemTarget

from airflow_domino.luigi import execute
from airflow_domino.luigi.engine import picture
from airflow_domino.luigi.engine.picture import Picture

PIPELINE = """
class Raw(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("raw.txt")

class Part(luigi.Task):
    number = luigi.IntParameter()
    password = luigi.Parameter(default="s3cr3t", visibility=luigi.parameter.ParameterVisibility.PRIVATE)
    def requires(self):
        return Raw()
    def output(self):
        return luigi.LocalTarget(f"out/{self.number}.txt")
    def run(self):
        if self.number == 2:
            raise ValueError("no luck")
        self.output().open("w").close()

class Whole(luigi.WrapperTask):
    def requires(self):
        return [Part(number) for number in range(3)]
"""


class Elsewhere(FileSystemTarget):
    fs = None

    def open(self, mode):
        raise NotImplementedError


class Nowhere(luigi.Target):
    def exists(self):
        return False


class Plain(luigi.Task):
    number = luigi.IntParameter(default=1)
    password = luigi.Parameter(default="s3cr3t", visibility=ParameterVisibility.PRIVATE)
    where = luigi.OptionalParameter(default="")
    fails = luigi.BoolParameter(default=False, significant=False)

    def output(self):
        if self.fails:
            raise RuntimeError("not yet")
        return [luigi.LocalTarget("a.txt"), Elsewhere("ftp://ada:secret@host/a"), MockTarget("memory"), Nowhere()]


def told(drawn: Picture, task: luigi.Task) -> dict:
    return next(one for one in drawn.facts(task)["tasks"] if one["id"] == task.task_id)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_tells_of_each_task_its_state_values_targets_and_requirements(ask, write_module, work):
    write_module("pipe", PIPELINE)
    (work / "raw.txt").touch()

    answer = ask("run", "pipe:Whole")

    graph = answer.facts["graph"]
    tasks = {one["family"] + one.get("params", {}).get("number", ""): one for one in graph["tasks"]}
    states = {name: one["state"] for name, one in tasks.items()}
    assert states == {
        "Whole": "upstream_failed",
        "Part0": "done",
        "Part1": "done",
        "Part2": "failed",
        "Raw": "complete",
    }
    assert graph["root"] == tasks["Whole"]["id"]
    assert [graph["tasks"][place] for place in tasks["Part0"]["requires"]] == [tasks["Raw"]]
    assert tasks["Part2"]["message"] == "ValueError: no luck"
    assert tasks["Part0"]["targets"] == [{"kind": "LocalTarget", "path": str(work / "out/0.txt")}]
    assert tasks["Raw"]["is_external"]
    assert tasks["Whole"]["is_wrapper"]
    assert "s3cr3t" not in json.dumps(graph)
    folder = (work / "out").stat()
    assert graph["folders"][str(work / "out")] == [folder.st_ino, int(folder.st_mtime)]


def test_a_task_whose_complete_raises_is_drawn_as_failed(ask, write_module):
    write_module("pipe", "class Odd(luigi.Task):\n    def complete(self):\n        raise OSError('no disk')\n")

    (task,) = ask("run", "pipe:Odd").facts["graph"]["tasks"]

    assert (task["family"], task["state"]) == ("Odd", "scheduling_failed")


def test_what_a_domino_run_is_going_to_make_is_drawn_before(ask, write_module, work):
    write_module("pipe", PIPELINE)
    (work / "raw.txt").touch()

    tasks = ask("check", "pipe:Whole", inputs=True).facts["graph"]["tasks"]

    assert [(one["family"], one["state"]) for one in tasks] == [
        ("Whole", "pending"),
        ("Part", "pending"),
        ("Part", "pending"),
        ("Part", "pending"),
        ("Raw", "complete"),
    ]


def test_values_are_shown_without_those_that_are_private():
    drawn = Picture()
    drawn.add(Plain(), (), "due")

    assert told(drawn, Plain())["params"] == {"number": "1", "where": "", "fails": "False"}


def test_targets_have_an_address_without_secrets_or_their_kind_alone(tmp_path):
    drawn = Picture()
    drawn.add(Plain(), (), "due")

    assert told(drawn, Plain())["targets"] == [
        {"kind": "LocalTarget", "path": str(tmp_path / "a.txt")},
        {"kind": "Elsewhere", "path": "ftp://host/a"},
        {"kind": "MockTarget", "path": "memory"},
        {"kind": "Nowhere"},
    ]


def test_outputs_that_cannot_be_told_at_first_are_asked_for_again_at_the_end():
    task, drawn = Plain(fails=True), Picture()
    drawn.add(task, (), "due")
    assert "targets" not in told(drawn, task)

    late, drawn = Plain(number=2, fails=True), Picture()
    drawn.add(late, (), "due")
    late.fails = False

    assert len(told(drawn, late)["targets"]) == 4


def test_the_latest_of_what_happens_is_drawn():
    task, drawn = Plain(), Picture()
    for entry in (
        {"event": "pending", "task": task, "requires": ()},
        {"event": "running"},
        {"event": "tracking_url", "url": "https://domino/1"},
        {"event": "progress", "percentage": 41.6},
        {"event": "running"},
        {"event": "status", "message": "half of it"},
        {"event": "tracking_url", "url": "https://domino/2"},
        {"event": "done", "seconds": 1.23456, "message": ""},
    ):
        drawn.note({"task_id": task.task_id, **entry})

    shown = told(drawn, task)
    assert (shown["state"], shown["seconds"], shown["url"]) == ("done", 1.235, "https://domino/2")
    assert shown["message"] == "half of it"
    assert "progress" not in shown


def test_of_very_many_tasks_some_are_only_counted():
    drawn = Picture(most_tasks=3)
    for number in range(5):
        drawn.add(Plain(number=number), (), "due")

    facts = drawn.facts(Plain(number=0))
    assert (len(facts["tasks"]), facts["more"]) == (3, 2)


def test_where_not_all_can_be_described_those_are_of_which_something_is_wrong(monkeypatch):
    monkeypatch.setattr(picture, "MOST_DESCRIBED", 1)
    drawn = Picture()
    for number, state in enumerate(["complete", "complete", "external_missing"]):
        drawn.add(Plain(number=number), (), state)

    shown = drawn.facts(Plain(number=0))["tasks"]

    assert ["params" in one for one in shown] == [True, False, True]


def test_how_things_stand_is_written_while_they_change(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "_SECONDS_BETWEEN", 0.01)
    file = tmp_path / "graph.json"
    drawn = Picture(str(file))
    drawn.add(Plain(), (), "running")
    deadline = time.monotonic() + 10
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    drawn.close()

    assert [one["state"] for one in json.loads(file.read_text())["tasks"]] == ["running"]
    assert Path(f"{file}.part").exists() is False


def test_a_file_that_is_replaced_is_handed_over_once(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "_SECONDS_BETWEEN_LOOKS", 0.0)
    file, seen = tmp_path / "graph.json", []
    watched = execute._Watched(file, seen.append)
    watched.look()
    for number in range(2):
        part = tmp_path / "part"
        part.write_text(json.dumps({"number": number}))
        os.utime(part, ns=(number, number))
        part.replace(file)
        watched.look()
        watched.look()

    assert seen == [{"number": 0}, {"number": 1}]
