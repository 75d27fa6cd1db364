"""Identifiers in the shapes that Domino uses: 24 hexadecimal digits for things, 40 for commits."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Callable, Iterable

from airflow_domino.local.clock import now_ns

_NANOSECONDS = 1_000_000_000
# The time of the first commit of a project, where times are not to differ from one day to another.
_FIRST_COMMIT = 1_600_000_000
_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


class ObjectIds:
    """Makes the ids of things, by chance or, for tests, the same ones every time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seed: int | None = None
        self._count = 0
        self._is_taken: Callable[[str], bool] = lambda _: False

    def seed(self, seed: int | None, is_taken: Callable[[str], bool] = lambda _: False) -> None:
        """Let the ids from now on depend on a number and on their order alone; None lets them be by chance again.

        :param seed: the number.
        :param is_taken: tells of an id whether something has it already.
        """
        with self._lock:
            self._seed, self._count, self._is_taken = seed, 0, is_taken

    def new(self) -> str:
        """Make an id; ids sort by age."""
        with self._lock:
            if self._seed is None:
                return f"{now_ns() // _NANOSECONDS:08x}{secrets.token_hex(8)}"
            while True:
                self._count += 1
                chance = hashlib.sha256(f"{self._seed}:{self._count}".encode()).hexdigest()[:16]
                found = f"{self._count:08x}{chance}"
                if not self._is_taken(found):
                    return found

    def commit_time(self, parents: Iterable[int]) -> int:
        """Give the time of a new commit in epoch seconds; the id of a commit depends on it.

        :param parents: times of the commits before.
        """
        if self._seed is None:
            return now_ns() // _NANOSECONDS
        return max(parents, default=_FIRST_COMMIT - 1) + 1


# The ids of this process: a process serves one local Domino.
IDS = ObjectIds()


def new_object_id() -> str:
    """Make an id for a run or a project: four bytes of time, then eight random ones."""
    return IDS.new()


def named_object_id(kind: str, name: str) -> str:
    """Make the id of something that has a name and needs the same id after a restart.

    :param kind: sort of thing (``user``, ``environment``), so that equal names of different sorts differ.
    :param name: its name.
    """
    return hashlib.sha256(f"{kind}:{name}".encode()).hexdigest()[:24]


def user_id(name: str) -> str:
    """Give the id of the user who has this name."""
    return named_object_id("user", name)


def is_object_id(text: str) -> bool:
    """Tell whether the text could be the id of a run, project, environment or user."""
    return _OBJECT_ID.fullmatch(text) is not None


def is_commit_id(text: str) -> bool:
    """Tell whether the text could be a full commit id."""
    return _COMMIT_ID.fullmatch(text) is not None
