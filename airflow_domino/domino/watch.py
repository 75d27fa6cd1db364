"""One watcher for many runs: all runs of a project that one event loop waits for cost one question an interval."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import AuthenticationError, DominoError, RequestError, RunWaitTimeoutError
from airflow_domino.domino.follow import LogFollower
from airflow_domino.domino.models import LogLine, Run
from airflow_domino.domino.waiting import (
    DEFAULT_OUTAGE_BUDGET,
    PASSING,
    Patience,
    Watched,
    active_runs,
    delay,
    not_renewed,
    unseen,
    wait_for_run,
)

__all__ = ["RunWatcher", "Watched", "wait_for_run", "watcher_for"]

T = TypeVar("T")
Renew = Callable[[], Awaitable[Credentials]]

MOST_THREADS = 4
# Log pages leave one thread free, so that a talkative run never keeps the others' answers waiting.
MOST_LOG_THREADS = MOST_THREADS - 1
# Up to this many runs are asked for singly; for more, one list of the active runs is cheaper.
FEW_RUNS = 2
# Waits that are due within this share of their delay are answered together with those that are due now.
SLACK = 0.25
# Asking takes up no more than one part in this many of the time, however many runs are young.
REST = 5
LAST_LOOK_SECONDS = 10.0

_log = logging.getLogger(__name__)


class _Waiter:
    """One wait: what is known of its run, and when to ask again."""

    def __init__(self, run: Run, patience: Patience) -> None:
        self.run = run
        self.ended: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()
        self.answered = False
        self.began = self.due = self.soon = time.monotonic()
        self._patience = patience

    def schedule(self, interval: float, rest: float) -> None:
        """Say when to ask again, now that there was an answer."""
        now = time.monotonic()
        pause = max(delay(now - self.began, interval), min(rest, interval))
        self.answered = False
        self.due, self.soon = now + pause, now + pause * (1 - SLACK)

    def saw(self, run: Run) -> None:
        """Take in what Domino says of the run."""
        self.run = run
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


class _Session:
    """The client, the threads and the poller that live while somebody waits."""

    interval = 0.0

    def __init__(
        self,
        make_client: Callable[[], DominoClient],
        project_id: str,
        waiters: set[_Waiter],
        renew: Renew | None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._project_id = project_id
        self._waiters = waiters
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="domino-watch")
        self._client = self._pool.submit(make_client)
        self._log_places = asyncio.Semaphore(MOST_LOG_THREADS)
        self._wake = asyncio.Event()
        self._in_trouble = False
        self._renew = renew
        self._refused = False
        # In an empty context, or its log lines would go to the log of the task that happened to wait first.
        self._poller = self.loop.create_task(self._poll(), name="domino-watch", context=contextvars.Context())

    @property
    def is_over(self) -> bool:
        """Whether nobody is asking any more."""
        return self._poller.done()

    def wake(self) -> None:
        """Have the poller look at the waits now."""
        self._wake.set()

    def end(self) -> None:
        """Stop asking, and close the client, so that calls that are under way are not repeated."""
        self._poller.cancel()
        self._client.add_done_callback(_close)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def client(self) -> DominoClient:
        """The client, once it is made."""
        return await asyncio.shield(asyncio.wrap_future(self._client))

    async def call(self, blocking: Callable[[], T]) -> T:
        """Carry out a blocking call in a thread."""
        return await self.loop.run_in_executor(self._pool, blocking)

    async def call_for_log(self, blocking: Callable[[], T]) -> T:
        """Carry out a blocking call for a log page in a thread, one of few."""
        async with self._log_places:
            return await self.call(blocking)

    async def _poll(self) -> None:
        try:
            client = await self.client()
            while True:
                self._wake.clear()
                await self._ask_if_due(client)
                due = min((waiter.due for waiter in self._waiters if not waiter.ended.done()), default=None)
                pause = None if due is None else max(0.0, due - time.monotonic())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
        except Exception as error:
            for waiter in self._waiters:
                waiter.fail(error)

    async def _ask_if_due(self, client: DominoClient) -> None:
        now = time.monotonic()
        going = [waiter for waiter in self._waiters if not waiter.ended.done()]
        if not any(waiter.due <= now for waiter in going):
            return
        await self._renew_if_refused(client)
        asked = {waiter.run.id for waiter in going if waiter.soon <= now}
        if len(asked) > FEW_RUNS:
            asked = await self._ask_for_list(client, asked)
        await asyncio.gather(*(self.ask_for_one(run_id) for run_id in asked))
        rest = (time.monotonic() - now) * (REST - 1)
        for waiter in self._waiters:
            if waiter.answered:
                waiter.schedule(self.interval, rest)

    async def _renew_if_refused(self, client: DominoClient) -> None:
        if self._renew is None or not self._refused:
            return
        self._refused = False
        try:
            client.use(await self._renew())
        except Exception as error:  # wherever they come from, the waits go on
            _log.warning("%s", not_renewed(error))

    async def _ask_for_list(self, client: DominoClient, asked: set[str]) -> set[str]:
        """Answer all waits from one list; returns the runs that it leaves open."""
        wanted = {waiter.run.id for waiter in self._waiters if not waiter.ended.done()}
        try:
            active = await self.call(lambda: active_runs(client, self._project_id, wanted))
        except PASSING as error:
            self._meet(error, asked)
            return set()
        except RequestError as error:
            _log.debug("The active runs cannot be listed, asking for each run: %s", error)
            return asked
        self._see(active)
        return wanted - active.keys()

    async def ask_for_one(self, run_id: str) -> None:
        """Answer the waits for one run."""
        client = await self.client()
        try:
            run = await self.call(lambda: client.run(run_id))
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
        if not self._in_trouble and isinstance(trouble, PASSING):
            self._in_trouble = True
            _log.warning("Domino could not be asked about %d runs, trying again: %s", len(run_ids), trouble)
        for waiter in self._waiters:
            if waiter.run.id in run_ids:
                waiter.met(trouble)


def _close(client: Future[DominoClient]) -> None:
    if not client.cancelled() and client.exception() is None:
        client.result().close()


class RunWatcher:
    """Waits for any number of runs of one project, on one event loop.

    A list of the project's active runs answers for all waits that are due; a run that is missing from it is asked for
    singly. Blocking calls are carried out by a few threads of its own. When nobody waits any more, it closes its
    client; a later wait makes a new one.

    :param make_client: makes the client, in a thread.
    :param project_id: of the project that the runs belong to.
    :param interval: longest time in seconds between two questions about one run; young runs are asked for more often.
    :param outage_budget: seconds of unbroken trouble in asking that each wait puts up with.
    :param renew: fetches the credentials anew when Domino does not accept those of the client (any more).
    """

    def __init__(
        self,
        make_client: Callable[[], DominoClient],
        project_id: str,
        *,
        interval: float = 10.0,
        outage_budget: float = DEFAULT_OUTAGE_BUDGET,
        renew: Renew | None = None,
    ) -> None:
        self.interval = interval
        self._renew = renew
        self.make_client = make_client
        self._project_id = project_id
        self._outage_budget = outage_budget
        self._waiters: set[_Waiter] = set()
        self._session: _Session | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits, so that there is no client and no thread."""
        return not self._waiters

    async def wait(
        self,
        run_id: str,
        *,
        on_log: Callable[[LogLine], None] | None = None,
        log_cursor: str = "0",
        deadline: datetime | None = None,
        url: str = "",
    ) -> Watched:
        """Wait until a run is over. Its own fate is in the answer, no exception; cancelling hurts no other wait.

        :param on_log: gets each line of the run's log once, on the event loop.
        :param log_cursor: where to begin in the log.
        :param deadline: moment at which to give up; the run is left alone.
        :param url: the run's page, for error messages.
        :raises RunWaitTimeoutError: when the deadline passes.
        :raises DominoUnavailableError: when trouble outlasts the budget (or the error that the trouble consists of).
        :raises NotFoundError: when Domino keeps saying that there is no such run.
        """
        waiter = _Waiter(unseen(run_id, self._project_id), Patience(self._outage_budget, announced=False))
        session = self._join(waiter)
        follower: LogFollower | None = None
        following: asyncio.Task[None] | None = None
        try:
            if on_log:
                follower = LogFollower(await session.client(), run_id, on_log, log_cursor)
                following = asyncio.create_task(_follow(follower, waiter, session))
            run = await _until_over(waiter, following, deadline, session, url)
            return Watched(run, follower.cursor if follower else log_cursor)
        finally:
            if following:
                following.cancel()
            waiter.leave()
            self._leave(waiter)

    def _join(self, waiter: _Waiter) -> _Session:
        if self._session and self._session.loop is not asyncio.get_running_loop():
            raise RuntimeError("A RunWatcher serves one event loop at a time; get one by watcher_for")
        if self._session and self._session.is_over:
            self._session.end()
            self._session = None
        self._waiters.add(waiter)
        if self._session is None:
            self._session = _Session(self.make_client, self._project_id, self._waiters, self._renew)
        self._session.interval = self.interval
        self._session.wake()
        return self._session

    def _leave(self, waiter: _Waiter) -> None:
        self._waiters.discard(waiter)
        if self._session and not self._waiters:
            self._session.end()
            self._session = None


