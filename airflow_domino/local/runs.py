"""Runs, as the server remembers them."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_domino.local import statuses
from airflow_domino.local.clock import now_ms
from airflow_domino.local.database import Database, of_document
from airflow_domino.local.ledger import Ledger
from airflow_domino.local.texts import dumped, harmless, loaded

if TYPE_CHECKING:
    from airflow_domino.local.disguises import Disguises

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, project_id TEXT NOT NULL REFERENCES projects (id),
    number INTEGER NOT NULL, status TEXT NOT NULL, tier_id TEXT NOT NULL, title TEXT, command TEXT NOT NULL,
    started_by TEXT NOT NULL, is_archived INTEGER NOT NULL, submitted_at INTEGER NOT NULL, started_at INTEGER,
    completed_at INTEGER, document TEXT NOT NULL, UNIQUE (project_id, number));
CREATE INDEX IF NOT EXISTS runs_by_status ON runs (status, submitted_at);
CREATE INDEX IF NOT EXISTS runs_by_tier ON runs (status, tier_id, submitted_at);
CREATE INDEX IF NOT EXISTS runs_by_project ON runs (project_id, is_archived, status);
"""

# Columns of the table beside the document, for filtering and sorting.
_COLUMNS = (
    "id",
    "project_id",
    "number",
    "status",
    "tier_id",
    "title",
    "command",
    "started_by",
    "is_archived",
    "submitted_at",
    "started_at",
    "completed_at",
)

# The sort fields of GET /v4/jobs and of GET /api/jobs/beta/jobs, as SQL.
_SORT_FIELDS = {
    "number": "number",
    "numberAsDouble": "number",
    "duration": "COALESCE(completed_at, :now) - COALESCE(started_at, :now)",
    "queued": "submitted_at",
    "startedTime": "started_at",
    "command": "command",
    "commentCount": "0 * number",
    "status": "status",
    "title": "title",
    "user": "started_by",
    "dominoStatsField": (
        "(SELECT value ->> '$.value' FROM json_each(document, '$.stats') WHERE value ->> '$.name' = :stat)"
    ),
}
SORT_FIELDS = tuple(_SORT_FIELDS)


@dataclass(frozen=True)
class Run:
    """One run. Times are epoch milliseconds.

    ``arguments`` is the command split into words; ``completed_at`` is when the command ended, ``saved_at`` when its
    results were committed. ``cents_per_minute`` is the price at which it got its place, ``usage`` the most ``cpu``
    (percent of one processor) and ``memory`` (GiB) that it used, ``simulation`` the plan of a run that only pretends.
    """

    id: str
    project_id: str
    number: int
    command: str
    arguments: list[str]
    tier_id: str
    environment_id: str
    input_commit: str
    started_by: str
    submitted_at: int
    status: str = statuses.QUEUED
    title: str | None = None
    environment_revision_spec: Any = "ActiveRevision"
    environment_revision_id: str | None = None
    git_ref: dict[str, Any] | None = None
    repositories: list[dict[str, Any]] = field(default_factory=list)
    results: dict[str, Any] | None = None
    compute_cluster: dict[str, Any] | None = None
    external_volumes: list[str] = field(default_factory=list)
    output_commit: str | None = None
    started_at: int | None = None
    completed_at: int | None = None
    saved_at: int | None = None
    exit_code: int | None = None
    stats: list[dict[str, str]] = field(default_factory=list)
    stats_are_broken: bool = False
    is_archived: bool = False
    failure_reason: str | None = None
    failure_message: str | None = None
    restarted_from: str | None = None
    keep_results: bool = True
    capacity_type: str | None = None
    cents_per_minute: float | None = None
    usage: dict[str, float] | None = None
    simulation: str | None = None

    def started_code(self) -> dict[str, Any] | None:
        """Give the reference to exactly the code that the run started from, in a git-based project."""
        commit = next((entry.get("startingCommitId") for entry in self.repositories), None)
        return commit and {"type": "commitId", "value": commit}

    @property
    def is_completed(self) -> bool:
        """Whether nothing about the run will change any more."""
        return statuses.is_completed(self.status)


def stat_text(value: object) -> str:
    """Give a value of ``dominostats.json`` as a run keeps it."""
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class RunPage:
    """Some runs of a list, and how many the whole list has."""

    runs: list[Run]
    total: int


