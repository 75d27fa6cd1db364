"""One watcher for many runs: all runs of a project that one event loop waits for cost one question an interval."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import AuthenticationError, DominoError, RequestError, RunWaitTimeoutError
from airflow_domino.domino.follow import Claim, LogFollower, LogPace
from airflow_domino.domino.launch import MarkedRuns, scan_marked
from airflow_domino.domino.models import LogLine, Run
from airflow_domino.domino.shared_client import MOST_LOG_THREADS, MOST_THREADS, SharedClient, shared_client_for
from airflow_domino.domino.waiting import (
    DEFAULT_OUTAGE_BUDGET,
    PASSING,
    Patience,
    Watched,
    active_runs,
    delay,
    not_renewed,
    still_to_start,
    unseen,
    wait_for_run,
)

__all__ = ["MOST_LOG_THREADS", "MOST_THREADS", "RunWatcher", "Watched", "wait_for_run", "watcher_for"]

T = TypeVar("T")
Renew = Callable[[], Awaitable[Credentials]]

# Up to this many runs are asked for singly; for more, one list of the active runs is cheaper.
FEW_RUNS = 2
# Waits that are due within this share of their delay are answered together with those that are due now.
SLACK = 0.25
# Asking takes up no more than one part in this many of the time, however many runs are young.
REST = 5
LAST_LOOK_SECONDS = 10.0

_log = logging.getLogger(__name__)


class _Waiter:
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


class _Poller:
    """Asks for the runs of one project while somebody waits for them."""

    def __init__(self, shared: SharedClient, project_id: str, waiters: set[_Waiter], renew: Renew | None) -> None:
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
        wanted = {waiter.run.id for waiter in self._waiters if not waiter.ended.done()}
        try:
            active = await self.shared.call(lambda client: active_runs(client, self._project_id, wanted))
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


class _Scan:
    """A reading of all marked runs that is about to be made, for everybody who asks until it begins."""

    def __init__(self, since: datetime | None) -> None:
        self.since = since
        self.done: asyncio.Future[MarkedRuns] = asyncio.get_running_loop().create_future()

    def widen(self, since: datetime | None) -> None:
        """Read from an earlier time on, too."""
        self.since = None if self.since is None or since is None else min(self.since, since)


class RunWatcher:
    """Waits for any number of runs of one project, on one event loop.

    A list of the project's active runs answers for all waits that are due; a run that is missing from it is asked for
    singly. Blocking calls are carried out by a few threads of its own. When nobody waits any more, it closes its
    client; a later wait makes a new one.

    :param client: makes the client, in a thread; or the client that it shares with the watchers of other projects.
    :param project_id: of the project that the runs belong to.
    :param interval: longest time in seconds between two questions about one run; young runs are asked for more often.
    :param outage_budget: seconds of unbroken trouble in asking that each wait puts up with.
    :param renew: fetches the credentials anew when Domino does not accept those of the client (any more).
    """

    def __init__(
        self,
        client: Callable[[], DominoClient] | SharedClient,
        project_id: str,
        *,
        interval: float = 10.0,
        outage_budget: float = DEFAULT_OUTAGE_BUDGET,
        renew: Renew | None = None,
    ) -> None:
        self.interval = interval
        self.shared = client if isinstance(client, SharedClient) else SharedClient(client)
        self._renew = renew
        self._project_id = project_id
        self._outage_budget = outage_budget
        self._waiters: set[_Waiter] = set()
        self._poller: _Poller | None = None
        self._scan: _Scan | None = None
        self._scanning = asyncio.Lock()
        self._scans: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits, so that nothing is asked."""
        return not self._waiters

    async def call(self, blocking: Callable[[DominoClient], T]) -> T:
        """Carry out a blocking call with the shared client, in one of its threads."""
        async with self.shared.use():
            return await self.shared.call(blocking)

    async def marked_runs(self, since: datetime | None) -> MarkedRuns:
        """Read the project's runs that carry a mark, together with everybody who asks before the reading begins.

        :param since: see :func:`~airflow_domino.domino.launch.scan_marked`.
        :raises DominoError: when Domino cannot be asked.
        """
        if self._scan is None:
            self._scan = _Scan(since)
            task = asyncio.create_task(self._read_marked(self._scan), context=contextvars.Context())
            self._scans.add(task)
            task.add_done_callback(self._scans.discard)
        else:
            self._scan.widen(since)
        return await asyncio.shield(self._scan.done)

    async def _read_marked(self, scan: _Scan) -> None:
        async with self._scanning:
            self._scan = None
            try:
                runs = await self.call(lambda client: scan_marked(client, self._project_id, scan.since))
            except Exception as error:  # it belongs to those who asked
                scan.done.set_exception(error)
                scan.done.exception()
            else:
                scan.done.set_result(runs)

    async def wait(
        self,
        run_id: str,
        *,
        on_log: Callable[[LogLine], None] | None = None,
        log_cursor: str = "0",
        deadline: datetime | None = None,
        url: str = "",
        interval: float | None = None,
        outage_budget: float | None = None,
        queue_deadline: datetime | None = None,
        prepare: Callable[[DominoClient], object] | None = None,
        claim: Claim | None = None,
    ) -> Watched:
        """Wait until a run is over. Its own fate is in the answer, no exception; cancelling hurts no other wait.

        :param on_log: gets each line of the run's log once, on the event loop.
        :param log_cursor: where to begin in the log.
        :param deadline: moment at which to give up; the run is left alone.
        :param url: the run's page, for error messages.
        :param interval: instead of the watcher's own, for this wait.
        :param outage_budget: the same.
        :param queue_deadline: moment by which the run must have started; it is left alone all the same.
        :param prepare: a blocking call that is made once before the log is read, such as looking its project up.
        :param claim: takes log lines for this process before `on_log` gets them.
        :raises RunWaitTimeoutError: when the deadline passes.
        :raises QueueWaitTimeoutError: when the run is still queued at its queue deadline.
        :raises DominoUnavailableError: when trouble outlasts the budget (or the error that the trouble consists of).
        :raises NotFoundError: when Domino keeps saying that there is no such run.
        """
        patience = Patience(self._outage_budget if outage_budget is None else outage_budget, announced=False)
        waiter = _Waiter(unseen(run_id, self._project_id), interval or self.interval, patience)
        poller = self._join(waiter)
        follower: LogFollower | None = None
        following: asyncio.Task[None] | None = None
        try:
            if on_log:
                if prepare is not None:
                    with suppress(DominoError):
                        await self.shared.call(prepare)
                follower = LogFollower(await self.shared.client(), run_id, on_log, log_cursor, claim)
                following = asyncio.create_task(_follow(follower, waiter, self.shared, self._waiters))
            run = await _until_over(waiter, following, poller, deadline, queue_deadline, url)
            return Watched(run, follower.cursor if follower else log_cursor)
        finally:
            if following:
                following.cancel()
            waiter.leave()
            self._leave(waiter)

    def _join(self, waiter: _Waiter) -> _Poller:
        if self._poller and self._poller.loop is not asyncio.get_running_loop():
            raise RuntimeError("A RunWatcher serves one event loop at a time; get one by watcher_for")
        if self._poller and self._poller.is_over:
            self._poller.end()
            self._poller = None
        self._waiters.add(waiter)
        if self._poller is None:
            self._poller = _Poller(self.shared, self._project_id, self._waiters, self._renew)
        self._poller.wake()
        return self._poller

    def _leave(self, waiter: _Waiter) -> None:
        self._waiters.discard(waiter)
        if self._poller and not self._waiters:
            self._poller.end()
            self._poller = None


