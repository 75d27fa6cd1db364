"""What Luigi tasks made becomes asset events, and datasets of OpenLineage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.providers.openlineage.extractors.manager import ExtractorManager
from airflow.sdk import DAG, Asset, AssetAlias, TaskInstanceState

from airflow_domino.luigi_dag import LuigiDag
from airflow_domino.operators._luigi_assets import STORE_KEY, alias_of, dataset_name
from airflow_domino.operators.luigi import LuigiTaskError, LuigiTaskOperator

PIPELINE = """
import pathlib
import luigi
from luigi.target import FileSystemTarget

class Part(luigi.Task):
    n = luigi.IntParameter()
    password = luigi.Parameter(default="hush", visibility=luigi.parameter.ParameterVisibility.PRIVATE)
    def output(self):
        return luigi.LocalTarget(f"part-{self.n}.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write("made")

class Whole(luigi.Task):
    parts = luigi.IntParameter(default=2)
    def requires(self):
        return [Part(n=n) for n in range(self.parts)]
    def output(self):
        return luigi.LocalTarget("whole.txt")
    def run(self):
        if pathlib.Path("fail").exists():
            raise RuntimeError("told to fail")
        with self.output().open("w") as file:
            file.write("made")

class Refused(FileSystemTarget):
    fs = None
    def open(self, mode):
        raise NotImplementedError
    def exists(self):
        return pathlib.Path("refused").exists()

class Odd(luigi.Task):
    def output(self):
        return Refused("airflow://reserved/by/airflow")
    def run(self):
        pathlib.Path("refused").touch()
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def make(tmp_path, work):
    (tmp_path / "parts_pipeline.py").write_text(PIPELINE)

    def build(family="Whole", **arguments):
        arguments = {"task_id": "make", "project_path": tmp_path, "working_dir": work} | arguments
        return LuigiTaskOperator(task=f"parts_pipeline:{family}", **arguments)

    return build


def told(context):
    """The events that Airflow would be sent: by file name, the aliases and the extra."""
    found = {}
    for alias, accessor in context["outlet_events"].items():
        for event in accessor.asset_alias_events:
            name = Path(event.dest_asset_key.uri).name
            aliases, _ = found.setdefault(name, (set(), event.extra))
            aliases.add(alias.name)
    return found


def test_each_output_that_was_made_becomes_an_event_of_its_asset(make, work, task_context):
    context = task_context()
    (work / "part-0.txt").touch()
    make().execute(context)
    (accessor,) = (one for alias, one in context["outlet_events"].items() if alias.name.endswith(":Whole"))
    (event,) = accessor.asset_alias_events
    assert (event.dest_asset_key.uri, event.dest_asset_key.name) == (f"file://{work}/whole.txt",) * 2
    events = told(context)
    assert {name: aliases for name, (aliases, _) in events.items()} == {
        "part-1.txt": {"luigi:parts_pipeline:Part"},
        "whole.txt": {"luigi:parts_pipeline:Whole"},
    }
    extra = events["part-1.txt"][1]
    assert extra.pop("luigi_task_id").startswith("Part_1_")
    assert extra == {"luigi_task": "Part", "params": {"n": "1"}}


def test_what_was_complete_already_is_not_told(make, task_context):
    make().execute(task_context())
    context = task_context()
    make().execute(context)
    assert told(context) == {}


def test_all_aliases_of_events_are_outlets_since_airflow_drops_the_others(make, task_context):
    context, operator = task_context(), make()
    operator.execute(context)
    assert {outlet.name for outlet in operator.outlets} == {alias.name for alias in context["outlet_events"]}


def test_the_outlets_of_the_author_stay(make, task_context):
    mine = Asset("file:///mine")
    assert make(outlets=[mine]).outlets == [mine, AssetAlias("luigi:parts_pipeline:Whole")]


def test_a_name_of_the_authors_own_stands_for_the_tasks_own_outputs_too(make, task_context):
    context = task_context()
    make(asset_alias="reports").execute(context)
    aliases = {name: aliases for name, (aliases, _) in told(context).items()}
    assert aliases["whole.txt"] == {"reports", "luigi:parts_pipeline:Whole"}
    assert aliases["part-0.txt"] == {"luigi:parts_pipeline:Part"}


@pytest.mark.parametrize("given", [False, None])
def test_it_can_be_switched_off_for_a_task_and_for_all(make, task_context, monkeypatch, given):
    if given is None:
        monkeypatch.setenv("AIRFLOW__DOMINO__EMIT_ASSETS", "False")
    context, operator = task_context(), make(emit_assets=given)
    assert operator.outlets == []
    operator.execute(context)
    assert told(context) == {}
    assert operator.outlets == []


@pytest.mark.parametrize(
    ("task", "alias"),
    [
        ("reports:Daily", "luigi:reports:Daily"),
        ("{{ params.task }}", "luigi"),
        ("reports:{% if x %}A{% endif %}", "luigi"),
        (object(), "luigi"),
    ],
)
def test_the_alias_is_known_when_the_dag_is_read(task, alias):
    assert alias_of(task) == alias


def test_a_mapped_task_has_its_outlets_when_it_runs(make, tmp_path, work):
    with DAG("mapped"):
        mapped = LuigiTaskOperator.partial(
            task_id="make", task="parts_pipeline:Part", project_path=str(tmp_path), working_dir=str(work)
        ).expand(luigi_params=[{"n": 1}, {"n": 2}])
    one = mapped.unmap({"luigi_params": {"n": 1}})
    assert one.outlets == [AssetAlias("luigi:parts_pipeline:Part")]
    assert mapped.unmap({"luigi_params": {"n": 2}}).outlets == one.outlets


def test_each_task_of_a_drawn_pipeline_has_the_alias_of_its_own_family(make, tmp_path):
    drawn = LuigiDag("drawn", task="parts_pipeline:Whole", project_path=tmp_path)
    outlets = {name.partition("_")[0]: task.outlets for name, task in drawn.luigi_tasks.items()}
    assert outlets == {family: [AssetAlias(f"luigi:parts_pipeline:{family}")] for family in ("Whole", "Part")}


def test_what_a_failed_attempt_made_is_told_when_a_later_one_succeeds(make, work, task_context, state_store):
    (work / "fail").touch()
    failed = task_context(state_store)
    with pytest.raises(LuigiTaskError):
        make().execute(failed)
    assert told(failed) == {}
    (work / "fail").unlink()
    context = task_context(state_store, try_number=2)
    make().execute(context)
    assert set(told(context)) == {"part-0.txt", "part-1.txt", "whole.txt"}


def test_what_is_kept_for_a_later_attempt_is_not_too_much_for_airflow(make, task_context, state_store):
    made = [{"task_id": f"t{n}", "uris": [f"file:///{'x' * 200}/{n}"]} for n in range(1_000)]
    make().keep_what_was_made(task_context(state_store), made)
    kept = state_store[STORE_KEY]
    assert 30_000 < len(json.dumps(kept)) < 65_535
    assert kept[-1]["task_id"] == "t999"


def test_without_a_store_only_this_attempt_is_told(make, work, task_context):
    (work / "fail").touch()
    with pytest.raises(LuigiTaskError):
        make().execute(task_context())
    (work / "fail").unlink()
    context = task_context(try_number=2)
    make().execute(context)
    assert set(told(context)) == {"whole.txt"}


@pytest.mark.parametrize(("timeout", "most"), [("5", 20), ("30", 120), ("0.1", 1)])
def test_a_task_ends_with_no_more_events_than_airflow_writes_in_time(
    make, task_context, capsys, monkeypatch, timeout, most
):
    monkeypatch.setenv("AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT", timeout)
    made = [
        {"task_id": f"t{n}", "module": "m", "family": "F", "params": {}, "uris": [f"file:///data/{n}"]}
        for n in range(most + 3)
    ]
    context = task_context()
    make().tell_what_was_made(context, made, "t1")
    assert set(told(context)) == {"1", *map(str, range(4, most + 3))}
    assert f"Of {most + 3} outputs, the last {most} become" in capsys.readouterr().out


def test_an_address_that_airflow_refuses_is_left_out_and_named(make, work, task_context, capsys):
    context = task_context()
    make("Odd").execute(context)
    assert (work / "refused").exists()
    assert told(context) == {}
    assert "airflow://reserved/by/airflow" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("file:///data/a%20b.csv", ("file", "/data/a b.csv")),
        ("s3://bucket/folder/key.csv", ("s3://bucket", "folder/key.csv")),
        ("gs://bucket/key", ("gs://bucket", "key")),
        ("hdfs://namenode:8020/data/a", ("hdfs://namenode:8020", "/data/a")),
    ],
)
def test_datasets_are_named_as_openlineage_names_them(uri, named):
    assert dataset_name(uri) == named


@pytest.mark.parametrize("emit_assets", [True, False])
def test_openlineages_provider_is_told_the_same(make, work, task_context, emit_assets):
    context = task_context()
    with DAG("lineage"):
        operator = make(emit_assets=emit_assets)
    operator.execute(context)
    lineage = ExtractorManager().extract_metadata(
        context["dag_run"], operator, TaskInstanceState.SUCCESS, context["ti"]
    )
    assert [(dataset.namespace, dataset.name) for dataset in lineage.outputs] == [
        ("file", f"{work}/{name}") for name in ("part-0.txt", "part-1.txt", "whole.txt")
    ]


def test_openlineages_provider_is_told_of_nothing_when_nothing_was_made(make, task_context):
    make().execute(task_context())
    operator = make()
    operator.execute(task_context())
    assert operator.get_openlineage_facets_on_complete(None).outputs == []
