"""Waits in the triggerer for a run that somebody else launched, or will launch."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow.sdk import BaseHook

from airflow_domino.compat import AirflowException, BaseTrigger, TaskSuccessEvent, TriggerEvent, trigger_event
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import ConfigurationError, DominoError, RequestError, RunWaitTimeoutError
from airflow_domino.domino.waiting import LONGEST_REST, Patience
from airflow_domino.hooks.arguments import given
from airflow_domino.hooks.connection import ConnectionSettings
from airflow_domino.hooks.matching import RunMatch
from airflow_domino.hooks.runs import RunHandle, RunLog, run_result, sentence, single_xcoms
from airflow_domino.links.domino import LINK_KEY
from airflow_domino.triggers._kill import still_waits, task_key
from airflow_domino.triggers._log_cursor import LogCursor
from airflow_domino.triggers._rendering import RendersStrictly
from airflow_domino.triggers._xcoms import can_push_xcoms, ended_well, push_xcoms
from airflow_domino.triggers.domino import log_writer, settle, shared_watcher

JITTER = 0.1


class DominoRunSensorTrigger(RendersStrictly, BaseTrigger):
    """Waits for a run that is not ours; whatever happens to the task, the run is left alone.

    :param domino_conn_id: the connection.
    :param project: `owner/name`; the connection's default when it is not given.
    :param run_id: id of the run; otherwise the newest that fits is meant.
    :param title: regular expression for its title.
    :param command: regular expression for its command.
    :param since: runs submitted before do not count (ISO 8601).
    :param success_statuses: Domino's words that count as success.
    :param poll_interval: seconds between two looks.
    :param outage_budget: seconds that Domino may stay out of reach before the task fails.
    :param deadline: absolute time (ISO 8601) at which the sensor gives up.
    :param log_run: whether the run's log lines are copied into the task's log.
    :param ends_task: whether a success ends the task here.
    :param push_result: whether that success pushes the XCom `return_value`.
    :param deferred_at: when the worker deferred (ISO 8601).
    """

    ARGUMENTS = (
        "domino_conn_id",
        "project",
        "run_id",
        "title",
        "command",
        "since",
        "success_statuses",
        "poll_interval",
        "outage_budget",
        "deadline",
        "log_run",
        "ends_task",
        "push_result",
        "deferred_at",
    )

    def __init__(
        self,
        *,
        domino_conn_id: str,
        project: str | None = None,
        run_id: str | None = None,
        title: str | None = None,
        command: str | None = None,
        since: str | None = None,
        success_statuses: Sequence[str] = ("Succeeded",),
        poll_interval: float = 10.0,
        outage_budget: float = 3600.0,
        deadline: str | None = None,
        log_run: bool = False,
        ends_task: bool = False,
        push_result: bool = True,
        deferred_at: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.domino_conn_id = domino_conn_id
        self.project = project
        self.run_id = run_id
        self.title = title
        self.command = command
        self.since = since
        self.success_statuses = list(success_statuses)
        self.poll_interval = poll_interval
        self.outage_budget = outage_budget
        self.deadline = deadline
        self.log_run = log_run
        self.ends_task = ends_task
        self.push_result = push_result
        self.deferred_at = deferred_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments by which any triggerer makes this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {n: getattr(self, n) for n in self.ARGUMENTS}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then end the task or hand it back to a worker."""
        try:
            event = await self._event()
        except TimeoutError:
            event = trigger_event({"outcome": "deadline"})
        except (DominoError, AirflowException) as error:
            event = trigger_event({"outcome": "error", "error": type(error).__name__, "message": str(error)})
        if not isinstance(event, TaskSuccessEvent):
            event.payload["task"] = task_key(self.task_instance)
            await settle(self.deferred_at)
        yield event

    async def _event(self) -> TriggerEvent:
        if not self.is_rendered or self._needs_worker_first():
            return trigger_event({"outcome": "look"})
        settings, handle = await self._search()
        self.log.info("Waiting for %s", handle.url)
        await push_xcoms(self.task_instance, {LINK_KEY: handle.url})
        log = RunLog(self.log, handle.url)
        place = LogCursor(self.task_instance, handle.run_id, log)
        watcher = shared_watcher(settings, handle.project_id)
        try:
            watched = await watcher.wait(
                handle.run_id,
                on_log=log_writer(log) if self.log_run else None,
                log_cursor=await place.load("0") if self.log_run else "0",
                claim=place.claim,
                deadline=self._deadline(),
                interval=self.poll_interval,
                outage_budget=self.outage_budget,
                prepare=lambda client: client.project(handle.project),  # Domino's older log route asks for its name
            )
        except RunWaitTimeoutError:
            raise TimeoutError from None
        run = watched.run
        is_good = run.status.word in self.success_statuses
        if is_good and self.ends_task and await still_waits(self.task_instance):
            handle = await watcher.call(lambda client: RunHandle.asked(client, client.project(handle.project), run))
            self.log.info("%s", sentence(run, handle))
            xcoms: dict[str, Any] = {LINK_KEY: handle.url}
            if self.push_result:
                result = run_result(run, handle)
                xcoms |= {"return_value": result, **single_xcoms(result)}
            if (event := await ended_well(self.task_instance, xcoms)) is not None:
                return event
        return trigger_event({"outcome": "ended", "run_id": run.id, "log_cursor": watched.log_cursor})

    def _needs_worker_first(self) -> bool:
        """Say whether no worker has looked yet, and only a worker can push the link."""
        task_instance = self.task_instance
        return self.deferred_at is None and task_instance is not None and not can_push_xcoms(task_instance)

    async def _search(self) -> tuple[ConnectionSettings, RunHandle]:
        """Look until there is such a run. Trouble that may pass is waited out, credentials are read anew meanwhile."""
        patience = Patience(self.outage_budget, announced=False)
        while True:
            rest = 0.0
            try:
                settings = ConnectionSettings.from_connection(await BaseHook.aget_connection(self.domino_conn_id))
                watcher = shared_watcher(settings, "")
                handle = await watcher.call(partial(self._look, settings))
                if handle is not None:
                    return settings, handle
                patience.recovered()
            except DominoError as error:
                if isinstance(error, ConfigurationError | RequestError) and patience.is_new:
                    raise
                patience.bear(error)
                rest = min(getattr(error, "retry_after", None) or 0.0, LONGEST_REST)
                self.log.warning("The Domino run cannot be looked for at the moment, trying again: %s", error)
            deadline = self._deadline()
            if deadline is not None and datetime.now(UTC) >= deadline:
                raise TimeoutError
            await asyncio.sleep(max(rest, self.poll_interval) * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311

    def _look(self, settings: ConnectionSettings, client: DominoClient) -> RunHandle | None:
        wanted = (given(value) for value in (self.run_id, self.title, self.command, self.since))
        match = RunMatch.parse(*wanted)
        project = client.project(settings.project_name(given(self.project)))
        run = match.find(client, project.id)
        if run is None:
            return None
        return RunHandle(run.id, client.run_url(project, run.id), project.full_name, project.id)

    def _deadline(self) -> datetime | None:
        """Return when to give up; for a sensor that no worker has deferred, Airflow says when."""
        return datetime.fromisoformat(self.deadline) if self.deadline else getattr(self, "timeout_after", None)
