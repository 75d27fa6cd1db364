"""The graph of an engine's tasks, for people who look at it elsewhere: each task's state, parameters and targets."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import luigi
from luigi.task import flatten

from .completion import is_external
from .journal import PENDING, PROGRESS, RUNNING, STATUS, TRACKING_URL
from .lineage import public_params, without_credentials
from .survey import Survey

MOST_TASKS = 10_000
#: Of so many also parameters and targets are told; of as many more, where something is wrong with them.
MOST_DESCRIBED = 5_000
_MOST_FOLDERS = 500
_MOST_TARGETS = 50
_LONGEST_TEXT = 1_000
_SECONDS_BETWEEN = 2.0
# Writing must not take more of an engine's time than this part of it.
_LARGEST_SHARE = 0.02
_GOOD = frozenset({"complete", "done", "not_needed"})
_WAITING_STATES = {"due": PENDING, "complete_failed": "scheduling_failed", "requires_failed": "scheduling_failed"}


class Picture:
    """Draws what it hears of the tasks: from a journal, or told by :meth:`add`.

    :param path: where to write how things stand, every few seconds while they change; None for nowhere
    :param most_tasks: of any more only the number is told
    """

    def __init__(self, path: str | None = None, *, most_tasks: int = MOST_TASKS) -> None:
        self._path = path
        self._most_tasks = most_tasks
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._tasks: dict[str, dict[str, Any]] = {}
        self._requires: dict[str, tuple[str, ...]] = {}
        self._sources: dict[str, luigi.Task] = {}
        self._left_out: set[str] = set()
        self._room = MOST_DESCRIBED
        self._changes = 0
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, entry: Mapping[str, Any]) -> None:
        """Take one entry of the journal (:class:`.journal.Journal`)."""
        if os.getpid() != self._process:
            return
        with self._lock:
            shown = self._tasks.get(entry["task_id"]) or self._add(entry["task_id"], entry.get("task"))
            if shown is None:
                return
            if entry.get("requires"):
                self._requires[entry["task_id"]] = tuple(entry["requires"])
            _change(shown, entry)
            self._changes += 1
        if self._path is not None and self._thread is None:
            self._thread = threading.Thread(target=self._keep_writing, name="draw-graph", daemon=True)
            self._thread.start()

    def add(self, task: luigi.Task, requires: Iterable[str], state: str) -> None:
        """Draw a task of which nothing more is to be heard.

        :param requires: Luigi ids
        :param state: in the journal's words, or the survey's
        """
        if task.task_id not in self._tasks:
            event = _WAITING_STATES.get(state, state)
            self.note({"task_id": task.task_id, "event": event, "task": task, "requires": tuple(requires)})

    def add_survey(self, survey: Survey) -> None:
        """Draw what has been looked at."""
        for one in survey.nodes.values():
            self.add(one.task, one.requires, one.state)

    def facts(self, root: luigi.Task) -> dict[str, Any]:
        """The whole graph as plain values.

        - ``root``: Luigi's id of the task that was asked for
        - ``tasks``: each with ``id``, ``module``, ``family``, ``state`` (the journal's words), and where there is
          something to tell ``params`` (public ones, as text), ``targets`` (``path`` or address, and ``kind``),
          ``requires`` (places in this list), ``seconds``, ``message``, ``url``, ``progress``, ``tier``,
          ``is_external``, ``is_wrapper``
        - ``folders``: inode and time of change of the folders of local targets, by which other processes tell whether
          they see the same folder
        - ``more``: how many tasks are left out
        """
        with self._lock:
            for task_id, shown in self._tasks.items():
                if "targets" not in shown and shown.get("state") not in _GOOD and self._room > -MOST_DESCRIBED:
                    self._describe(shown, self._sources[task_id])  # where something is wrong, more is wanted
                elif "targets" in shown and shown["targets"] is None:  # could not be told before it was made
                    shown["targets"] = _targets(self._sources[task_id]) or []
            return self._facts(root.task_id) | {"folders": _folders(self._tasks.values())}

    def close(self) -> None:
        """Write no more."""
        self._is_over.set()

    def _add(self, task_id: str, task: Any) -> dict[str, Any] | None:
        if not isinstance(task, luigi.Task):
            return None
        if len(self._tasks) >= self._most_tasks:
            self._left_out.add(task_id)
            return None
        shown: dict[str, Any] = {"id": task_id, "module": type(task).__module__, "family": task.task_family}
        if self._room > 0:
            self._describe(shown, task)
        more = {
            "is_external": is_external(task),
            "is_wrapper": isinstance(task, luigi.WrapperTask),
            "tier": getattr(task, "domino_run_tier", None),
        }
        shown |= {name: value for name, value in more.items() if value}
        self._sources[task_id] = task
        self._tasks[task_id] = shown
        return shown

    def _describe(self, shown: dict[str, Any], task: luigi.Task) -> None:
        self._room -= 1
        shown |= {"params": public_params(task), "targets": _targets(task)}

    def _facts(self, root: str | None = None) -> dict[str, Any]:
        places = {task_id: place for place, task_id in enumerate(self._tasks)}
        tasks = []
        for task_id, shown in self._tasks.items():
            requires = [places[one] for one in self._requires.get(task_id, ()) if one in places]
            told = {name: value for name, value in shown.items() if value not in (None, "", [], {}, 0.0)}
            tasks.append({**told, "requires": requires} if requires else told)
        return {"root": root, "tasks": tasks, "more": len(self._left_out)}

    def _keep_writing(self) -> None:
        seconds, written = _SECONDS_BETWEEN, 0
        while not self._is_over.wait(seconds):
            if self._changes == written:
                continue
            began = time.monotonic()
            with self._lock:
                written, facts = self._changes, self._facts()
            self._write(json.dumps(facts))
            seconds = max(_SECONDS_BETWEEN, (time.monotonic() - began) / _LARGEST_SHARE)

    def _write(self, text: str) -> None:
        part = Path(f"{self._path}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(str(self._path))


def _change(shown: dict[str, Any], entry: Mapping[str, Any]) -> None:
    event = entry["event"]
    if event == TRACKING_URL:
        shown["url"] = entry["url"]
    elif event == STATUS:
        shown["message"] = entry["message"]
    elif event == PROGRESS:
        shown["progress"] = round(float(entry["percentage"]))
    else:
        if event == RUNNING:  # nothing is left of a former attempt
            for name in ("url", "message", "progress", "seconds"):
                shown.pop(name, None)
        shown["state"] = event
        if entry.get("seconds"):
            shown["seconds"] = round(float(entry["seconds"]), 3)
        if entry.get("message"):
            shown["message"] = entry["message"]


def _targets(task: luigi.Task) -> list[dict[str, str]] | None:
    """The task's targets; None where ``output()`` cannot tell now."""
    try:
        return [_target(one) for one in list(flatten(task.output()))[:_MOST_TARGETS]]
    except Exception:  # whoever needs the outputs tells what is wrong with them
        return None


def _target(target: Any) -> dict[str, str]:
    kind = type(target).__name__
    path = getattr(target, "path", None)
    if path is None:
        return {"kind": kind}
    if isinstance(target, luigi.LocalTarget):
        return {"kind": kind, "path": os.path.normpath(Path(str(path)).absolute())}
    shown = without_credentials(str(path)) if "://" in str(path) else str(path)
    return {"kind": kind, "path": shown[:_LONGEST_TEXT]}


def _folders(tasks: Iterable[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Inode and time of the last change of the working folder and of those that hold local targets."""
    wanted = [str(Path.cwd())]
    for task in tasks:
        for target in task.get("targets") or ():
            if str(target.get("path", "")).startswith("/"):
                wanted.append(str(Path(target["path"]).parent))
    found = {}
    for folder in list(dict.fromkeys(wanted))[:_MOST_FOLDERS]:
        try:
            status = Path(folder).stat()
        except OSError:
            continue
        found[folder] = [status.st_ino, int(status.st_mtime)]
    return found
