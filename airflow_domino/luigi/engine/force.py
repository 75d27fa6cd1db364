"""Making complete tasks again: which ones, and their old outputs moved aside, which nothing here ever deletes."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import luigi
from luigi.target import FileSystem, FileSystemTarget

from .completion import dependencies, is_complete, is_external, outputs
from .loading import describe_error
from .naming import aside_name, time_stamp
from .outcome import FORCE_IMPOSSIBLE, Problem

_MOST_TASKS = 100_000
_YOURSELF = "Move it away yourself and start without force"


@dataclass(frozen=True)
class Graph:
    """A task with all that it requires, complete or not.

    :param tasks: each task once, by its id
    :param requires: the ids of what it requires, by its id
    """

    tasks: dict[str, luigi.Task]
    requires: dict[str, list[str]]


def whole_graph(root: luigi.Task) -> Graph:
    """The graph below a task; what an external task requires is nobody's business here.

    :raises Problem: it has no end in sight
    """
    graph = Graph({root.task_id: root}, {})
    waiting = [root]
    while waiting:
        task = waiting.pop()
        required = [] if is_external(task) else dependencies(task)
        graph.requires[task.task_id] = [one.task_id for one in required]
        for one in required:
            if one.task_id not in graph.tasks:
                graph.tasks[one.task_id] = one
                waiting.append(one)
        if len(graph.tasks) > _MOST_TASKS:
            raise Problem(FORCE_IMPOSSIBLE, f"The graph of {root} has no end in sight: force the root task alone")
    return graph


def forced_tasks(root: luigi.Task, force: Any, *, downstream: bool = False) -> list[luigi.Task]:
    """The tasks to make again.

    :param force: True for the root, or a list of families for those of the root's whole graph
    :param downstream: also all that requires one of these, up to the root
    :raises Problem: a family is not in the graph
    """
    if force is True:
        return [root]
    if not force:
        return []
    families = [force] if isinstance(force, str) else list(force)
    graph = whole_graph(root)
    known = {task.task_family for task in graph.tasks.values()}
    if unknown := sorted(set(families) - known):
        there = ", ".join(sorted(known))
        raise Problem(FORCE_IMPOSSIBLE, f"{root} requires no task {', '.join(unknown)} to make again; it has: {there}")
    if downstream:
        return downstream_of(graph, families)
    return [task for task in graph.tasks.values() if task.task_family in families]


def downstream_of(graph: Graph, families: Sequence[str]) -> list[luigi.Task]:
    """The tasks of some families, and all tasks of the graph that require one of them, directly or not.

    :param graph: see :func:`whole_graph`
    :param families: names of task families
    """
    required_by: dict[str, list[str]] = {}
    for key, required in graph.requires.items():
        for one in required:
            required_by.setdefault(one, []).append(key)
    waiting = [key for key, task in graph.tasks.items() if task.task_family in families]
    found = set(waiting)
    while waiting:
        for key in required_by.get(waiting.pop(), ()):
            if key not in found:
                found.add(key)
                waiting.append(key)
    return [task for key, task in graph.tasks.items() if key in found]


def move_aside(tasks: list[luigi.Task]) -> list[dict[str, str]]:
    """Move the outputs of tasks aside for good, so that the tasks are due.

    :param tasks: the tasks to make again, in other processes perhaps
    :returns: ``task_id``, ``path`` and ``aside`` of each output that was moved
    :raises Problem: one of the tasks cannot be made again; then everything is where it was
    """
    aside = Aside(tasks)
    aside.move()
    return [{"task_id": one.task.task_id, "path": one.path, "aside": one.aside} for one in aside.moved]


class Aside:
    """Moves the outputs of forced tasks aside while these are made again.

    In a ``with`` block an exception brings back what has not been made anew. What was made anew leaves the old
    outputs where they are, beside the new ones, under the name ``<name>.before-force-<time of the move>``.

    :param tasks: the tasks to make again
    """

    def __init__(self, tasks: list[luigi.Task]) -> None:
        self._tasks = tasks
        self.moved: list[_Output] = []

    def __enter__(self) -> Aside:
        self.move()
        return self

    def move(self) -> None:
        """Move them; all or none.

        :raises Problem: one of the tasks cannot be made again
        """
        stamp = time_stamp()
        try:
            for one in _find_outputs(self._tasks, stamp):
                self._move(one)
            self._check_incomplete()
        except BaseException:
            self._put_back()
            raise

    def _move(self, one: _Output) -> None:
        if not one.is_there(one.path):
            return  # in a folder that was moved a moment ago
        self.moved.append(one)  # first: an interrupted move is put back too
        try:
            one.move(one.path, one.aside)
        except Exception as error:
            traceback.print_exc()
            raise Problem(
                FORCE_IMPOSSIBLE,
                f"{one.task} cannot be made again: moving {one.path} aside: {describe_error(error)}. {_YOURSELF}",
            ) from error
        if one.is_there(one.path):
            raise Problem(
                FORCE_IMPOSSIBLE,
                f"{one.task} cannot be made again: {one.path} is still there after a move. {_YOURSELF}",
            )
        _say(f"Made again on request: moved {one.path} to {one.aside}")

    def _check_incomplete(self) -> None:
        due = {one.task.task_id for one in self.moved}
        for task in self._tasks:
            asks_outputs = type(task).complete is luigi.Task.complete
            if not (asks_outputs and task.task_id in due) and is_complete(task):
                raise Problem(
                    FORCE_IMPOSSIBLE,
                    f"{task} cannot be made again on request: it is complete without its outputs being there"
                    " (a wrapper task, or a complete() of its own). Name the families to make again instead",
                )

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is not None:
            self._put_back()

    def _put_back(self) -> None:
        for one in reversed(self.moved):
            try:
                one.put_back()
            except Exception as error:
                traceback.print_exc()
                _say(f"{one.path} could not be put back and stays at {one.aside}: {describe_error(error)}")
        self.moved.clear()


@dataclass(frozen=True)
class _Output:
    """Something that a task has made: a file, a folder or what its file system has instead.

    :param path: where it is
    :param aside: where it goes
    """

    task: luigi.Task
    target: FileSystemTarget
    path: str
    aside: str

    def is_there(self, path: str) -> bool:
        return _is_there(self.target, path)

    def move(self, source: str, destination: str) -> None:
        fs: Any = self.target.fs
        (fs.move if _brings(fs, "move") else fs.rename)(source, destination)

    def put_back(self) -> None:
        if not self.is_there(self.aside):
            return
        if self.is_there(self.path):
            _say(f"There is a new {self.path}; the old one stays at {self.aside}")
            return
        self.move(self.aside, self.path)
        _say(f"Not made again: put {self.path} back")


def _find_outputs(tasks: list[luigi.Task], stamp: str) -> list[_Output]:
    """What there is to move; refuses before anything is moved."""
    found: dict[tuple[type, str], _Output] = {}
    for task in tasks:
        if is_external(task):
            raise _refusal(task, "it is external, so nothing here can make it")
        for target in outputs(task):
            if (one := _output(task, target, stamp)) is not None:
                found.setdefault((type(target), one.path), one)
    return list(found.values())


def _output(task: luigi.Task, target: luigi.Target, stamp: str) -> _Output | None:
    """What is to be moved; None when there is nothing.

    :raises Problem: it is there and cannot be moved
    """
    if not isinstance(target, FileSystemTarget):
        if _ask(task, target.exists):
            kind = type(target).__name__
            raise _refusal(task, f"its output {target!r} is a {kind}, which has no place to be moved from")
        return None
    path = _place(task, target)
    if not _ask(task, lambda: _is_there(target, path)):
        return None
    fs = target.fs
    if not (_brings(fs, "move") or _brings(fs, "rename")):
        raise _refusal(task, f"its output {path} is in a {type(fs).__name__}, which cannot move anything")
    if _ask(task, lambda: _is_file_and_folder(fs, path)):
        raise _refusal(task, f"its output {path} is the name of an object and of a folder, which do not move together")
    return _Output(task, target, path, aside_name(path, stamp, lambda name: _is_there(target, name)))


def _place(task: luigi.Task, target: FileSystemTarget) -> str:
    path = str(target.path)
    if isinstance(target, luigi.LocalTarget):
        return str(Path(path).absolute())
    # With a slash at its end, an object store's client takes a folder for the empty object that marks it.
    bare = path.rstrip("/")
    return bare if bare != path and _ask(task, lambda: _is_there(target, bare)) else path


def _ask(task: luigi.Task, question: Any) -> bool:
    try:
        return bool(question())
    except Exception as error:
        traceback.print_exc()
        raise _refusal(task, f"its outputs cannot be looked at: {describe_error(error)}") from error


def _is_there(target: FileSystemTarget, path: str) -> bool:
    # A link whose end is gone is there too, for somebody who wants to write at its place.
    return os.path.lexists(path) if isinstance(target, luigi.LocalTarget) else bool(target.fs.exists(path))


def _brings(fs: Any, verb: str) -> bool:
    """Whether a file system has the verb itself: Luigi's base class has all of them, and most of them only raise."""
    brought = getattr(type(fs), verb, None)
    return callable(brought) and brought is not getattr(FileSystem, verb)


def _is_file_and_folder(fs: Any, path: str) -> bool:
    # Luigi's clients of S3 and GCS then copy the folder and delete the object.
    if hasattr(fs, "get_key"):
        return fs.get_key(path) is not None and bool(fs.isdir(path))
    if hasattr(fs, "_obj_exists"):
        return bool(fs._obj_exists(*fs._path_to_bucket_and_key(path)) and fs.isdir(path))
    return False


def _refusal(task: luigi.Task, reason: str) -> Problem:
    return Problem(
        FORCE_IMPOSSIBLE,
        f"{task} cannot be made again on request: {reason}. {_YOURSELF}",
    )


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
