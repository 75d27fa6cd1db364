"""Wait for a Domino run that somebody else launched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.triggers.base import StartTriggerArgs

from airflow_domino import compat
from airflow_domino.compat import AirflowException, AirflowSensorTimeout, AirflowSkipException
from airflow_domino.domino.errors import DominoUnavailableError, RunError, run_error
from airflow_domino.hooks.arguments import given
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.hooks.matching import RunMatch
from airflow_domino.hooks.poked_log import PokedLog
from airflow_domino.hooks.runs import RunHandle, push_single_xcoms, push_xcom, run_result, sentence
from airflow_domino.links.domino import LINK_KEY, DominoRunLink
from airflow_domino.operators._rules import (
    ShowsRun,
    ends_without_worker,
    is_for_another,
    log_tail,
    refusing_wrong_requests,
    told_error,
)
from airflow_domino.operators._starting import StartsInTriggerer, can_start_without_worker
from airflow_domino.triggers.domino_sensor import DominoRunSensorTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Run

__all__ = ["DominoRunSensor"]


class DominoRunSensor(StartsInTriggerer, ShowsRun, BaseSensorOperator):
    """Wait until a run that this task did not launch is over; tell of it as `DominoRunOperator` tells of its own.

    :param run_id: id of the run, such as `upstream.output["run_id"]`.
    :param title: instead of an id, a regular expression to be found in the title of the newest run that fits.
    :param command: the same for its command; with both, both must fit.
    :param since: runs submitted before this time do not count (datetime or ISO 8601: `{{ dag_run.start_date }}`).
    :param project: `owner/name`; the connection's default when it is not given.
    :param success_statuses: Domino's words that count as success.
    :param on_failure: "fail" or "skip" the task when the run ends otherwise.
    :param domino_conn_id: the connection.
    :param deferrable: whether to wait in the triggerer; default ``[domino] default_deferrable``. Otherwise `mode` says
        whether the worker's slot is kept ("poke") or given back between looks ("reschedule").
    :param poke_interval: seconds between two looks; default ``[domino] poll_interval``.
    :param start_from_trigger: whether a deferrable sensor may begin in the triggerer, with no worker before it;
        default ``[domino] start_from_trigger``.
    :param log_run: whether the run's log lines are copied into the task's log.
    """

    template_fields: Sequence[str] = ("run_id", "title", "command", "since", "project", "domino_conn_id")
    operator_extra_links = (DominoRunLink(),)
    ui_color = "#ede7f6"
    ui_fgcolor = "#1f1442"

    def __init__(
        self,
        *,
        run_id: str | None = None,
        title: str | None = None,
        command: str | None = None,
        since: str | datetime | None = None,
        project: str | None = None,
        success_statuses: Sequence[str] = ("Succeeded",),
        on_failure: Literal["fail", "skip"] = "fail",
        domino_conn_id: str = DominoHook.default_conn_name,
        deferrable: bool | None = None,
        start_from_trigger: bool | None = None,
        poke_interval: float | timedelta | None = None,
        log_run: bool = False,
        **kwargs: Any,
    ) -> None:
        interval = compat.default_poll_interval() if poke_interval is None else poke_interval
        super().__init__(poke_interval=interval, **kwargs)
        if on_failure not in ("fail", "skip"):
            raise ValueError(f"on_failure={on_failure!r}: use 'fail' or 'skip'")
        self.run_id = run_id
        self.title = title
        self.command = command
        self.since = since
        self.project = project
        self.success_statuses = success_statuses
        self.on_failure = on_failure
        self.domino_conn_id = domino_conn_id
        self.deferrable = compat.default_deferrable() if deferrable is None else deferrable
        self.may_start_from_trigger = (
            compat.default_start_from_trigger() if start_from_trigger is None else start_from_trigger
        )
        self.log_run = log_run
        self._log_place: tuple[str, str] | None = None
        self._copied: PokedLog | None = None

    def execute(self, context: Context) -> Any:
        """Look once; when the run is not over, wait."""
        if not self.deferrable:
            return super().execute(context)
        seen = self.poke(context)
        if not seen.is_done:
            self._defer(context)
        return seen.xcom_value

    def poke(self, context: Context) -> PokeReturnValue:
        """Look whether the run is over; an outage of Domino is waited out until the sensor's own timeout.

        :raises RunError: when it ended badly.
        :raises AirflowSkipException: the same, where a failure is to skip the task.
        """
        hook = DominoHook(self.domino_conn_id)
        try:
            with refusing_wrong_requests():
                project = hook.client.project(hook.project_name(given(self.project)))
                match = self._match()
                run = match.find(hook.client, project.id)
                if run is None:
                    self.log.info("There is no run yet: waiting for %s", match)
                    return PokeReturnValue(is_done=False)
                url = hook.client.run_url(project, run.id)
                self._show(context, RunHandle(run.id, url, project.full_name, project.id))
                if self.log_run and (run.status.is_completed or not self.deferrable):
                    self._poked_log(context).copy(hook.client, run, url)
                if not run.status.is_completed:
                    self.log.info("Domino run %s is %s: %s", run.number, run.status, url)
                    return PokeReturnValue(is_done=False)
                handle = RunHandle.asked(hook.client, project, run)
                result = self._judge(hook.client, run, handle)
                if self.do_xcom_push:
                    push_single_xcoms(context["ti"], result)
                return PokeReturnValue(is_done=True, xcom_value=result)
        except DominoUnavailableError as error:
            self.log.warning("Domino is out of reach, asking again: %s", error)
            return PokeReturnValue(is_done=False)
        finally:
            hook.close()

    def _poked_log(self, context: Context) -> PokedLog:
        if self._copied is None:
            self._copied = PokedLog(context, self.log, survives=not self.reschedule)
            if self._log_place is not None:
                self._copied.begin_at(*self._log_place)
        return self._copied

    def starting_arguments(self) -> StartTriggerArgs | None:
        """Return how the triggerer looks for the run."""
        since = self.since.isoformat() if isinstance(self.since, datetime) else self.since
        wanted = {"run_id": self.run_id, "title": self.title, "command": self.command, "since": since}
        templated = {**wanted, "project": self.project, "domino_conn_id": self.domino_conn_id}
        may_start = self.deferrable and self.may_start_from_trigger
        if not may_start or not can_start_without_worker(self, DominoRunSensor, templated):
            return None
        return StartTriggerArgs(
            trigger_cls=f"{DominoRunSensorTrigger.__module__}.{DominoRunSensorTrigger.__qualname__}",
            trigger_kwargs={**templated, **self._waiting_arguments()},
            next_method="execute_complete",
            timeout=timedelta(seconds=float(self.timeout)),
        )

    def _waiting_arguments(self) -> dict[str, Any]:
        return {
            "success_statuses": list(self.success_statuses),
            "poll_interval": float(self.poke_interval),
            "outage_budget": compat.default_outage_budget(),
            "log_run": self.log_run,
            "ends_task": ends_without_worker(self),
            "push_result": bool(self.do_xcom_push),
        }

    def _match(self) -> RunMatch:
        return RunMatch.parse(given(self.run_id), given(self.title), given(self.command), self.since)

    def _show(self, context: Context, handle: RunHandle) -> None:
        if self.run_handle is None or self.run_handle.run_id != handle.run_id:
            push_xcom(context["ti"], LINK_KEY, handle.url)
        self.run_handle = handle

    def _judge(self, client: DominoClient, run: Run, handle: RunHandle) -> dict[str, Any]:
        if run.status.word in self.success_statuses:
            self.log.info("%s", sentence(run, handle))
            return run_result(run, handle)
        if self.on_failure == "skip":
            raise AirflowSkipException(
                f"Domino run {run.number} ended with status {run.status}; skipped, since on_failure='skip'. See "
                f"{handle.url}"
            )
        if run.status.succeeded:
            wanted = ", ".join(sorted(self.success_statuses))
            raise RunError(
                run,
                handle.url,
                meaning=f"This sensor takes {wanted} for success; add a status to success_statuses to take that too.",
            )
        raise run_error(run, handle.url, log_tail(client, handle))

    def _defer(self, context: Context) -> NoReturn:
        hook, match = DominoHook(self.domino_conn_id), self._match()
        started = context["ti"].start_date or datetime.now(UTC)
        trigger = DominoRunSensorTrigger(
            domino_conn_id=self.domino_conn_id,
            project=hook.project_name(given(self.project)),
            run_id=match.run_id,
            title=match.title,
            command=match.command,
            since=match.since.isoformat() if match.since else None,
            deadline=(started + timedelta(seconds=float(self.timeout))).isoformat(),
            deferred_at=datetime.now(UTC).isoformat(),
            **self._waiting_arguments(),
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=None)

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on after the trigger has fired; what it says came through a database and is checked first."""
        outcome = event.get("outcome") if isinstance(event, Mapping) else event
        if outcome == "look" or is_for_another(event, context):
            return self.execute(context)
        if outcome == "error":
            with refusing_wrong_requests():
                raise told_error(event)
        if outcome == "deadline":
            self._give_up()
        if outcome not in ("ended", "success"):
            raise AirflowException(f"Not an event of a Domino run: {event!r}; clear the task to look again")
        if isinstance(event, Mapping) and event.get("run_id"):
            self.run_id, self.title, self.command = event["run_id"], None, None
            self._log_place = (str(event["run_id"]), str(event.get("log_cursor") or "0"))
        seen = self.poke(context)
        if not seen.is_done:
            self._defer(context)
        return seen.xcom_value

    def _give_up(self) -> NoReturn:
        message = (
            f"Gave up waiting for {self._match()} after {self.timeout:.0f} seconds; look in Domino whether it runs, or "
            "allow the sensor a longer timeout"
        )
        if self.soft_fail:
            raise AirflowSkipException(message)
        raise AirflowSensorTimeout(message)
