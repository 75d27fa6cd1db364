"""What runs cost, by group and over time: each run's cost falls on the time in which it ran."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

from airflow_domino.plugin.past_run import PastRun

Step = Literal["hour", "day", "week", "month"]
BADLY = frozenset({"failed", "error", "stopped"})
GROUPINGS: Mapping[str, Callable[[PastRun], str | None]] = {
    "dag": lambda run: run.launcher.dag_id,
    "task": lambda run: f"{run.launcher.dag_id}.{run.launcher.task_id}",
    "tier": lambda run: run.tier,
    "project": lambda run: run.project,
}
PERIODS: Mapping[str, timedelta | None] = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "30 days": timedelta(days=30),
    "90 days": timedelta(days=90),
    "year": timedelta(days=365),
    "everything": None,
}


@dataclass
class Spent:
    """What the runs of a group took within a time.

    :param name: of the group; None where the runs do not tell it.
    :param runs: how many waited or ran in that time.
    :param badly: how many of them failed or were stopped.
    :param without_cost: how many of them are over and have no known cost.
    :param cents: what they cost, as far as known.
    :param cents_badly: what those of them cost that failed or were stopped.
    :param by_step: cents in each step of the time.
    """

    name: str | None = None
    runs: int = 0
    badly: int = 0
    without_cost: int = 0
    queued_seconds: float = 0.0
    run_seconds: float = 0.0
    cents: float = 0.0
    cents_badly: float = 0.0
    by_step: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Costs:
    """What runs cost in a time.

    :param steps: when each step begins.
    :param groups: the most expensive first.
    :param before: cents of the time before, which is as long; None where there is none.
    """

    begin: datetime
    end: datetime
    step: Step
    steps: Sequence[datetime]
    groups: Sequence[Spent]
    total: Spent
    before: float | None = None

    @property
    def change(self) -> float | None:
        """How much more was spent than in the time before, as a share of that; None where nothing was."""
        return (self.total.cents - self.before) / self.before if self.before else None


def costs(
    runs: Iterable[PastRun],
    begin: datetime,
    end: datetime,
    now: datetime,
    *,
    by: str = "dag",
    with_before: bool = True,
) -> Costs:
    """Add up what runs cost between two times.

    :param runs: for the time before, too, where that is wanted.
    :param begin: of the time; its zone is that of the steps.
    :param now: up to when a run that goes on has cost something.
    :param by: one of :data:`GROUPINGS`.
    """
    steps = _steps(begin, end, step := _step(end - begin))
    # Times of one zone are subtracted by their clocks, which jump twice a year.
    edges = [moment.astimezone(UTC) for moment in (*steps, end)]
    first, last = edges[0], edges[-1]
    groups: dict[str | None, Spent] = {}
    total = Spent(by_step=[0.0] * len(steps))
    cents_before = 0.0
    for run in runs:
        cents_before += _cents_within(run, first - (last - first), first, now)
        if _is_within(run, first, last, now):
            name = GROUPINGS[by](run)
            group = groups.setdefault(name, Spent(name, by_step=[0.0] * len(steps)))
            _add(run, (group, total), edges, now)
    ordered = sorted(groups.values(), key=lambda group: (-group.cents, group.name is None, group.name or ""))
    return Costs(begin, end, step, steps, ordered, total, cents_before if with_before else None)


def _add(run: PastRun, sums: Iterable[Spent], edges: Sequence[datetime], now: datetime) -> None:
    cost, span = run.cost_cents(now), _span(run, now)
    parts = _spread(cost or 0.0, span, edges)
    begin, end = edges[0], edges[-1]
    waited = (run.submitted_at, run.started_at or run.ended_at or now) if run.submitted_at else None
    ran, queued = _overlap(span, begin, end), _overlap(waited, begin, end)
    is_bad = run.outcome in BADLY
    for each in sums:
        each.runs += 1
        each.badly += is_bad
        each.without_cost += cost is None and run.is_over
        each.run_seconds += ran
        each.queued_seconds += queued
        for index, cents in parts:
            each.by_step[index] += cents
            each.cents += cents
            each.cents_badly += cents if is_bad else 0.0


def _span(run: PastRun, now: datetime) -> tuple[datetime, datetime] | None:
    """Return when a run ran: where only its end is known, that."""
    end = run.ended_at or (None if run.is_over else now)
    begin = run.started_at or (run.ended_at or run.submitted_at if run.known_cost else None)
    if begin is None:
        return None
    return begin, max(begin, end or begin)


def _overlap(span: tuple[datetime, datetime] | None, begin: datetime, end: datetime) -> float:
    if span is None:
        return 0.0
    return max(0.0, (min(span[1], end) - max(span[0], begin)).total_seconds())


def _spread(cents: float, span: tuple[datetime, datetime] | None, edges: Sequence[datetime]) -> list[tuple[int, float]]:
    """Divide a cost among steps by how long the run ran in each."""
    if not cents or span is None:
        return []
    seconds = (span[1] - span[0]).total_seconds()
    parts = []
    for index, (begin, end) in enumerate(pairwise(edges)):
        if span[1] < begin:
            break
        share = _overlap(span, begin, end) / seconds if seconds else float(begin <= span[0] < end)
        if share:
            parts.append((index, cents * share))
    return parts


def _cents_within(run: PastRun, begin: datetime, end: datetime, now: datetime) -> float:
    return sum(cents for _, cents in _spread(run.cost_cents(now) or 0.0, _span(run, now), (begin, end)))


def _is_within(run: PastRun, begin: datetime, end: datetime, now: datetime) -> bool:
    first = run.submitted_at or run.started_at or run.ended_at
    last = (run.ended_at or run.last_moment) if run.is_over else now
    return first is not None and last is not None and first < end and last >= begin


def _step(length: timedelta) -> Step:
    if length <= timedelta(days=2):
        return "hour"
    if length <= timedelta(days=62):
        return "day"
    return "week" if length <= timedelta(days=370) else "month"


def _steps(begin: datetime, end: datetime, step: Step) -> list[datetime]:
    """Return when steps begin, in the clock of `begin`'s zone; the first one begins where the time does."""
    steps = [begin]
    following = _next(begin, step)
    while following < end:
        steps.append(following)
        following = _next(following, step)
    return steps


def _next(moment: datetime, step: Step) -> datetime:
    if step == "hour":
        hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return (hour + timedelta(hours=1)).astimezone(moment.tzinfo)
    day, zone = moment.date(), moment.tzinfo
    if step == "day":
        following = day + timedelta(days=1)
    elif step == "week":
        following = day + timedelta(days=7 - day.weekday())
    else:
        following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return datetime.combine(following, time(), zone)


def begin_of(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins in a time zone."""
    return datetime.combine(day, time(), zone)
