"""The graph below a task, by walking requires() and never asking complete(); and a node of it found again."""

from __future__ import annotations

import datetime
import time
from typing import Any

import luigi
from luigi.task_register import Register

from .completion import dependencies, is_external
from .loading import DATES, TIMES, find_class, is_private, load_task, parse_values
from .outcome import DRAWN, NODE_ABSENT, PARAMETER_WRONG, PLAN_IMPOSSIBLE, Problem
from .survey import is_plain_wrapper
from .visibility import invisible_targets

_ONE_TASK = "Run such a pipeline as one task, with LuigiTaskOperator"
_SECONDS_BETWEEN = 1.0
# What stands for a date while the graph is drawn. A Monday and a month's first day, like many real ones.
_SAMPLE_TIME = datetime.datetime(2001, 1, 1)


def make_plan(
    reference: str,
    params: dict[str, Any],
    templated: list[str],
    limits: dict[str, float],
    *,
    visible_below: str | None = None,
) -> dict[str, Any]:
    """Draw the graph of a root task.

    :param reference: ``module:Family`` of the root
    :param params: the root's parameters, without those in ``templated``
    :param templated: parameters whose values are known at run time only
    :param limits: the most ``nodes``, ``depth`` and ``seconds``
    :param visible_below: also say which targets no other machine sees; local ones below this folder are seen
    :raises Problem: there is no such graph, it has no end in sight, or it is another one each time
    """
    values = {**params, **_samples(reference, params, templated)}
    first = _walk(load_task(reference, values), limits, visible_below)
    Register.clear_instance_cache()
    second = _walk(load_task(reference, values), limits, total=len(first))
    if [(node["key"], node["requires"]) for node in first] != [(node["key"], node["requires"]) for node in second]:
        raise Problem(
            PLAN_IMPOSSIBLE, f"requires() of {reference} or below it answers differently each time. {_ONE_TASK}"
        )
    return {"nodes": first}


def _samples(reference: str, params: dict[str, Any], templated: list[str]) -> dict[str, Any]:
    cls: Any = find_class(reference)
    known = dict(cls.get_params())
    parse_values(cls, dict.fromkeys(templated))  # refuses unknown names
    return {name: _sample(cls.get_task_family(), name, known[name]) for name in templated}


def _sample(family: str, name: str, parameter: Any) -> Any:
    write: Any = parameter.serialize
    if isinstance(parameter, DATES):
        return write(_SAMPLE_TIME.date())
    if isinstance(parameter, TIMES):
        return write(_SAMPLE_TIME)
    if type(parameter) is luigi.Parameter:
        return "templated"
    if parameter.has_task_value(family, name):
        return write(parameter.task_value(family, name))
    raise Problem(
        PARAMETER_WRONG,
        f"{family}.{name} is a {type(parameter).__name__} with a templated value: the graph is drawn before the value"
        f" is known, so give a typical one in plan_params, such as plan_params={{{name!r}: …}}",
    )


def _walk(
    root: luigi.Task, limits: dict[str, float], visible_below: str | None = None, total: int | None = None
) -> list[dict[str, Any]]:
    """All nodes, breadth first; each with the shortest path to it from the root.

    :param total: how many there are, where that is known
    """
    tell = _Drawing(total)
    end = time.monotonic() + limits["seconds"]
    nodes = {root.task_id: _node(root, [], visible_below)}
    waiting = [root]
    for task in waiting:  # grows while it is walked
        node = nodes[task.task_id]
        if isinstance(task, _range_types()):
            raise Problem(
                PLAN_IMPOSSIBLE, f"{task} requires what is missing at the moment, another graph each time. {_ONE_TASK}"
            )
        required = [] if node["is_external"] else dependencies(task)
        for index, child in enumerate(required):
            node["requires"].append(child.task_id)
            if child.task_id not in nodes:
                nodes[child.task_id] = _node(child, [*node["path"], [index, child.task_family]], visible_below)
                waiting.append(child)
        _check_limits(task, nodes, end, limits)
        tell(len(nodes))
    _refuse_cycles(nodes)
    return list(nodes.values())


