"""Waits for a Domino run in the triggerer, without a worker slot."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from airflow.sdk import BaseHook

from airflow_domino.compat import AirflowException, BaseTrigger, TaskSuccessEvent, TriggerEvent, trigger_event
from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.errors import DominoError, QueueWaitTimeoutError, RunWaitTimeoutError
from airflow_domino.domino.models import LogLine, Run
from airflow_domino.domino.watch import RunWatcher, Watched, watcher_for
from airflow_domino.hooks.connection import ConnectionSettings
from airflow_domino.hooks.runs import RunHandle, RunLog, run_result, sentence, single_xcoms
from airflow_domino.hooks.stopping import stop_run
from airflow_domino.links.domino import LINK_KEY
from airflow_domino.triggers import _kill
from airflow_domino.triggers._log_cursor import LogCursor
from airflow_domino.triggers._xcoms import ended_well

RESUME_AFTER_SECONDS = 8.0
"""How old a deferral must be before a worker is asked to go on.

Airflow 3.3's scheduler fails a task that is resumed while it still handles the end of the process that deferred it.
"""


def event_of(
    outcome: str,
    handle: RunHandle | None,
    *,
    message: str = "",
    error: str = "",
    log_cursor: str = "0",
    launch: int | None = None,
) -> dict[str, Any]:
    """Build the event that hands a task back to a worker.

    :param outcome: "ended", "deadline", "error", or "launch" when there is no run yet and the worker is to launch it.
    :param handle: the run; None when there is none.
    :param error: name of the exception's class, for outcome "error".
    :param log_cursor: how far the run's log has been copied.
    :param launch: number of the launch, where the trigger has launched the run.
    """
    return {
        "run_id": handle.run_id if handle else None,
        "outcome": outcome,
        "message": message,
        "error": error,
        "run": handle.to_dict() if handle else None,
        "log_cursor": log_cursor,
        "launch": launch,
    }


async def settle(deferred_at: str | None) -> None:
    """Wait until a deferral is old enough for its task to be resumed.

    :param deferred_at: ISO 8601; None does not wait.
    """
    if deferred_at is None:
        return
    age = (datetime.now(UTC) - datetime.fromisoformat(deferred_at)).total_seconds()
    await asyncio.sleep(min(max(RESUME_AFTER_SECONDS - age, 0.0), RESUME_AFTER_SECONDS))


def shared_watcher(settings: ConnectionSettings, project_id: str) -> RunWatcher:
    """Return the watcher that all triggers of this process share for a project; all of a connection share a client."""
    renew = partial(_current_credentials, settings.conn_id)
    return watcher_for(settings.fingerprint, settings.make_client, project_id, renew=renew)


async def _current_credentials(conn_id: str) -> Credentials:
    return ConnectionSettings.from_connection(await BaseHook.aget_connection(conn_id)).credentials()


def log_writer(log: RunLog) -> Callable[[LogLine], None]:
    """Return what copies a run's log lines into the log of the trigger that calls this.

    The poll is shared, so it runs in the context of whichever trigger came first; Airflow finds the task that a line
    belongs to by the context.
    """
    context = contextvars.copy_context()

    def write_here(line: LogLine) -> None:
        context.run(log.write, line)

    return write_here


class DominoRunTrigger(BaseTrigger):
    """Waits for one run; all triggers of a project share one poll (:mod:`airflow_domino.domino.watch`).

    Its arguments are kept in Airflow's database and hold no secret: the credentials come from the connection.

    :param domino_conn_id: the connection.
    :param run: :class:`~airflow_domino.hooks.runs.RunHandle` as plain values.
    :param poll_interval: seconds between two looks.
    :param outage_budget: seconds that Domino may stay out of reach before the task fails.
    :param deadline: absolute time (ISO 8601) at which the task fails, and its run is stopped.
    :param log_run: whether the run's log lines are copied into the task's log.
    :param log_cursor: where to begin with them.
    :param ends_task: whether a success ends the task here, with no worker involved.
    :param push_result: whether that success pushes the XCom `return_value`.
    :param stop_on_kill: whether the deadline, or a user who marks the waiting task, stops the run.
    :param on_clear: what a user who clears the waiting task does to the run: "stop" stops it.
    :param keep_results: whether a run that is stopped keeps what it wrote.
    :param queue_timeout: seconds after which a run that is still queued is stopped.
    :param deferred_at: when the worker deferred (ISO 8601).
    """

    ARGUMENTS: ClassVar[tuple[str, ...]] = (
        "domino_conn_id",
        "poll_interval",
        "outage_budget",
        "deadline",
        "log_run",
        "log_cursor",
        "ends_task",
        "push_result",
        "stop_on_kill",
        "on_clear",
        "keep_results",
        "queue_timeout",
        "deferred_at",
    )

    launch_number: int | None = None

    def __init__(
        self,
        *,
        domino_conn_id: str,
        run: dict[str, Any] | None,
        poll_interval: float = 10.0,
        outage_budget: float = 3600.0,
        deadline: str | None = None,
        log_run: bool = True,
        log_cursor: str = "0",
        ends_task: bool = False,
        push_result: bool = True,
        stop_on_kill: bool = True,
        on_clear: str = "stop",
        keep_results: bool = True,
        queue_timeout: float | None = None,
        deferred_at: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.domino_conn_id = domino_conn_id
        self.run_handle = RunHandle.from_dict(run) if run is not None else None
        self.poll_interval = poll_interval
        self.outage_budget = outage_budget
        self.deadline = deadline
        self.log_run = log_run
        self.log_cursor = log_cursor
        self.ends_task = ends_task
        self.push_result = push_result
        self.stop_on_kill = stop_on_kill
        self.on_clear = on_clear
        self.keep_results = keep_results
        self.queue_timeout = queue_timeout
        self.deferred_at = deferred_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments by which any triggerer makes this trigger again."""
        arguments = {name: getattr(self, name) for name in self.ARGUMENTS}
        run = self.run_handle.to_dict() if self.run_handle else None
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments | {"run": run}

    async def settings(self) -> ConnectionSettings:
        """Read the connection without blocking the triggerer."""
        return ConnectionSettings.from_connection(await BaseHook.aget_connection(self.domino_conn_id))

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then end the task or hand it back to a worker."""
        _kill.register(self)
        event = await self._event()
        if not isinstance(event, TaskSuccessEvent):
            await settle(self.deferred_at)
        yield event

    async def cleanup(self) -> None:
        """Forget the trigger; the run goes on, since a triggerer that restarts ends up here too."""
        _kill.forget(self)

    async def on_kill(self) -> None:
        """Stop the run because a user marked or cleared the task, if that is what the task wants."""
        if self.stop_on_kill or self.on_clear == "stop":
            await _kill.stop_run_of(self)

    async def run_to_stop(self) -> RunHandle | None:
        """Return the run that a kill is about; None when there is none."""
        return self.run_handle

    async def _event(self) -> TriggerEvent:
        try:
            settings = await self.settings()
            return await self._run_to_its_end(settings)
        except (DominoError, AirflowException) as error:
            return self._news("error", error)

    async def _run_to_its_end(self, settings: ConnectionSettings) -> TriggerEvent:
        try:
            watched = await self._wait(settings)
        except QueueWaitTimeoutError:
            await self._stop(f"it was queued for more than {self.queue_timeout:g} s")
            return self._news("ended")
        except RunWaitTimeoutError:
            if self.stop_on_kill:
                await self._stop("its task has reached its execution_timeout")
            return self._news("deadline")
        self.log_cursor = watched.log_cursor
        if watched.run.status.succeeded and not self.ends_task:
            return self._news("ended")  # the worker says how it ended
        self.log.info("%s", sentence(watched.run, self._handle()))
        if watched.run.status.succeeded and await _kill.still_waits(self.task_instance):
            return await self.success(watched.run) or self._news("ended")
        return self._news("ended")

    def _news(self, outcome: str, error: Exception | None = None) -> TriggerEvent:
        kind, message = (type(error).__name__, str(error)) if error else ("", "")
        cursor, number = self.log_cursor, self.launch_number
        told = event_of(outcome, self.run_handle, message=message, error=kind, log_cursor=cursor, launch=number)
        return trigger_event(told | {"task": _kill.task_key(self.task_instance)})

    async def _stop(self, why: str) -> None:
        await stop_run(self.settings, self._handle(), self.log, why, keep_results=self.keep_results)

    def absolute_deadline(self) -> datetime | None:
        """Return when the task must be over; for a task that no worker has deferred, Airflow says when."""
        return datetime.fromisoformat(self.deadline) if self.deadline else getattr(self, "timeout_after", None)

    def _handle(self) -> RunHandle:
        if self.run_handle is None:
            raise AirflowException("There is no Domino run to wait for; clear the task to run it again")
        return self.run_handle

    async def _wait(self, settings: ConnectionSettings) -> Watched:
        handle, log = self._handle(), RunLog(self.log, self._handle().url)
        place = LogCursor(self.task_instance, handle.run_id, log)
        if self.log_run:
            self.log_cursor = await place.load(self.log_cursor)
        wait = shared_watcher(settings, handle.project_id).wait(
            handle.run_id,
            on_log=log_writer(log) if self.log_run else None,
            log_cursor=self.log_cursor,
            claim=place.claim,
            deadline=self.absolute_deadline(),
            interval=self.poll_interval,
            outage_budget=self.outage_budget,
            queue_deadline=handle.queue_deadline(self.queue_timeout),
            prepare=lambda client: client.project(handle.project),  # Domino's older log route asks for its name
            url=handle.url,
        )
        try:
            return await wait
        finally:
            self.log_cursor = place.cursor or self.log_cursor

    async def success(self, run: Run) -> TaskSuccessEvent | None:
        """End the task well, with the run's result as its XCom; None where a worker has to."""
        handle = self._handle()
        xcoms: dict[str, Any] = {"run_id": handle.run_id, LINK_KEY: handle.url}
        if self.push_result:
            result = run_result(run, handle)
            xcoms |= {"return_value": result, **single_xcoms(result)}
        return await ended_well(self.task_instance, xcoms)