async def _follow(follower: LogFollower, waiter: _Waiter, session: _Session) -> None:
    """Read the log whenever there is news of the run, and to its end when the run is over."""
    is_over = False
    while not is_over:
        await waiter.news.wait()
        waiter.news.clear()
        is_over = waiter.run.status.is_completed
        await follower.read_async(session.call_for_log, to_end=is_over)


async def _until_over(
    waiter: _Waiter,
    following: asyncio.Task[None] | None,
    deadline: datetime | None,
    session: _Session,
    url: str,
) -> Run:
    """Wait for the run's end and then for the end of its log; the deadline only holds for the former."""
    seconds = None if deadline is None else max(0.0, (deadline - datetime.now(UTC)).total_seconds())
    parts: set[asyncio.Future[Any]] = {waiter.ended, following} if following else {waiter.ended}
    await asyncio.wait(parts, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    if following and following.done():
        following.result()
    if not waiter.ended.done():
        with suppress(TimeoutError):
            await asyncio.wait_for(session.ask_for_one(waiter.run.id), LAST_LOOK_SECONDS)
    if not waiter.ended.done():
        raise RunWaitTimeoutError(waiter.run, url)
    run = waiter.ended.result()
    if following:
        await following
    return run


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Hashable, str], RunWatcher]] = WeakKeyDictionary()


