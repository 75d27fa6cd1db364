"""The Luigi tasks of a DAG run as one graph: what each Airflow task has told of them, put together.

Each of our Luigi operators leaves an XCom with the graph that it saw (:mod:`airflow_domino.luigi.graph_record`): the
first task of a drawn pipeline all of it, each other one what it made itself. Airflow's own state of a task says how it
went on since. What a DAG run of an earlier version left behind is drawn by the edges of its DAG.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_domino.luigi.graph_record import unpack
from airflow_domino.plugin.luigi_reading import MOST_TASKS, Reading, items, state_by_airflow, words
from airflow_domino.plugin.luigi_values import AirflowTask, LuigiGraph, LuigiTask, Source, Target
from airflow_domino.plugin.stored import mapping, plain

# Where two Airflow tasks tell of one Luigi task, the first of these holds: who made it knows best.
_RANKS = ("done", "running", "complete", "failed", "missing", "blocked", "skipped", "unneeded", "waiting", "unknown")


@dataclass(frozen=True)
class Told:
    """What one Airflow task has left.

    :param graph: the XCom with its graph
    :param reasons: the XCom in which the first task of a pipeline says why tasks are not due
    """

    task: AirflowTask
    graph: Any = None
    reasons: Any = None


def put_together(told: Sequence[Told], edges: Mapping[str, Iterable[str]] | None = None) -> LuigiGraph:
    """Make one graph of what all Luigi tasks of a DAG run have told.

    :param told: by each of them
    :param edges: ids of the Airflow tasks below each, for those that have told nothing
    """
    by_id = {one.task.task_id: one.task for one in told if one.task.map_index < 0}
    reasons = _reasons(told)
    found: dict[str, LuigiTask] = {}
    spoken: set[str] = set()
    more = 0
    for one in sorted(told, key=lambda one: not one.task.is_plan):
        record = plain(one.graph)
        graph = unpack(record)
        if graph is None:
            continue
        reading = Reading(one.task, graph, words(record.get("asked")), by_id, reasons)
        more += reading.more
        spoken |= reading.spoken
        for task in reading.tasks:
            found[task.key] = _merged(found.get(task.key), task)
            if len(found) > MOST_TASKS:
                break
    silent = [one.task for one in told if not one.task.is_plan and one.task.key not in spoken]
    in_pipeline = [task for task in silent if reasons.get(task.task_id) != "absent"]
    found.update(_silent_tasks(in_pipeline, reasons, edges or {}))
    plans = tuple(one.task for one in told if one.task.is_plan)
    return LuigiGraph(found, _required_by(found), plans, more)


def _merged(known: LuigiTask | None, told: LuigiTask) -> LuigiTask:
    """What two Airflow tasks say of one Luigi task; the one that knows more of it comes first, the other adds to it."""
    if known is None:
        return told
    if known.source.task.key == told.source.task.key:
        first, second = told, known  # of a drawn task, first its pipeline has told, and then it itself
    else:
        first, second = sorted((known, told), key=lambda one: _RANKS.index(one.state))
    return replace(
        first,
        params=first.params or second.params,
        targets=first.targets or second.targets,
        requires=tuple(dict.fromkeys((*first.requires, *second.requires))),
        is_external=first.is_external or second.is_external,
        is_wrapper=first.is_wrapper or second.is_wrapper,
        is_drawn=first.is_drawn or second.is_drawn,
        tier=first.tier or second.tier,
    )


def _reasons(told: Iterable[Told]) -> dict[str, str]:
    """Why tasks are not due, by the ids of their Airflow tasks."""
    return {
        str(task_id): reason
        for one in told
        for reason, task_ids in mapping(one.reasons).items()
        if reason != "due"
        for task_id in items(task_ids)
    }


def _silent_tasks(
    tasks: Sequence[AirflowTask], reasons: Mapping[str, str], edges: Mapping[str, Iterable[str]]
) -> dict[str, LuigiTask]:
    """Luigi tasks of which only their Airflow tasks are known."""
    known = {task.task_id for task in tasks}
    above: dict[str, list[str]] = {}
    for upper, lower in edges.items():
        for one in lower:
            if upper in known and one in known:
                above.setdefault(one, []).append(f"airflow:{upper}")
    found = {}
    for task in tasks:
        state, message = state_by_airflow(task, reasons.get(task.task_id, ""))
        targets = tuple(Target(str(path), "") for path in items(task.result.get("outputs")))
        found[f"airflow:{task.key}"] = LuigiTask(
            key=f"airflow:{task.key}",
            luigi_id=words(task.result.get("task_id")),
            module="",
            family=task.name or task.key,
            state=state,
            source=Source(task),
            targets=targets,
            requires=tuple(above.get(task.task_id, ())),
            message=message,
            is_external=task.operator == "LuigiTargetSensor",
            is_drawn=True,
        )
    return found


def _required_by(tasks: Mapping[str, LuigiTask]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for task in tasks.values():
        for key in task.requires:
            found.setdefault(key, []).append(task.key)
    return {key: tuple(keys) for key, keys in found.items()}
