"""What Domino says at the moment: looked at in the background, for all pages together, and never waited for.

A page asks for the latest look and has it at once, however Domino feels. If that look is not fresh any more, the
next one is taken meanwhile by a thread of its own: one at a time for a connection and project. While no page asks,
Domino is not asked either.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from airflow_domino.domino.errors import DominoError, DominoUnavailableError
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.orphans import Orphan, recorded_places
from airflow_domino.plugin.looking import DominoEye, Seen

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_domino.domino.models import Run
    from airflow_domino.domino.tiers import HardwareTier

INTERVAL = 15.0
"""Seconds that a look holds."""
SLOW_AFTER = 10.0
LONGEST_PAUSE = 60.0
FORGOTTEN_AFTER = 600.0
MOST_AT_ONCE = 4
MOST_PLACES = 20
NEWEST_RECORDS = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """One Domino project, as a connection saw it last.

    :param conn_id: the Airflow connection.
    :param project: `owner/name`; empty until the connection's default project is known.
    :param taken_at: when Domino said this; None before the first answer.
    :param trouble: why the latest attempt brought nothing new, as a sentence; None when all is well.
    :param tiers: the hardware tiers that the project can use.
    :param runs: its active runs and the newest of the others, newest first.
    :param orphans: active runs of Airflow's that no task waits for.
    :param warning: a sentence about a credential that soon expires.
    """

    conn_id: str
    project: str
    taken_at: datetime | None = None
    trouble: str | None = None
    tiers: tuple[HardwareTier, ...] = ()
    runs: tuple[Run, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    warning: str | None = None

    @property
    def is_pending(self) -> bool:
        """Whether Domino is being asked for the first time, so that nothing is known yet."""
        return self.taken_at is None and self.trouble is None

    def age_seconds(self, now: datetime | None = None) -> float | None:
        """Return how old it is; None before the first answer."""
        return None if self.taken_at is None else max(0.0, ((now or datetime.now(UTC)) - self.taken_at).total_seconds())

    @cached_property
    def runs_by_id(self) -> dict[str, Run]:
        """The same runs by their ids."""
        return {run.id: run for run in self.runs}

    def tier(self, name_or_id: str | None) -> HardwareTier | None:
        """Return a tier by its id or name, None where there is none."""
        by_id = next((tier for tier in self.tiers if tier.id == name_or_id), None)
        return by_id or next((tier for tier in self.tiers if tier.name == name_or_id), None)


class Looker:
    """Takes the looks at one place.

    :param eye: asks Domino; called by one thread at a time.
    :param interval: seconds that a look holds.
    """

    _at_once = threading.BoundedSemaphore(MOST_AT_ONCE)

    def __init__(self, conn_id: str, project: str, eye: Callable[[], Seen], interval: float = INTERVAL) -> None:
        self._eye = eye
        self._interval = interval
        self._lock = threading.Lock()
        self._look = Look(conn_id, project)
        self._begun: float | None = None
        self._due = 0.0
        self._is_hurried = False
        self._troubles = 0
        self.asked_at = time.monotonic()

    @property
    def is_looking(self) -> bool:
        """Whether Domino is being asked."""
        return self._begun is not None

    def latest(self) -> Look:
        """Return the last look at once; have the next one taken if it is time for it."""
        now = time.monotonic()
        with self._lock:
            self.asked_at = now
            is_due = self._begun is None and now >= self._due and self._at_once.acquire(blocking=False)
            if is_due:
                self._begun = now
            waited = 0.0 if self._begun is None else now - self._begun
            look = self._look
        if is_due:
            threading.Thread(target=self._take, name=f"domino-look-{look.conn_id}", daemon=True).start()
        if waited > SLOW_AFTER and look.trouble is None:
            return replace(look, trouble=f"Domino was asked {waited:.0f} s ago and has not answered yet")
        return look

    def hurry(self) -> None:
        """Have the next look taken when somebody asks, however fresh the last one is: something was changed.

        A look that is under way may have been too early to see it.
        """
        with self._lock:
            self._due, self._is_hurried = 0.0, True

    def _take(self) -> None:
        look, pause, self._is_hurried = self._look, self._interval, False
        try:
            seen = self._eye()
            look, self._troubles = _look_of(look, seen), 0
        except DominoError as error:
            self._troubles += 1
            look, pause = replace(look, trouble=str(error)), self._pause(error)
        except Exception:
            self._troubles += 1
            log.exception("The look at Domino by the connection %s did not work", look.conn_id)
            trouble = "Looking at Domino did not work: the log of Airflow's api-server tells why"
            look, pause = replace(look, trouble=trouble), LONGEST_PAUSE
        finally:
            with self._lock:
                self._look, self._begun = look, None
                self._due = 0.0 if self._is_hurried else time.monotonic() + pause
            self._at_once.release()

    def _pause(self, error: Exception) -> float:
        """Return the seconds to leave Domino alone: what it asked for, or longer and longer."""
        asked = error.retry_after if isinstance(error, DominoUnavailableError) else None
        growing = self._interval * 2.0 ** min(self._troubles - 1, 8)
        return min(max(asked or 0.0, growing), max(LONGEST_PAUSE, self._interval))


def _look_of(before: Look, seen: Seen) -> Look:
    return Look(
        conn_id=before.conn_id,
        project=seen.project,
        taken_at=datetime.now(UTC),
        tiers=seen.tiers,
        runs=seen.runs,
        orphans=before.orphans if seen.orphans is None else seen.orphans,
        warning=seen.warning,
    )


_lookers: dict[tuple[str, str], Looker] = {}
_lookers_lock = threading.Lock()


def looker(conn_id: str, project: str) -> Looker:
    """Return what looks at a place, the same for everybody; those that nobody asked for long are forgotten."""
    now = time.monotonic()
    with _lookers_lock:
        for key in [
            key for key, one in _lookers.items() if now - one.asked_at > FORGOTTEN_AFTER and not one.is_looking
        ]:
            del _lookers[key]
        found = _lookers.get((conn_id, project))
        if found is None:
            found = _lookers[conn_id, project] = Looker(conn_id, project, DominoEye(conn_id, project))
        return found


def latest(conn_id: str, project: str) -> Look:
    """Return the latest look at a project, without waiting for Domino.

    :param conn_id: id of an Airflow connection.
    :param project: `owner/name`; empty for the connection's default project.
    """
    return looker(conn_id, project).latest()


def all_latest(places: Iterable[tuple[str, str]]) -> list[Look]:
    """Return the latest look at each of several places (:func:`places`)."""
    return [latest(conn_id, project) for conn_id, project in places]


def places(session: Session, dag_ids: Collection[str]) -> list[tuple[str, str]]:
    """Return connection and project where tasks of the given DAGs have launched runs, the latest first.

    Where no run was launched yet, that is the default connection with its own default project (an empty name). Two
    statements.

    :param session: session on Airflow's database.
    :param dag_ids: DAGs that the caller may read.
    """
    if not dag_ids:
        return []
    default = DominoHook.default_conn_name
    recorded = recorded_places(session, dag_ids, newest=NEWEST_RECORDS)
    found = dict.fromkeys((conn_id or default, project) for conn_id, project in recorded)
    return list(found)[:MOST_PLACES] or [(default, "")]
