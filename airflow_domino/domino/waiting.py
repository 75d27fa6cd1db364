"""Waiting for runs: the pace of asking, which trouble passes, and the blocking form of the wait."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import (
    AuthenticationError,
    ConfigurationError,
    DominoError,
    DominoUnavailableError,
    NotFoundError,
    PermissionDeniedError,
    QueueWaitTimeoutError,
    RunWaitTimeoutError,
)
from airflow_domino.domino.follow import LogFollower, LogPace
from airflow_domino.domino.models import LogLine, Run, RunStatus

DEFAULT_OUTAGE_BUDGET = 3600.0
QUICKEST = 1.0
SHARE_OF_AGE = 0.2
TIMES_NOT_FOUND = 4
LONGEST_REST = 300.0
UNSEEN_PAUSE = 5.0
SMALLEST_PAGE, LARGEST_PAGE = 100, 1000
# A further page of the list is read where it can save this many questions: the project may hold others' runs as well.
SINGLES_PER_PAGE = 4

# A token may be renewed and a permission given while the run goes on, so these are waited out like an outage.
PASSING = (DominoUnavailableError, AuthenticationError, PermissionDeniedError, ConfigurationError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watched:
    """The end of a wait.

    :param run: the run, over.
    :param log_cursor: where reading its log has come to.
    """

    run: Run
    log_cursor: str


def delay(age: float, interval: float) -> float:
    """Seconds until a run is asked for again: about one for a young run, growing with its age to the interval.

    :param age: seconds waited so far.
    :param interval: longest time between two questions, before jitter of a tenth.
    """
    seconds = min(interval, max(QUICKEST, age * SHARE_OF_AGE))
    return seconds * random.uniform(0.9, 1.1)  # noqa: S311  spreads load, guards nothing


def unseen(run_id: str, project_id: str | None) -> Run:
    """What is known of a run that Domino has not told us about yet."""
    return Run(run_id, 0, None, "", project_id, RunStatus("Unknown", is_completed=False))


class Patience:
    """How much trouble one wait has met, and when it is too much.

    :param outage_budget: seconds of unbroken trouble that are waited out.
    :param announced: whether trouble and its end are written to the log.
    """

    def __init__(self, outage_budget: float, *, announced: bool = True) -> None:
        self._outage_budget = outage_budget
        self._announced = announced
        self._since: float | None = None
        self._was_answered = False
        self._not_found = 0

    @property
    def is_new(self) -> bool:
        """Whether nothing has been asked yet, so that no answer has shown the settings to be right."""
        return not self._was_answered and self._since is None

    def recovered(self) -> None:
        """Note an answer."""
        self._was_answered = True
        if self._since is not None and self._announced:
            _log.info("Domino answers again")
        self._since, self._not_found = None, 0

    def bear(self, error: DominoError) -> None:
        """Note a failed question.

        :raises DominoError: the error itself, when it does not pass or the budget is used up.
        """
        if isinstance(error, NotFoundError):
            self._not_found += 1
            if self._not_found >= TIMES_NOT_FOUND:
                raise error
            return
        if not isinstance(error, PASSING):
            raise error
        now = time.monotonic()
        if self._since is None:
            self._since = now
            if self._announced:
                _log.warning("Domino could not be asked, trying for %g s: %s", self._outage_budget, error)
        if now - self._since >= self._outage_budget:
            raise error


def _renew(client: DominoClient, renew: Callable[[], Credentials]) -> None:
    try:
        client.use(renew())
    except Exception as error:  # wherever they come from, the wait goes on
        _log.warning("%s", not_renewed(error))


def not_renewed(error: Exception) -> str:
    """Return what is to be logged when credentials could not be fetched anew."""
    return f"Domino does not accept the credentials, and others cannot be had at the moment: {error}"


def still_to_start(run: Run, queue_deadline: datetime | None, url: str, *, is_fresh: bool = True) -> datetime | None:
    """Return the queue deadline that still holds, None for a run that has started.

    :param is_fresh: whether the run has just been looked at; during an outage nobody knows whether it has started.
    :raises QueueWaitTimeoutError: when the run is still queued though the deadline has passed.
    """
    if queue_deadline is None or datetime.now(UTC) < queue_deadline:
        return queue_deadline
    if not is_fresh:
        return datetime.now(UTC) + timedelta(seconds=UNSEEN_PAUSE)
    if run.started_at is None and not run.status.is_completed and not run.status.is_running:
        raise QueueWaitTimeoutError(run, url)
    return None


def active_runs(client: DominoClient, project_id: str, wanted: Mapping[str, Run]) -> dict[str, Run]:
    """Return the wanted ones among the active runs, reading no further than it saves questions about single runs.

    :param wanted: the runs as they are known, by their ids.
    """
    page_size = min(LARGEST_PAGE, max(SMALLEST_PAGE, len(wanted)))
    limit = page_size * max(1, len(wanted) // SINGLES_PER_PAGE)
    found: dict[str, Run] = {}
    for run in client.runs(project_id, status="active", page_size=page_size, limit=limit, known=wanted):
        if run.id in wanted:
            found[run.id] = run
            if len(found) == len(wanted):
                break
    return found


def wait_for_run(
    client: DominoClient,
    run_id: str,
    *,
    interval: float = 10.0,
    deadline: datetime | None = None,
    on_log: Callable[[LogLine], None] | None = None,
    log_cursor: str = "0",
    outage_budget: float = DEFAULT_OUTAGE_BUDGET,
    url: str = "",
    renew: Callable[[], Credentials] | None = None,
    queue_deadline: datetime | None = None,
    on_look: Callable[[Run], object] | None = None,
) -> Watched:
    """Block until a run is over. Trouble in asking is waited out; the run's own fate is in the answer, no exception.

    :param interval: longest time in seconds between two questions; young runs are asked for more often.
    :param deadline: moment at which to give up; the run is left alone.
    :param on_log: gets each line of the run's log once.
    :param log_cursor: where to begin in the log.
    :param outage_budget: seconds of unbroken trouble that are waited out.
    :param url: the run's page, for error messages.
    :param renew: fetches the credentials anew when Domino does not accept those of the client (any more).
    :param queue_deadline: moment by which the run must have started; it is left alone all the same.
    :param on_look: gets the run each time that it has been asked for.
    :raises RunWaitTimeoutError: when the deadline passes.
    :raises QueueWaitTimeoutError: when the run is still queued at its queue deadline.
    :raises DominoUnavailableError: when the trouble outlasts the budget (or the error that it began with).
    :raises NotFoundError: when Domino keeps saying that there is no such run.
    """
    patience, begin = Patience(outage_budget), time.monotonic()
    log, pace = LogFollower(client, run_id, on_log, log_cursor), LogPace()
    run = unseen(run_id, None)
    while True:
        is_fresh, rest = True, 0.0
        try:
            run = client.run(run_id)
            patience.recovered()
            if on_look is not None:
                on_look(run)
        except DominoError as error:
            patience.bear(error)
            is_fresh, rest = False, min(getattr(error, "retry_after", None) or 0.0, LONGEST_REST)
            if renew is not None and isinstance(error, AuthenticationError):
                _renew(client, renew)
        if run.status.is_completed or (pace.is_due and not run.status.is_queued):
            before = log.cursor
            log.read(to_end=run.status.is_completed)
            pace.saw(output=log.cursor != before)
        if run.status.is_completed:
            return Watched(run, log.cursor)
        queue_deadline = still_to_start(run, queue_deadline, url, is_fresh=is_fresh)
        pause = max(delay(time.monotonic() - begin, interval), rest)
        if deadline is not None and (deadline - datetime.now(UTC)).total_seconds() <= 0:
            raise RunWaitTimeoutError(run, url)
        for moment in (deadline, queue_deadline):
            if moment is not None:
                pause = min(pause, max(0.0, (moment - datetime.now(UTC)).total_seconds()))
        time.sleep(pause)
