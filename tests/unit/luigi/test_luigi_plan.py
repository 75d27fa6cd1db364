"""Graphs are drawn without asking what is complete, equal each time, and refused where there is none to draw."""

from __future__ import annotations

import tempfile

import pytest

from airflow_domino.luigi.plan import Plan, PlanError, make_plan

DIAMOND = """
class Base(luigi.Task):
    def complete(self):
        raise AssertionError("complete() was asked")

class Source(luigi.ExternalTask, Base):
    pass

class Clean(Base):
    day = luigi.DateParameter()
    def requires(self):
        return Source()

class Train(Base):
    priority = 7
    day = luigi.DateParameter()
    name = luigi.Parameter()
    secret = luigi.Parameter(default="hush", visibility=luigi.parameter.ParameterVisibility.PRIVATE)
    def requires(self):
        return {"clean": Clean(self.day)}

class Wrap(luigi.WrapperTask, Base):
    day = luigi.DateParameter()
    def requires(self):
        return [Train(self.day, "a"), Train(self.day, "b")]

class Report(Base):
    day = luigi.DateParameter()
    def requires(self):
        return [Wrap(self.day), Clean(self.day)]
"""


@pytest.fixture(autouse=True)
def _no_old_plans(tmp_path, monkeypatch):
    (tmp_path / "plans").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "plans"))


@pytest.fixture
def draw(project):
    def plan(task, params=None, **more):
        return make_plan(task, params, project_path=project, **more)

    return plan


def test_nodes_and_edges_are_those_of_requires_and_complete_is_never_asked(draw, write_module):
    write_module("diamond", DIAMOND)
    plan = draw("diamond:Report", {"day": "2026-01-02"})
    names = plan.names()
    edges = {names[node.key]: sorted(names[key] for key in node.requires) for node in plan.nodes}
    assert edges == {
        "Report": ["Clean", "Wrap"],
        "Wrap": ["Train__1", "Train__2"],
        "Train__1": ["Clean"],
        "Train__2": ["Clean"],
        "Clean": ["Source"],
        "Source": [],
    }
    kinds = {names[node.key]: (node.is_external, node.is_wrapper) for node in plan.nodes}
    assert kinds["Source"] == (True, False)
    assert kinds["Wrap"] == (False, True)
    assert kinds["Report"] == (False, False)


def test_each_node_has_the_shortest_path_from_the_root(draw, write_module):
    write_module("diamond", DIAMOND)
    plan = draw("diamond:Report", {"day": "2026-01-02"})
    paths = {node.family: node.path for node in plan.nodes if node.family != "Train"}
    assert paths["Report"] == ()
    assert paths["Clean"] == ((1, "Clean"),)
    assert paths["Source"] == ((1, "Clean"), (0, "Source"))


def test_private_values_are_not_written_into_a_plan(draw, write_module):
    write_module("diamond", DIAMOND)
    plan = draw("diamond:Report", {"day": "2026-01-02"})
    assert "hush" not in plan.to_json()
    assert {node.params["name"] for node in plan.nodes if node.family == "Train"} == {"a", "b"}


def test_a_plan_survives_json(draw, write_module):
    write_module("diamond", DIAMOND)
    plan = draw("diamond:Report", {"day": "2026-01-02"})
    assert Plan.from_json(plan.to_json()) == plan


def test_priority_goes_down_to_what_is_required_as_the_highest(draw, write_module):
    write_module("diamond", DIAMOND)
    plan = draw("diamond:Report", {"day": "2026-01-02"})
    priorities = {node.family: plan.priorities()[node.key] for node in plan.nodes}
    assert priorities == {"Report": 0, "Wrap": 0, "Train": 7, "Clean": 7, "Source": 7}


def test_a_sample_stands_for_a_templated_date(draw, write_module):
    write_module("diamond", DIAMOND)
    plan = draw("diamond:Report", templated=("day",))
    assert plan.root.params == {"day": "2001-01-01"}


def test_a_templated_value_of_another_type_needs_a_typical_one(draw, write_module):
    write_module("counts", "class T(luigi.Task):\n    n = luigi.IntParameter()\n")
    with pytest.raises(PlanError, match=r"plan_params=\{'n'"):
        draw("counts:T", templated=("n",))


