"""What a task is going to read: the targets of the complete tasks that it rests on."""

from __future__ import annotations

from typing import Any

import luigi

from .completion import dependencies, describe_target, outputs
from .survey import COMPLETE, Survey
from .visibility import invisible_targets, why_invisible


def describe_if_asked(task: luigi.Task, request: dict[str, Any], is_complete: bool) -> dict[str, Any]:
    """What has to be known before a task is made on another machine: the facts ``inputs`` and ``invisible``.

    :param request: says by ``inputs`` whether that is asked at all, by ``force`` whether of a complete task too, and by
        ``threads`` how many ``complete()`` may be asked at once
    """
    if not request.get("inputs") or (is_complete and not request.get("force")):
        return {}
    threads = int(request.get("threads") or 1)
    return {"inputs": describe_inputs(task, threads=threads), "invisible": invisible_targets(task)}


def describe_inputs(task: luigi.Task, *, threads: int) -> list[dict[str, Any]]:
    """The outputs of what the task requires, and of what has to be complete so that the rest can be made with it.

    Luigi makes an incomplete requirement in the same run, so what is read then is what that one requires in turn.

    :param threads: how many ``complete()`` may be asked at once
    :returns: each target as :func:`~.completion.describe_outputs` does, with its ``task``, ``task_id``, whether that
        is ``complete``, and why another machine cannot see it (``invisible``, None where it can)
    """
    direct = {one.task_id for one in dependencies(task)}
    survey = Survey(threads=threads)
    survey.add(dependencies(task))
    return [
        {
            **describe_target(target),
            "task": str(one.task),
            "task_id": key,
            "complete": one.state == COMPLETE,
            "invisible": why_invisible(target),
        }
        for key, one in survey.nodes.items()
        if one.state == COMPLETE or key in direct
        for target in outputs(one.task)
    ]
