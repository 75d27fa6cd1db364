"""Waits for a Domino run in the triggerer, without a worker slot."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow.sdk import BaseHook

from airflow_domino.compat import AirflowException, BaseTrigger, TaskSuccessEvent, TriggerEvent, trigger_event
from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.errors import DominoError, RunWaitTimeoutError
from airflow_domino.domino.models import LogLine, Run
from airflow_domino.domino.watch import RunWatcher, Watched, watcher_for
from airflow_domino.hooks.connection import ConnectionSettings
from airflow_domino.hooks.runs import Logger, RunHandle, RunLog, run_result, sentence
from airflow_domino.hooks.stopping import stop_run
from airflow_domino.triggers import _kill

RESUME_AFTER_SECONDS = 8.0
"""How old a deferral must be before a worker is asked to go on.

Airflow 3.3's scheduler fails a task that is resumed while it still handles the end of the process that deferred it.
"""


def event_of(
    outcome: str, handle: RunHandle, *, message: str = "", error: str = "", log_cursor: str = "0"
) -> dict[str, Any]:
    """Build the event that hands a task back to a worker.

    :param outcome: "ended", "deadline" or "error".
    :param error: name of the exception's class, for outcome "error".
    :param log_cursor: how far the run's log has been copied.
    """
    return {
        "run_id": handle.run_id,
        "outcome": outcome,
        "message": message,
        "error": error,
        "run": handle.to_dict(),
        "log_cursor": log_cursor,
    }


async def settle(deferred_at: str | None) -> None:
    """Wait until a deferral is old enough for its task to be resumed.

    :param deferred_at: ISO 8601; None does not wait.
    """
    if deferred_at is None:
        return
    age = (datetime.now(UTC) - datetime.fromisoformat(deferred_at)).total_seconds()
    await asyncio.sleep(min(max(RESUME_AFTER_SECONDS - age, 0.0), RESUME_AFTER_SECONDS))


def shared_watcher(
    settings: ConnectionSettings, handle: RunHandle, poll_interval: float, outage_budget: float
) -> RunWatcher:
    """Return the watcher that all triggers of this process share for a run's project."""
    key = (settings.fingerprint, handle.project_id, poll_interval)
    make_client = partial(settings.client_for, handle.project)
    renew = partial(_current_credentials, settings.conn_id)
    return watcher_for(
        key, make_client, handle.project_id, interval=poll_interval, outage_budget=outage_budget, renew=renew
    )


async def _current_credentials(conn_id: str) -> Credentials:
    return ConnectionSettings.from_connection(await BaseHook.aget_connection(conn_id)).credentials()


def log_writer(logger: Logger, url: str) -> Callable[[LogLine], None]:
    """Return what copies a run's log lines into the log of the trigger that calls this.

    The poll is shared, so it runs in the context of whichever trigger came first; Airflow finds the task that a line
    belongs to by the context.
    """
    context = contextvars.copy_context()
    write = RunLog(logger, url).write

    def write_here(line: LogLine) -> None:
        context.run(write, line)

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
    :param stop_on_kill: whether the deadline, or a user who marks or clears the waiting task, stops the run.
    :param deferred_at: when the worker deferred (ISO 8601).
    """

    def __init__(
        self,
        *,
        domino_conn_id: str,
        run: dict[str, Any],
        poll_interval: float = 10.0,
        outage_budget: float = 3600.0,
        deadline: str | None = None,
        log_run: bool = True,
        log_cursor: str = "0",
        ends_task: bool = False,
        push_result: bool = True,
        stop_on_kill: bool = True,
        deferred_at: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.domino_conn_id = domino_conn_id
        self.run_handle = RunHandle.from_dict(run)
        self.poll_interval = poll_interval
        self.outage_budget = outage_budget
        self.deadline = deadline
        self.log_run = log_run
        self.log_cursor = log_cursor
        self.ends_task = ends_task
        self.push_result = push_result
        self.stop_on_kill = stop_on_kill
        self.deferred_at = deferred_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments by which any triggerer makes this trigger again."""
        names = (
            "domino_conn_id",
            "poll_interval",
            "outage_budget",
            "deadline",
            "log_run",
            "log_cursor",
            "ends_task",
            "push_result",
            "stop_on_kill",
            "deferred_at",
        )
        arguments = {name: getattr(self, name) for name in names} | {"run": self.run_handle.to_dict()}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

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
        """Stop the run because a user marked or cleared the task."""
        if self.stop_on_kill:
            await _kill.stop_run_of(self)

    async def _event(self) -> TriggerEvent:
        handle = self.run_handle
        try:
            watched = await self._wait(await self.settings())
        except RunWaitTimeoutError:
            if self.stop_on_kill:
                await stop_run(self.settings, handle, self.log, "its task has reached its execution_timeout")
            return trigger_event(event_of("deadline", handle))
        except (DominoError, AirflowException) as error:
            return trigger_event(event_of("error", handle, message=str(error), error=type(error).__name__))
        if watched.run.status.succeeded and self.ends_task:
            return self.success(watched.run)
        return trigger_event(event_of("ended", handle, log_cursor=watched.log_cursor))

    async def _wait(self, settings: ConnectionSettings) -> Watched:
        handle = self.run_handle
        return await shared_watcher(settings, handle, self.poll_interval, self.outage_budget).wait(
            handle.run_id,
            on_log=log_writer(self.log, handle.url) if self.log_run else None,
            log_cursor=self.log_cursor,
            deadline=datetime.fromisoformat(self.deadline) if self.deadline else None,
            url=handle.url,
        )

    def success(self, run: Run) -> TaskSuccessEvent:
        """End the task well, with the run's result as its XCom."""
        self.log.info("%s", sentence(run, self.run_handle))
        result = run_result(run, self.run_handle)
        return TaskSuccessEvent(xcoms={"return_value": result} if self.push_result else None)
