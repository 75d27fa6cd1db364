"""What a task is going to read: the targets of the complete tasks that it rests on."""

from __future__ import annotations

from typing import Any

import luigi

from .completion import dependencies, describe_target, outputs
from .picture import Picture
from .survey import COMPLETE, DUE, Survey
from .visibility import invisible_targets, why_invisible


def describe_if_asked(task: luigi.Task, request: dict[str, Any], is_complete: bool) -> dict[str, Any]:
    """What has to be known before a task is made on another machine: the facts ``inputs``, ``invisible`` and ``graph``.

    :param request: says by ``inputs`` whether that is asked at all, by ``force`` whether of a complete task too, and by
        ``threads`` how many ``complete()`` may be asked at once
    """
    if not request.get("inputs"):
        return {}
    drawn = Picture()
    if is_complete and not request.get("force"):
        drawn.add(task, (), COMPLETE)
        return {"graph": drawn.facts(task)}
    survey = Survey(threads=int(request.get("threads") or 1))
    inputs = describe_inputs(task, survey)
    drawn.add(task, [one.task_id for one in dependencies(task)], DUE)
    drawn.add_survey(survey)
    return {"inputs": inputs, "invisible": invisible_targets(task), "graph": drawn.facts(task)}


def describe_inputs(task: luigi.Task, survey: Survey) -> list[dict[str, Any]]:
    """The outputs of what the task requires, and of what has to be complete so that the rest can be made with it.

    Luigi makes an incomplete requirement in the same run, so what is read then is what that one requires in turn.

    :param survey: asks what is complete
    :returns: each target as :func:`~.completion.describe_outputs` does, with its ``task``, ``task_id``, whether that
        is ``complete``, and why another machine cannot see it (``invisible``, None where it can)
    """
    direct = {one.task_id for one in dependencies(task)}
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
