"""Keeps the values of private parameters out of what is printed and stored: by the engine, and by Luigi itself."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Any

import luigi
from luigi import execution_summary

from .loading import is_private
from .masking import keep_secret

_plain_init: Any = luigi.Task.__init__
_plain_repr: Any = luigi.Task.__repr__
_plain_length: Any = execution_summary._get_len_of_params
_TOO_LONG = 1_000


def hide_private_values() -> None:
    """Let tasks be written without them, in this process, and mask them in texts of users' code.

    Luigi leaves them out of a task's id, but not out of ``str(task)`` and of the summary at the end.
    """
    luigi.Task.__init__ = _made  # type: ignore[method-assign, assignment]
    luigi.Task.__repr__ = _shown  # type: ignore[method-assign]
    execution_summary._get_len_of_params = _length


def _made(task: Any, *args: Any, **kwargs: Any) -> None:
    _plain_init(task, *args, **kwargs)
    for name, parameter in _private_of(task.__class__):
        value = task.param_kwargs[name]
        keep_secret([value])
        with contextlib.suppress(Exception):  # what cannot be written is in no text
            keep_secret([str(parameter.serialize(value))])


@cache
def _private_of(cls: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((name, parameter) for name, parameter in cls.get_params() if is_private(parameter))


def _shown(task: Any) -> str:
    if not _has_private(task):
        return str(_plain_repr(task))
    values = [
        f"{name}={parameter.serialize(task.param_kwargs[name])}"
        for name, parameter in task.get_params()
        if parameter.significant and not is_private(parameter)
    ]
    return f"{task.get_task_family()}({', '.join(values)})"


def _length(task: Any) -> int:
    # The summary writes "Family(...)" for a task whose parameters would make a long line.
    return _TOO_LONG if _has_private(task) else int(_plain_length(task))


def _has_private(task: Any) -> bool:
    return bool(_private_of(task.__class__))