def test_a_namespaced_family_gets_a_name_that_airflow_takes(draw, write_module):
    write_module("spaced", "class T(luigi.Task):\n    task_namespace = 'deep.space'\n")
    assert list(draw("spaced:deep.space.T").names().values()) == ["deep_space_T"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "class T(luigi.Task):\n    n = luigi.IntParameter(default=0)\n    def requires(self):\n"
            "        return T(n=self.n + 1)\n",
            "is more than 200 tasks deep",
        ),
        (
            "class T(luigi.Task):\n    n = luigi.IntParameter(default=0)\n    def requires(self):\n"
            "        return [T(n=10 * self.n + i) for i in range(1, 10)]\n",
            "has more than 1000 tasks",
        ),
        (
            "import random\nclass T(luigi.Task):\n    n = luigi.IntParameter(default=0)\n    def requires(self):\n"
            "        return [] if self.n else T(n=random.randrange(1, 10**9))\n",
            "answers differently each time",
        ),
        (
            "class T(luigi.Task):\n    n = luigi.IntParameter(default=0)\n    def requires(self):\n"
            "        return T(n=1 - self.n)\n",
            "require each other in a circle",
        ),
        (
            "import datetime\nfrom luigi.tools.range import RangeDaily\nclass Day(luigi.Task):\n"
            "    date = luigi.DateParameter()\nclass T(luigi.WrapperTask):\n    def requires(self):\n"
            "        return RangeDaily(of=Day, start=datetime.date(2026, 1, 1))\n",
            "requires what is missing at the moment",
        ),
    ],
)
def test_a_graph_without_end_or_without_one_shape_is_refused_with_the_way_out(draw, write_module, source, reason):
    write_module("endless", source)
    with pytest.raises(PlanError, match=reason) as refused:
        draw("endless:T")
    if "circle" not in reason:
        assert "LuigiTaskOperator" in str(refused.value)


def test_a_graph_that_takes_too_long_is_refused(draw, write_module):
    write_module(
        "slow",
        """
        import time
        class T(luigi.Task):
            n = luigi.IntParameter(default=0)
            def requires(self):
                time.sleep(0.05)
                return T(n=self.n + 1)
        """,
    )
    with pytest.raises(PlanError, match="takes longer than"):
        draw("slow:T", most_seconds=0.1)


def test_a_requires_that_raises_is_told_with_its_place(draw, write_module):
    write_module("raises", "class T(luigi.Task):\n    def requires(self):\n        return {}['lost']\n")
    with pytest.raises(PlanError, match=r"KeyError: 'lost' \(.*raises\.py, line 4\)"):
        draw("raises:T")


def test_a_requirement_that_is_no_task_is_told(draw, write_module):
    write_module("strange", "class T(luigi.Task):\n    def requires(self):\n        return luigi.LocalTarget('x')\n")
    with pytest.raises(PlanError, match="which is not a Luigi task"):
        draw("strange:T")


def test_an_unchanged_project_is_not_asked_again_and_a_changed_one_is(draw, write_module, project):
    counter = project / "counter.txt"
    source = f"open({str(counter)!r}, 'a').write('x')\nclass T(luigi.Task):\n    pass\n"
    write_module("counted", source)
    first = draw("counted:T")
    assert draw("counted:T") == first
    assert counter.read_text() == "x"
    write_module("counted", source + "class U(luigi.Task):\n    pass\n")
    draw("counted:T")
    assert counter.read_text() == "xx"


def test_a_plan_is_drawn_again_for_other_variables_and_another_configuration(draw, write_module, tmp_path, monkeypatch):
    write_module(
        "settings",
        """
        import os
        class Part(luigi.Task):
            i = luigi.IntParameter()
        class Whole(luigi.Task):
            n = luigi.IntParameter(default=1)
            def requires(self):
                return [Part(i) for i in range(self.n + int(os.environ.get("MORE", 0)))]
        """,
    )
    config = tmp_path / "other.cfg"
    config.write_text("[Whole]\nn=2\n")
    assert len(draw("settings:Whole").nodes) == 2
    assert len(draw("settings:Whole", env={"MORE": 2}).nodes) == 4
    assert len(draw("settings:Whole", config=config).nodes) == 3
    config.write_text("[Whole]\nn=4\n")
    assert len(draw("settings:Whole", config=config).nodes) == 5
    monkeypatch.setenv("MORE", "5")
    assert len(draw("settings:Whole").nodes) == 7
