"""What becomes of the run when its task is killed, times out, or loses sight of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_domino import compat
from airflow_domino.compat import AirflowException, AirflowTaskTimeout
from airflow_domino.hooks.identity import LaunchRecord, TaskIdentity
from airflow_domino.hooks.runs import stop_quietly

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator as Task
    from airflow.sdk import Context

    from airflow_domino.hooks.domino import DominoHook
    from airflow_domino.hooks.runs import RunHandle

else:
    Task = object  # a class between BaseOperator and an operator must have a constructor of its own

SHUTDOWN_STATES = frozenset({None, "running"})
CLEARED = "restarting"
# Airflow has given this process up and turned to another attempt of the task, which takes the run up.
SUPERSEDED_STATES = frozenset({"scheduled", "queued", "deferred", "up_for_retry", "up_for_reschedule"})


class StopsItsRun(Task):
    """A task that has launched a run: a kill of the task is a kill of the run, a restart is not."""

    if TYPE_CHECKING:

        @property
        def hook(self) -> DominoHook: ...

    kill_action: str = "stop"
    on_clear: str = "stop"
    keep_results: bool = True
    run_handle: RunHandle | None = None
    _context: Context | None = None
    _killed_because: str | None = None
    _was_cleared: bool = False

    def on_kill(self) -> None:
        """Stop the run when a user or a deadline ended the task; leave it for the retry when the worker shuts down.

        Airflow calls this for all three, inside a signal handler.
        """
        timed_out = isinstance(sys.exc_info()[1], AirflowTaskTimeout)
        task_instance = self._context["ti"] if self._context else None
        state = None if timed_out or task_instance is None else compat.task_state_of(task_instance)
        if not timed_out and state in SHUTDOWN_STATES and self._will_be_tried_again(task_instance):
            raise AirflowException("The worker is being shut down; the Domino run goes on for the next attempt")
        if not timed_out and state in SUPERSEDED_STATES:
            raise AirflowException(f"The task is {state} again; its Domino run goes on for its next attempt")
        self._killed_because = "the task reached its execution_timeout" if timed_out else f"the task is {state}"
        self._was_cleared = state == CLEARED
        self._stop_if_asked_meanwhile()

    def _refuse_if_killed(self) -> None:
        """Launch nothing for a task that was killed while its launch was being prepared.

        :raises AirflowException: saying so.
        """
        if self._killed_because is not None:
            raise AirflowException(f"No Domino run is launched: {self._killed_because}; clear the task to run it again")

    def _stop_if_ended_by_a_user(self, context: Context) -> None:
        """Notice what a user did while the run was being launched; once deferred, the trigger takes care of that.

        A process that is about to defer ends before Airflow would tell it, and its trigger would never be made.
        """
        state = compat.task_state_of(context["ti"])
        if state in SHUTDOWN_STATES:
            return
        if state in SUPERSEDED_STATES:
            raise AirflowException(f"The task is {state} again: its next attempt takes the Domino run up")
        self._killed_because, self._was_cleared = f"the task is {state}", state == CLEARED
        self._stop_if_asked_meanwhile()
        raise AirflowException(f"The task is {state}: it does not wait for its Domino run; clear it to run it again")

    def _will_be_tried_again(self, task_instance: Any) -> bool:
        return task_instance is not None and task_instance.try_number <= task_instance.max_tries

    def _stop_if_asked_meanwhile(self) -> None:
        """Stop the run if the task was killed; a kill during the launch is caught up with right after it."""
        handle, why = self.run_handle, self._killed_because
        if why is None or handle is None:
            return
        if (self.on_clear if self._was_cleared else self.kill_action) != "stop":
            self.log.info("Domino run %s goes on, as the task wants it: %s", handle.run_id, why)
            return
        with self.hook.settings.make_client() as client:  # the task's own may be in the middle of a request
            stop_quietly(client, handle, self.log, why, keep_results=self.keep_results)

    def _tell_what_becomes_of_the_run(self, context: Context) -> None:
        handle = self.run_handle
        if handle is None and (record := LaunchRecord.load(context)) is not None:
            handle = record.handle if record.generation == TaskIdentity.of(context).generation else None
        if handle is None:
            return
        again = self._will_be_tried_again(context["ti"])
        then = "the next attempt takes it up" if again else "no attempt is left to take it up: stop it if it must not"
        self.log.warning("The Domino run may go on, and %s. See %s", then, handle.url)
