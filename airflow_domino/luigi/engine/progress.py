"""Log lines of tasks that begin and end: each of a few, some of thousands, all that fail."""

from __future__ import annotations

import logging
import time

from .attempt import NEEDS, Result
from .graph import Node

_ALL_OF_THE_FIRST = 100
_SECONDS_BETWEEN = 1.0
_LONG_SECONDS = 10.0

logger = logging.getLogger("luigi-interface")


class Progress:
    """Tells how it goes.

    After the first hundred tasks only one each second is named, and what took long or failed.
    """

    def __init__(self) -> None:
        self.total = 0
        self._turns = 0
        self._last = 0.0
        self._named: set[str] = set()

    def begins(self, node: Node, where: str = "") -> None:
        """An attempt at a task begins.

        :param where: what is worth saying about it
        """
        if not node.turn:
            self._turns += 1
            node.turn = self._turns
        now = time.monotonic()
        if node.turn <= _ALL_OF_THE_FIRST or now - self._last >= _SECONDS_BETWEEN:
            self._last = now
            self._named.add(node.task.task_id)
            logger.info("%s running %s%s", self._number(node), node.task, where)

    def ended(self, node: Node, result: Result) -> None:
        """It ended well or wants something first."""
        was_named = node.task.task_id in self._named
        self._named.discard(node.task.task_id)
        if not was_named and result.seconds < _LONG_SECONDS:
            return
        number, said = self._number(node), f"in {result.seconds:.1f} s"
        if result.ending == NEEDS:
            logger.info("%s %s waits for %d requirement(s) that its run() yielded", number, node.task, node.waits_for)
        elif node.state == "complete":
            logger.info("%s complete %s: made by somebody else meanwhile", number, node.task)
        else:
            logger.info("%s done %s %s", number, node.task, said)

    def failed(self, node: Node) -> None:
        """It failed."""
        self._named.discard(node.task.task_id)
        logger.error("%s failed %s after %.1f s: %s", self._number(node), node.task, node.seconds, node.message)

    def _number(self, node: Node) -> str:
        return f"[{node.turn}/{self.total}]"
