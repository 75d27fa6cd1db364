"""The identity of a run: a mark in its title, known before it is launched.

Domino takes no idempotency key, so a start whose answer was lost cannot be repeated safely. Each launch therefore
carries a mark at the end of the run's title; whoever is not sure whether the run exists looks for the mark first.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoError, DominoUnavailableError, LaunchOutcomeUnknownError
from airflow_domino.domino.models import Run
from airflow_domino.domino.run_request import RunRequest

LONGEST_TITLE = 200
CLOCK_MARGIN = timedelta(minutes=10)
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)

_MARK = re.compile(r"\[airflow ([0-9a-f]{12})-([0-9a-f]{16})(-pin)?\]")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunMark:
    """Which task, and which generation of it, a run belongs to.

    :param owner_key: 12 hexadecimal digits for the DAG run.
    :param task_key: 16 hexadecimal digits for the task instance and its generation.
    :param pinned: whether the run's input commit was pinned for the whole DAG run.
    """

    owner_key: str
    task_key: str
    pinned: bool = False

    @classmethod
    def for_task(
        cls, dag_id: str, run_id: str, task_id: str, map_index: int = -1, generation: int = 0, pinned: bool = False
    ) -> Self:
        """Derive the mark of a task instance: equal on every machine and for every retry of one generation."""
        owner = (dag_id, run_id)
        return cls(_digest(12, *owner), _digest(16, *owner, task_id, map_index, generation), pinned)

    @classmethod
    def parse(cls, title: str | None) -> Self | None:
        """Find the (last) mark in a title; None when there is none."""
        found = _MARK.findall(title or "")
        return cls(found[-1][0], found[-1][1], bool(found[-1][2])) if found else None

    @property
    def text(self) -> str:
        """The mark as it stands in a title."""
        return f"[airflow {self.owner_key}-{self.task_key}{'-pin' if self.pinned else ''}]"

    def marks(self, run: Run) -> bool:
        """Whether a run carries this mark, pinned or not."""
        other = RunMark.parse(run.title)
        return other is not None and (other.owner_key, other.task_key) == (self.owner_key, self.task_key)


def _digest(length: int, *parts: str | int) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:length]


def mark_title(title: str | None, mark: RunMark, limit: int = LONGEST_TITLE) -> str:
    """Put a mark at the end of a title that people can still read.

    :param title: the people's part; an older mark in it is replaced.
    :param limit: characters in all; the people's part is cut to fit, the mark never.
    """
    words = " ".join(_MARK.sub(" ", title or "").split())
    room = limit - len(mark.text) - 1
    if len(words) > room:
        words = f"{words[: room - 1].rstrip()}…" if room > 1 else ""
    return f"{words} {mark.text}" if words else mark.text


def find_run(
    client: DominoClient, project_id: str, mark: RunMark, *, since: datetime | None, limit: int = 1000
) -> Run | None:
    """Look for the newest run that carries a mark: first among the active runs, then among all, newest first.

    :param since: nothing older than this (less a margin for clocks that differ) is looked at.
    :param limit: how many runs are looked at, at most, in the second search.
    """
    everything = client.runs(project_id, limit=limit, include_archived=True)
    searches = (client.runs(project_id, status="active"), _not_before(everything, since))
    return next((run for runs in searches for run in runs if mark.marks(run)), None)


def _not_before(runs: Iterator[Run], since: datetime | None) -> Iterator[Run]:
    for run in runs:
        if since and run.submitted_at and run.submitted_at < since - CLOCK_MARGIN:
            return
        yield run


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
) -> Launch:
    """Start a run unless one with this mark exists.

    A start that was turned away or never sent is tried again, after a look. A start whose answer was lost is never
    sent again: its run is looked for until it shows or the pauses are over.

    :param request: what to start; the mark is added to its title.
    :param since: when a run with this mark can have been launched at the earliest.
    :param look_first: whether to look before the first start; only a mark that was never used needs no look.
    :param pauses: seconds between attempts.
    :raises DominoUnavailableError: when nothing was started.
    :raises LaunchOutcomeUnknownError: when a run may have been started and cannot be found: look again later.
    :raises RequestError: when Domino refused the request.
    """
    marked = replace(request, title=mark_title(request.title, mark))
    begin = datetime.now(UTC)
    if look_first and (found := find_run(client, request.project_id, mark, since=since)):
        return Launch(found, was_found=True)
    for pause in (*pauses, None):
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
        f"{lost}; no run with the mark {mark.text} has been seen so far. Look for it before launching again"
    ) from None