class Runs:
    """All runs.

    :param database: where they are kept.
    :param ledger: where their starts and changes are entered.
    :param disguises: which of them lists show other than they are.
    """

    def __init__(self, database: Database, ledger: Ledger, disguises: Disguises | None = None) -> None:
        self._database = database
        self._ledger = ledger
        self._disguises = disguises
        database.create(_SCHEMA)

    def add(self, run: Run) -> Run:
        """Store a new run under the next number of its project, and enter its start in the ledger."""
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT COALESCE(MAX(number), 0) + 1 FROM runs WHERE project_id = ?", (run.project_id,)
            ).fetchone()
            numbered = replace(run, number=int(row[0]))
            connection.execute(_INSERT, _row(numbered))
            self._ledger.enter("start", numbered, {"command": numbered.command, "title": numbered.title}, connection)
            self._ledger.enter("state", numbered, {"from": None, "to": numbered.status}, connection)
        return numbered

    def find(self, run_id: str) -> Run | None:
        """Look a run up by its id."""
        rows = self._database.rows("SELECT document FROM runs WHERE id = ?", (run_id,))
        return _run(rows[0]) if rows else None

    def change(self, run_id: str, change: Callable[[Run], Run]) -> Run:
        """Change a run, and enter a change of its status in the ledger, in one step that no other change can divide.

        :param run_id: which run; it must exist.
        :param change: gives the new value for the present one; the same object where nothing is to change.
        """
        with self._database.transaction() as connection:
            return self.change_within(connection, run_id, change)

    def change_within(self, connection: sqlite3.Connection, run_id: str, change: Callable[[Run], Run]) -> Run:
        """Do what :meth:`change` does, as a part of a transaction.

        :param connection: the transaction.
        :param run_id: which run; it must exist.
        :param change: see :meth:`change`.
        """
        row = connection.execute("SELECT document FROM runs WHERE id = ?", (run_id,)).fetchone()
        before = _run(row)
        after = change(before)
        if after is before:
            return before
        connection.execute(_UPDATE, _row(after))
        if after.status != before.status:
            output = {"outputCommitId": after.output_commit} if after.output_commit else {}
            self._ledger.enter("state", after, {"from": before.status, "to": after.status, **output}, connection)
        return after

    def ids(self) -> list[str]:
        """List the ids of all runs."""
        return [row["id"] for row in self._database.rows("SELECT id FROM runs")]

    def with_status(self, words: Sequence[str]) -> list[Run]:
        """List runs of all projects in any of these statuses, in the order of their submission."""
        marks = ", ".join("?" * len(words))
        rows = self._database.rows(
            f"SELECT document FROM runs WHERE status IN ({marks}) ORDER BY submitted_at, rowid",  # noqa: S608
            tuple(words),
        )
        return [_run(row) for row in rows]

    def queue(self, tier_id: str | None = None, limit: int | None = None) -> list[tuple[str, str]]:
        """List the runs that wait for a place on their tier, longest waiting first, as pairs of run id and tier id.

        :param tier_id: only those of this tier, at most `limit` of them; None for all.
        """
        where = "status = :status" if tier_id is None else "status = :status AND tier_id = :tier_id"
        rows = self._database.rows(
            f"SELECT id, tier_id FROM runs WHERE {where} ORDER BY submitted_at, rowid LIMIT :limit",  # noqa: S608
            {"status": statuses.QUEUED, "tier_id": tier_id, "limit": -1 if limit is None else limit},
        )
        return [(row["id"], row["tier_id"]) for row in rows]

    def queued_before(self, run: Run) -> int:
        """Count the runs that wait for the same tier as a run and were submitted before it."""
        rows = self._database.rows(
            "SELECT COUNT(*) AS amount FROM runs WHERE status = ? AND tier_id = ? "
            "AND (submitted_at, rowid) < (SELECT submitted_at, rowid FROM runs WHERE id = ?)",
            (statuses.QUEUED, run.tier_id, run.id),
        )
        return int(rows[0]["amount"])

    def places_in_queue(self) -> dict[str, int]:
        """Give, for each run that waits, what :meth:`queued_before` counts: for lists, where one count each is much."""
        ahead: Counter[str] = Counter()
        places = {}
        for run_id, tier_id in self.queue():
            places[run_id] = ahead[tier_id]
            ahead[tier_id] += 1
        return places

    def counts_by_tier(self, words: Sequence[str]) -> dict[str, int]:
        """Count runs in any of these statuses for each tier that has some."""
        marks = ", ".join("?" * len(words))
        rows = self._database.rows(
            f"SELECT tier_id, COUNT(*) AS amount FROM runs WHERE status IN ({marks}) GROUP BY tier_id",  # noqa: S608
            tuple(words),
        )
        return {row["tier_id"]: row["amount"] for row in rows}

    def starters(self, project_id: str) -> list[str]:
        """Name the users who have started runs of a project."""
        statement = "SELECT DISTINCT started_by FROM runs WHERE project_id = ? ORDER BY 1"
        return [row["started_by"] for row in self._database.rows(statement, (project_id,))]

    def listed(
        self,
        project_id: str,
        *,
        group: str = "all",
        sort_field: str = "number",
        descending: bool = True,
        show_archived: bool = False,
        is_tagged: bool = False,
        text: str | None = None,
        tier_id: str | None = None,
        user: str | None = None,
        stat: str | None = None,
        offset: int = 0,
        limit: int | None = None,
    ) -> RunPage:
        """List runs of a project as the job lists of the API do.

        :param project_id: whose runs.
        :param group: ``all``, ``queued``, ``running``, ``completed``, ``archived`` or ``active``.
        :param sort_field: one of :data:`SORT_FIELDS`.
        :param descending: largest first.
        :param show_archived: whether archived runs are in the list; the group ``archived`` has nothing else.
        :param is_tagged: only runs that have a tag, which none has here.
        :param text: only runs whose title or command has this text in it, whatever its case.
        :param tier_id: only runs on this tier.
        :param user: only runs that the user of this name started.
        :param stat: name of the statistic to sort by, for ``dominoStatsField``.
        :param offset: how many runs to leave out at the start.
        :param limit: how many runs to give at most; None for all.
        """
        conditions = ["project_id = :project_id"]
        values: dict[str, Any] = {"project_id": project_id, "now": now_ms(), "stat": stat, "text": text}
        if group == "archived":
            conditions.append("is_archived = 1")
        elif not show_archived:
            conditions.append("is_archived = 0")
        if group in statuses.GROUPS:
            words = statuses.GROUPS[group]
            values |= {f"status{index}": word for index, word in enumerate(words)}
            conditions.append(f"status IN ({', '.join(f':status{index}' for index in range(len(words)))})")
        if is_tagged:
            conditions.append("0")
        if text is not None:
            conditions.append("instr(lower(COALESCE(title, '') || ' ' || command), lower(:text)) > 0")
        if lost := self._disguises.lost() if self._disguises else []:
            values["lost"] = json.dumps(lost)
            conditions.append("id NOT IN (SELECT value FROM json_each(:lost))")
        for column, wanted in (("tier_id", tier_id), ("started_by", user)):
            if wanted is not None:
                conditions.append(f"{column} = :{column}")
                values[column] = wanted
        where = " AND ".join(conditions)
        direction = "DESC" if descending else "ASC"
        order = f"{_SORT_FIELDS[sort_field]} {direction}, number {direction}"
        values |= {"limit": -1 if limit is None else limit, "offset": offset}
        with self._database.reading():
            total = self._database.rows(f"SELECT COUNT(*) AS amount FROM runs WHERE {where}", values)[0]["amount"]  # noqa: S608
            rows = self._database.rows(
                f"SELECT document FROM runs WHERE {where} ORDER BY {order} LIMIT :limit OFFSET :offset",  # noqa: S608
                values,
            )
        found = [_run(row) for row in rows]
        return RunPage([self._disguises.shown(run) for run in found] if self._disguises else found, total)


_INSERT = (
    f"INSERT INTO runs ({', '.join(_COLUMNS)}, document) "  # noqa: S608 - names of columns
    f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)}, :document)"
)
_UPDATE = (
    f"UPDATE runs SET {', '.join(f'{name} = :{name}' for name in _COLUMNS[1:])}, document = :document WHERE id = :id"  # noqa: S608
)


def _row(run: Run) -> dict[str, Any]:
    fields = vars(run)
    return {**{name: harmless(fields[name]) for name in _COLUMNS}, "document": dumped(fields)}


def _run(row: sqlite3.Row) -> Run:
    return of_document(Run, loaded(row["document"]))