class _Drawing:
    """Tells whoever started the engine how many tasks are drawn, if that takes long.

    :param total: how many there are, where that is known
    """

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._due = time.monotonic() + _SECONDS_BETWEEN

    def __call__(self, tasks: int) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _SECONDS_BETWEEN
        print(f"{DRAWN}{tasks} {self._total or ''}", flush=True)  # noqa: T201


def _range_types() -> tuple[type, ...]:
    from luigi.tools.range import RangeBase

    return (RangeBase,)


def _check_limits(task: luigi.Task, nodes: dict[str, Any], end: float, limits: dict[str, float]) -> None:
    depth = len(nodes[task.task_id]["path"])
    if len(nodes) > limits["nodes"]:
        what = f"has more than {limits['nodes']:.0f} tasks"
    elif depth > limits["depth"]:
        what = f"is more than {limits['depth']:.0f} tasks deep"
    elif time.monotonic() > end:
        what = f"takes longer than {limits['seconds']:.0f} seconds to draw"
    else:
        return
    raise Problem(
        PLAN_IMPOSSIBLE,
        f"The graph {what} (it got to {task}, by {len(nodes)} tasks and {depth} steps): it has no end in sight, or"
        f" needs a higher limit. {_ONE_TASK}",
    )


def _refuse_cycles(nodes: dict[str, Any]) -> None:
    waits_for = {key: len(set(node["requires"])) for key, node in nodes.items()}
    consumers: dict[str, list[str]] = {key: [] for key in nodes}
    for key, node in nodes.items():
        for required in set(node["requires"]):
            consumers[required].append(key)
    free = [key for key, count in waits_for.items() if count == 0]
    for key in free:  # grows while it is walked
        for consumer in consumers[key]:
            waits_for[consumer] -= 1
            if waits_for[consumer] == 0:
                free.append(consumer)
    if len(free) < len(nodes):
        circle = sorted(key for key, count in waits_for.items() if count)
        raise Problem(
            PLAN_IMPOSSIBLE,
            f"These tasks require each other in a circle: {', '.join(circle[:10])}; break it in one requires()",
        )


def _node(task: Any, path: list[Any], visible_below: str | None) -> dict[str, Any]:
    domino_run = any(
        (cls.__module__, cls.__name__) == ("airflow_domino.luigi.run_task", "DominoRunTask") for cls in type(task).mro()
    )
    return {
        "key": task.task_id,
        "module": type(task).__module__,
        "family": task.task_family,
        "params": {
            name: str(parameter.serialize(getattr(task, name)))
            for name, parameter in task.get_params()
            if not is_private(parameter)
        },
        "path": path,
        "requires": [],
        "is_external": is_external(task),
        "is_wrapper": isinstance(task, luigi.WrapperTask) and type(task).run is luigi.Task.run,
        "is_run_wrapper": is_plain_wrapper(task) and type(task).run is not luigi.Task.run,
        "is_domino_run": domino_run,
        "tier": str(task.domino_run_tier) if domino_run else None,
        "priority": float(task.priority),
        "invisible": [] if visible_below is None else invisible_targets(task, visible_below),
        "retry_count": task.retry_count,
        "worker_timeout": task.worker_timeout,
        "resources": dict(task.process_resources() or {}),
    }


def find_node(root: luigi.Task, path: list[Any]) -> luigi.Task:
    """The task that a path leads to from a live root.

    :param path: steps, each the number of a requirement and its family
    :raises Problem: this root has no such task
    """
    task = root
    for index, family in path:
        required = dependencies(task)
        if index >= len(required) or required[index].task_family != family:
            there = ", ".join(str(one.task_family) for one in required) or "nothing"
            raise Problem(
                NODE_ABSENT,
                f"{root} has no task where the plan has {family}: {task} requires {there} with these parameters."
                " Nothing to do here; a task that the plan lacks is made by the one that requires it",
            )
        task = required[index]
    return task
