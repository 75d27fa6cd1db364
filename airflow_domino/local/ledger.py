"""The ledger: everything that the server accepted, and every change of a status, in order. It is the witness of tests.

An entry has an ``event``: ``start``, ``stop`` and ``state`` of runs; ``archive`` of
runs; ``upload`` of files; ``fault`` for each order of a fault that was met; ``reset``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_domino.local.clock import now_ms
from airflow_domino.local.texts import dumped, loaded

if TYPE_CHECKING:
    from airflow_domino.local.database import Database
    from airflow_domino.local.projects import Project
    from airflow_domino.local.runs import Run

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (sequence INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,
    event TEXT NOT NULL, project_id TEXT, run_id TEXT, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ledger_by_run ON ledger (run_id);
"""


class Ledger:
    """What happened.

    :param database: where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: set[Callable[[], object]] = set()
        database.create(_SCHEMA)

    def enter(
        self, event: str, run: Run, detail: Mapping[str, Any], connection: sqlite3.Connection | None = None
    ) -> None:
        """Add an entry about a run.

        :param event: sort of entry, such as ``stop``.
        :param run: which run.
        :param detail: what else there is to say.
        :param connection: the transaction that the entry belongs to; None is one of its own.
        """
        self._enter(event, run.project_id, run.id, {"number": run.number, **detail}, connection)

    def note(self, event: str, project: Project | None, detail: Mapping[str, Any]) -> None:
        """Add an entry that is about no run.

        :param event: sort of entry, such as ``upload``.
        :param project: which project, if it is about one.
        :param detail: what else there is to say.
        """
        self._enter(event, None if project is None else project.id, None, detail, None)

    def _enter(
        self,
        event: str,
        project_id: str | None,
        run_id: str | None,
        detail: Mapping[str, Any],
        connection: sqlite3.Connection | None,
    ) -> None:
        if connection is None:
            with self._database.transaction() as connection:
                self._enter(event, project_id, run_id, detail, connection)
            return
        connection.execute(
            "INSERT INTO ledger (at, event, project_id, run_id, detail) VALUES (?, ?, ?, ?, ?)",
            (now_ms(), event, project_id, run_id, dumped(detail)),
        )
        # Whoever listens asks the database, and so waits for the end of this transaction.
        for listener in list(self._listeners):
            listener()

    @contextmanager
    def heard(self, listener: Callable[[], object]) -> Iterator[None]:
        """Call something, from any thread, whenever an entry is made while the context lasts."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    def entries(
        self,
        after: int = 0,
        *,
        events: Collection[str] = (),
        run_id: str | None = None,
        project_id: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """List what happened, in order.

        :param after: leave out entries up to and with this sequence number.
        :param events: only entries of these sorts; none for all.
        :param run_id: only entries about this run.
        :param project_id: only entries about this project and its runs.
        :param limit: how many at most; None for all.
        """
        conditions = ["sequence > :after"]
        values: dict[str, Any] = {"after": after, "run": run_id, "project": project_id}
        if events:
            values["events"] = json.dumps(list(events))
            conditions.append("event IN (SELECT value FROM json_each(:events))")
        if run_id is not None:
            conditions.append("run_id = :run")
        if project_id is not None:
            conditions.append("project_id = :project")
        values["limit"] = -1 if limit is None else limit
        rows = self._database.rows(
            f"SELECT * FROM ledger WHERE {' AND '.join(conditions)} ORDER BY sequence LIMIT :limit",  # noqa: S608
            values,
        )
        return [
            {
                "sequence": row["sequence"],
                "at": row["at"],
                "event": row["event"],
                "projectId": row["project_id"],
                "runId": row["run_id"],
                **loaded(row["detail"]),
            }
            for row in rows
        ]

    def totals(self) -> dict[str, Any]:
        """Count the entries by event, and those about a status by the status that began."""
        with self._database.reading():
            events = self._database.rows("SELECT event, COUNT(*) AS amount FROM ledger GROUP BY event ORDER BY event")
            states = self._database.rows(
                "SELECT detail ->> '$.to' AS status, COUNT(*) AS amount FROM ledger WHERE event = 'state' "
                "GROUP BY 1 ORDER BY 1"
            )
            last = self._database.rows("SELECT COALESCE(MAX(sequence), 0) AS last FROM ledger")[0]["last"]
        return {
            "events": {row["event"]: row["amount"] for row in events},
            "states": {row["status"]: row["amount"] for row in states},
            "last": last,
        }
