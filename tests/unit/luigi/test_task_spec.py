"""A frozen task comes back the same, or is refused with the reason."""

from __future__ import annotations

import datetime
import enum
import importlib
import sys

import pytest

from airflow_domino.luigi.engine.loading import build_task
from airflow_domino.luigi.spec import CannotFreezeError, TaskSpec, parse_reference

pytestmark = pytest.mark.filterwarnings("ignore:Parameter .* with value .* is not:UserWarning")

SOURCE = """
import datetime, enum
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
class Rich(luigi.Task):
    text = luigi.Parameter(default="x")
    day = luigi.DateParameter(default=None)
    hour = luigi.DateHourParameter(default=None)
    span = luigi.TimeDeltaParameter(default=datetime.timedelta(0))
    number = luigi.FloatParameter(default=1.5)
    count = luigi.IntParameter(default=None)
    names = luigi.ListParameter(default=[])
    pairs = luigi.TupleParameter(default=())
    table = luigi.DictParameter(default={})
    colour = luigi.EnumParameter(enum=Colour, default=Colour.RED)
    yes = luigi.BoolParameter(default=True)
    note = luigi.OptionalParameter(default="n")
    hidden = luigi.Parameter(default="h", significant=False)
    secret = luigi.Parameter(default="s", visibility=luigi.parameter.ParameterVisibility.PRIVATE)
"""


@pytest.fixture
def module(write_module, project, monkeypatch):
    write_module("rich_tasks", SOURCE)
    monkeypatch.setattr(sys, "path", [str(project), *sys.path])
    monkeypatch.delitem(sys.modules, "rich_tasks", raising=False)
    yield importlib.import_module("rich_tasks")
    del sys.modules["rich_tasks"]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"text": "", "hidden": "insignificant too"},
        {"text": "--leading 'quotes' naïve\n"},
        {"day": datetime.date(2026, 2, 28), "hour": datetime.datetime(2026, 2, 28, 5)},
        {"number": float("1e300"), "count": -3},
        {"names": ("a", 1, None), "pairs": ((1, "b"),), "table": {"k": [1, {"deep": None}]}},
        {"yes": False},
        {"span": datetime.timedelta(days=3, hours=1)},
    ],
)
def test_every_value_comes_back_the_same(module, values):
    task = module.Rich(**values)
    spec = TaskSpec.freeze(task)
    again = build_task(module.Rich, dict(spec.params))
    assert again.task_id == task.task_id
    assert again.param_kwargs == task.param_kwargs


def test_an_enumeration_comes_back(module):
    assert isinstance(module.Colour.BLUE, enum.Enum)
    assert TaskSpec.freeze(module.Rich(colour=module.Colour.BLUE)).params["colour"] == "BLUE"


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"text": 5}, "text"),
        ({"count": "7"}, "count"),
        ({"note": ""}, "note"),
        ({"span": datetime.timedelta(microseconds=5)}, "span"),
        ({"number": float("nan")}, "number"),
        ({"table": {1: "x"}}, "table"),
        ({"secret": "other"}, "secret"),
    ],
)
def test_what_would_not_come_back_is_refused_by_name(module, values, name):
    with pytest.raises(CannotFreezeError, match=rf"Rich\.{name} "):
        TaskSpec.freeze(module.Rich(**values))


def test_a_private_value_is_not_shown_in_the_refusal(module):
    with pytest.raises(CannotFreezeError) as refused:
        TaskSpec.freeze(module.Rich(secret="hunter2"))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["__main__", "unusual_prefix_0123_my_dag"])
def test_a_task_of_a_script_or_a_dag_file_is_refused_with_what_to_do(module, monkeypatch, name):
    monkeypatch.setattr(module.Rich, "__module__", name)
    with pytest.raises(CannotFreezeError, match="move the class into a module of its own"):
        TaskSpec.freeze(module.Rich())


def test_a_task_that_is_made_external_on_the_fly_is_not_its_class(module):
    import luigi

    with pytest.raises(CannotFreezeError):
        TaskSpec.freeze(luigi.task.externalize(module.Rich)())


def test_a_frozen_task_can_be_rebuilt_from_its_reference(write_module, project, monkeypatch):
    write_module("once_only", "class T(luigi.Task):\n    n = luigi.IntParameter()\n")
    monkeypatch.setattr(sys, "path", [str(project), *sys.path])
    task = importlib.import_module("once_only").T(n=3)
    assert TaskSpec.freeze(task).rebuild() == task


def test_references_are_split_at_the_last_colon():
    assert parse_reference("a.b:Family") == ("a.b", "Family")
    assert parse_reference("Family") == (None, "Family")
    with pytest.raises(ValueError, match="module:Family"):
        parse_reference("module:")
