"""Tells a central Luigi scheduler (``luigid``) what becomes of each task here, so that its page shows it.

Nothing here may slow or fail a task: what happens is noted in memory, and one thread tells the latest of it.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import luigi

from .journal import PENDING, PROGRESS, RUNNING, STATUS, TRACKING_URL, Journal
from .luigid import Luigid, LuigidError

MOST_TASKS = 2_000
FLUSH_SECONDS = 2.0
# luigid gives up a worker that was silent for a minute ([scheduler] worker_disconnect_delay), and fails its tasks.
_PING_SECONDS = 20.0
# What happens within it is told as one change.
_GATHER_SECONDS = 0.1
# After each failure it is left alone for longer. A luigid that is merely started anew is back before it is given up.
_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_TRIES = 5
_LONGEST_TEXT = 10_000

# Events of the journal, in luigid's words (luigi.task_status). What waits for a failed task stays pending: luigid's
# page shows by itself that something above it failed.
_DONE, _FAILED, _RUNNING, _PENDING, _UNKNOWN = "DONE", "FAILED", "RUNNING", "PENDING", "UNKNOWN"
_STATUSES = {
    PENDING: _PENDING,
    RUNNING: _RUNNING,
    "complete": _DONE,
    "done": _DONE,
    "failed": _FAILED,
    "external_missing": _PENDING,
    "upstream_failed": _PENDING,
    "not_run": _PENDING,
    "scheduling_failed": _UNKNOWN,
    "disabled": "DISABLED",
}
# Parts of the room for tasks: complete ones leave some to those that run, and one that fails is always of interest.
_SHARES = {"complete": 0.5, "failed": 2.0}


@dataclass(frozen=True)
class _Shown:
    """What luigid's page shows of a task."""

    status: str
    tracking_url: str | None = None
    message: str | None = None
    progress: int | None = None
    explanation: str | None = None
    requires: tuple[str, ...] = ()


_NOTHING = _Shown("")


@dataclass
class _Known:
    """A task: what does not change, what luigid should show of it, and what it was told to show last."""

    facts: dict[str, Any]
    wanted: _Shown
    told: _Shown = _NOTHING


