"""How far the log of a task's run has been copied, kept where the next triggerer finds it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_domino.compat import triggerer_takeover_seconds
from airflow_domino.domino.models import LogLine
from airflow_domino.hooks.poked_log import LOG_CURSOR_KEY
from airflow_domino.hooks.runs import RunLog
from airflow_domino.triggers._xcoms import push_xcoms, read_xcom


class LogCursor:
    """Hands the log over from one triggerer to the next, each line once.

    Lines are claimed before they are written: a triggerer that was frozen, and was replaced meanwhile, finds on its
    return that others have written them. Where Airflow takes no XComs from triggers, the cursor is only kept here.

    :param task_instance: the trigger's.
    :param run_id: of the run.
    :param log: where the lines go; its size is handed over too.
    """

    def __init__(self, task_instance: Any, run_id: str, log: RunLog) -> None:
        self._task_instance = task_instance
        self._key = {"run_id": run_id, "try_number": getattr(task_instance, "try_number", None)}
        self._log = log
        self._mine = "0"
        self._sure_until = 0.0

    @property
    def cursor(self) -> str:
        """How far this triggerer, or another one, has handed the log over; empty where it has not begun."""
        return self._mine if self._mine != "0" else ""

    async def load(self, default: str) -> str:
        """Return where to begin: where another triggerer has come to, or else the default."""
        self._mine = await self._elsewhere() or default
        return self._mine

    async def claim(self, cursor: str, lines: Sequence[LogLine]) -> str | None:
        """Take lines for this triggerer; see :class:`airflow_domino.domino.follow.Claim`."""
        if time.monotonic() > self._sure_until:
            elsewhere = await self._elsewhere()
            if elsewhere is not None and _is_ahead(elsewhere, self._mine):
                self._mine = elsewhere
                return elsewhere
        size = self._log.size + sum(self._log.size_of(line) for line in lines)
        await push_xcoms(self._task_instance, {LOG_CURSOR_KEY: {**self._key, "cursor": cursor, "bytes": size}})
        self._mine = cursor
        self._be_sure()
        return None

    async def _elsewhere(self) -> str | None:
        found = await read_xcom(self._task_instance, LOG_CURSOR_KEY)
        self._be_sure()
        if not isinstance(found, Mapping) or any(found.get(name) != value for name, value in self._key.items()):
            return None
        self._log.size = max(self._log.size, int(found.get("bytes") or 0))
        return str(found.get("cursor") or "") or None

    def _be_sure(self) -> None:
        # Nobody takes a trigger over from a triggerer that was alive so recently.
        self._sure_until = time.monotonic() + triggerer_takeover_seconds() / 2


def _is_ahead(cursor: str, other: str) -> bool:
    if cursor.isdigit() and other.isdigit():
        return int(cursor) > int(other)
    return cursor != other
