"""One run on Domino that an Airflow task launched, at whatever attempt, and how its facts are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_domino.domino.models import FINAL_WORDS, QUEUED_WORDS
from airflow_domino.plugin.stored import moment, number, text, web_address, whole_number

if TYPE_CHECKING:
    from airflow_domino.domino.models import Run

LIVE_STATES = frozenset(
    {"scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"}
)
OUTCOMES = ("succeeded", "failed", "error", "stopped", "unknown", "running", "queued", "live")
"""How a run ended, or where it is: `live` is queued or running, nobody knows which."""

_ENDINGS = {"Succeeded": "succeeded", "Failed": "failed", "Error": "error", "Faulty": "error", "Stopped": "stopped"}


@dataclass(frozen=True)
class Launcher:
    """The task instance that launched a run.

    :param state: of the task instance now; None where it has none, or is not known.
    :param began: when its present attempt began.
    :param ended: when that was over.
    """

    dag_id: str
    airflow_run_id: str
    task_id: str
    map_index: int = -1
    state: str | None = None
    try_number: int | None = None
    began: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True)
class PastRun:
    """A run on Domino, going on or over.

    :param launcher: the task instance; its state is of now, and need not be about this run.
    :param is_latest: whether the present attempt of the task instance has launched it, or goes on with it.
    :param try_number: the attempt that launched it, where that is known.
    :param status: Domino's last word that is known.
    :param is_over: whether it has ended, as far as anybody knows.
    :param is_estimated: whether its times are those of the task instance, for want of better ones.
    :param cents_per_minute: price of its tier when it was launched.
    :param known_cost: in cents, as the operator reckoned it at the end.
    """

    run_id: str
    launcher: Launcher
    is_latest: bool = False
    try_number: int | None = None
    url: str | None = None
    number: int | None = None
    project: str | None = None
    conn_id: str | None = None
    tier: str | None = None
    status: str | None = None
    is_over: bool = False
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    is_estimated: bool = False
    cents_per_minute: float | None = None
    known_cost: float | None = None

    @property
    def outcome(self) -> str:
        """One of :data:`OUTCOMES`."""
        if self.is_over:
            return _ENDINGS.get(self.status or "", "unknown")
        if self.started_at is not None:
            return "running"
        if self.status is None:
            return "live"
        return "queued" if self.status in QUEUED_WORDS else "running"

    def queued_seconds(self, now: datetime) -> float | None:
        """Return how long it waited, or has waited so far."""
        return _between(self.submitted_at, self.started_at or self.ended_at or (None if self.is_over else now))

    def run_seconds(self, now: datetime) -> float | None:
        """Return how long it ran, or has run so far; None where it never did, or that is not known."""
        return _between(self.started_at, self.ended_at or (None if self.is_over else now))

    def cost_cents(self, now: datetime) -> float | None:
        """Return what it cost, or has cost so far; None where that is not known."""
        if self.known_cost is not None:
            return self.known_cost
        if self.cents_per_minute is None or self.is_estimated:
            return None
        if self.started_at is None:
            return 0.0 if self.status in QUEUED_WORDS or self.ended_at is not None else None
        seconds = self.run_seconds(now)
        return None if seconds is None else self.cents_per_minute * seconds / 60

    @property
    def last_moment(self) -> datetime | None:
        """The latest time that is known of it."""
        return self.ended_at or self.started_at or self.submitted_at

    def seen(self, run: Run) -> PastRun:
        """Return the same run with what Domino says of it."""
        return replace(
            self,
            number=run.number or self.number,
            status=run.status.word,
            is_over=run.status.is_completed,
            submitted_at=run.submitted_at or self.submitted_at,
            started_at=run.started_at or (self.started_at if run.status.is_completed else None),
            ended_at=run.completed_at or (self.ended_at if run.status.is_completed else None),
            is_estimated=self.is_estimated and not (run.submitted_at and run.started_at),
        )


def from_facts(run_id: str, launcher: Launcher, facts: Mapping[str, Any], *, is_latest: bool) -> PastRun:
    """Put a run together from what was stored about it.

    :param facts: the fields of a run handle, of a task's result, and of :mod:`airflow_domino.hooks.past_runs`.
    """
    status = text(facts.get("status"))
    submitted, started, ended, estimated = _times(facts, launcher, is_latest)
    # A task that is over waits for nothing: its run has ended too, or is somebody else's affair.
    given_up = not is_latest or launcher.state not in LIVE_STATES
    is_over = status in FINAL_WORDS if status else given_up
    return PastRun(
        run_id=run_id,
        launcher=launcher,
        is_latest=is_latest,
        try_number=whole_number(facts.get("try_number")) or (launcher.try_number if is_latest else None),
        url=web_address(facts.get("url")),
        number=whole_number(facts.get("number")),
        project=text(facts.get("project")),
        conn_id=text(facts.get("conn_id")),
        tier=text(facts.get("tier")),
        status=status,
        is_over=is_over,
        submitted_at=submitted,
        started_at=started,
        ended_at=ended if is_over else None,
        is_estimated=estimated,
        cents_per_minute=number(facts.get("cents_per_minute")),
        known_cost=number(facts.get("cost_cents")),
    )


def _times(
    facts: Mapping[str, Any], launcher: Launcher, is_latest: bool
) -> tuple[datetime | None, datetime | None, datetime | None, bool]:
    """Return when a run was submitted, started and over, and whether its beginning is only estimated."""
    queued, ran = number(facts.get("queued_seconds")), number(facts.get("run_seconds"))
    submitted = moment(facts.get("submitted_at"))
    is_estimated = submitted is None and is_latest
    if is_estimated:
        submitted = launcher.began
    started = moment(facts.get("started_at"))
    if started is None and ran is not None:
        started = _after(submitted, queued or 0.0)
    ended = moment(facts.get("completed_at")) or _after(started, ran)
    if ended is None and ran is None and queued is not None:
        ended = _after(submitted, queued)
    if ended is None and is_latest:
        ended = launcher.ended
    return submitted, started, ended, is_estimated


def _after(begin: datetime | None, seconds: float | None) -> datetime | None:
    return begin + timedelta(seconds=seconds) if begin is not None and seconds is not None else None


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    return max(0.0, (end - begin).total_seconds()) if begin is not None and end is not None else None