class Reporter:
    """Keeps luigid informed about the tasks of one engine, from :meth:`start` to :meth:`close`.

    All processes of a DAG run report as the same worker: luigid takes the end of a task from nobody but the worker that
    it saw begin it.

    :param luigid: the scheduler
    :param worker: id of the worker that luigid sees
    :param info: what luigid's page tells of the worker
    :param tracking_url: where to follow a task that does not say so itself
    :param most_tasks: tell of no more tasks than this, but of as many again if they fail
    """

    def __init__(
        self,
        luigid: Luigid,
        worker: str,
        info: Mapping[str, Any],
        *,
        tracking_url: str | None = None,
        most_tasks: int = MOST_TASKS,
    ) -> None:
        self._luigid = luigid
        self._worker = worker
        self._info = dict(info)
        self._tracking_url = tracking_url
        self._most_tasks = most_tasks
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._news: dict[str, None] = {}
        self._left_out: dict[str, Mapping[str, Any]] = {}
        self._has_news = threading.Event()
        self._is_closing = threading.Event()
        self._failures = 0
        self._is_quiet = False
        self._last_word = 0.0
        self._thread = threading.Thread(target=self._work, name="tell-luigid", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def note(self, entry: Mapping[str, Any]) -> None:
        """Take one entry of the journal (:class:`.journal.Journal`); luigid is told a moment later."""
        if os.getpid() != self._process:
            return
        with self._lock:
            known = self._known.get(entry["task_id"]) or self._add(entry)
            if known is None:
                return
            known.wanted = self._after(known.wanted, entry)
            self._news[entry["task_id"]] = None
        if not self._has_news.is_set():
            self._has_news.set()

    def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Tell the rest, and stop. A task that still runs now is told to have failed: its process is about to end.

        :param seconds: the longest to wait for that
        """
        with self._lock:
            for task_id, known in self._known.items():
                if known.wanted.status == _RUNNING:
                    explanation = "The process that ran it ended before it did"
                    known.wanted = replace(known.wanted, status=_FAILED, explanation=explanation)
                    self._news[task_id] = None
        self._is_closing.set()
        self._has_news.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._be_quiet(f"it did not take the last news within {seconds:g} s")

    def _add(self, entry: Mapping[str, Any]) -> _Known | None:
        """Make room for a task, if there is any; children of this process do not tell of tasks that nobody planned."""
        if len(self._known) >= self._most_tasks * _SHARES.get(entry["event"], 1.0):
            if not self._left_out:
                _say(f"Too many Luigi tasks for luigid: it is told of {self._most_tasks}, and of those that fail")
            self._left_out.setdefault(entry["task_id"], entry)
            return None
        source = self._left_out.pop(entry["task_id"], entry)
        task = source.get("task")
        if not isinstance(task, luigi.Task):
            return None
        shown = _Shown(_PENDING, requires=tuple(source.get("requires") or ()))
        known = self._known[entry["task_id"]] = _Known(_facts(task, source), shown)
        return known

    def _after(self, now: _Shown, entry: Mapping[str, Any]) -> _Shown:
        """What luigid should show after an event."""
        event = entry["event"]
        if event == TRACKING_URL:
            return replace(now, tracking_url=entry["url"])
        if event == STATUS:
            return replace(now, message=entry["message"])
        if event == PROGRESS:
            return replace(now, progress=round(float(entry["percentage"])))
        status = _STATUSES.get(event, now.status)
        if status == _RUNNING:
            return _Shown(status, self._tracking_url, requires=now.requires)  # nothing is left of a former attempt
        why = entry.get("explanation") or entry.get("message") or event
        explanation = str(why) if status in (_FAILED, _UNKNOWN) else ""
        requires = tuple(entry.get("requires") or now.requires)
        return replace(now, status=status, explanation=explanation, requires=requires)

    def _work(self) -> None:
        try:
            while not self._wait():
                self._try_to_tell()
            if not self._is_quiet:
                self._try_to_tell()
            if self._failures and not self._is_quiet:  # luigid may have been started anew just then
                self._try_to_tell(is_last=True)
        except Exception as error:
            traceback.print_exc()
            self._be_quiet(f"{type(error).__name__}: {error}")
        finally:
            self._luigid.close()

    def _wait(self) -> bool:
        """Wait until there is something to tell, and while luigid is left alone.

        :returns: whether it is over
        """
        if self._failures:
            self._is_closing.wait(_PAUSES[min(self._failures, len(_PAUSES)) - 1])
        else:
            self._has_news.wait(_PING_SECONDS)
            self._is_closing.wait(_GATHER_SECONDS)
        return self._is_closing.is_set()

    def _try_to_tell(self, *, is_last: bool = False) -> None:
        try:
            self._tell()
        except LuigidError as error:
            self._failures += 1
            if self._failures >= _TRIES or is_last:
                self._be_quiet(str(error))
            return
        if self._is_quiet:
            _say(f"Luigi's central scheduler {self._luigid} can be told again")
        self._failures, self._is_quiet = 0, False

    def _be_quiet(self, reason: str) -> None:
        if not self._is_quiet:
            self._is_quiet = True
            _say(f"Luigi's central scheduler {self._luigid} cannot be told ({reason}): the task goes on without it")

    def _tell(self) -> None:
        """Tell what is new; on a new connection everything, since luigid may have begun anew."""
        if not self._luigid.is_connected and not self._introduce():
            return
        for task_id in self._take_news():
            self._tell_of(task_id)
        if time.monotonic() - self._last_word >= _PING_SECONDS:
            self._call("ping")

    def _introduce(self) -> bool:
        with self._lock:
            self._news = dict.fromkeys(self._known)
            for known in self._known.values():
                known.told = _NOTHING
        if not self._news:
            return False
        self._luigid.connect()
        if not self._call("add_worker", info=list(self._info.items())):
            self._luigid.close()
            raise LuigidError("what answers there is no luigid")
        return True

    def _take_news(self) -> list[str]:
        with self._lock:
            news, self._news = list(self._news), {}
            self._has_news.clear()
            if self._is_closing.is_set():  # there may be no time for all: first what failed, then what came last
                news.reverse()
                news.sort(key=lambda task_id: self._known[task_id].wanted.status != _FAILED)
            return news

    def _tell_of(self, task_id: str) -> None:
        known = self._known[task_id]
        wanted, told = known.wanted, known.told
        known.told = wanted
        if replace(wanted, message=told.message, progress=told.progress) != told:
            self._call("add_task", task_id=task_id, **self._description(known, wanted, told))
        if wanted.status == _DONE and told.status == _RUNNING:
            # luigid ignores the end of a task that it saw another worker begin, as one of an earlier DAG run may have.
            self._luigid.call("mark_as_done", task_id=task_id)
        if wanted.message != told.message:
            self._luigid.call("set_task_status_message", task_id=task_id, status_message=wanted.message)
        if wanted.progress != told.progress:
            self._luigid.call("set_task_progress_percentage", task_id=task_id, progress_percentage=wanted.progress)

    def _description(self, known: _Known, wanted: _Shown, told: _Shown) -> dict[str, Any]:
        described = {**known.facts, "status": wanted.status, "tracking_url": wanted.tracking_url}
        if wanted.requires:
            described["deps"] = [task_id for task_id in wanted.requires if task_id in self._known]
            if told.status == _RUNNING and wanted.status == _PENDING:  # it waits for what its run() yielded
                described["new_deps"] = described["deps"]
        if wanted.explanation is not None:
            described["expl"] = json.dumps(wanted.explanation)
        return described

    def _call(self, method: str, **arguments: Any) -> bool:
        """Call a method by which luigid also knows that this worker is there."""
        self._last_word = time.monotonic()
        return self._luigid.call(method, worker=self._worker, **arguments)


@contextmanager
def reporting(scheduler: Mapping[str, Any] | None, journal: Journal, root: luigi.Task, workers: int) -> Iterator[None]:
    """Tell luigid what the journal tells, as long as the block lasts.

    :param scheduler: ``url`` of luigid, ``worker``, and perhaps ``tracking_url``; nothing to tell nobody
    :param root: the task that was asked for
    :param workers: how many processes there are for the tasks
    """
    if not scheduler:
        yield
        return
    try:
        luigid = Luigid(scheduler["url"])
    except ValueError as error:
        _say(f"The address of Luigi's central scheduler is wrong ({error}): the task goes on without it")
        yield
        return
    info = {"workers": workers, "host": socket.gethostname(), "pid": os.getpid(), "first_task": root.task_id}
    reporter = Reporter(luigid, scheduler["worker"], info, tracking_url=scheduler.get("tracking_url"))
    journal.subscribe(reporter.note)
    reporter.start()
    try:
        yield
    finally:
        journal.catch_up()
        reporter.close()


def _facts(task: luigi.Task, source: Mapping[str, Any]) -> dict[str, Any]:
    public = luigi.parameter.ParameterVisibility.PUBLIC
    params = {
        name: _cut(parameter.serialize(task.param_kwargs[name]))
        for name, parameter in task.get_params()
        if parameter.visibility == public
    }
    return {
        "family": task.task_family,
        "module": type(task).__module__,
        "params": params,
        "priority": source.get("priority") or 0,
        "runnable": False,  # so that no Luigi worker takes it
    }


def _cut(text: Any) -> str:
    return str(text)[:_LONGEST_TEXT]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201
