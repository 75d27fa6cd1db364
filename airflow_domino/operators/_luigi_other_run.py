"""Leaving it to another task's run to make the same Luigi task, as Luigi's scheduler lets one runner at a task."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_domino import compat
from airflow_domino.compat import AirflowTaskTimeout
from airflow_domino.domino.launch import MarkedRuns
from airflow_domino.domino.waiting import wait_for_run
from airflow_domino.hooks.identity import TaskIdentity, find_twin
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.operators._domino_run import BaseDominoRunOperator, MadeByAnotherRun
from airflow_domino.operators._rules import is_for_another, told_error
from airflow_domino.triggers.domino import DominoRunTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_domino.domino.models import Project


class AwaitsOtherRuns(BaseDominoRunOperator):
    """A task that waits for a run of somebody else that makes the same, and then looks what is left to do.

    :ivar work: key of what the run makes; see :class:`~airflow_domino.hooks.launching.WantedRun`
    """

    work: str | None = None

    def execute_run(self, context: Context) -> Any:
        """Be the run, as soon as nobody else makes the same."""
        try:
            return super().execute_run(context)
        except MadeByAnotherRun as other:
            return self.execute_after(context, other.handle)

    def execute_after(self, context: Context, other: RunHandle) -> Any:
        """Wait for a run that makes the same, then begin from the beginning: the task may be complete now."""
        self._await_other(context, other)
        return self.execute_run(context)

    def twin_in(self, project: Project, context: Context) -> RunHandle | None:
        """Find the run of another task that makes the same at this moment."""
        client = self.hook.client
        marked = MarkedRuns(client.runs(project.id, status="active"))
        twin = find_twin(marked, TaskIdentity.of(context), self.work) if self.work else None
        return None if twin is None else RunHandle.asked(client, project, twin)

    def _await_other(self, context: Context, other: RunHandle) -> None:
        self.log.info("Domino run %s of another task makes the same, so this task waits: %s", other.number, other.url)
        self.has_given_way = True
        if not self.deferrable:
            self._await_other_here(other)
            return
        # Whatever becomes of this task, the other one's run is not ours to stop.
        trigger = DominoRunTrigger(
            domino_conn_id=self.domino_conn_id,
            run=other.to_dict(),
            poll_interval=self.poll_interval,
            outage_budget=compat.default_outage_budget(),
            deadline=self._deadline(context),
            log_run=False,
            push_result=False,
            stop_on_kill=False,
            on_clear="leave",
            deferred_at=datetime.now(UTC).isoformat(),
        )
        self.defer(trigger=trigger, method_name="execute_after_other", timeout=None)

    def _await_other_here(self, other: RunHandle) -> None:
        try:
            wait_for_run(
                self.hook.client,
                other.run_id,
                interval=self.poll_interval,
                outage_budget=compat.default_outage_budget(),
                url=other.url,
                renew=self.hook.renew,
            )
        finally:
            self.hook.close()

    def execute_after_other(self, context: Context, event: Any = None) -> Any:
        """Go on after another task's run is over, however it ended: look what is left to do, and do it.

        :param event: what the trigger said.
        """
        self._context = context
        self.has_given_way = True
        told: Mapping[str, Any] = event if isinstance(event, Mapping) and not is_for_another(event, context) else {}
        if told.get("outcome") == "error":
            raise told_error(told)
        if told.get("outcome") == "deadline":
            raise AirflowTaskTimeout(
                f"The task took longer than its execution_timeout {self.execution_timeout}, while it waited for a run"
                f" of another task that makes the same; allow it more time. See {told.get('run', {}).get('url')}"
            )
        return self.execute_run(context)
