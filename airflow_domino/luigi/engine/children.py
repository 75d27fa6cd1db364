"""A forked process for one attempt, so that several run at once and one that dies takes nothing with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import random
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import luigi
from luigi.task_register import load_task

from .attempt import Attempt, Result
from .locks import Locks

_GRACE_SECONDS = 10.0
_TERMINATED = 128 + signal.SIGTERM

_context: Any = multiprocessing.get_context("fork")


class Child:
    """One attempt in a process of its own, in the same process group.

    :param attempt: what to run there
    :param locks: those of this process; the child keeps that of its own task alone
    """

    def __init__(self, attempt: Attempt, locks: Locks) -> None:
        self.task = attempt.task
        self.timeout = attempt.worker_timeout
        self.has_timed_out = False
        self._began = time.monotonic()
        self.connection, theirs = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_run, args=(attempt, theirs, self.connection, locks))
        self._process.start()
        theirs.close()
        self._kill_at = self._began + self.timeout if self.timeout > 0 else None

    @property
    def waitables(self) -> list[Any]:
        """What to wait for: its result or its end."""
        return [self.connection, self._process.sentinel]

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._began

    def poll(self) -> Result | str | None:
        """How it ended: its result, or what killed it; None while it runs."""
        is_over = self._process.exitcode is not None  # asked first: what it sent before it ended is there then
        with contextlib.suppress(EOFError, OSError):
            if self.connection.poll():
                result: Result = self.connection.recv()
                result.needs = [_rebuilt(one) for one in result.needs]
                return result
        return _said(self._process.exitcode) if is_over else None

    def end_if_late(self) -> None:
        """End it with all that it started if its time is over; after a grace, by force."""
        if self._kill_at is None or time.monotonic() < self._kill_at:
            return
        self.signal(signal.SIGKILL if self.has_timed_out else signal.SIGTERM)
        self.has_timed_out = True
        self._kill_at = time.monotonic() + _GRACE_SECONDS

    def signal(self, signum: int) -> None:
        """Send a signal to it and to what it started."""
        if self._process.pid is None or self._process.exitcode is not None:
            return
        for pid in [*_descendants(self._process.pid), self._process.pid]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)

    def join(self, seconds: float) -> None:
        """Wait for its end, at most so long; then end it by force."""
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.signal(signal.SIGKILL)
            self._process.join()
        self.connection.close()

    def reap(self) -> bool:
        """Whether it is gone."""
        if self._process.exitcode is None:
            return False
        self.connection.close()
        return True


def _run(attempt: Attempt, connection: Connection, parents: Connection, locks: Locks) -> None:
    parents.close()
    locks.forget_others(attempt.task)
    random.seed(os.getpid() * time.time())
    try:
        result = attempt.run()
    except KeyboardInterrupt:
        raise SystemExit(_TERMINATED) from None
    result.needs = [_portable(task) for task in result.needs]
    connection.send(result)
    connection.close()


def _portable(task: luigi.Task) -> Any:
    try:
        return pickle.dumps(task)
    except Exception:  # a class that cannot be found by its name, or attributes that cannot be written
        return task.task_module, task.task_family, task.to_str_params()


def _rebuilt(written: Any) -> luigi.Task:
    task: luigi.Task = pickle.loads(written) if isinstance(written, bytes) else load_task(*written)  # noqa: S301
    return task


def _said(code: int | None) -> str:
    if code is not None and code < 0:
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{hint}"
    if code == _TERMINATED:
        return "its process was told to end"
    return f"its process ended with exit code {code} without a result"


def _descendants(pid: int) -> list[int]:
    """The processes below one, as far as the system tells (Linux)."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
            below.setdefault(parent, []).append(int(entry.parent.name))
    found = [pid]
    for one in found:  # grows while it is walked
        found += below.get(one, [])
    return found[1:]
