"""How far long work is, for the person who waits: drawn on a terminal, told in plain lines elsewhere.

All of it goes to the standard error, so that what a program reads from the standard output stays what it was. Work that
is soon over says nothing in lines.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

Unit = Literal["bytes", "files", "tasks", "runs"]
Line = Callable[[str], object]

#: Seconds of work before the first plain line, and between two of them.
FIRST_LINE = 5.0
NEXT_LINE = 10.0
#: Seconds after which a state that has not changed is told again.
SAME_STATE = 60.0

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def is_drawn() -> bool:
    """Say whether somebody watches on a terminal that can draw."""
    return sys.stderr.isatty() and terminal().is_terminal and not terminal().is_dumb_terminal


def terminal() -> Console:
    """The terminal that is drawn on: never the standard output."""
    from rich.console import Console

    return Console(stderr=True)


def line_on_stderr(text: str) -> None:
    """Write a plain line for a person."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


# ---- a state that changes -------------------------------------------------------------------------------------------


class State(Protocol):
    """Shows what something is doing."""

    def __call__(self, text: str, state: str | None = None) -> None:
        """Tell what it is doing now.

        :param text: for a terminal, where it may change from look to look
        :param state: for lines, which are written when it is another one than before; None for the same as the text
        """


@contextmanager
def changing(text: str, state: str | None = None, *, is_told: bool = True, has_clock: bool = False) -> Iterator[State]:
    """Show what something is doing until it is over: a line that changes on a terminal, else a line for each change.

    :param text: what it is doing first
    :param state: the same for lines; None for the same as the text
    :param is_told: whether that is written as a line too, where lines are written
    :param has_clock: whether a terminal shows how long it has taken so far
    """
    if not is_drawn():
        first = text if state is None else state
        if is_told:
            line_on_stderr(first)
        yield StateLines(first)
        return
    from rich.progress import SpinnerColumn, TimeElapsedColumn

    with _drawn(SpinnerColumn(), _text(), *([TimeElapsedColumn()] if has_clock else [])) as live:
        task = live.add_task("", total=None, text=text)
        yield lambda now, state=None: live.update(task, text=now)


class StateLines:
    """Writes a line for each new state, and again for one that lasts.

    :param state: the first one, which is known
    :param line: takes a line
    :param now: tells the time in seconds
    """

    def __init__(self, state: str, *, line: Line = line_on_stderr, now: Callable[[], float] = time.monotonic) -> None:
        self._line = line
        self._now = now
        self._state = state
        self._told = now()

    def __call__(self, text: str, state: str | None = None) -> None:
        state = text if state is None else state
        moment = self._now()
        if state != self._state:
            self._state = state
            self._line(state)
        elif moment - self._told < SAME_STATE:
            return
        else:
            self._line(text)
        self._told = moment


# ---- a number that grows --------------------------------------------------------------------------------------------


class Count:
    """How much of some work is done.

    :param text: what is being done
    :param unit: of what is counted
    :param total: how much there is to do; None where that is not known
    """

    def __init__(self, text: str, unit: Unit, total: int | None = None) -> None:
        self.text = text
        self.unit: Unit = unit
        self.total = total
        self.done = 0

    def advance(self, by: int = 1) -> None:
        """More is done."""
        self.reach(self.done + by)

    def reach(self, done: int, total: int | None = None, text: str | None = None) -> None:
        """Tell how much is done by now.

        :param total: how much there is to do, where that has become known
        :param text: what is being done now
        """
        self.done = done
        self.total = self.total if total is None else total
        self.text = text or self.text
        self.show()

    def show(self) -> None:
        """Show how it stands."""

    def __str__(self) -> str:
        done, total = _amount(self.done, self.unit, self.total), self.total
        if total is None:
            return f"{done} {self.unit}" if self.unit != "bytes" else done
        share = f" ({100 * self.done // total} %)" if total else ""
        return f"{done} of {_amount(total, self.unit, total, has_unit=True)}{share}"


@contextmanager
def counting(text: str, unit: Unit, total: int | None = None) -> Iterator[Count]:
    """Show how far counted work is: a bar on a terminal, else a line every few seconds.

    :param text: what is being done
    :param unit: of what is counted
    :param total: how much there is to do; None where that is not known
    """
    if not is_drawn():
        yield LineCount(text, unit, total)
        return
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

    columns = [SpinnerColumn(), _text(), BarColumn(bar_width=24), TextColumn("{task.fields[count]}", markup=False)]
    with _drawn(*columns, TimeRemainingColumn(compact=True)) as live:
        yield _DrawnCount(live, text, unit, total)


class _DrawnCount(Count):
    def __init__(self, live: Progress, text: str, unit: Unit, total: int | None) -> None:
        super().__init__(text, unit, total)
        self._live = live
        self._task = live.add_task("", total=total, text=text, count="")
        self.show()

    def show(self) -> None:
        """Draw the bar."""
        self._live.update(self._task, completed=self.done, total=self.total, text=self.text, count=str(self))


class LineCount(Count):
    """Writes a line every few seconds, for a log or a file.

    :param line: takes a line, such as a logger's ``info``
    :param now: tells the time in seconds
    """

    def __init__(
        self,
        text: str,
        unit: Unit,
        total: int | None = None,
        *,
        line: Line = line_on_stderr,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(text, unit, total)
        self._line = line
        self._now = now
        self._began = now()
        self._due = self._began + FIRST_LINE

    def show(self) -> None:
        """Write a line, if one is due."""
        moment = self._now()
        if moment < self._due:
            return
        self._due = moment + NEXT_LINE
        self._line(f"{self.text}: {self}{self._rest(moment - self._began)}")

    def _rest(self, passed: float) -> str:
        if not self.total or not 0 < self.done < self.total or passed <= 0:
            return ""
        return f", about {_duration(passed * (self.total - self.done) / self.done)} left"


def _amount(number: int, unit: Unit, scale: int | None = None, *, has_unit: bool = False) -> str:
    """Write an amount; bytes in the unit that the whole is written in.

    :param scale: the whole
    :param has_unit: whether the unit is written where it goes without saying
    """
    if unit != "bytes":
        return f"{number:,}" + (f" {unit}" if has_unit else "")
    power, whole = 0, scale if scale is not None else number
    while whole >= 1000 and power < len(_UNITS) - 1:
        whole //= 1000
        power += 1
    text = f"{number / 1000**power:.1f}" if power else str(number)
    return text if scale is not None and not has_unit else f"{text} {_UNITS[power]}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# ---- drawing --------------------------------------------------------------------------------------------------------


def _text() -> ProgressColumn:
    """A column for a text that is cut rather than broken, and holds no markup."""
    from rich.progress import TextColumn
    from rich.table import Column

    column = Column(no_wrap=True, overflow="ellipsis")
    return TextColumn("{task.fields[text]}", markup=False, table_column=column)


@contextmanager
def _drawn(*columns: ProgressColumn) -> Iterator[Progress]:
    """Draw at the bottom of the terminal; what is printed there meanwhile is seen above it."""
    from rich.progress import Progress

    # What goes to a file or a program is not taken from it.
    with Progress(*columns, console=terminal(), transient=True, redirect_stdout=sys.stdout.isatty()) as live:
        yield live
