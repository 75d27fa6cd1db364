"""Waiting for the run of a task, here or in the triggerer, and ending well or badly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_domino import compat
from airflow_domino.compat import AirflowException, AirflowTaskTimeout, TaskDeferralError, TaskDeferralTimeout
from airflow_domino.domino.climbing import parse_tiers
from airflow_domino.domino.errors import (
    ConfigurationError,
    DominoError,
    DominoUnavailableError,
    QueueWaitTimeoutError,
    RequestError,
    RunWaitTimeoutError,
    run_error,
)
from airflow_domino.domino.launch import scan_marked
from airflow_domino.domino.storable import storable
from airflow_domino.domino.waiting import PASSING, wait_for_run
from airflow_domino.hooks.arguments import given
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.hooks.identity import LaunchRecord, TaskIdentity, active_of_this_generation
from airflow_domino.hooks.launching import next_tier
from airflow_domino.hooks.past_runs import note_end
from airflow_domino.hooks.runs import (
    RUN_KEY,
    SINGLE_KEYS,
    RunHandle,
    RunLog,
    push_single_xcoms,
    push_xcom,
    run_result,
    sentence,
    stop_and_confirm,
    stop_quietly,
)
from airflow_domino.operators._killing import StopsItsRun
from airflow_domino.operators._rules import (
    RENEWABLE,
    ShowsRun,
    ends_without_worker,
    is_for_another,
    log_tail,
    refusing_wrong_requests,
    show_run,
    told_error,
    why_it_failed,
)
from airflow_domino.triggers.domino import DominoRunTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Run

# The run was launched, and we can no longer say how it is: a retry takes it up, whatever the trouble was.
LOST_SIGHT = (DominoUnavailableError, RequestError, ConfigurationError, RunWaitTimeoutError)


class AwaitsItsRun(ShowsRun, StopsItsRun):
    """A task that waits for the run that it has launched."""

    domino_conn_id: str
    project: Any
    tier: Any
    deferrable: bool
    poll_interval: float
    log_run: bool
    queue_timeout: float | None

    @cached_property
    def hook(self) -> DominoHook:
        """The connection's hook."""
        return DominoHook(self.domino_conn_id)

    # ---- what subclasses say -----------------------------------------------------------------------------------------

    def execute_run(self, context: Context) -> Any:
        """Launch the run on this worker, and wait for it."""
        raise NotImplementedError

    def needs_worker_at_end(self) -> bool:
        """Say whether there is more to do after a success than to tell of it."""
        return False

    def deliver(self, context: Context, client: DominoClient, run: Run, result: dict[str, Any]) -> dict[str, Any]:
        """Do what is left after the run has succeeded, on a worker; return the XCom `return_value`."""
        return result

    def note_failure(self, run: Run, result: Mapping[str, Any]) -> None:
        """Do what is left after the run has ended badly, on a worker; the task fails all the same."""

    def explain_failure(self, run: Run, log_tail: Sequence[str]) -> str:
        """Return a sentence on what the end of this run means, for the error; empty where there is none to add."""
        return ""

    # ---- waiting -----------------------------------------------------------------------------------------------------

    def _wait_here(self, run: Run) -> Run:
        handle = self._handle()
        try:
            return wait_for_run(
                self.hook.client,
                run.id,
                interval=self.poll_interval,
                on_log=RunLog(self.log, handle.url).write if self.log_run else None,
                outage_budget=compat.default_outage_budget(),
                url=handle.url,
                renew=self.hook.renew,
                queue_deadline=handle.queue_deadline(self.queue_timeout),
            ).run
        except QueueWaitTimeoutError:
            why = f"it was queued for more than {self.queue_timeout:g} s"
            stop_quietly(self.hook.client, handle, self.log, why, keep_results=self.keep_results)
            return self.hook.client.run(run.id)

    def waiting_arguments(self) -> dict[str, Any]:
        """Return what every trigger of this task is told about the wait."""
        return {
            "domino_conn_id": self.domino_conn_id,
            "poll_interval": self.poll_interval,
            "outage_budget": compat.default_outage_budget(),
            "log_run": self.log_run,
            "ends_task": ends_without_worker(self) and not self.needs_worker_at_end(),
            "push_result": bool(self.do_xcom_push),
            "stop_on_kill": self.kill_action == "stop",
            "on_clear": self.on_clear,
            "keep_results": self.keep_results,
            "queue_timeout": self.queue_timeout,
        }

    def for_listener(self) -> dict[str, Any]:
        """Return what :mod:`airflow_domino.listener` reads of a deferred task."""
        return {"stop_with": self.stop_with(), **({} if self.keep_results else {"keep_results": False})}

    def stop_with(self) -> str | None:
        """Return the connection with which the listener stops the run; None where it is to leave it alone."""
        return self.domino_conn_id if self.kill_action == "stop" else None

    def _defer(self, context: Context, log_cursor: str = "0") -> NoReturn:
        handle = self._handle()
        trigger = DominoRunTrigger(
            run=handle.to_dict(),
            deadline=self._deadline(context),
            log_cursor=log_cursor,
            deferred_at=datetime.now(UTC).isoformat(),
            **self.waiting_arguments(),
        )
        waiting = {"run": handle.to_dict(), **self.for_listener()}
        self.defer(trigger=trigger, method_name="execute_complete", kwargs=waiting, timeout=None)

    def _deadline(self, context: Context) -> str | None:
        start = context["ti"].start_date
        if self.execution_timeout is None or start is None:
            return None
        return str((start + self.execution_timeout).isoformat())

    # ---- going on after a deferral -----------------------------------------------------------------------------------

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        run: Mapping[str, Any] | None = None,
        stop_with: str | None = None,
        keep_results: bool = True,
    ) -> Any:
        """Go on after the trigger has fired.

        :param event: what the trigger said; it came through a database, so it is checked first.
        :param run: the run that this attempt waits for; an event about another one is stale.
        :param stop_with: read by :mod:`airflow_domino.listener` alone: the connection with which to stop the run.
        :param keep_results: read by it too: whether a run that it stops keeps what it wrote.
        """
        self._context = context
        if is_for_another(event, context):
            self.log.info("Ignoring the news of another task: %s", event.get("task"))
            return self.execute_run(context)
        if isinstance(event, Mapping) and run is None and event.get("run") is None:
            return self._go_on_without_run(context, event)
        self.run_handle = handle = self._awaited(context, event, run)
        try:
            if isinstance(event, Mapping) and event.get("run_id") not in (None, handle.run_id):
                self.log.info("Ignoring the news of run %s: this attempt waits for another", event.get("run_id"))
                self._defer(context)
            self._remember_launch(context, event, handle)
            return self._complete(context, event, handle)
        except LOST_SIGHT:
            self._tell_what_becomes_of_the_run(context)
            raise
        finally:
            self.hook.close()

    def _go_on_without_run(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on where the triggerer has launched nothing: launch here, or say why there is no run."""
        if event.get("outcome") == "launch":
            compat.forget_xcoms(context, ("return_value", RUN_KEY, *SINGLE_KEYS))
            return self.execute_run(context)
        if event.get("outcome") == "deadline":
            raise AirflowTaskTimeout(
                f"The task reached its execution_timeout {self.execution_timeout} before its Domino run was launched; "
                "allow it more time, or give the tier more room"
            )
        with refusing_wrong_requests():
            raise told_error(event)

    def _remember_launch(self, context: Context, event: Any, handle: RunHandle) -> None:
        """Keep a run that the triggerer has launched where a retry finds it: a triggerer has no such place."""
        number = event.get("launch") if isinstance(event, Mapping) else None
        if isinstance(number, int):
            LaunchRecord(TaskIdentity.of(context).generation, number, handle).save(context)
            show_run(context["ti"], handle)

    def _complete(self, context: Context, event: Any, handle: RunHandle) -> Any:
        outcome = event.get("outcome") if isinstance(event, Mapping) else event
        if outcome == "error":
            raise told_error(event)
        if outcome == "deadline":
            raise AirflowTaskTimeout(
                f"The task took longer than its execution_timeout {self.execution_timeout}; "
                f"{self._end_at_deadline(handle)}. See {handle.url}"
            )
        if outcome not in ("ended", "success"):
            raise AirflowException(f"Not an event of a Domino run: {event!r}; clear the task to run it again")
        ended = self._look(handle)
        if not ended.status.is_completed:
            self._defer(context, str(event.get("log_cursor") or "0") if isinstance(event, Mapping) else "0")
        return self._finish(context, ended)

    def _end_at_deadline(self, handle: RunHandle) -> str:
        if self.kill_action != "stop":
            return "its Domino run goes on, since on_kill is 'leave'"
        try:
            stop_and_confirm(self.hook.client, handle, keep_results=self.keep_results)
        except DominoError as error:
            return f"its Domino run could not be seen to stop and may go on ({error})"
        return "its Domino run has been stopped"

    def _look(self, handle: RunHandle) -> Run:
        """Look at the run after a deferral; when Domino cannot be asked, wait as patiently as elsewhere."""
        try:
            return self.hook.client.run(handle.run_id)
        except PASSING:
            budget = compat.default_outage_budget()
            return wait_for_run(
                self.hook.client,
                handle.run_id,
                interval=self.poll_interval,
                outage_budget=budget,
                url=handle.url,
                renew=self.hook.renew,
            ).run

    def _awaited(self, context: Context, event: Any, run: Mapping[str, Any] | None) -> RunHandle:
        told = run or (event.get("run") if isinstance(event, Mapping) else None)
        if told:
            return RunHandle.from_dict(told)
        if (handle := self._known_run(context)) is not None:
            return handle
        raise AirflowException(
            "The task was resumed without a word about which Domino run it waited for; clear it to run it again, and "
            "look in Domino for a run of it that still goes on"
        )

    def _known_run(self, context: Context) -> RunHandle | None:
        """Return the run of this attempt, from where it was noted at its launch."""
        record = LaunchRecord.load(context)
        if record is not None and record.generation == TaskIdentity.of(context).generation:
            return record.handle
        # `dag.test()` resumes a task with nothing but the trigger's word.
        task_instance = context["ti"]
        run_id = task_instance.xcom_pull(key="run_id", task_ids=self.task_id, map_indexes=task_instance.map_index)
        if not run_id:
            return None
        client = self.hook.client
        return RunHandle.asked(client, client.project(self.hook.project_name(given(self.project))), client.run(run_id))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Go on after a deferral; when Airflow has given the trigger up, say or do what becomes of the run."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self._context = context
            what = self._end_what_is_there(context)
            took_long = f"The task took longer than its execution_timeout {self.execution_timeout}"
            raise AirflowTaskTimeout(f"{took_long}; {what}") from None
        except TaskDeferralError:
            self._tell_what_becomes_of_the_run(context)
            raise

    def _end_what_is_there(self, context: Context) -> str:
        """Say what becomes of the run of a task whose trigger Airflow has given up."""
        try:
            handle = self._known_run(context) or self._launched_unseen(context)
        except DominoError as error:
            return f"whether its Domino run goes on is not known ({error}): look for it in Domino"
        if handle is None:
            return "no Domino run of it goes on: allow the task more time"
        self.run_handle = handle
        return f"{self._end_at_deadline(handle)}. See {handle.url}"

    def _launched_unseen(self, context: Context) -> RunHandle | None:
        """Find a run whose launch was under way when its trigger was given up."""
        client, identity = self.hook.client, TaskIdentity.of(context)
        project = client.project(self.hook.project_name(given(self.project)))
        runs = active_of_this_generation(scan_marked(client, project.id, identity.since), identity)
        return RunHandle.asked(client, project, runs[0]) if runs else None

    # ---- ending ------------------------------------------------------------------------------------------------------

    def _finish(self, context: Context, run: Run) -> Any:
        handle, client = self._handle(), self.hook.client
        note_end(context, run, handle, self.log)
        if not run.status.succeeded:
            result = run_result(run, handle)
            push_xcom(context["ti"], RUN_KEY, result)
            self.note_failure(run, result)
            tier = next_tier(parse_tiers(self.tier), handle)
            tail = log_tail(client, handle)
            push_xcom(context["ti"], RUN_KEY, {**result, **why_it_failed(run, tail)})
            meaning = self.explain_failure(run, tail)
            raise run_error(run, handle.url, tail, queue_timeout=self.queue_timeout, next_tier=tier, meaning=meaning)
        self.log.info("%s", sentence(run, handle))
        with refusing_wrong_requests(passing=RENEWABLE):
            delivered = self.deliver(context, client, run, run_result(run, handle))
        return self._handed_out(context, run_result(run, handle), delivered)

    def _handed_out(self, context: Context, result: Mapping[str, Any], delivered: dict[str, Any]) -> Any:
        """Push what of the run's result is an XCom of its own; return the XCom `return_value` as Airflow can store it.

        A trigger that ends a task does the same.
        """
        if self.do_xcom_push:
            push_single_xcoms(context["ti"], result)
        return storable(delivered)

    def _handle(self) -> RunHandle:
        if self.run_handle is None:
            raise AirflowException("There is no Domino run to wait for; clear the task to run it again")
        return self.run_handle
