"""DominoRunTasks run beside the workers: they only wait for Domino, and many of them do so in one thread."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from typing import Any

import luigi

from .attempt import Attempt
from .graph import Node

_RUN_TASK = "airflow_domino.luigi.run_task"


class Remote:
    """The Domino runs of one engine.

    :param most: how many at once
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.running: dict[str, tuple[Node, Attempt]] = {}
        self._ended: deque[tuple[str, BaseException | None]] = deque()
        self._runs: Any = None
        self.wake, self._ring = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self._ring, False)

    @property
    def has_place(self) -> bool:
        """Whether another one may be started."""
        return len(self.running) < self.most

    def takes(self, task: luigi.Task) -> bool:
        """Whether a task is a Domino run and nothing else, so that no worker is needed for it."""
        if _RUN_TASK not in sys.modules:
            return False
        from airflow_domino.luigi import remote_runs

        return remote_runs.can_take(task)

    def submit(self, node: Node, attempt: Attempt) -> None:
        """Start a run whose attempt has begun."""
        if self._runs is None:
            from airflow_domino.luigi.remote_runs import RemoteRuns

            self._runs = RemoteRuns(most=self.most)
        task_id = node.task.task_id
        self.running[task_id] = (node, attempt)
        self._runs.submit(node.task, lambda error: self._end(task_id, error), timeout=attempt.worker_timeout or None)

    def _end(self, task_id: str, error: BaseException | None) -> None:
        # In another thread. A pipe that is full wakes as well as one that is not.
        self._ended.append((task_id, error))
        with contextlib.suppress(BlockingIOError):
            os.write(self._ring, b"x")

    def take_ended(self) -> list[tuple[Node, Attempt, BaseException | None]]:
        """Those that ended since the last time."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 65_536)
        ended = []
        while self._ended:
            task_id, error = self._ended.popleft()
            ended.append((*self.running.pop(task_id), error))
        return ended

    def close(self) -> None:
        """Stop what runs still."""
        if self._runs is not None:
            self._runs.close()
        os.close(self.wake)
        os.close(self._ring)
