"""Asking a task whether it is complete, and saying what its outputs are."""

from __future__ import annotations

import traceback
from typing import Any

import luigi
from luigi.task import flatten

from .loading import describe_error
from .outcome import COMPLETE_FAILED, COMPLETE_NOT_BOOL, REQUIRES_FAILED, Problem

_CORRECT = "Correct it, or what it asks; the whole traceback is in the log"


def is_complete(task: luigi.Task) -> bool:
    """The task's own ``complete()``, held to Luigi's rule that the answer is True or False.

    :raises Problem: it raised, or answered something else
    """
    try:
        answer = task.complete()
    except Exception as error:
        traceback.print_exc()
        raise Problem(COMPLETE_FAILED, f"complete() of {task} raised {describe_error(error)}. {_CORRECT}") from error
    if not isinstance(answer, bool):
        raise Problem(COMPLETE_NOT_BOOL, f"complete() of {task} returned {answer!r}: it must return True or False")
    return answer


def dependencies(task: luigi.Task) -> list[luigi.Task]:
    """What the task requires, flat.

    :raises Problem: ``requires()`` raised, or named something that is no task
    """
    try:
        required = list(task.deps())
    except Exception as error:
        traceback.print_exc()
        raise Problem(REQUIRES_FAILED, f"requires() of {task} raised {describe_error(error)}. {_CORRECT}") from error
    for one in required:
        if not isinstance(one, luigi.Task):
            raise Problem(
                REQUIRES_FAILED,
                f"requires() of {task} names {one!r}, which is not a Luigi task; name instances, such as Orders()",
            )
    return required


def is_external(task: luigi.Task) -> bool:
    """Whether nobody here makes the task's outputs (Luigi: ``run`` is None)."""
    return task.run is None or task.run == NotImplemented


def runs_each_time(task: luigi.Task) -> bool:
    """Whether a task has nothing to look at, so that Luigi runs it each time, and its success is all there is.

    :raises Problem: ``output()`` raised
    """
    return type(task).complete is luigi.Task.complete and not outputs(task)


def outputs(task: luigi.Task) -> list[luigi.Target]:
    """The task's targets, flat.

    :raises Problem: ``output()`` raised
    """
    try:
        return list(flatten(task.output()))
    except Exception as error:
        traceback.print_exc()
        raise Problem(COMPLETE_FAILED, f"output() of {task} raised {describe_error(error)}. {_CORRECT}") from error


def describe_outputs(task: luigi.Task) -> list[dict[str, Any]]:
    """Each target: its path (or what it is), kind, whether it is a local file, and whether it exists."""
    return [describe_target(target) for target in outputs(task)]


def describe_target(target: luigi.Target) -> dict[str, Any]:
    """One target, as :func:`describe_outputs` tells it."""
    return {
        "path": str(getattr(target, "path", target)),
        "kind": type(target).__name__,
        "local": isinstance(target, luigi.LocalTarget),
        "exists": _exists(target),
    }


def _exists(target: Any) -> bool | None:
    try:
        return bool(target.exists())
    except Exception as error:
        print(f"Cannot tell whether {target} exists: {describe_error(error)}", flush=True)  # noqa: T201
        return None


def missing_outputs(task: luigi.Task) -> list[str]:
    """The paths of the task's targets that do not exist."""
    return [output["path"] for output in describe_outputs(task) if not output["exists"]]
