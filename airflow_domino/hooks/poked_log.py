"""The log of a run that a task looks at now and then: each line once, from one look to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_domino.compat import task_state_store
from airflow_domino.domino.follow import LogFollower
from airflow_domino.hooks.runs import Logger, RunLog

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Run

LOG_CURSOR_KEY = "domino_log_cursor"


class PokedLog:
    """Copies a run's log into a task's log, look by look; the place is kept in the task state store, if there is one.

    :param context: Airflow's task context.
    :param survives: whether this object lives from one look to the next; otherwise, without a store, lines are copied
        at the last look alone, so that none comes twice.
    """

    def __init__(self, context: Mapping[str, Any], logger: Logger, *, survives: bool) -> None:
        self._store = task_state_store(context)
        self._try_number = context["ti"].try_number
        self._logger = logger
        self._survives = survives or self._store is not None
        self._run_id: str | None = None
        self._cursor, self._size = "0", 0

    def begin_at(self, run_id: str, cursor: str) -> None:
        """Go on where a trigger has come to."""
        self._run_id, self._cursor = run_id, cursor

    def copy(self, client: DominoClient, run: Run, url: str) -> None:
        """Copy what is new; to the end when the run is over."""
        if run.status.is_queued or not (self._survives or run.status.is_completed):
            return
        if self._run_id != run.id:
            self._run_id, self._cursor, self._size = run.id, *self._load(run.id)
        log = RunLog(self._logger, url)
        log.size = self._size
        follower = LogFollower(client, run.id, log.write, self._cursor)
        follower.read(to_end=run.status.is_completed)
        if follower.cursor != self._cursor:
            self._cursor, self._size = follower.cursor, log.size
            self._save()

    def _load(self, run_id: str) -> tuple[str, int]:
        found = self._store.get(LOG_CURSOR_KEY) if self._store is not None else None
        place = found if isinstance(found, Mapping) else {}
        if (place.get("run_id"), place.get("try_number")) != (run_id, self._try_number):
            return "0", 0
        return str(place.get("cursor") or "0"), int(place.get("bytes") or 0)

    def _save(self) -> None:
        if self._store is not None:
            place = {"run_id": self._run_id, "try_number": self._try_number, "cursor": self._cursor}
            self._store.set(LOG_CURSOR_KEY, {**place, "bytes": self._size})
