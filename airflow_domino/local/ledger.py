"""The ledger: every accepted start and stop, and every change of a status, in order. It is the witness of tests."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_domino.local.clock import now_ms

if TYPE_CHECKING:
    from airflow_domino.local.database import Database
    from airflow_domino.local.runs import Run

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (sequence INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,
    event TEXT NOT NULL, project_id TEXT, run_id TEXT, detail TEXT NOT NULL);
"""


class Ledger:
    """What happened.

    :param database: where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
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
        if connection is None:
            with self._database.transaction() as connection:
                self.enter(event, run, detail, connection)
            return
        connection.execute(
            "INSERT INTO ledger (at, event, project_id, run_id, detail) VALUES (?, ?, ?, ?, ?)",
            (now_ms(), event, run.project_id, run.id, json.dumps({"number": run.number, **detail})),
        )

    def entries(self, after: int = 0) -> list[dict[str, Any]]:
        """List what happened, in order.

        :param after: leave out entries up to and with this sequence number.
        """
        return [
            {
                "sequence": row["sequence"],
                "at": row["at"],
                "event": row["event"],
                "projectId": row["project_id"],
                "runId": row["run_id"],
                **json.loads(row["detail"]),
            }
            for row in self._database.rows("SELECT * FROM ledger WHERE sequence > ? ORDER BY sequence", (after,))
        ]
