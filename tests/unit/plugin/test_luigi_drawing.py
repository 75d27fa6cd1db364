"""What is drawn of a graph of Luigi tasks, and where."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations, pairwise

import pytest

from airflow_domino.plugin.luigi_boxes import MOST_BOXES, MOST_PLAIN, fold
from airflow_domino.plugin.luigi_graph import Told, put_together
from airflow_domino.plugin.luigi_layout import HEIGHT, WIDTH, lay_out
from airflow_domino.plugin.luigi_values import AirflowTask, LuigiGraph

TASK = AirflowTask("sales", "manual__1", "whole", state="running", operator="LuigiTaskOperator")


def graph_of(*families: tuple[str, int], failed: int = 0) -> LuigiGraph:
    """A graph in which all tasks of a family require the first one of the family after it."""
    rows, starts = [], []
    for family, count in families:
        starts.append(len(rows))
        rows += [{"id": f"{family}_{number}", "family": family, "state": "done"} for number in range(count)]
    for start, after in pairwise(starts):
        for one in rows[start:after]:
            one["requires"] = [after]
    for one in rows[:failed]:
        one["state"] = "failed"
    record = {"version": 1, "asked": "run", "graph": {"root": "x", "tasks": rows}}
    return put_together([Told(TASK, record)])


def test_tasks_of_a_family_are_told_apart_by_the_values_in_which_they_differ():
    shards = [{"shard": str(number), "seed": "7", "tier": ""} for number in range(2)]
    rows = [{"id": f"Sum_{n}", "family": "Sum", "state": "done", "params": params} for n, params in enumerate(shards)]
    rows.append({"id": "Table", "family": "Table", "state": "done", "params": {"seed": "7"}})
    graph = put_together([Told(TASK, {"version": 1, "asked": "run", "graph": {"root": "x", "tasks": rows}})])

    said = [task.values_of(graph.telling[task.family]) for task in graph.tasks.values()]

    assert said == ["shard=0", "shard=1", "seed=7"]
    assert [task.values for task in graph.tasks.values()] == ["shard=0, seed=7", "shard=1, seed=7", "seed=7"]


# ---- boxes -----------------------------------------------------------------------------------------------------------


def test_a_small_graph_is_drawn_as_it_is():
    boxes = fold(graph_of(("Whole", 1), ("Part", MOST_PLAIN - 1)))

    assert len(boxes.boxes) == MOST_PLAIN
    assert boxes.folded == ()


def test_a_large_family_is_one_box_and_what_failed_is_drawn_by_itself():
    boxes = fold(graph_of(("Part", 5_000), ("Raw", 1), failed=2))

    assert [(box.key, box.size, box.state) for box in boxes.boxes] == [
        (":Part_0", 1, "failed"),
        (":Part_1", 1, "failed"),
        (":Raw_0", 1, "done"),
        ("family:Part", 4_998, "done"),
    ]
    assert boxes.edges[":Raw_0", "family:Part"] == 4_998
    assert boxes.folded[0].rest


def test_a_family_is_unfolded_as_far_as_can_be_looked_at():
    boxes = fold(graph_of(("Part", 5_000), ("Raw", 1)), unfolded=["Part"])

    assert 50 < len(boxes.boxes) < MOST_BOXES
    assert sum(box.size for box in boxes.boxes) == 5_001


def test_a_task_that_is_chosen_is_drawn_by_itself_with_what_is_next_to_it():
    boxes = fold(graph_of(("Whole", 100), ("Part", 100), ("Raw", 100)), chosen=":Part_0")

    alone = {box.key for box in boxes.boxes if box.task is not None}
    assert {":Part_0", ":Raw_0", ":Whole_0"} <= alone


def test_a_thousand_families_are_not_all_drawn_and_the_rest_is_counted():
    boxes = fold(graph_of(*((f"Family{number}", 7) for number in range(1_000))))

    assert len(boxes.boxes) == MOST_BOXES
    assert boxes.left_out == 1_000 - MOST_BOXES


def test_so_many_failures_do_not_fill_the_drawing():
    assert len(fold(graph_of(("Part", 5_000), failed=5_000)).boxes) < 50


# ---- places ----------------------------------------------------------------------------------------------------------


def test_what_is_required_is_left_of_what_requires_it():
    places = lay_out(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")]).places

    assert places["a"][0] < places["b"][0] < places["c"][0]


@pytest.mark.parametrize("seed", range(5))
def test_no_two_boxes_are_in_one_place_and_all_are_within_the_drawing(seed):
    chance = random.Random(seed)
    keys = [f"k{number}" for number in range(120)]
    edges = [(keys[low], keys[high]) for low, high in (sorted(chance.sample(range(120), 2)) for _ in range(300))]

    layout = lay_out(keys, edges)

    for (x, y), (other_x, other_y) in combinations(layout.places.values(), 2):
        assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT
    assert all(0 <= x <= layout.width - WIDTH for x, _ in layout.places.values())
    assert all(0 <= y <= layout.height - HEIGHT for _, y in layout.places.values())
    assert {(line.source, line.target) for line in layout.lines} == set(edges)
    assert all(layout.places[low][0] < layout.places[high][0] for low, high in edges)


def test_a_circle_is_drawn_with_one_line_that_runs_back():
    lines = lay_out(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "a")]).lines

    assert [line.is_back for line in lines] == [False, False, True]


def test_a_box_that_leads_to_itself_or_to_nothing_known_is_drawn_without_that_line():
    assert lay_out(["a"], [("a", "a"), ("a", "gone"), ("gone", "a")]).lines == ()


def test_a_chain_that_is_too_long_for_recursion_is_drawn():
    keys = [f"k{number}" for number in range(3_000)]

    assert len(set(lay_out(keys, pairwise(keys)).places.values())) == 3_000


def test_the_same_graph_is_drawn_the_same_each_time():
    graph = graph_of(("Whole", 1), ("Part", 20), ("Raw", 3))
    keys = [box.key for box in fold(graph).boxes]

    assert lay_out(keys, fold(graph).edges) == lay_out(keys, fold(replace(graph)).edges)


def test_nothing_is_drawn_of_nothing():
    assert lay_out([], []).places == {}