async def _follow(follower: LogFollower, waiter: _Waiter, shared: SharedClient, crowd: Collection[_Waiter]) -> None:
    """Read the log when there is news of the run and it may have printed, and to its end when the run is over."""
    is_over, pace = False, LogPace()
    while not is_over:
        await waiter.news.wait()
        waiter.news.clear()
        is_over = waiter.run.status.is_completed
        if is_over or (pace.is_due and not waiter.run.status.is_queued):
            before = follower.cursor
            await follower.read_async(shared.call_for_log, to_end=is_over)
            pace.saw(output=follower.cursor != before, crowd=len(crowd))


async def _until_over(
    waiter: _Waiter,
    following: asyncio.Task[None] | None,
    poller: _Poller,
    deadline: datetime | None,
    queue_deadline: datetime | None,
    url: str,
) -> Run:
    """Wait for the run's end and then for the end of its log; the deadlines only hold for the former."""
    parts: set[asyncio.Future[Any]] = {waiter.ended, following} if following else {waiter.ended}
    while not waiter.ended.done():
        moment = min((time for time in (deadline, queue_deadline) if time is not None), default=None)
        await asyncio.wait(parts, timeout=_seconds_until(moment), return_when=asyncio.FIRST_EXCEPTION)
        if following and following.done():
            following.result()
        if waiter.ended.done():
            break
        asked_at = time.monotonic()
        with suppress(TimeoutError):
            await asyncio.wait_for(poller.ask_for_one(waiter.run.id), LAST_LOOK_SECONDS)
        if waiter.ended.done():
            break
        if deadline is not None and datetime.now(UTC) >= deadline:
            raise RunWaitTimeoutError(waiter.run, url)
        queue_deadline = still_to_start(waiter.run, queue_deadline, url, is_fresh=waiter.seen >= asked_at)
    run = waiter.ended.result()
    if following:
        await following
    return run


def _seconds_until(moment: datetime | None) -> float | None:
    return None if moment is None else max(0.0, (moment - datetime.now(UTC)).total_seconds())


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
    shared = shared_client_for(key, make_client)
    watcher = watchers.get((key, project_id))
    if watcher is None or watcher.shared is not shared:
        watcher = RunWatcher(shared, project_id, interval=interval, outage_budget=outage_budget, renew=renew)
        watchers[key, project_id] = watcher
    watcher.interval = interval if watcher.is_idle else min(watcher.interval, interval)
    return watcher
