"""Parts of a plan, chosen by the names of its tasks."""

from __future__ import annotations

import pytest

from airflow_domino.luigi.plan import Plan, PlanNode
from airflow_domino.luigi.selection import SelectionError, named, wanted

REQUIRES = {
    "Report": ["Forest", "Net"],
    "Forest": ["Features"],
    "Net": ["Features", "Scaled"],
    "Scaled": ["Features"],
    "Features": [],
}
PLAN = Plan(
    tuple(
        PlanNode(f"{name}_1", "pipeline", name, requires=[f"{r}_1" for r in requires])
        for name, requires in REQUIRES.items()
    )
)


def families(keys):
    return sorted(key.removesuffix("_1") for key in keys)


@pytest.mark.parametrize(
    ("select", "exclude", "left"),
    [
        ([], [], ["Features", "Forest", "Net", "Report", "Scaled"]),
        (["Forest"], [], ["Features", "Forest"]),
        (["Net", "Forest"], [], ["Features", "Forest", "Net", "Scaled"]),
        (["S*"], [], ["Features", "Scaled"]),
        (["Scaled+"], [], ["Features", "Forest", "Net", "Report", "Scaled"]),
        ([], ["Net"], ["Features", "Forest"]),
        ([], ["Forest"], ["Features", "Net", "Scaled"]),
        (["Net"], ["Forest"], ["Features", "Net", "Scaled"]),
    ],
)
def test_what_is_wanted_comes_with_what_it_requires_and_what_is_left_out_with_what_requires_it(select, exclude, left):
    assert families(wanted(PLAN, select, exclude)) == left


def test_a_name_of_no_task_is_refused_with_the_names_there_are():
    with pytest.raises(SelectionError, match="named 'Forset'; there are Features, Forest, Net, Report, Scaled"):
        wanted(PLAN, ["Forset"])


def test_leaving_out_what_everything_requires_is_refused():
    with pytest.raises(SelectionError, match="Nothing is left"):
        wanted(PLAN, [], ["Features"])


def test_a_plus_names_all_that_requires_a_task():
    assert families(named(PLAN, ["Scaled+"])) == ["Net", "Report", "Scaled"]


def test_a_part_of_a_plan_ends_where_nothing_in_it_requires_more():
    part = PLAN.part(wanted(PLAN, ["Forest"]))
    assert (families(part.ends), families(node.key for node in part.nodes)) == (["Forest"], ["Features", "Forest"])
