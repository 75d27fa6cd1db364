"""Many DominoRunTasks of one process at once: their runs share one watcher, and no process or thread waits for each."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoError, DominoUnavailableError, RunError
from airflow_domino.domino.models import Run
from airflow_domino.domino.shared_client import MOST_THREADS, SharedClient, shared_client_for
from airflow_domino.domino.watch import RunWatcher, watcher_for
from airflow_domino.luigi.run_of_task import STOP_PATIENCE_SECONDS, RunOfTask, is_tried_again
from airflow_domino.luigi.run_owner import RunOwner
from airflow_domino.luigi.run_task import DominoRunTask

__all__ = ["RemoteRuns", "can_take"]

T = TypeVar("T")
OnEnd = Callable[[BaseException | None], None]

MOST = 100
# Launching and copying may take long; one thread is left for asking how the runs are.
_MOST_LONG_CALLS = MOST_THREADS - 1
_STOPS_AT_ONCE = 8
_LOOK_AGAIN_SECONDS = 1.0
_CONFIRM_SECONDS = 2.0
_SETTLE_SECONDS = 5.0
_ENVIRONMENT = "the environment"

logger = logging.getLogger("luigi-interface")


def can_take(task: Any) -> bool:
    """Whether a task does nothing in ``run()`` but what :class:`RemoteRuns` does for it.

    :param task: any Luigi task; a DominoRunTask with a ``run()`` of its own has to run it itself
    """
    return isinstance(task, DominoRunTask) and getattr(task.run, "__func__", None) is DominoRunTask.run


@dataclass(eq=False)
class _Flight:
    """One submitted task.

    :param run: the one that is under way, or the last one
    :param timeout: seconds that it may take from its launch on; None for no limit
    :param launching: the launch as soon as it is under way in a thread
    :param is_stopping: its run is being stopped, which must not be interrupted
    """

    run: RunOfTask
    on_end: OnEnd
    timeout: float | None
    launching: asyncio.Future[Run] | None = None
    is_stopping: bool = False


class RemoteRuns:
    """Does for many tasks at once what :meth:`DominoRunTask.run` does for one, in one background thread.

    Launches each run once, or takes up the one that an earlier process of its
    :class:`~airflow_domino.luigi.run_owner.RunOwner` left; reports it to its task, waits for all of them on one watcher
    for each project and copies their files here. Where to find Domino is read from the environment, as DominoRunTask
    does. Used as a context manager, it stops what is in flight when the block is left by an exception. Made, used and
    closed by one process: in a process forked from it, it does nothing.

    :param most: how many tasks may be in flight; the others wait in the order in which they were submitted
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._process = os.getpid()
        self._owner: RunOwner | None = None
        self._attempts: Counter[str] = Counter()
        self._flights: dict[_Flight, asyncio.Task[None]] = {}
        self._is_ending = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stoppers = ThreadPoolExecutor(_STOPS_AT_ONCE, thread_name_prefix="stop-domino-run")
        # Made on the loop, which is the only one to use them.
        self._shared: SharedClient
        self._places: asyncio.Semaphore
        self._long_calls: asyncio.Semaphore
        self._closing: asyncio.Event

    def submit(self, task: DominoRunTask, on_end: OnEnd, *, timeout: float | None = None) -> None:
        """Launch the task's run as soon as there is a place for it.

        :param task: a task that :func:`can_take` accepts
        :param on_end: called once, from another thread, with None when the task's file is here, or with what
            ``run()`` would have raised; with a KeyboardInterrupt when it was stopped by :meth:`stop_all`; with a
            TimeoutError when the timeout passed. It must not block
        :param timeout: seconds that the task may take once it has a place; then its run is stopped
        """
        self._running_loop().call_soon_threadsafe(self._accept, task, on_end, timeout or None)

    def stop_all(self) -> None:
        """Stop all runs in flight, see them end, and launch no more; returns when that is done or cannot be done.

        What cannot be stopped within seconds is told in the log.
        """
        if self._loop is not None and os.getpid() == self._process:
            asyncio.run_coroutine_threadsafe(self._end_all(), self._loop).result()

    def close(self) -> None:
        """Stop what is in flight still, and end the background thread."""
        if os.getpid() != self._process:
            return
        self.stop_all()
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
            self._loop = self._thread = None
        self._stoppers.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- the background thread ---------------------------------------------------------------------------------------

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            ready: Future[asyncio.AbstractEventLoop] = Future()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._serve(ready)), name="domino-runs", daemon=True
            )
            self._thread.start()
            self._loop = ready.result()
        return self._loop

    async def _serve(self, ready: Future[asyncio.AbstractEventLoop]) -> None:
        self._places, self._long_calls = asyncio.Semaphore(self._most), asyncio.Semaphore(_MOST_LONG_CALLS)
        self._closing = asyncio.Event()
        self._shared = shared_client_for(_ENVIRONMENT, DominoClient.from_environment)
        async with self._shared.use():
            ready.set_result(asyncio.get_running_loop())
            await self._closing.wait()

    def _accept(self, task: DominoRunTask, on_end: OnEnd, timeout: float | None) -> None:
        try:
            run = self._next_run(task)
        except Exception as error:
            _tell(on_end, error)
            return
        if self._is_ending:
            _tell(on_end, _told_to_end())
            return
        flight = _Flight(run, on_end, timeout)
        self._flights[flight] = asyncio.get_running_loop().create_task(self._carry_out(flight))

    def _next_run(self, task: DominoRunTask) -> RunOfTask:
        self._owner = self._owner or RunOwner.of_process()
        self._attempts[task.task_id] += 1
        return RunOfTask(task, self._owner, self._attempts[task.task_id])

    async def _carry_out(self, flight: _Flight) -> None:
        error: BaseException | None
        try:
            async with self._places:
                error = await self._outcome(flight)
        except asyncio.CancelledError:  # while it waited for a place
            error = _told_to_end()
        del self._flights[flight]
        _tell(flight.on_end, error)

    async def _outcome(self, flight: _Flight) -> BaseException | None:
        try:
            async with asyncio.timeout(flight.timeout) as limit:
                await self._make(flight)
        except asyncio.CancelledError:
            await self._stop(flight)
            return _told_to_end()
        except Exception as error:
            if not limit.expired():
                return error
            await self._stop(flight)
            return TimeoutError(
                f"{flight.run.task} took longer than {flight.timeout:g} s: its Domino run was stopped; give it a "
                "larger worker_timeout, or a larger tier"
            )
        return None

    async def _make(self, flight: _Flight) -> None:
        task = flight.run.task
        for tries in count(1):
            try:
                await self._try(flight)
                return
            except RunError as error:
                if not is_tried_again(task, tries, error):
                    raise
            flight.run, flight.launching = self._next_run(task), None

    async def _try(self, flight: _Flight) -> None:
        run, task = flight.run, flight.run.task
        # What is sent cannot be taken back, so a launch that is under way goes on when nobody waits for it any more.
        async with self._long_calls:
            flight.launching = asyncio.ensure_future(self._shared.call(run.launch))
            launched = await asyncio.shield(flight.launching)
        self._attempts[task.task_id] = run.attempt
        ended = (await self._watcher(flight).wait(launched.id, interval=task.poll_interval, url=run.url)).run
        async with self._long_calls:
            await self._shared.call(lambda client: run.finish(client, ended))

    # ---- ending ------------------------------------------------------------------------------------------------------

    async def _end_all(self) -> None:
        self._is_ending = True
        works = list(self._flights.values())
        for flight, work in self._flights.items():
            flight.run.give_up()
            if not flight.is_stopping:
                work.cancel()
        if works:
            await asyncio.wait(works, timeout=STOP_PATIENCE_SECONDS + _SETTLE_SECONDS)

    async def _stop(self, flight: _Flight) -> None:
        """Stop the flight's run, also one whose launch is under way, and see it end; trouble is told in the log."""
        flight.is_stopping = True
        flight.run.give_up()
        deadline, patience = datetime.now(UTC) + timedelta(seconds=STOP_PATIENCE_SECONDS), STOP_PATIENCE_SECONDS
        try:
            run = await self._ask_to_stop(flight, deadline)
            if run is not None:
                watcher, url = self._watcher(flight), flight.run.url
                await watcher.wait(
                    run.id, deadline=deadline, url=url, interval=_CONFIRM_SECONDS, outage_budget=patience
                )
        except DominoError as error:
            flight.run.tell_not_stopped(error)

    async def _ask_to_stop(self, flight: _Flight, deadline: datetime) -> Run | None:
        """Ask until the run is known to end, or is known not to have been launched."""
        loop, launching = asyncio.get_running_loop(), flight.launching
        if launching is None:
            return None
        client = await self._shared.client()
        while True:
            is_late, is_settled = datetime.now(UTC) >= deadline, launching.done()
            try:
                # Not in the shared threads: those may be busy with what is to be ended.
                run = await loop.run_in_executor(self._stoppers, flight.run.ask_to_stop, client)
            except DominoUnavailableError:
                if is_late:
                    raise
            else:
                if run is not None or is_settled or is_late:
                    return run
            if is_settled:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            else:
                await asyncio.wait({launching}, timeout=_LOOK_AGAIN_SECONDS)

    def _watcher(self, flight: _Flight) -> RunWatcher:
        return watcher_for(_ENVIRONMENT, DominoClient.from_environment, flight.run.project.id)


def _tell(on_end: OnEnd, error: BaseException | None) -> None:
    try:
        on_end(error)
    except Exception:
        logger.exception("What was to follow the end of a Domino run failed")


def _told_to_end() -> KeyboardInterrupt:
    """What Luigi's own ``run()`` ends with in this case; handed over, never raised: it would end the event loop."""
    return KeyboardInterrupt("asked to end")
