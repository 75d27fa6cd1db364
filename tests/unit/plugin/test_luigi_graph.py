"""The Luigi tasks of a DAG run, put together from what its Airflow tasks have told."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_domino.luigi.graph_record import pack
from airflow_domino.plugin.luigi_graph import Told, put_together
from airflow_domino.plugin.luigi_values import AirflowTask, LuigiGraph


def airflow(
    task_id: str, state: str | None = "success", operator: str = "LuigiTaskOperator", **more: Any
) -> AirflowTask:
    return AirflowTask("sales", "manual__1", task_id, state=state, operator=operator, **more)


def row(family: str, state: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{family}_1", "module": "sales", "family": family, "state": state, **more}


def told(task: AirflowTask, *rows: dict[str, Any], asked: str = "run", **more: Any) -> Told:
    graph = {"root": rows[0]["id"], "tasks": list(rows), "more": 0}
    return Told(task, pack(graph, "survey" if task.is_plan else asked), **more)


def plan(*rows: dict[str, Any], state: str = "success", **reasons: list[str]) -> Told:
    drawn = [{**one, "airflow_task": one.get("airflow_task", one["family"])} for one in rows]
    return told(airflow("plan", state, "LuigiPlanOperator"), *drawn, reasons=reasons)


def states(graph: LuigiGraph) -> dict[str, str]:
    return {task.family: task.state for task in graph.tasks.values()}


# ---- one task --------------------------------------------------------------------------------------------------------


def test_a_luigi_task_operator_that_runs_is_shown_as_far_as_it_is():
    rows = [row("Whole", "pending", requires=[1, 2]), row("Part", "running"), row("Raw", "complete")]

    graph = put_together([told(airflow("whole", "running"), *rows)])

    assert states(graph) == {"Whole": "waiting", "Part": "running", "Raw": "complete"}
    assert graph.tasks["sales:Whole_1"].requires == ("sales:Part_1", "sales:Raw_1")
    assert graph.required_by["sales:Raw_1"] == ("sales:Whole_1",)
    assert graph.is_live


@pytest.mark.parametrize(
    ("engine", "airflow_state", "shown"),
    [
        ("done", "success", "done"),
        ("complete", "success", "complete"),
        ("failed", "failed", "failed"),
        ("scheduling_failed", "failed", "failed"),
        ("upstream_failed", "failed", "blocked"),
        ("external_missing", "failed", "missing"),
        ("disabled", "failed", "skipped"),
        ("running", "failed", "failed"),
        ("pending", "failed", "blocked"),
        ("running", "up_for_retry", "waiting"),
        ("pending", "queued", "waiting"),
        ("pending", "success", "unknown"),
        ("something new", "success", "unknown"),
    ],
)
def test_what_an_ended_task_left_open_is_settled_by_airflow(engine, airflow_state, shown):
    graph = put_together([told(airflow("whole", airflow_state), row("Whole", engine))])

    assert states(graph) == {"Whole": shown}


def test_a_task_whose_process_was_killed_says_so():
    graph = put_together([told(airflow("whole", "failed"), row("Whole", "running"))])

    assert "ended before it did" in graph.tasks["sales:Whole_1"].message


# ---- a Domino run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("airflow_state", "result", "shown"),
    [
        ("queued", {}, ["waiting", "waiting", "complete"]),
        ("deferred", {}, ["running", "waiting", "complete"]),
        ("success", {"already_complete": False}, ["done", "done", "complete"]),
        ("success", {"already_complete": True}, ["complete", "done", "complete"]),
        ("failed", {}, ["failed", "unknown", "complete"]),
        ("up_for_retry", {}, ["waiting", "waiting", "complete"]),
    ],
)
def test_what_a_domino_run_makes_is_told_by_airflows_task(airflow_state, result, shown):
    task = airflow("whole", airflow_state, result=result)
    rows = [row("Whole", "pending", requires=[1]), row("Part", "pending", requires=[2]), row("Raw", "complete")]

    graph = put_together([told(task, *rows, asked="check")])

    assert list(states(graph).values()) == shown


# ---- a drawn pipeline ------------------------------------------------------------------------------------------------


def test_each_task_of_a_pipeline_is_in_the_state_of_its_airflow_task():
    found = [row(name, "pending") for name in ("Made", "Going", "Failed", "Behind", "Later")]
    tasks = {"Made": "success", "Going": "running", "Failed": "failed", "Behind": "upstream_failed", "Later": None}

    graph = put_together([plan(*found), *(Told(airflow(name, state)) for name, state in tasks.items())])

    assert states(graph) == {
        "Made": "done",
        "Going": "running",
        "Failed": "failed",
        "Behind": "blocked",
        "Later": "waiting",
    }
    assert graph.tasks["sales:Made_1"].source.task.task_id == "Made"


def test_what_the_first_task_skipped_is_shown_with_the_reason():
    found = [row("Whole", "complete"), row("Part", "not_needed"), row("Other", "not_needed")]
    reasons = {"complete": ["Whole"], "not_needed": ["Part"], "left_out": ["Other"]}
    skipped = [Told(airflow(name, "skipped")) for name in ("Whole", "Part", "Other")]

    graph = put_together([plan(*found, **reasons), *skipped])

    assert states(graph) == {"Whole": "complete", "Part": "unneeded", "Other": "skipped"}
    assert graph.tasks["sales:Part_1"].message.startswith("What requires it is complete")
    assert graph.tasks["sales:Other_1"].message.startswith("Left out")


def test_a_due_task_that_was_complete_when_its_turn_came_is_shown_as_that():
    done = airflow("Whole", "success", result={"already_complete": True})

    graph = put_together([plan(row("Whole", "pending"), due=["Whole"]), Told(done)])

    assert states(graph) == {"Whole": "complete"}


@pytest.mark.parametrize(("state", "shown"), [(None, "complete"), ("running", "running"), ("failed", "failed")])
def test_a_task_that_was_complete_and_is_cleared_alone_is_shown_as_it_goes(state, shown):
    graph = put_together([plan(row("Whole", "complete"), complete=["Whole"]), Told(airflow("Whole", state))])

    assert states(graph) == {"Whole": shown}


@pytest.mark.parametrize("state", [None, "running", "up_for_reschedule", "failed"])
def test_external_data_that_is_awaited_is_missing(state):
    waiting = airflow("Raw", state, "LuigiTargetSensor")

    graph = put_together([plan(row("Raw", "external_missing")), Told(waiting)])

    assert states(graph) == {"Raw": "missing"}


def test_external_data_that_is_skipped_with_what_requires_it_is_told_apart_from_that():
    found = [row("Whole", "pending"), row("Raw", "external_missing")]
    skipped = [Told(airflow(name, "skipped")) for name in ("Whole", "Raw")]

    graph = put_together([plan(*found, missing=["Whole", "Raw"]), *skipped])

    assert states(graph) == {"Whole": "skipped", "Raw": "missing"}


def test_a_drawn_task_that_tells_itself_is_believed_and_what_it_yielded_is_added():
    own = told(airflow("Whole"), row("Whole", "complete", seconds=2.0, requires=[1]), row("Yielded", "done"))

    graph = put_together([plan(row("Whole", "pending")), own])

    assert states(graph) == {"Whole": "complete", "Yielded": "done"}
    assert graph.tasks["sales:Whole_1"].seconds == 2.0
    assert graph.tasks["sales:Whole_1"].is_drawn
    assert not graph.tasks["sales:Yielded_1"].is_drawn


def test_what_one_task_made_is_made_now_though_the_next_one_found_it_complete():
    maker = told(airflow("Part"), row("Part", "done"))
    user = told(airflow("Whole"), row("Whole", "done", requires=[1]), row("Part", "complete"))

    graph = put_together([user, maker])

    assert states(graph) == {"Whole": "done", "Part": "done"}
    assert graph.tasks["sales:Part_1"].source.task.task_id == "Part"


def test_tasks_that_are_not_in_the_pipeline_today_are_not_drawn():
    graph = put_together([plan(row("Whole", "pending"), absent=["Old"]), Told(airflow("Whole")), Told(airflow("Old"))])

    assert list(states(graph)) == ["Whole"]


# ---- what has told nothing -------------------------------------------------------------------------------------------


def test_before_anything_is_told_a_pipeline_is_drawn_by_its_airflow_tasks():
    tasks = [airflow("Raw", None, "LuigiTargetSensor"), airflow("Whole", None, name="Whole (GPU)")]
    first = Told(airflow("plan", "running", "LuigiPlanOperator"))

    graph = put_together([first, *map(Told, tasks)], {"plan": ["Raw"], "Raw": ["Whole"], "Whole": ["done"]})

    assert states(graph) == {"Raw": "waiting", "Whole (GPU)": "waiting"}
    assert graph.tasks["airflow:Whole"].requires == ("airflow:Raw",)
    assert [one.task_id for one in graph.plans] == ["plan"]


def test_a_mapped_task_has_a_graph_for_each_of_its_instances():
    instances = [airflow("each", map_index=number) for number in range(2)]

    graph = put_together([told(one, row(f"Part{one.map_index}", "done")) for one in instances])

    assert [task.source.task.key for task in graph.tasks.values()] == ["each[0]", "each[1]"]


# ---- hostile records -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        ["text", None, 7, [], {"id": 7}, {"id": ""}],
        [{"id": "A", "requires": [0, 5, -1, "x", None, True], "params": [1], "targets": ["x", {}], "seconds": "much"}],
        [{"id": "A", "params": {"a": None, "b": 7}, "url": "javascript:alert(1)", "progress": "x", "state": ["x"]}],
        [{"id": "A", "airflow_task": {"x": 1}, "family": None, "module": 7, "tier": {}, "message": 3}],
    ],
)
def test_records_of_another_shape_break_nothing(rows):
    record = {"version": 1, "asked": "run", "graph": {"root": {}, "tasks": rows, "folders": [1], "more": "x"}}

    graph = put_together([Told(airflow("whole"), record)])

    assert all(task.url is None and task.requires == () for task in graph.tasks.values())


def test_a_record_that_is_none_counts_as_nothing_told():
    graph = put_together([Told(airflow("whole", "failed"), "s3://bucket/kept/by/a/custom/backend")])

    assert states(graph) == {"whole": "failed"}


def test_signs_that_turn_text_about_are_replaced():
    graph = put_together([told(airflow("whole"), row("Whole", "done", params={"a": "x\u202ey"}))])

    assert graph.tasks["sales:Whole_1"].params == {"a": "x\ufffdy"}


def test_one_luigi_id_in_two_modules_is_two_tasks():
    other = {**row("Whole", "failed"), "module": "other"}

    graph = put_together([told(airflow("a"), row("Whole", "done")), told(airflow("b"), other)])

    assert [task.state for task in graph.tasks.values()] == ["done", "failed"]
