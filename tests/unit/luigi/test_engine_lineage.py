"""Where the outputs of tasks are, as other programs can be told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import luigi
import pytest
from luigi.mock import MockTarget
from luigi.target import FileSystemTarget

from airflow_domino.luigi.engine.lineage import MOST_TASKS, describe, made, uri


class Somewhere(FileSystemTarget):
    fs = None

    def open(self, mode):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/report.csv", "file:///data/report.csv"),
        ("/data/../data/./report.csv", "file:///data/report.csv"),
        ("/data/date=2026-11-21/part, 1 (a+b).csv", "file:///data/date=2026-11-21/part,%201%20(a+b).csv"),
        ("/data/what?#100%.csv", "file:///data/what%3F%23100%25.csv"),
        ("/data/Übersicht", "file:///data/%C3%9Cbersicht"),
        ("/data/folder/", "file:///data/folder"),
    ],
)
def test_a_local_file_is_its_absolute_path(path, expected):
    assert uri(luigi.LocalTarget(path)) == expected


def test_a_relative_path_is_below_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert uri(luigi.LocalTarget("out/a.txt")) == f"file://{tmp_path}/out/a.txt"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://bucket/shards/0.csv", "s3://bucket/shards/0.csv"),
        ("s3://bucket/folder/", "s3://bucket/folder"),
        ("s3://bucket/image@2x?.png", "s3://bucket/image@2x%3F.png"),
        ("S3://Bucket/already%20there", "s3://Bucket/already%20there"),
        ("gs://bucket/Übersicht", "gs://bucket/%C3%9Cbersicht"),
        ("ftp://ada:secret@host/file", "ftp://host/file"),
        ("https://host/file.csv?signature=secret", "https://host/file.csv"),
        ("hdfs://namenode:8020/data", "hdfs://namenode:8020/data"),
        ("abfs://container@account.dfs.core.windows.net/a", "abfs://container@account.dfs.core.windows.net/a"),
    ],
)
def test_a_path_with_a_scheme_is_itself_without_its_secrets(path, expected):
    assert uri(Somewhere(path)) == expected


def test_a_target_may_say_its_address():
    assert uri(SimpleNamespace(asset_uri="postgres://host/db/schema/table")) == "postgres://host/db/schema/table"


@pytest.mark.parametrize(
    "target",
    [
        Somewhere("/user/luigi/data"),
        MockTarget("remembered"),
        luigi.LocalTarget(is_tmp=True),
        SimpleNamespace(path="x"),
    ],
)
def test_what_means_nothing_elsewhere_has_no_address(target):
    assert uri(target) is None


class Described(luigi.Task):
    day = luigi.DateParameter()
    text = luigi.Parameter(default="x" * 2_000)
    secret = luigi.Parameter(default="hush", visibility=luigi.parameter.ParameterVisibility.PRIVATE)
    hidden = luigi.Parameter(default="y", visibility=luigi.parameter.ParameterVisibility.HIDDEN)

    def output(self):
        return {"one": luigi.LocalTarget(f"/data/{self.day}"), "same": [luigi.LocalTarget(f"/data/{self.day}")]}


def test_a_task_is_described_with_its_public_parameters_and_each_output_once():
    described = describe(Described(day=luigi.DateParameter().parse("2026-11-21")))
    text = described["params"].pop("text")
    assert (len(text), text[-2:]) == (500, "x…")
    assert described == {
        "task_id": described["task_id"],
        "module": __name__,
        "family": "Described",
        "params": {"day": "2026-11-21"},
        "uris": ["file:///data/2026-11-21"],
    }


class Stubborn(luigi.Task):
    def output(self):
        raise RuntimeError("no output today")


class HalfKnown(luigi.Task):
    def output(self):
        class Unreachable(Somewhere):
            @property
            def asset_uri(self):
                raise OSError("no host")

        return [Unreachable("s3://bucket/a"), luigi.LocalTarget("/data/b")]


def test_an_address_that_cannot_be_told_costs_only_itself(capfd):
    assert describe(Stubborn())["uris"] == []
    assert describe(HalfKnown())["uris"] == ["file:///data/b"]
    said = "".join(capfd.readouterr())
    assert "no output today" in said
    assert "no host" in said


class Numbered(luigi.Task):
    n = luigi.IntParameter()

    def output(self):
        return luigi.LocalTarget(f"/data/{self.n}")


def test_of_very_many_tasks_the_last_ones_are_described_and_those_without_an_address_left_out():
    described = made([*map(Numbered, range(MOST_TASKS + 5)), Stubborn()])
    assert (len(described), described[0]["uris"], described[-1]["uris"]) == (
        MOST_TASKS - 1,
        ["file:///data/6"],
        [f"file:///data/{MOST_TASKS + 4}"],
    )


PIPELINE = """
class Part(luigi.Task):
    n = luigi.IntParameter()
    def output(self):
        return luigi.LocalTarget(f"part-{self.n}.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write("made")

class Whole(luigi.Task):
    fails = luigi.BoolParameter()
    def requires(self):
        return [Part(n=1), Part(n=2)]
    def output(self):
        return luigi.LocalTarget("whole.txt")
    def run(self):
        if self.fails:
            raise RuntimeError("told to fail")
        with self.output().open("w") as file:
            file.write("made")
"""


def addresses(answer):
    return {Path(one).name for made_by in answer.facts.get("made", ()) for one in made_by["uris"]}


def test_the_answer_of_a_run_names_what_was_made_and_not_what_was_there(write_module, ask, work):
    write_module("parts", PIPELINE)
    (work / "part-1.txt").write_text("there")
    assert addresses(ask("run", "parts:Whole")) == {"part-2.txt", "whole.txt"}
    assert addresses(ask("run", "parts:Whole")) == set()


def test_the_answer_of_a_failed_run_names_what_was_made_before(write_module, ask):
    write_module("parts", PIPELINE)
    answer = ask("run", "parts:Whole", {"fails": True})
    assert answer.outcome == "run_failed"
    assert addresses(answer) == {"part-1.txt", "part-2.txt"}


def test_the_answer_of_a_check_describes_the_task(write_module, ask, work):
    write_module("parts", PIPELINE)
    described = ask("check", "parts:Part", {"n": 7}).facts["lineage"]
    assert (described["module"], described["family"], described["params"]) == ("parts", "Part", {"n": "7"})
    assert described["uris"] == [f"file://{work}/part-7.txt"]
