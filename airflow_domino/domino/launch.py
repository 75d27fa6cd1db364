"""The identity of a run: a mark in its title, known before it is launched.

Domino takes no idempotency key, so a start whose answer was lost cannot be repeated safely. Each launch therefore
carries a mark at the end of the run's title; whoever is not sure whether the run exists looks for the mark first.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoError, DominoUnavailableError, LaunchOutcomeUnknownError
from airflow_domino.domino.models import Run
from airflow_domino.domino.run_request import RunRequest

LONGEST_TITLE = 200
LONGEST_SEARCH = 10_000
CLOCK_MARGIN = timedelta(minutes=10)
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
STALE_SECONDS = 3.0
"""How long a look for earlier runs holds: a process that was frozen since may have been replaced by another one."""

# The last part comes after the first in brackets of its own, so that versions that do not know it find the first.
_MARK = re.compile(
    r"\[airflow ([0-9a-f]{12})-([0-9a-f]{16})(?:-([0-9a-f]{8}))?(-pin)?\](?:\s+\[created ([0-9a-f]{8})\])?"
)
_WORK = re.compile(r"\[makes ([0-9a-f]{16})\]")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunMark:
    """Which task, and which generation of it, a run belongs to.

    :param owner_key: 12 hexadecimal digits for the name of the DAG run.
    :param task_key: 16 hexadecimal digits for the task instance and its generation.
    :param pinned: whether the run's input commit was pinned for the whole DAG run.
    :param group_key: 8 hexadecimal digits for the task in all its DAG runs; empty in marks that do not tell it.
    :param creation_key: 8 hexadecimal digits for the DAG run as it was created, since a DAG run that was deleted and
        created again has the same name; empty where that is not known.
    """

    owner_key: str
    task_key: str
    pinned: bool = False
    group_key: str = ""
    creation_key: str = ""

    @classmethod
    def for_task(
        cls,
        dag_id: str,
        run_id: str,
        task_id: str,
        map_index: int = -1,
        generation: int = 0,
        pinned: bool = False,
        creation_key: str = "",
    ) -> Self:
        """Derive the mark of a task instance: equal on every machine and for every retry of one generation.

        :param creation_key: of :meth:`creation_of`.
        """
        owner = (dag_id, run_id)
        task_key = _digest(16, *owner, task_id, map_index, generation)
        return cls(_digest(12, *owner), task_key, pinned, cls.group_of(dag_id, task_id), creation_key)

    @staticmethod
    def group_of(dag_id: str, task_id: str) -> str:
        """Derive the key that all runs of a task share, whichever DAG run and map index they belong to."""
        return _digest(8, dag_id, task_id)

    @staticmethod
    def creation_of(*times: datetime | None) -> str:
        """Derive the key that identifies a DAG run among others of its name.

        :param times: with a time zone; equal for all tries of a task instance, and not for another DAG run of the name.
        """
        return _digest(8, *(_microseconds(time) if time else None for time in times))

    @classmethod
    def parse(cls, title: str | None) -> Self | None:
        """Find the (last) mark in a title; None when there is none."""
        found = _MARK.findall(title or "")
        if not found:
            return None
        owner_key, task_key, group_key, pin, creation_key = found[-1]
        return cls(owner_key, task_key, bool(pin), group_key, creation_key)

    @property
    def text(self) -> str:
        """The mark as it stands in a title."""
        group = f"-{self.group_key}" if self.group_key else ""
        created = f" [created {self.creation_key}]" if self.creation_key else ""
        return f"[airflow {self.owner_key}-{self.task_key}{group}{'-pin' if self.pinned else ''}]{created}"

    def may_be_of(self, creation_key: str) -> bool:
        """Whether it can be of a DAG run as created: nothing is known against it.

        :param creation_key: of :meth:`creation_of`; empty where it is not known.
        """
        return not (self.creation_key and creation_key) or self.creation_key == creation_key

    def is_same_launch(self, other: RunMark) -> bool:
        """Whether both are of one launch; a mark without a creation key, of an earlier version, counts."""
        return self.task_key == other.task_key and self.may_be_of(other.creation_key)

    def marks(self, run: Run) -> bool:
        """Whether a run carries this mark, pinned or not."""
        other = RunMark.parse(run.title)
        return other is not None and self.is_same_launch(other)


def _microseconds(time: datetime) -> int:
    return calendar.timegm(time.utctimetuple()) * 10**6 + time.microsecond


def _digest(length: int, *parts: str | int | None) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:length]


def mark_title(title: str | None, mark: RunMark, limit: int = LONGEST_TITLE) -> str:
    """Put a mark at the end of a title that people can still read.

    :param title: the people's part; an older mark in it is replaced, and what :func:`work_title` adds is kept whole.
    :param limit: characters in all; the people's part is cut to fit, the mark never.
    """
    words = " ".join(_WORK.sub(" ", _MARK.sub(" ", title or "")).split())
    key = work_of(title)
    end = f"{_work_text(key)} {mark.text}" if key else mark.text
    room = limit - len(end) - 1
    if len(words) > room:
        words = f"{words[: room - 1].rstrip()}…" if room > 1 else ""
    return f"{words} {end}" if words else end


def work_key(*parts: str) -> str:
    """Derive the key of what a run makes, for :func:`work_title`.

    :param parts: what tells it from all else that runs make, whoever launches them.
    """
    return _digest(16, *parts)


def work_title(title: str, key: str) -> str:
    """Add to a title what the run makes, so that two runs that make the same are known as such.

    :param key: of :func:`work_key`.
    """
    return f"{title} {_work_text(key)}"


def work_of(title: str | None) -> str | None:
    """Read from a title what its run makes, as a key; None where that is not told."""
    found = _WORK.findall(title or "")
    return found[-1] if found else None


def _work_text(key: str) -> str:
    return f"[makes {key}]"


class MarkedRuns:
    """The runs of a project that carry a mark, newest first: one reading of the list, many questions.

    :param runs: runs with and without a mark, in any order, some perhaps twice.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        marked = {run.id: (run, mark) for run in runs if (mark := RunMark.parse(run.title)) is not None}
        self._marked = sorted(marked.values(), key=lambda entry: entry[0].number, reverse=True)

    def __iter__(self) -> Iterator[tuple[Run, RunMark]]:
        return iter(self._marked)

    def __len__(self) -> int:
        return len(self._marked)

    def of_launch(self, mark: RunMark) -> list[Run]:
        """Return the runs of one launch of a task instance; more than one where a launch went wrong."""
        return [run for run, other in self._marked if mark.is_same_launch(other)]

    def with_owner_key(self, owner_key: str) -> MarkedRuns:
        """Return the runs of one DAG run."""
        return MarkedRuns(run for run, mark in self._marked if mark.owner_key == owner_key)

    def active(self) -> MarkedRuns:
        """Return those that go on."""
        return MarkedRuns(run for run, _ in self._marked if not run.status.is_completed)


