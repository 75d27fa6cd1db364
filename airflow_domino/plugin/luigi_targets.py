"""Whether targets exist now, as far as the api-server can tell without running anybody's code.

A local file is looked for only where this machine sees the folder that its task saw: the machine is the same, or the
folder has the same inode and has not become older, as on a shared disk. An object in a bucket is asked for by Airflow's
own :class:`ObjectStoragePath`, where the storage's provider is installed here. Of everything else, and wherever this
cannot be told, the page says so instead of guessing.

A page never waits long for any of that: answers come from a few threads of their own and are kept for a while.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from airflow_domino.compat import own_hostname
from airflow_domino.plugin.luigi_values import LuigiTask, Target

#: How a person says it.
ANSWERS: Mapping[str, str] = {
    "exists": "exists",
    "missing": "missing",
    "unseen": "not visible from here",
    "asked": "being looked for",
}
MOST_AT_ONCE = 300
THREADS = 4
SECONDS_KEPT = 10.0
# A look into a bucket costs money.
_STORAGE_FACTOR = 6
_MOST_KEPT = 5_000
_MOST_MARKS = 3
_STORAGES = frozenset({"s3", "s3a", "s3n", "gs", "gcs"})
_AS_AIRFLOW_NAMES = {"s3n": "s3", "gcs": "gs"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a target is, and how to tell whether this machine sees that place.

    :param path: an absolute path, or an address
    :param host: the machine of the task that told of it
    :param marks: folders above it, the nearest first, with the inode and time of change that the task saw
    """

    path: str
    host: str | None = None
    marks: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What is known of a target now.

    :param word: one of :data:`ANSWERS`
    :param why: what there is to say about it
    """

    word: str
    why: str = ""


def place_of(task: LuigiTask, target: Target) -> Place:
    """Where a task's target is."""
    if not target.path.startswith("/"):
        return Place(target.path)
    folders = task.source.folders
    above = [str(folder) for folder in PurePosixPath(target.path).parents]
    marks = tuple((folder, *folders[folder]) for folder in above if folder in folders)
    return Place(target.path, task.source.task.hostname, marks[:_MOST_MARKS])


def look(place: Place) -> Answer:
    """Look for a target; may take as long as a disk or a network does."""
    if "://" in place.path:
        return _look_into_storage(place.path)
    if not place.path.startswith("/"):
        return Answer("unseen", "It has no address that means anything outside its process")
    path = Path(place.path)
    try:
        if not _is_seen(place):
            return Answer("unseen", "It is on the disk of a machine that Airflow's api-server does not share")
        return Answer("exists" if path.exists() else "missing")
    except OSError as error:
        return Answer("unseen", f"Airflow's api-server may not look there: {error.strerror or error}")


def _is_seen(place: Place) -> bool:
    """Whether this machine sees the folder in which the task saw its target."""
    if place.host and place.host == _own_host():
        return True
    for folder, inode, changed in place.marks:
        try:
            status = Path(folder).stat()
        except FileNotFoundError:
            continue  # gone, or never here: the folder above it tells
        return status.st_ino == inode and int(status.st_mtime) >= changed
    return False


@cache
def _own_host() -> str:
    return own_hostname()


def _look_into_storage(address: str) -> Answer:
    parts = urlsplit(address)
    scheme = parts.scheme.lower()
    if scheme == "domino":
        return Answer("unseen", "It is a file of a Domino project")
    if scheme not in _STORAGES or "@" in parts.netloc:
        return Answer("unseen", f"Airflow's api-server does not look into {scheme}://")
    asked = f"{_AS_AIRFLOW_NAMES.get(scheme, scheme)}://{parts.netloc}{parts.path}"
    try:
        return Answer("exists" if _exists(asked) else "missing")
    except Exception as error:
        log.debug("Whether %s exists cannot be told here", address, exc_info=True)
        return Answer("unseen", f"Airflow's api-server cannot look into {scheme}:// ({type(error).__name__})")


def _exists(address: str) -> bool:
    from airflow.sdk import ObjectStoragePath

    return bool(ObjectStoragePath(unquote(address)).exists())


class Eyes:
    """Looks for targets on threads of its own, each at most once in a while, and never lets a page wait long.

    :param see: looks for one target
    :param seconds_kept: how long an answer holds
    """

    def __init__(self, see: Callable[[Place], Answer] = look, *, seconds_kept: float = SECONDS_KEPT) -> None:
        self._see = see
        self._seconds_kept = seconds_kept
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._known: dict[Place, tuple[float, Answer]] = {}
        self._asked: set[Place] = set()
        self._wishes: queue.SimpleQueue[Place] = queue.SimpleQueue()
        self._threads = 0

    def answers(self, places: Collection[Place], patience: float = 0.25) -> dict[Place, Answer]:
        """Tell of some targets what is known.

        :param places: of any more than :data:`MOST_AT_ONCE` the rest is left out
        :param patience: the most seconds to wait for answers that are not known yet; those still missing are "asked"
        """
        wanted = list(dict.fromkeys(places))[:MOST_AT_ONCE]
        deadline = time.monotonic() + patience
        with self._news:
            self._ask(wanted)
            while any(place not in self._known for place in wanted):
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    break
            nothing = (0.0, Answer("asked"))
            return {place: self._known.get(place, nothing)[1] for place in wanted}

    def _ask(self, places: Collection[Place]) -> None:
        now = time.monotonic()
        for place in places:
            known = self._known.get(place)
            kept = self._seconds_kept * (_STORAGE_FACTOR if "://" in place.path else 1)
            is_fresh = known is not None and now - known[0] < kept
            if not is_fresh and place not in self._asked:
                self._asked.add(place)
                self._wishes.put(place)
        while self._threads < min(THREADS, len(self._asked)):
            self._threads += 1
            threading.Thread(target=self._work, name="look-for-targets", daemon=True).start()

    def _work(self) -> None:
        while True:
            place = self._wishes.get()
            try:
                answer = self._see(place)
            except Exception as error:
                log.exception("Looking for the target %s did not work", place.path)
                answer = Answer("unseen", f"Looking for it did not work ({type(error).__name__})")
            with self._news:
                self._asked.discard(place)
                self._known[place] = (time.monotonic(), answer)
                if len(self._known) > _MOST_KEPT:
                    self._forget()
                self._news.notify_all()

    def _forget(self) -> None:
        ordered = sorted(self._known, key=lambda place: self._known[place][0])
        for place in ordered[: _MOST_KEPT // 2]:
            del self._known[place]


#: Those of this process.
eyes = Eyes()


def answer_for(known: Mapping[Place, Answer], task: LuigiTask, target: Target) -> Answer | None:
    """What is known of a task's target; None where nobody looked."""
    return known.get(place_of(task, target))


def places_of(tasks: Collection[LuigiTask], most: int | None = None) -> list[Place]:
    """Where the targets of some tasks are.

    :param most: look at no more targets of a task than this
    """
    return [place_of(task, target) for task in tasks for target in task.targets[:most]]


def lost(known: Mapping[Place, Answer], task: LuigiTask) -> list[Target]:
    """The targets of a complete task that are missing now."""
    if task.state not in ("done", "complete"):
        return []
    answers = ((target, answer_for(known, task, target)) for target in task.targets)
    return [target for target, answer in answers if answer is not None and answer.word == "missing"]
