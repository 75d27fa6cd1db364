"""The people of the deployment, and on whose behalf a request acts."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass

from airflow_domino.local.database import Database, of_document
from airflow_domino.local.ids import user_id

PRACTITIONER = "Practitioner"
SYSTEM_ADMIN = "SysAdmin"
# The roles that Domino gives people in the whole deployment; only the administrator's means something here.
SYSTEM_ROLES = (
    PRACTITIONER,
    SYSTEM_ADMIN,
    "LiteUser",
    "LimitedAdmin",
    "Librarian",
    "ProjectManager",
    "SupportStaff",
    "EnvironmentClassifier",
    "DataAnalyst",
    "GovernanceAdmin",
    "CloudAdmin",
)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
_SCHEMA = "CREATE TABLE IF NOT EXISTS people (name TEXT PRIMARY KEY, document TEXT NOT NULL);"


@dataclass(frozen=True)
class Person:
    """Somebody who can own projects.

    :param name: the name that people log in with and that addresses of projects begin with.
    :param full_name: name for people.
    :param email: address; empty where it is not known.
    :param roles: roles in the deployment.
    """

    name: str
    full_name: str = ""
    email: str = ""
    roles: tuple[str, ...] = (PRACTITIONER,)

    @property
    def id(self) -> str:
        """Id of the person, the same after every restart."""
        return user_id(self.name)

    @property
    def is_admin(self) -> bool:
        """Whether the person may do everything."""
        return SYSTEM_ADMIN in self.roles


def checked_name(name: str) -> str:
    """Give a name back that people can have.

    :raises ValueError: when it cannot be the first part of a project's address.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"a user name has letters, digits and _ . @ + - in it, which {name!r} is not")
    return name


class People:
    """Everybody, kept in memory beside the database, since each request asks for somebody.

    :param database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.RLock()
        database.create(_SCHEMA)
        self._by_name: dict[str, Person] = {}
        self._by_id: dict[str, Person] = {}
        self.load()

    def load(self) -> None:
        """Read everybody from the database again."""
        with self._lock:
            self._by_name.clear()
            self._by_id.clear()
            for row in self._database.rows("SELECT document FROM people ORDER BY rowid"):
                values = json.loads(row["document"])
                self._know(of_document(Person, values | {"roles": tuple(values["roles"])}))

    def _know(self, person: Person) -> None:
        self._by_name[person.name] = self._by_id[person.id] = person

    def save(self, person: Person) -> Person:
        """Add somebody, or change whoever has this name.

        :raises ValueError: when nobody can have this name.
        """
        checked_name(person.name)
        with self._lock:
            if self._by_name.get(person.name) != person:
                with self._database.transaction() as connection:
                    connection.execute(
                        "INSERT INTO people VALUES (?, ?) "
                        "ON CONFLICT (name) DO UPDATE SET document = excluded.document",
                        (person.name, json.dumps(asdict(person))),
                    )
                self._know(person)
        return person

    def change(self, name: str, change: Callable[[Person], Person]) -> Person:
        """Change somebody, who must exist, in one step that no other change can divide."""
        with self._lock:
            return self.save(change(self._by_name[name]))

    def ensure(self, name: str) -> Person:
        """Give whoever has a name; somebody new where nobody has it yet."""
        with self._lock:
            return self._by_name.get(name) or self.save(Person(name, full_name=name))

    def all(self) -> list[Person]:
        """List everybody, oldest first."""
        with self._lock:
            return list(self._by_name.values())

    def named(self, name: str) -> Person | None:
        """Look somebody up by name."""
        return self._by_name.get(name)

    def find(self, person_id: str) -> Person | None:
        """Look somebody up by id."""
        return self._by_id.get(person_id)


@dataclass(frozen=True)
class Caller:
    """Whoever sent a request.

    :param person: on whose behalf; None for a visitor who has not said who he is.
    :param run_id: the run whose key came with the request, if it was one.
    """

    person: Person | None
    run_id: str | None = None


NOBODY = Caller(None)
# Set while a request is answered. Unset, it is the server itself that acts: when it starts, and in its own threads.
_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def caller() -> Caller | None:
    """Tell who sent the request that is being answered; None when the server itself acts."""
    return _CALLER.get()


@contextmanager
def calling(whoever: Caller | None) -> Iterator[None]:
    """Let everything that is done in the context be done on somebody's behalf."""
    mark = _CALLER.set(whoever)
    try:
        yield
    finally:
        _CALLER.reset(mark)
