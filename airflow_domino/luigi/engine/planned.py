"""What there is to do today for the tasks of a plan, whose parameters were samples: asked from the real root."""

from __future__ import annotations

from typing import Any

import luigi

from . import survey
from .completion import dependencies, describe_outputs, is_external
from .force import move_aside
from .journal import PENDING, Journal
from .outcome import NODE_ABSENT, SURVEYED, Problem
from .picture import Picture

ABSENT = "absent"
NOT_NEEDED = "not_needed"
_MOST_UNPLANNED = 50
_EVENTS = {
    survey.COMPLETE: "complete",
    survey.DUE: PENDING,
    survey.EXTERNAL_MISSING: "external_missing",
    survey.COMPLETE_FAILED: "scheduling_failed",
    survey.REQUIRES_FAILED: "scheduling_failed",
    survey.DISABLED: "disabled",
}


def survey_plan(
    root: luigi.Task,
    nodes: list[list[Any]],
    targets: list[str],
    *,
    forced: list[str],
    threads: int,
    journal: Journal,
    picture: Picture,
) -> dict[str, Any]:
    """Find each planned task in the real graph, and ask what is complete, from the targets down.

    :param root: the real root
    :param nodes: key and path of each planned task, in an order in which a path comes after its beginning
    :param targets: keys of the tasks that are wanted; what they require is wanted with them
    :param forced: keys of the tasks to make again: their outputs are moved aside first
    :param threads: how many ``complete()`` may be asked at once
    :param journal: is told what was found
    :param picture: also gets the planned tasks that nobody had to ask
    :raises Problem: none of the targets is in the real graph, or a forced task's outputs cannot be moved
    """
    real = _find_all(root, nodes)
    wanted = [real[key] for key in targets if key in real]
    if targets and not wanted:
        raise Problem(
            NODE_ABSENT,
            f"{root} has none of the tasks that are wanted with these parameters; choose others, or other parameters",
        )
    again = [real[key] for key in forced if key in real]
    aside = move_aside(again) if again else []
    graph = survey.Survey(threads=threads)
    for one in graph.add([*wanted, *again]):
        news = {"task_id": one.task.task_id, "event": _EVENTS[one.state], "task": one.task, "requires": one.requires}
        journal.note({**news, "message": one.problem.message if one.problem else ""})
    for task in real.values():
        picture.add(task, (), NOT_NEEDED)
    found = {key: _describe(graph, real.get(key)) for key, _ in nodes}
    known = {task.task_id for task in real.values()}
    unplanned = [str(one.task) for key, one in graph.nodes.items() if key not in known and one.state != survey.COMPLETE]
    return {
        "outcome": SURVEYED,
        "message": _count(found),
        "nodes": found,
        "aside": aside,
        "unplanned": unplanned[:_MOST_UNPLANNED],
        "unplanned_count": len(unplanned),
    }


def _find_all(root: luigi.Task, nodes: list[list[Any]]) -> dict[str, luigi.Task]:
    """The real tasks by the planned keys; each step of a path is walked once."""
    by_path: dict[tuple[Any, ...], luigi.Task | None] = {(): root}
    below: dict[str, list[luigi.Task]] = {}

    def find(path: tuple[Any, ...]) -> luigi.Task | None:
        missing = []
        while path not in by_path:
            missing.append(path)
            path = path[:-1]
        for longer in reversed(missing):
            by_path[longer] = _step(by_path[longer[:-1]], longer[-1])
        return by_path[missing[0] if missing else path]

    def _step(parent: luigi.Task | None, step: tuple[int, str]) -> luigi.Task | None:
        if parent is None:
            return None
        if parent.task_id not in below:
            below[parent.task_id] = _children(parent)
        index, family = step
        required = below[parent.task_id]
        return required[index] if index < len(required) and required[index].task_family == family else None

    found = {key: find(tuple((int(index), str(family)) for index, family in path)) for key, path in nodes}
    return {key: task for key, task in found.items() if task is not None}


def _children(task: luigi.Task) -> list[luigi.Task]:
    if is_external(task):
        return []
    try:
        return dependencies(task)
    except Problem:
        return []  # told by the survey where it matters: not below a complete task


def _describe(graph: survey.Survey, task: luigi.Task | None) -> dict[str, Any]:
    if task is None:
        return {"state": ABSENT}
    surveyed = graph.nodes.get(task.task_id)
    if surveyed is None:
        return {"state": NOT_NEEDED, "task": str(task), "task_id": task.task_id}
    described: dict[str, Any] = {"state": surveyed.state, "task": str(task), "task_id": task.task_id}
    if surveyed.problem is not None:
        described["problem"] = surveyed.problem.message
    if surveyed.state == survey.EXTERNAL_MISSING:
        described["missing"] = [output["path"] for output in describe_outputs(task) if not output["exists"]]
    return described


def _count(found: dict[str, dict[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for one in found.values():
        counts[one["state"]] = counts.get(one["state"], 0) + 1
    return ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in sorted(counts.items()))
