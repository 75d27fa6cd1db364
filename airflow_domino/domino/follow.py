"""Following the log of one run that goes on: each line once, in a thread or on an event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoError
from airflow_domino.domino.models import LogLine, LogPage

# A page with fewer lines than this is taken for the last one for now, which saves asking for an empty page.
BUSY_PAGE = 100
LINES_AT_A_TIME = 200
# A triggerer that shuts down waits this long (seconds) to hear whether lines that it has claimed are its own.
CLAIM_SECONDS = 5.0
LATE_PAUSES = (0.5, 1.0, 2.0, 4.0)

# All logs that one process follows together cost no more pages than this in a second, however talkative they are.
PAGES_PER_SECOND = 10
# A silent run is asked for its log less and less often, but at least as often as this (seconds).
SHORTEST_SILENCE, LONGEST_SILENCE = 2.0, 60.0

_log = logging.getLogger(__name__)
_RunBlocking = Callable[[Callable[[], LogPage | None]], Awaitable[LogPage | None]]


class Claim(Protocol):
    """Takes lines for this process before they are handed over, where several processes may follow the same log."""

    async def __call__(self, cursor: str, lines: Sequence[LogLine]) -> str | None:
        """Take the lines that lead to a cursor.

        :returns: None when they are ours; otherwise the cursor to which somebody else has handed the log over.
        """


class LogPace:
    """When the log of a run that goes on is worth asking for: only runs that print cost anything."""

    def __init__(self) -> None:
        self._due = 0.0
        self._pause = SHORTEST_SILENCE / 2

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask."""
        return time.monotonic() >= self._due

    def saw(self, *, output: bool, crowd: int = 1) -> None:
        """Take in whether there was anything new.

        :param crowd: how many logs are followed together.
        """
        self._pause = SHORTEST_SILENCE / 2 if output else min(self._pause * 2, LONGEST_SILENCE)
        pause = 0.0 if output else self._pause
        self._due = time.monotonic() + max(pause, (crowd - 1) / PAGES_PER_SECOND)


@dataclass(frozen=True)
class _ToClaim:
    cursor: str
    lines: Sequence[LogLine]


_Want = float | _ToClaim | None
_Steps = Generator[_Want, LogPage | str | None, None]


class LogFollower:
    """Where the reading of one run's log has come to.

    Trouble in reading the log never fails the wait for the run: it is logged, and the next read goes on from the
    same place.

    :param on_log: gets each line once; None leaves the log unread.
    :param cursor: where to begin.
    :param claim: see :class:`Claim`; on an event loop only.
    """

    def __init__(
        self,
        client: DominoClient,
        run_id: str,
        on_log: Callable[[LogLine], None] | None,
        cursor: str = "0",
        claim: Claim | None = None,
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._on_log = on_log
        self._claim = claim
        self._troubled = False
        self.cursor = cursor

    def read(self, *, to_end: bool) -> None:
        """Hand over what is new.

        :param to_end: the run is over: also wait a little for lines that come late, until the log is complete.
        """
        steps = self._steps(to_end)
        with suppress(StopIteration):
            want = next(steps)
            while True:
                if isinstance(want, float):
                    time.sleep(want)
                want = steps.send(self._fetch() if isinstance(want, float) else None)

    async def read_async(self, run_blocking: _RunBlocking, *, to_end: bool) -> None:
        """Do the same on an event loop, which gets its turn after every few lines.

        :param run_blocking: carries out a blocking call elsewhere.
        """
        steps = self._steps(to_end)
        with suppress(StopIteration):
            want = next(steps)
            while True:
                if isinstance(want, _ToClaim):
                    want = steps.send(await self._claim_to_the_end(want, steps))
                elif want is None:
                    await _turn(steps)
                    want = steps.send(None)
                else:
                    await asyncio.sleep(want)
                    want = steps.send(await run_blocking(self._fetch))

    async def _claim_to_the_end(self, wanted: _ToClaim, steps: _Steps) -> str | None:
        """Claim lines; a cancellation meanwhile waits until it is known whose they are, and hands ours over."""
        if self._claim is None:
            return None
        claiming = asyncio.ensure_future(self._claim(wanted.cursor, wanted.lines))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            done, _ = await asyncio.wait({claiming}, timeout=CLAIM_SECONDS)
            if done and claiming.exception() is None and claiming.result() is None:
                _hand_over_page(steps)
            raise

    def _fetch(self) -> LogPage | None:
        try:
            page = self._client.log_page(self._run_id, self.cursor)
        except DominoError as error:
            if not self._troubled:
                _log.warning("The log of run %s cannot be read at the moment: %s", self._run_id, error)
            self._troubled = True
            return None
        self._troubled = False
        return page

    def _steps(self, to_end: bool) -> _Steps:
        """The reading without its waiting: yields seconds to pause before a page is due, lines to claim, or None."""
        if self._on_log is None:
            return
        late = iter(LATE_PAUSES)
        pause: float | None = 0.0
        while pause is not None:
            page = yield pause
            assert not isinstance(page, str)  # noqa: S101  a page is what was asked for
            lines = self._new_lines(page)
            elsewhere = (yield _ToClaim(page.cursor, lines)) if page is not None and lines else None
            if isinstance(elsewhere, str):
                self.cursor, pause = elsewhere, 0.0
                continue
            for number, line in enumerate(lines, start=1):
                self._on_log(line)
                if number % LINES_AT_A_TIME == 0:
                    yield None
            if page is not None:
                self.cursor = page.cursor
            pause = self._pause_after(page, len(lines), late, to_end)

    def _new_lines(self, page: LogPage | None) -> tuple[LogLine, ...]:
        """The page's lines, unless it is the page before once more."""
        return () if page is None or page.cursor == self.cursor else page.lines

    @staticmethod
    def _pause_after(page: LogPage | None, count: int, late: Iterator[float], to_end: bool) -> float | None:
        if count >= BUSY_PAGE or (to_end and count):
            return 0.0
        if not to_end or (page is not None and page.is_complete):
            return None
        return next(late, None)


async def _turn(steps: _Steps) -> None:
    """Give the event loop its turn; the lines of a page that were claimed are handed over even when it cancels us."""
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        _hand_over_page(steps)
        raise


def _hand_over_page(steps: _Steps) -> None:
    with suppress(StopIteration):
        while steps.send(None) is None:
            continue
