"""Asking a task whether it is complete, and saying what its outputs are."""

from __future__ import annotations

import contextlib
import traceback
from typing import Any

import luigi
from luigi.task import flatten

from .loading import describe_error
from .masking import kept_text
from .outcome import COMPLETE_FAILED, COMPLETE_NOT_BOOL, REQUIRES_FAILED, Problem

_CORRECT = "Correct it, or what it asks; the whole traceback is in the log"


def is_complete(task: luigi.Task) -> bool:
    """The task's own ``complete()``, held to Luigi's rule for its answer (:func:`truth`).

    :raises Problem: it raised, or answered something else
    """
    try:
        answer = task.complete()
    except Exception as error:
        traceback.print_exc()
        raise Problem(COMPLETE_FAILED, f"complete() of {task} raised {describe_error(error)}. {_CORRECT}") from error
    return truth(answer, f"complete() of {task}")


def truth(answer: Any, asked: str) -> bool:
    """An answer as True or False: Luigi takes whatever equals one of them (``luigi.worker.Worker``), such as NumPy's.

    :param asked: what gave the answer, for the message
    :raises Problem: it equals neither, or cannot be compared
    """
    with contextlib.suppress(Exception):  # arrays and tables have no single truth value
        if answer in (True, False):
            return bool(answer)
    raise Problem(
        COMPLETE_NOT_BOOL,
        f"{asked} returned {_written(answer)}: Luigi takes only what equals True or False, such as 1, 0 or a"
        " numpy.bool_; return one of these",
    )


def _written(answer: Any) -> str:
    try:
        return kept_text(repr(answer))
    except Exception:
        return f"an {type(answer).__name__}"


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
