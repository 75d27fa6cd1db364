"""One watcher for many runs: all runs of a project that one event loop waits for cost one question an interval."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Collection, Hashable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoError, RunWaitTimeoutError
from airflow_domino.domino.follow import Claim, LogFollower, LogPace
from airflow_domino.domino.launch import MarkedRuns, scan_marked
from airflow_domino.domino.models import LogLine, Run
from airflow_domino.domino.polling import Poller, Renew, Waiter
from airflow_domino.domino.shared_client import MOST_LOG_THREADS, MOST_THREADS, SharedClient, shared_client_for
from airflow_domino.domino.waiting import (
    DEFAULT_OUTAGE_BUDGET,
    Patience,
    Watched,
    still_to_start,
    unseen,
    wait_for_run,
)

__all__ = ["MOST_LOG_THREADS", "MOST_THREADS", "RunWatcher", "Watched", "wait_for_run", "watcher_for"]

T = TypeVar("T")

LAST_LOOK_SECONDS = 10.0


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
        self._waiters: set[Waiter] = set()
        self._poller: Poller | None = None
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
        waiter = Waiter(unseen(run_id, self._project_id), interval or self.interval, patience)
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

    def _join(self, waiter: Waiter) -> Poller:
        if self._poller and self._poller.loop is not asyncio.get_running_loop():
            raise RuntimeError("A RunWatcher serves one event loop at a time; get one by watcher_for")
        if self._poller and self._poller.is_over:
            self._poller.end()
            self._poller = None
        self._waiters.add(waiter)
        if self._poller is None:
            self._poller = Poller(self.shared, self._project_id, self._waiters, self._renew)
        self._poller.wake()
        return self._poller

    def _leave(self, waiter: Waiter) -> None:
        self._waiters.discard(waiter)
        if self._poller and not self._waiters:
            self._poller.end()
            self._poller = None


async def _follow(follower: LogFollower, waiter: Waiter, shared: SharedClient, crowd: Collection[Waiter]) -> None:
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
    waiter: Waiter,
    following: asyncio.Task[None] | None,
    poller: Poller,
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
