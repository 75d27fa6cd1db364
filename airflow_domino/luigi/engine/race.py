"""Whether a run failed only since another process made the task's target while this one wrote its result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import luigi
from luigi.target import FileAlreadyExists, FileSystemTarget

from .completion import outputs
from .outcome import Problem

_plain_temporary_path: Any = FileSystemTarget.temporary_path


def notice_races() -> None:
    """Let ``temporary_path()`` of Luigi's targets note, in this process, that its target appeared within its block."""
    FileSystemTarget.temporary_path = _temporary_path  # type: ignore[method-assign, assignment]


@contextlib.contextmanager
def _temporary_path(target: FileSystemTarget) -> Iterator[str]:
    was_absent, is_written = _is_absent(target), False
    try:
        with _plain_temporary_path(target) as path:
            yield path
            is_written = True
    except FileAlreadyExists as error:
        if was_absent and is_written:
            error.appeared = target.path  # type: ignore[attr-defined]
        raise


def _is_absent(target: FileSystemTarget) -> bool:
    try:
        return not target.exists()
    except Exception:
        return False  # nothing is concluded from it


def lost_race(error: BaseException, task: luigi.Task) -> bool:
    """Whether a run ended since Luigi refused to move its result to a target that appeared while it was written.

    ``FileAlreadyExists`` alone does not say that: Luigi raises it of folders too, and of a target that the run itself
    has made before, half perhaps.

    :param error: what the run raised
    :param task: the task; a target that is none of its outputs does not count
    """
    appeared = getattr(error, "appeared", None)
    if not isinstance(error, FileAlreadyExists) or appeared is None:
        return False
    with contextlib.suppress(Problem):
        return any(isinstance(one, FileSystemTarget) and one.path == appeared for one in outputs(task))
    return False