def scan_marked(
    client: DominoClient, project_id: str, since: datetime | None, *, limit: int = LONGEST_SEARCH
) -> MarkedRuns:
    """Read the runs of a project that carry a mark: all active ones, then all others from a time on.

    :param since: nothing older than this (less a margin for clocks that differ) is looked at, unless it is active.
    :param limit: how many runs are looked at, at most, in the second search.
    """
    everything = client.runs(project_id, limit=limit, include_archived=True)
    active = list(client.runs(project_id, status="active"))
    # What the second list says of a run is newer.
    return MarkedRuns([*active, *_not_before(everything, since)])


def _not_before(runs: Iterator[Run], since: datetime | None) -> Iterator[Run]:
    for run in runs:
        if since and run.submitted_at and run.submitted_at < since - CLOCK_MARGIN:
            return
        yield run


def find_run(
    client: DominoClient, project_id: str, mark: RunMark, *, since: datetime | None, limit: int = LONGEST_SEARCH
) -> Run | None:
    """Look for the newest run that carries a mark.

    :param since: see :func:`scan_marked`, and there for `limit`.
    """
    return next(iter(scan_marked(client, project_id, since, limit=limit).of_launch(mark)), None)


@dataclass(frozen=True)
class Launch:
    """A run that carries the mark asked for.

    :param was_found: whether it was there already.
    """

    run: Run
    was_found: bool


def launch_once(
    client: DominoClient,
    request: RunRequest,
    mark: RunMark,
    *,
    since: datetime | None = None,
    look_first: bool = True,
    pauses: Sequence[float] = PAUSES,
    before_start: Callable[[], object] = lambda: None,
) -> Launch:
    """Start a run unless one with this mark exists.

    A start that was turned away or never sent is tried again, after a look. A look that is long past when the start is
    due is made again. A start whose answer was lost is never sent again: its run is looked for until it shows or the
    pauses are over.

    :param request: what to start; the mark is added to its title.
    :param since: when a run with this mark can have been launched at the earliest.
    :param look_first: whether to look before the first start; only a mark that was never used needs no look.
    :param pauses: seconds between attempts.
    :param before_start: called right before each start; what it raises is raised, and nothing is started.
    :raises DominoUnavailableError: when nothing was started.
    :raises LaunchOutcomeUnknownError: when a run may have been started and cannot be found: look again later.
    :raises RequestError: when Domino refused the request.
    """
    marked = replace(request, title=mark_title(request.title, mark))
    begin, looked_at = datetime.now(UTC), time.monotonic()
    if look_first and (found := find_run(client, request.project_id, mark, since=since)):
        return Launch(found, was_found=True)
    for pause in (*pauses, None):
        before_start()
        is_stale = time.monotonic() - looked_at > STALE_SECONDS
        if is_stale and (found := find_run(client, request.project_id, mark, since=begin)):
            return Launch(found, was_found=True)
        try:
            return Launch(client.start_run(marked), was_found=False)
        except LaunchOutcomeUnknownError as error:
            _log.warning("The answer to the start of a run was lost; looking for the run: %s", error)
            return Launch(_await_lost(client, request.project_id, mark, begin, pauses, error), was_found=True)
        except DominoUnavailableError as error:
            if pause is None:
                raise
            _log.warning("Domino started nothing; trying again: %s", error)
            time.sleep(max(pause, min(error.retry_after or 0.0, 60.0)))
        looked_at = time.monotonic()
        if found := find_run(client, request.project_id, mark, since=begin):
            return Launch(found, was_found=True)
    raise AssertionError("unreachable")


def _await_lost(
    client: DominoClient,
    project_id: str,
    mark: RunMark,
    begin: datetime,
    pauses: Sequence[float],
    lost: LaunchOutcomeUnknownError,
) -> Run:
    for pause in pauses:
        time.sleep(pause)
        try:
            found = find_run(client, project_id, mark, since=begin)
        except DominoError as error:  # even a refusal: it would say that nothing was started
            _log.warning("Looking for the run failed: %s", error)
            continue
        if found:
            return found
    raise LaunchOutcomeUnknownError(
        f"{lost}: no run with the mark {mark.text} has been seen so far in Domino's list of runs"
    ) from None
