"""Drawings for the pages, as the numbers that their templates put into SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH = 960
HEIGHT = 90
_FEWEST_ROWS = 2
_Scale = Callable[[float], float]


@dataclass(frozen=True)
class Chart:
    """How full a tier was: an area of executing runs, one of waiting runs on top of it, and the line of its capacity.

    :param executing: outline of the lower area, as the ``d`` of an SVG path.
    :param queued: outline of the upper area.
    :param capacity_y: where the line is.
    :param most_executing: largest number in the lower area.
    :param most_queued: largest number in the upper one.
    """

    executing: str
    queued: str
    capacity_y: float
    most_executing: int
    most_queued: int


@dataclass(frozen=True)
class Segment:
    """One state of a run in the bar of its states.

    :param x: where it begins in the bar, of :data:`WIDTH`.
    """

    status: str
    begin: int
    end: int | None
    x: float
    width: float


def tier_chart(executing: Sequence[int], queued: Sequence[int], capacity: int) -> Chart:
    """Draw how full a tier was.

    :param executing: how many runs executed in each column of the time.
    :param queued: how many waited.
    :param capacity: how many can execute at once.
    """
    both = [ran + waited for ran, waited in zip(executing, queued, strict=True)]
    top = max(capacity, _FEWEST_ROWS, *both) * 1.05

    def y(level: float) -> float:
        return round(HEIGHT * (1 - level / top), 2)

    return Chart(
        executing=_area([0] * len(executing), executing, y),
        queued=_area(executing, both, y),
        capacity_y=y(capacity),
        most_executing=max(executing, default=0),
        most_queued=max(queued, default=0),
    )


def _area(low: Sequence[int], high: Sequence[int], y: _Scale) -> str:
    """Outline what lies between two lines of steps; nothing where they do not differ."""
    step = WIDTH / max(1, len(high))
    pieces, begin = [], 0
    for end in range(1, len(high) + 1):
        if end < len(high) and (low[end], high[end]) == (low[begin], high[begin]):
            continue
        if high[begin] > low[begin]:
            left, right = round(begin * step, 1), round(end * step, 1)
            pieces.append(f"M{left},{y(low[begin])}V{y(high[begin])}H{right}V{y(low[begin])}Z")
        begin = end
    return "".join(pieces)


def segments(changes: Sequence[tuple[int, str]], end: int | None, now: int) -> list[Segment]:
    """Lay the states of a run out as a bar.

    :param changes: when it came into which state, oldest first.
    :param end: when it was over; None while it goes on.
    :param now: up to where the last state goes while it goes on.
    """
    if not changes:
        return []
    last = max(end or now, changes[-1][0])
    whole = max(1, last - changes[0][0])
    found = []
    for (begin, status), following in zip(changes, [*(moment for moment, _ in changes[1:]), None], strict=True):
        stop = following if following is not None else end
        shown_until = last if stop is None else stop
        x = (begin - changes[0][0]) / whole * WIDTH
        width = max(0.0, (shown_until - begin) / whole * WIDTH)
        found.append(Segment(status, begin, stop, round(x, 1), round(width, 1)))
    return found
