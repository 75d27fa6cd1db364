"""Compute environments: on a real Domino container images, here Python interpreters; each in numbered revisions."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from airflow_domino.local.clock import now_ms
from airflow_domino.local.database import Database
from airflow_domino.local.ids import named_object_id, new_object_id

DEFAULT_NAME = "Local Python"
GLOBAL = "Global"
PRIVATE = "Private"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS environments (id TEXT PRIMARY KEY, name TEXT NOT NULL, visibility TEXT NOT NULL, owner TEXT,
    active INTEGER NOT NULL, restricted INTEGER, is_archived INTEGER NOT NULL, is_of_settings INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS environment_revisions (id TEXT PRIMARY KEY, environment_id TEXT NOT NULL,
    number INTEGER NOT NULL, python TEXT NOT NULL, summary TEXT NOT NULL, created_at INTEGER NOT NULL,
    UNIQUE (environment_id, number));
"""


@dataclass(frozen=True)
class EnvironmentSetting:
    """One environment as the settings of the server name it.

    :param name: the name that people see.
    :param python: interpreter of runs in this environment; its folder comes first in their PATH.
    :param number: number of the revision that has this interpreter; None is the next one, where none has it yet.
    """

    name: str
    python: Path
    number: int | None = None


@dataclass(frozen=True)
class Revision:
    """One revision of an environment; it never changes.

    :param id: its id, of 24 hexadecimal digits.
    :param number: counted from 1 in its environment.
    :param python: interpreter of runs in it.
    :param summary: what its maker said about it.
    :param created_at: when it was made, epoch milliseconds.
    """

    id: str
    number: int
    python: Path
    summary: str = ""
    created_at: int = 0


@dataclass(frozen=True)
class Environment:
    """One environment.

    :param id: its id; that of an environment of the settings depends on its name alone.
    :param name: the name that people see.
    :param revisions: all of them, oldest first; at least one.
    :param active: number of the revision that runs get which name none.
    :param restricted: number of the revision that is for restricted projects, if one is.
    :param visibility: ``Global``, or ``Private``: for its owner alone.
    :param owner: name of the user who made it; None for those of the settings.
    :param is_archived: whether it is retired: still named by old runs, not to be started in.
    :param is_default: whether runs that name no environment get this one.
    :param is_of_settings: whether it comes from the settings of the server.
    """

    id: str
    name: str
    revisions: tuple[Revision, ...]
    active: int = 1
    restricted: int | None = None
    visibility: str = GLOBAL
    owner: str | None = None
    is_archived: bool = False
    is_default: bool = False
    is_of_settings: bool = False

    @property
    def active_revision(self) -> Revision:
        """The revision of runs that name none."""
        return self.numbered(self.active) or self.revisions[-1]

    @property
    def latest_revision(self) -> Revision:
        """The revision with the largest number."""
        return self.revisions[-1]

    @property
    def restricted_revision(self) -> Revision | None:
        """The revision for restricted projects."""
        return None if self.restricted is None else self.numbered(self.restricted)

    @property
    def python(self) -> Path:
        """Interpreter of the active revision."""
        return self.active_revision.python

    @property
    def revision_id(self) -> str:
        """Id of the active revision."""
        return self.active_revision.id

    def numbered(self, number: int) -> Revision | None:
        """Look a revision up by its number."""
        return next((revision for revision in self.revisions if revision.number == number), None)

    def revision(self, revision_id: str | None) -> Revision | None:
        """Look a revision up by its id."""
        return next((revision for revision in self.revisions if revision.id == revision_id), None)

    def used_revision(self, revision_id: str | None) -> Revision:
        """Give the revision that a run uses; None is the first, as in runs of a time when there were no others."""
        return self.revision(revision_id) or self.revisions[0]

    def can_be_seen_by(self, user: str) -> bool:
        """Tell whether a user may know of it, and run in it."""
        return self.visibility != PRIVATE or self.owner == user


def interpreter(path: Path) -> Path:
    """Give the interpreter that a path means: itself, or that of the virtual environment whose folder it is.

    :raises ValueError: when there is none.
    """
    # Made absolute, but not resolved: the link in a virtual environment is what makes it one.
    path = path.expanduser().absolute()
    if path.is_dir():
        path = path / "bin" / "python"
    if not os.access(path, os.X_OK) or path.is_dir():
        raise ValueError(
            f"{path} is no interpreter that can be run; name a python, or the folder of a virtual environment"
        )
    return path