def watcher_for(
    key: Hashable,
    make_client: Callable[[], DominoClient],
    project_id: str,
    *,
    interval: float = 10.0,
    outage_budget: float = DEFAULT_OUTAGE_BUDGET,
    renew: Renew | None = None,
) -> RunWatcher:
    """The watcher that all waits on the running event loop share for one project.

    :param key: what names the deployment and the credentials, such as an Airflow connection id. Never a secret.
    :param make_client: makes a client, in a thread; only used by the first to wait.
    :param project_id: of the project that the runs belong to.
    :param interval: longest time in seconds between two questions; where callers differ, the shortest holds.
    :param outage_budget: seconds of unbroken trouble in asking that each wait puts up with.
    :param renew: see :class:`RunWatcher`; that of the first caller is used.
    :raises RuntimeError: when no event loop is running.
    """
    watchers = _watchers.setdefault(asyncio.get_running_loop(), {})
    watcher = watchers.get((key, project_id))
    if watcher is None:
        watcher = RunWatcher(make_client, project_id, interval=interval, outage_budget=outage_budget, renew=renew)
        watchers[key, project_id] = watcher
    elif watcher.is_idle:
        watcher.make_client, watcher.interval = make_client, interval
    watcher.interval = min(watcher.interval, interval)
    return watcher
