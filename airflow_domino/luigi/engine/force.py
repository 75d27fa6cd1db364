"""Making complete tasks again: their local outputs are moved aside, and come back if the new attempt fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import luigi

from .completion import dependencies, is_complete, outputs
from .outcome import FORCE_IMPOSSIBLE, Problem

_SUFFIX = ".before-force"
_MOST_TASKS = 100_000


def forced_tasks(root: luigi.Task, force: Any) -> list[luigi.Task]:
    """The tasks to make again.

    :param force: True for the root, or a list of families for those of the root's whole graph
    :raises Problem: a family is not in the graph
    """
    if force is True:
        return [root]
    if not force:
        return []
    families = [force] if isinstance(force, str) else list(force)
    graph = _graph(root)
    unknown = sorted(set(families) - {task.task_family for task in graph})
    if unknown:
        known = ", ".join(sorted({task.task_family for task in graph}))
        raise Problem(FORCE_IMPOSSIBLE, f"{root} requires no task {', '.join(unknown)} to make again; it has: {known}")
    return [task for task in graph if task.task_family in families]


def _graph(root: luigi.Task) -> list[luigi.Task]:
    found = {root.task_id: root}
    waiting = [root]
    while waiting:
        for task in dependencies(waiting.pop()):
            if task.task_id not in found:
                found[task.task_id] = task
                waiting.append(task)
        if len(found) > _MOST_TASKS:
            raise Problem(FORCE_IMPOSSIBLE, f"The graph of {root} has no end in sight: force the root task alone")
    return list(found.values())


class Aside:
    """Holds the local outputs of forced tasks while these are made again.

    :param tasks: the tasks to make again
    """

    def __init__(self, tasks: list[luigi.Task]) -> None:
        self._tasks = tasks
        self._moved: list[Path] = []

    def __enter__(self) -> Aside:
        paths = [path for task in self._tasks for path in _local_paths(task)]
        try:
            for path in paths:
                self._move(path)
            for task in self._tasks:
                _check_incomplete(task)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _move(self, path: Path) -> None:
        if os.path.lexists(path):
            _remove(_aside(path))
            path.rename(_aside(path))
            print(f"Made again on request: moved {path} aside", flush=True)  # noqa: T201
        if os.path.lexists(_aside(path)):
            self._moved.append(path)

    def __exit__(self, *exception: object) -> None:
        for path in self._moved:
            if os.path.lexists(path):
                _remove(_aside(path))
            else:
                _aside(path).rename(path)
                print(f"Not made again: put {path} back", flush=True)  # noqa: T201
        self._moved.clear()


def _local_paths(task: luigi.Task) -> list[Path]:
    targets = outputs(task)
    foreign = [target for target in targets if not isinstance(target, luigi.LocalTarget)]
    if foreign:
        raise Problem(
            FORCE_IMPOSSIBLE,
            f"{task} cannot be made again on request: its output {foreign[0]!r} is not a local file that could be"
            " moved aside. Move it away yourself and start without force",
        )
    return [Path(str(target.path)).absolute() for target in targets if isinstance(target, luigi.LocalTarget)]


def _check_incomplete(task: luigi.Task) -> None:
    if is_complete(task):
        raise Problem(
            FORCE_IMPOSSIBLE,
            f"{task} cannot be made again on request: it is complete without its outputs being there"
            " (a wrapper task, or a complete() of its own). Name the families to make again instead",
        )


def _aside(path: Path) -> Path:
    return path.with_name(path.name + _SUFFIX)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
