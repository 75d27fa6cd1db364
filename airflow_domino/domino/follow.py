"""Following the log of one run that goes on: each line once, in a thread or on an event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import suppress

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoError
from airflow_domino.domino.models import LogLine, LogPage

# A page with fewer lines than this is taken for the last one for now, which saves asking for an empty page.
BUSY_PAGE = 100
LINES_AT_A_TIME = 200
LATE_PAUSES = (0.5, 1.0, 2.0, 4.0)

_log = logging.getLogger(__name__)
_RunBlocking = Callable[[Callable[[], LogPage | None]], Awaitable[LogPage | None]]
_Steps = Generator[float | None, LogPage | None, None]


class LogFollower:
    """Where the reading of one run's log has come to.

    Trouble in reading the log never fails the wait for the run: it is logged, and the next read goes on from the
    same place.

    :param on_log: gets each line once; None leaves the log unread.
    :param cursor: where to begin.
    """

    def __init__(
        self, client: DominoClient, run_id: str, on_log: Callable[[LogLine], None] | None, cursor: str = "0"
    ) -> None:
        self._client = client
        self._run_id = run_id
        self._on_log = on_log
        self._troubled = False
        self.cursor = cursor

    def read(self, *, to_end: bool) -> None:
        """Hand over what is new.

        :param to_end: the run is over: also wait a little for lines that come late, until the log is complete.
        """
        steps = self._steps(to_end)
        with suppress(StopIteration):
            pause = next(steps)
            while True:
                if pause:
                    time.sleep(pause)
                pause = steps.send(None if pause is None else self._fetch())

    async def read_async(self, run_blocking: _RunBlocking, *, to_end: bool) -> None:
        """Do the same on an event loop, which gets its turn after every few lines.

        :param run_blocking: carries out a blocking call elsewhere.
        """
        steps = self._steps(to_end)
        with suppress(StopIteration):
            pause = next(steps)
            while True:
                await asyncio.sleep(pause or 0)
                pause = steps.send(None if pause is None else await run_blocking(self._fetch))

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
        """The reading without its waiting: yields seconds to pause before a page is due, or None to let others run."""
        if self._on_log is None:
            return
        late = iter(LATE_PAUSES)
        pause: float | None = 0.0
        while pause is not None:
            page = yield pause
            lines = self._new_lines(page)
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
