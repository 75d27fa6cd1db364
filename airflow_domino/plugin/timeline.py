"""How runs queued and ran on each tier: bars in lanes, and how many there were at each moment."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_domino.plugin.past_run import PastRun

if TYPE_CHECKING:
    from airflow_domino.plugin.look import Look

PERIODS = {
    "hour": timedelta(hours=1),
    "6 hours": timedelta(hours=6),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "30 days": timedelta(days=30),
}


@dataclass(frozen=True)
class Window:
    """The time that is shown."""

    begin: datetime
    end: datetime

    def cut(self, begin: datetime, end: datetime) -> tuple[datetime, datetime] | None:
        """Return the part of a time that lies within; None where there is none."""
        first, last = max(begin, self.begin), min(end, self.end)
        return (first, last) if first < last or first == last == begin else None


@dataclass(frozen=True)
class Bar:
    """A run in the picture.

    :param lane: which row it is in, from 0 at the bottom.
    :param queued: when it waited, as far as that is shown.
    :param ran: when it ran.
    """

    run: PastRun
    lane: int
    queued: tuple[datetime, datetime] | None
    ran: tuple[datetime, datetime] | None


@dataclass(frozen=True)
class Levels:
    """How many runs waited and ran from each moment on."""

    moments: Sequence[datetime]
    queued: Sequence[int]
    running: Sequence[int]

    @property
    def most_running(self) -> int:
        """How many ran at once, at most."""
        return max(self.running, default=0)

    @property
    def most_queued(self) -> int:
        """How many waited at once, at most."""
        return max(self.queued, default=0)


@dataclass(frozen=True)
class TierTimeline:
    """One tier over a time.

    :param name: None for the runs whose tier is not known.
    :param runs: all of them, the latest first.
    :param bars: the latest of them, those whose times are known.
    :param capacity: how many runs can execute at once; None where Domino does not tell.
    :param running_now: runs of ours that run at the end of the window.
    :param mean_wait: seconds; None without a run whose wait is known.
    :param busy: share of the time in which at least one run ran.
    """

    name: str | None
    runs: Sequence[PastRun]
    bars: Sequence[Bar]
    lanes: int
    levels: Levels
    capacity: int | None
    cents_per_minute: float | None
    running_now: int
    queued_now: int
    mean_wait: float | None
    longest_wait: float | None
    busy: float


def timelines(
    runs: Iterable[PastRun], window: Window, looks: Iterable[Look] = (), most_bars: int = 500
) -> list[TierTimeline]:
    """Lay runs out by tier; the tiers with the most runs come first, runs of unknown tier last.

    :param runs: the latest first; those outside the window are left out.
    :param looks: tell the tiers' capacity.
    :param most_bars: how many runs of a tier are drawn as bars, the latest.
    """
    by_tier: dict[str | None, list[PastRun]] = {}
    for run in runs:
        if _is_within(run, window):
            by_tier.setdefault(run.tier, []).append(run)
    found = [_timeline(tier, members, window, list(looks), most_bars) for tier, members in by_tier.items()]
    return sorted(found, key=lambda each: (each.name is None, -len(each.runs), each.name or ""))


def _is_within(run: PastRun, window: Window) -> bool:
    begin = run.submitted_at or run.started_at or run.ended_at
    end = (run.ended_at or begin) if run.is_over else window.end
    return begin is None or end is None or (begin <= window.end and end >= window.begin)


def _timeline(name: str | None, runs: list[PastRun], window: Window, looks: list[Look], most_bars: int) -> TierTimeline:
    levels = _levels(runs, window)
    waits = [wait for run in runs if (wait := run.queued_seconds(window.end)) is not None]
    bars, lanes = _bars(runs[:most_bars], window)
    capacity, price = _of_tier(name, runs, looks)
    going_on = [run.outcome for run in runs if not run.is_over]
    return TierTimeline(
        name=name,
        runs=runs,
        bars=bars,
        lanes=lanes,
        levels=levels,
        capacity=capacity,
        cents_per_minute=price,
        running_now=going_on.count("running"),
        queued_now=going_on.count("queued"),
        mean_wait=sum(waits) / len(waits) if waits else None,
        longest_wait=max(waits, default=None),
        busy=_busy(levels, window),
    )


def _of_tier(name: str | None, runs: list[PastRun], looks: list[Look]) -> tuple[int | None, float | None]:
    """Return a tier's capacity and price: what Domino says now, else the price of its latest run."""
    projects = {run.project for run in runs}
    for look in looks:
        tier = look.tier(name) if name is not None and look.project in projects else None
        if tier is not None:
            return tier.most_runs, tier.cents_per_minute
    return None, next((run.cents_per_minute for run in runs if run.cents_per_minute is not None), None)


def _parts(run: PastRun, now: datetime) -> tuple[tuple[datetime, datetime] | None, tuple[datetime, datetime] | None]:
    """Return when a run waited and when it ran; None for what it did not, or what nobody knows."""
    end = run.ended_at or (None if run.is_over else now)
    waited_until = run.started_at or (end if run.outcome != "live" else None)
    queued = (run.submitted_at, waited_until) if run.submitted_at and waited_until else None
    began = run.started_at or (run.submitted_at if run.outcome == "live" else None)
    return queued, (began, end) if began and end else None


def _bars(runs: Sequence[PastRun], window: Window) -> tuple[list[Bar], int]:
    """Give each run the lowest lane that is free when it begins."""
    free: list[int] = []
    taken: list[tuple[datetime, int]] = []
    bars = []
    lanes = 0
    for run in sorted(runs, key=lambda run: (run.submitted_at or window.begin, run.number or 0)):
        queued, ran = ((part and window.cut(*part)) for part in _parts(run, window.end))
        spans = [part for part in (queued, ran) if part is not None]
        if not spans:
            continue
        while taken and taken[0][0] <= spans[0][0]:
            heapq.heappush(free, heapq.heappop(taken)[1])
        lane = heapq.heappop(free) if free else lanes
        lanes = max(lanes, lane + 1)
        heapq.heappush(taken, (spans[-1][1], lane))
        bars.append(Bar(run, lane, queued, ran))
    return bars, lanes


def _levels(runs: Iterable[PastRun], window: Window) -> Levels:
    changes: dict[datetime, list[int]] = {window.begin: [0, 0], window.end: [0, 0]}
    for run in runs:
        for kind, part in enumerate(_parts(run, window.end)):
            shown = part and window.cut(*part)
            if shown:
                changes.setdefault(shown[0], [0, 0])[kind] += 1
                if shown[1] < window.end:
                    changes.setdefault(shown[1], [0, 0])[kind] -= 1
    moments, queued, running, waiting, going = [], [], [], 0, 0
    for moment, (more_waiting, more_going) in sorted(changes.items()):
        waiting, going = waiting + more_waiting, going + more_going
        moments.append(moment)
        queued.append(waiting)
        running.append(going)
    return Levels(moments, queued, running)


def _busy(levels: Levels, window: Window) -> float:
    spans = zip(levels.moments, levels.moments[1:], levels.running, strict=False)
    seconds = sum((end - begin).total_seconds() for begin, end, running in spans if running)
    return seconds / max(1.0, (window.end - window.begin).total_seconds())
