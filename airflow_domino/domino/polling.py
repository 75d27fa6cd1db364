"""Asking for the runs of a project: one list for all waits that are due."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.errors import AuthenticationError, DominoError, RequestError
from airflow_domino.domino.models import Run
from airflow_domino.domino.shared_client import SharedClient
from airflow_domino.domino.waiting import PASSING, Patience, active_runs, delay, not_renewed

Renew = Callable[[], Awaitable[Credentials]]

# Up to this many runs are asked for singly; for more, one list of the active runs is cheaper.
FEW_RUNS = 2
# Waits that are due within this share of their delay are answered together with those that are due now.
SLACK = 0.25
# Asking takes up no more than one part in this many of the time, however many runs are young.
REST = 5

_log = logging.getLogger(__name__)


class Waiter:
    """One wait: what is known of its run, and when to ask again.

    :param interval: longest time in seconds between two questions about the run.
    """

    def __init__(self, run: Run, interval: float, patience: Patience) -> None:
        self.run = run
        self.interval = interval
        self.ended: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()
        self.answered = False
        self.began = self.due = self.soon = time.monotonic()
        self.seen = 0.0
        self._patience = patience

    def schedule(self, rest: float) -> None:
        """Say when to ask again, now that there was an answer."""
        now = time.monotonic()
        pause = max(delay(now - self.began, self.interval), min(rest, self.interval))
        self.answered = False
        self.due, self.soon = now + pause, now + pause * (1 - SLACK)

    def saw(self, run: Run) -> None:
        """Take in what Domino says of the run."""
        self.run = run
        self.seen = time.monotonic()
        self.answered = True
        self._patience.recovered()
        self.news.set()
        if run.status.is_completed and not self.ended.done():
            self.ended.set_result(run)

    def met(self, trouble: DominoError) -> None:
        """Take in that Domino could not say anything."""
        self.answered = True
        try:
            self._patience.bear(trouble)
        except DominoError as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the wait with an error."""
        if not self.ended.done():
            self.ended.set_exception(error)

    def leave(self) -> None:
        """Take the outcome as fetched, or Python would complain that nobody did."""
        if not self.ended.cancel() and not self.ended.cancelled():
            self.ended.exception()


class Poller:
    """Asks for the runs of one project while somebody waits for them."""

    def __init__(self, shared: SharedClient, project_id: str, waiters: set[Waiter], renew: Renew | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.shared = shared
        self._project_id = project_id
        self._waiters = waiters
        self._wake = asyncio.Event()
        self._in_trouble = False
        self._renew = renew
        self._refused = False
        shared.begin()
        # In an empty context, or its log lines would go to the log of the task that happened to wait first.
        self._task = self.loop.create_task(self._poll(), name="domino-watch", context=contextvars.Context())

    @property
    def is_over(self) -> bool:
        """Whether nobody is asking any more."""
        return self._task.done()

    def wake(self) -> None:
        """Have the waits looked at now."""
        self._wake.set()

    def end(self) -> None:
        """Stop asking."""
        self._task.cancel()
        self.shared.end()

    async def _poll(self) -> None:
        try:
            await self.shared.client()
            while True:
                self._wake.clear()
                await self._ask_if_due()
                due = min((waiter.due for waiter in self._waiters if not waiter.ended.done()), default=None)
                pause = None if due is None else max(0.0, due - time.monotonic(), self.shared.rest)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
        except Exception as error:
            for waiter in self._waiters:
                waiter.fail(error)

    async def _ask_if_due(self) -> None:
        now = time.monotonic()
        going = [waiter for waiter in self._waiters if not waiter.ended.done()]
        if self.shared.rest or not any(waiter.due <= now for waiter in going):
            return
        await self._renew_if_refused()
        asked = {waiter.run.id for waiter in going if waiter.soon <= now}
        if len(asked) > FEW_RUNS:
            asked = await self._ask_for_list(asked)
        await asyncio.gather(*(self.ask_for_one(run_id) for run_id in asked))
        rest = (time.monotonic() - now) * (REST - 1)
        for waiter in self._waiters:
            if waiter.answered:
                waiter.schedule(rest)

    async def _renew_if_refused(self) -> None:
        if self._renew is None or not self._refused:
            return
        self._refused = False
        try:
            await self.shared.renew(self._renew())
        except Exception as error:  # wherever they come from, the waits go on
            _log.warning("%s", not_renewed(error))

    async def _ask_for_list(self, asked: set[str]) -> set[str]:
        """Answer all waits from one list; returns the runs that it leaves open."""
        wanted = {waiter.run.id: waiter.run for waiter in self._waiters if not waiter.ended.done()}
        try:
            active = await self.shared.call(lambda client: active_runs(client, self._project_id, wanted))
        except PASSING as error:
            self._meet(error, asked)
            return set()
        except RequestError as error:
            _log.debug("The active runs cannot be listed, asking for each run: %s", error)
            return asked
        self._see(active)
        return wanted.keys() - active.keys()

    async def ask_for_one(self, run_id: str) -> None:
        """Answer the waits for one run."""
        try:
            run = await self.shared.call(lambda client: client.run(run_id))
        except DominoError as error:
            self._meet(error, {run_id})
        else:
            self._see({run_id: run})

    def _see(self, runs: Mapping[str, Run]) -> None:
        if self._in_trouble:
            self._in_trouble = False
            _log.info("Domino answers again")
        for waiter in self._waiters:
            if waiter.run.id in runs:
                waiter.saw(runs[waiter.run.id])

    def _meet(self, trouble: DominoError, run_ids: set[str]) -> None:
        self._refused = self._refused or isinstance(trouble, AuthenticationError)
        self.shared.heed(trouble)
        if not self._in_trouble and isinstance(trouble, PASSING):
            self._in_trouble = True
            _log.warning("Domino could not be asked about %d runs, trying again: %s", len(run_ids), trouble)
        for waiter in self._waiters:
            if waiter.run.id in run_ids:
                waiter.met(trouble)
