"""Whether a run failed only since another process had made the task's target in the meantime."""

from __future__ import annotations

import traceback
from types import FrameType

import luigi
from luigi.target import FileAlreadyExists, FileSystem, FileSystemTarget

from .completion import outputs

_MOVES = ("move", "rename", "rename_dont_move")


def absent_files(task: luigi.Task) -> frozenset[str]:
    """The paths of those of a task's targets that Luigi moves into place, and that do not exist yet.

    A target that cannot be asked counts as existing, so that nothing is concluded from it.
    """
    try:
        return frozenset(one.path for one in outputs(task) if isinstance(one, FileSystemTarget) and not one.exists())
    except Exception:
        return frozenset()


def lost_race(error: BaseException, absent: frozenset[str]) -> bool:
    """Whether a run ended since Luigi refused to move its result to a target that had come into existence meanwhile.

    Luigi raises ``FileAlreadyExists`` for this (``temporary_path()``, ``move(raise_if_exists=True)``), but also for a
    folder that ``mkdir(raise_if_exists=True)`` finds, which says nothing of the target. Python's own
    ``FileExistsError`` never comes from Luigi: it is about whatever the author's code tried to make.

    :param error: what the run raised
    :param absent: :func:`absent_files` right before the run
    """
    return isinstance(error, FileAlreadyExists) and any(
        _destination(frame) in absent for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def _destination(frame: FrameType) -> object:
    """Where a move of a file system goes to: ``move(self, path, dest)``; None for any other call."""
    code, values = frame.f_code, frame.f_locals
    names = code.co_varnames[: code.co_argcount]
    if code.co_name not in _MOVES or len(names) < 3 or not isinstance(values.get(names[0]), FileSystem):
        return None
    return values.get(names[2])