class Environments(Sequence[Environment]):
    """The environments; as a sequence, those that are not archived, the default one first.

    :param database: where they are kept.
    :param settings: those of the settings. The last interpreter that is named for an environment is the active one.
    :param python: interpreter of the default environment; None is the one that runs this server.
    :raises ValueError: when a revision is named that has another interpreter already.
    """

    def __init__(
        self, database: Database, settings: Iterable[EnvironmentSetting] = (), python: Path | None = None
    ) -> None:
        self._database = database
        self._lock = threading.RLock()
        database.create(_SCHEMA)
        self._known: dict[str, Environment] = {}
        self.load()
        self._settle([EnvironmentSetting(DEFAULT_NAME, python or Path(sys.executable)), *settings])

    # The sequence of those that can be used

    def __iter__(self) -> Iterator[Environment]:
        return iter(self._usable())

    def __len__(self) -> int:
        return len(self._usable())

    @overload
    def __getitem__(self, index: int) -> Environment: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Environment]: ...

    def __getitem__(self, index: int | slice) -> Environment | Sequence[Environment]:
        return self._usable()[index]

    def _usable(self) -> list[Environment]:
        return [environment for environment in self.all() if not environment.is_archived]

    # Looking up

    @property
    def default(self) -> Environment:
        """The environment of runs that name none."""
        return next(environment for environment in self._known.values() if environment.is_default)

    def all(self) -> list[Environment]:
        """List all environments, the archived ones too, the default one first and the others by age."""
        with self._lock:
            return sorted(self._known.values(), key=lambda environment: not environment.is_default)

    def find(self, environment_id: str) -> Environment | None:
        """Look an environment up by its id."""
        return self._known.get(environment_id)

    def revision(self, revision_id: str) -> tuple[Environment, Revision] | None:
        """Look a revision up by its id, with the environment that it belongs to."""
        for environment in self.all():
            if (revision := environment.revision(revision_id)) is not None:
                return environment, revision
        return None

    # Changing

    def create(self, name: str, python: Path, owner: str, visibility: str = PRIVATE, summary: str = "") -> Environment:
        """Make an environment with one revision.

        :param name: its name; names need not differ.
        :param python: interpreter of runs in it.
        :param owner: name of the user who makes it.
        :param visibility: ``Global`` or ``Private``.
        :param summary: what the owner says about the revision.
        """
        revision = Revision(new_object_id(), 1, python, summary, now_ms())
        return self._save(Environment(new_object_id(), name, (revision,), visibility=visibility, owner=owner))

    def add_revision(self, environment_id: str, python: Path, summary: str = "") -> Revision:
        """Give an environment a further revision, which becomes the active one, as a new build does on Domino.

        :raises KeyError: when there is no such environment.
        """
        with self._lock:
            environment = self._known[environment_id]
            number = environment.latest_revision.number + 1
            revision = Revision(new_object_id(), number, python, summary, now_ms())
            self._save(replace(environment, revisions=(*environment.revisions, revision), active=number))
        return revision

    def archive(self, environment_id: str) -> Environment:
        """Retire an environment: old runs still name it, and no new one can use it.

        :raises KeyError: when there is no such environment.
        """
        with self._lock:
            return self._save(replace(self._known[environment_id], is_archived=True))

    def restrict(self, environment_id: str, number: int | None) -> Environment:
        """Say which revision is for restricted projects; None takes that mark away.

        :raises KeyError: when there is no such environment.
        """
        with self._lock:
            return self._save(replace(self._known[environment_id], restricted=number))

    def _settle(self, settings: Sequence[EnvironmentSetting]) -> None:
        named: dict[str, Environment] = {}
        for setting in settings:
            environment_id = named_object_id("environment", setting.name)
            known = named.get(environment_id) or self._known.get(environment_id)
            named[environment_id] = replace(
                _with_setting(known, environment_id, setting),
                is_default=environment_id == named_object_id("environment", DEFAULT_NAME),
            )
        for environment in self.all():
            if environment.is_of_settings and environment.id not in named:
                named[environment.id] = replace(environment, is_archived=True)
        for environment in named.values():
            if environment != self._known.get(environment.id):
                self._save(environment)

    # Remembering

    def load(self) -> None:
        """Read everything from the database again."""
        with self._lock:
            self._known = self._read()

    def _read(self) -> dict[str, Environment]:
        revisions: dict[str, list[Revision]] = {}
        for row in self._database.rows("SELECT * FROM environment_revisions ORDER BY number"):
            revision = Revision(row["id"], row["number"], Path(row["python"]), row["summary"], row["created_at"])
            revisions.setdefault(row["environment_id"], []).append(revision)
        return {
            row["id"]: _environment(row, revisions[row["id"]])
            for row in self._database.rows("SELECT * FROM environments ORDER BY rowid")
        }

    def _save(self, environment: Environment) -> Environment:
        with self._lock, self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO environments VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "visibility = excluded.visibility, active = excluded.active, restricted = excluded.restricted, "
                "is_archived = excluded.is_archived",
                (
                    environment.id,
                    environment.name,
                    environment.visibility,
                    environment.owner,
                    environment.active,
                    environment.restricted,
                    environment.is_archived,
                    environment.is_of_settings,
                ),
            )
            connection.executemany(
                "INSERT OR IGNORE INTO environment_revisions VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (one.id, environment.id, one.number, str(one.python), one.summary, one.created_at)
                    for one in environment.revisions
                ],
            )
            self._known[environment.id] = environment
        return environment


def _environment(row: sqlite3.Row, revisions: Sequence[Revision]) -> Environment:
    return Environment(
        row["id"],
        row["name"],
        tuple(revisions),
        active=row["active"],
        restricted=row["restricted"],
        visibility=row["visibility"],
        owner=row["owner"],
        is_archived=bool(row["is_archived"]),
        is_default=row["id"] == named_object_id("environment", DEFAULT_NAME),
        is_of_settings=bool(row["is_of_settings"]),
    )


def _with_setting(known: Environment | None, environment_id: str, setting: EnvironmentSetting) -> Environment:
    revisions = () if known is None else known.revisions
    number = setting.number
    if number is None:
        same = [revision.number for revision in revisions if revision.python == setting.python]
        number = same[-1] if same else (revisions[-1].number + 1 if revisions else 1)
    there = next((revision for revision in revisions if revision.number == number), None)
    if there is not None and there.python != setting.python:
        raise ValueError(
            f"revision {number} of environment {setting.name} is {there.python}, and a revision never changes; "
            f"name {setting.python} without a number, or with a new one"
        )
    if there is None:
        # The id of the first revision is older than numbers are.
        label = setting.name if number == 1 else f"{setting.name}@{number}"
        made = Revision(named_object_id("environment revision", label), number, setting.python, "", now_ms())
        revisions = tuple(sorted((*revisions, made), key=lambda revision: revision.number))
    fresh = known or Environment(environment_id, setting.name, revisions, is_of_settings=True)
    return replace(fresh, revisions=revisions, active=number, is_archived=False)
