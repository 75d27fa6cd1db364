"""The one SQLite file of a server; the tables in it belong to the modules that use them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

Kind = TypeVar("Kind")
_SCHEMA = "CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);"


def of_document(kind: Callable[..., Kind], document: Mapping[str, Any]) -> Kind:
    """Make a value of what was stored of it; fields that this version does not have are left out.

    :param kind: its dataclass.
    :param document: the values of its fields by name.
    """
    return kind(**{name: document[name] for name in kind.__dataclass_fields__ if name in document})  # type: ignore[attr-defined]


class Database:
    """The SQLite file of one server.

    One connection behind one lock: the server has a handful of threads, and an operation takes microseconds.

    :param path: the file; made when it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self.create(_SCHEMA)

    def close(self) -> None:
        """Close the file. Nothing may be asked afterwards."""
        with self._lock:
            self._connection.close()

    def create(self, schema: str) -> None:
        """Make tables that are not there yet.

        :param schema: statements that change nothing when they are carried out again.
        """
        with self._lock:
            self._connection.executescript(schema)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for changes that are made together or not at all."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep changes away while several questions are asked."""
        with self._lock:
            yield

    def rows(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """Ask a question."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def copy_to(self, path: Path) -> None:
        """Write a copy of everything into a file, in place of what was there."""
        path.unlink(missing_ok=True)
        with self._lock:
            self._connection.execute("VACUUM INTO ?", (str(path),))
        path.chmod(0o600)

    def bring_back(self, path: Path) -> None:
        """Let every table be again what it is in a copy; numbers that were given once are not given again.

        :param path: the copy.
        """
        tables = "SELECT name FROM {}.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        with self._lock:
            self._connection.execute("ATTACH ? AS copy", (str(path),))
            try:
                with self.transaction() as connection:
                    known = {row["name"] for row in connection.execute(tables.format("copy"))}
                    for row in connection.execute(tables.format("main")).fetchall():
                        table = row["name"]
                        connection.execute(f'DELETE FROM main."{table}"')  # noqa: S608 - a name of a table of ours
                        if table in known:
                            connection.execute(f'INSERT INTO main."{table}" SELECT * FROM copy."{table}"')  # noqa: S608
            finally:
                self._connection.execute("DETACH copy")

    def setting(self, key: str, make: Callable[[], str]) -> str:
        """Give a remembered text, made on the first request.

        :param key: its name.
        :param make: makes the text that is remembered from now on.
        """
        with self.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (key, make()))
            row = connection.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
        return str(row["value"])
