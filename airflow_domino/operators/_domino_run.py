"""Launching a run, waiting for it and ending well or badly: what every task that is a Domino run shares."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_domino import compat
from airflow_domino.compat import AirflowException, AirflowTaskTimeout, TaskDeferralError
from airflow_domino.domino.errors import (
    ConfigurationError,
    DominoError,
    DominoUnavailableError,
    RequestError,
    RunWaitTimeoutError,
    run_error,
)
from airflow_domino.domino.launch import launch_once
from airflow_domino.domino.run_request import GitRef, RunRequest, command_line
from airflow_domino.domino.waiting import PASSING, wait_for_run
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.hooks.runs import RunHandle, RunLog, run_result, sentence, stop_and_confirm, stop_quietly
from airflow_domino.links.domino import LINK_KEY, DominoRunLink
from airflow_domino.operators._commit import DAG_RUN, git_reference, input_commit
from airflow_domino.operators._identity import LaunchRecord, TaskIdentity, active_of_other_generations, find_earlier
from airflow_domino.operators._killing import StopsItsRun
from airflow_domino.operators._rules import (
    RENEWABLE,
    ShowsRun,
    cluster_properties,
    ends_without_worker,
    given,
    log_tail,
    refusing_wrong_requests,
    told_error,
    volume_ids,
)
from airflow_domino.triggers.domino import DominoRunTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import HardwareTier, Project, Run

__all__ = ["BaseDominoRunOperator", "given", "refusing_wrong_requests"]

BAD_END_KEY = "domino_run"  # XCom that tells what a run which ended badly was and cost; a good one is the result
# The run was launched, and we can no longer say how it is: a retry takes it up, whatever the trouble was.
LOST_SIGHT = (DominoUnavailableError, RequestError, ConfigurationError, RunWaitTimeoutError)


class BaseDominoRunOperator(ShowsRun, StopsItsRun):
    """A task that is one Domino run. Subclasses say which command, and what to do with its results.

    :param project: `owner/name`; the connection's default when it is not given.
    :param tier: name or id of a hardware tier; the project's default when it is not given.
    :param commit_id: the files to begin with: nothing for the latest at launch, the full SHA of a commit (such as an
        upstream run's `output_commit`), or "dag_run" for one commit for all tasks of a DAG run.
    :param branch: branch of a git-based project.
    :param git_ref: other code of a git-based project, such as `("tags", "v1")`.
    :param environment: name or id of a compute environment.
    :param environment_revision: "ActiveRevision", "LatestRevision", "RestrictedRevision" or the id of a revision.
    :param title: title of the run in Domino; a mark that finds it again is put at its end.
    :param compute_cluster: Domino's `computeClusterProperties`.
    :param external_volumes: ids of external volumes to mount.
    :param domino_conn_id: the connection.
    :param deferrable: whether to wait in the triggerer; default ``[domino] default_deferrable``.
    :param poll_interval: seconds between two looks at the run; default ``[domino] poll_interval``.
    :param log_run: whether the run's log lines are copied into the task's log while it runs.
    :param stop_on_kill: whether the run is stopped when a user marks or clears the task, or it takes too long. A worker
        that merely shuts down leaves it going for the next attempt to take up.
    """

    template_fields: Sequence[str] = (
        "project",
        "tier",
        "commit_id",
        "branch",
        "git_ref",
        "environment",
        "environment_revision",
        "title",
        "compute_cluster",
        "external_volumes",
        "domino_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"compute_cluster": "json", "git_ref": "json"}
    operator_extra_links = (DominoRunLink(),)
    ui_color = "#ede7f6"
    ui_fgcolor = "#1f1442"

    def __init__(
        self,
        *,
        project: str | None = None,
        tier: str | None = None,
        commit_id: str | None = None,
        branch: str | None = None,
        git_ref: GitRef | str | Sequence[str] | Mapping[str, str] | None = None,
        environment: str | None = None,
        environment_revision: str | None = None,
        title: str | None = None,
        compute_cluster: Mapping[str, Any] | None = None,
        external_volumes: Sequence[str] | None = None,
        domino_conn_id: str = DominoHook.default_conn_name,
        deferrable: bool | None = None,
        poll_interval: float | None = None,
        log_run: bool = True,
        stop_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.tier = tier
        self.commit_id = commit_id
        self.branch = branch
        self.git_ref = git_ref
        self.environment = environment
        self.environment_revision = environment_revision
        self.title = title
        self.compute_cluster = compute_cluster
        self.external_volumes = external_volumes
        self.domino_conn_id = domino_conn_id
        self.deferrable = compat.default_deferrable() if deferrable is None else deferrable
        self.poll_interval = compat.default_poll_interval() if poll_interval is None else poll_interval
        if self.poll_interval <= 0:
            raise ValueError(f"poll_interval={self.poll_interval!r}: give a number of seconds above 0")
        self.log_run = log_run
        self.stop_on_kill = stop_on_kill

    # ---- what subclasses say -----------------------------------------------------------------------------------------

    @abstractmethod
    def run_command(self, context: Context) -> str | Sequence[str]:
        """Return the command of the run: a command line, or a list of arguments."""

    def check_arguments(self, context: Context) -> None:
        """Refuse arguments that are wrong, before Domino is asked for anything.

        :raises DominoError: saying what to change.
        """

    def stage_inputs(self, client: DominoClient, project: Project) -> str | None:
        """Put files into the project before the run; return the commit that holds them, None when there are none."""
        return None

    def needs_worker_at_end(self) -> bool:
        """Say whether there is more to do after a success than to tell of it."""
        return False

    def deliver(self, context: Context, client: DominoClient, run: Run, result: dict[str, Any]) -> dict[str, Any]:
        """Do what is left after the run has succeeded, on a worker; return the XCom `return_value`."""
        return result

    # ---- the story ---------------------------------------------------------------------------------------------------

    @cached_property
    def hook(self) -> DominoHook:
        """The connection's hook."""
        return DominoHook(self.domino_conn_id)

    def execute(self, context: Context) -> Any:
        """Launch the run, or take up one that an earlier attempt launched, and wait for it."""
        return self.execute_run(context)

    def execute_run(self, context: Context) -> Any:
        """Be the run: launch, then wait here or defer.

        :raises AirflowFailException: when the request is wrong; retries do not help.
        :raises DominoUnavailableError: when Domino is out of reach; a retry finds the run again.
        :raises RunError: when the run ended badly.
        """
        self._context = context
        try:
            # On a retry a run may be going on: an expired token is no reason to give it up.
            with refusing_wrong_requests(passing=() if context["ti"].try_number <= 1 else RENEWABLE):
                run = self._launch_or_take_up(context)
            self._stop_if_asked_meanwhile()
            if not run.status.is_completed:
                with suppress(*PASSING):
                    run = self.hook.client.run(run.id)
            if run.status.is_completed or not self.deferrable:
                return self._finish(context, self._wait_here(run))
            self._stop_if_ended_by_a_user(context)
            self._defer(context)
        except LOST_SIGHT:
            self._tell_what_becomes_of_the_run(context)
            raise
        finally:
            self.hook.close()

    def _launch_or_take_up(self, context: Context) -> Run:
        self.check_arguments(context)
        client = self.hook.client
        project = client.project(self.hook.project_name(given(self.project)))
        identity, record = TaskIdentity.of(context), LaunchRecord.load(context)
        self._stop_other_generations(client, project, identity, record)
        pinned = given(self.commit_id) == DAG_RUN
        found = find_earlier(client, project.id, identity, record, pinned=pinned)
        if found.run is None:
            request, tier = self._request(context, client, project)
            mark = identity.mark(found.launch, pinned=pinned)
            self._refuse_if_killed()
            run = launch_once(client, request, mark, since=identity.since, look_first=False).run
            handle = RunHandle.of(client, project, run, tier)
        else:
            run = found.run
            known = record is not None and record.handle.run_id == run.id
            handle = record.handle if record is not None and known else RunHandle.asked(client, project, run)
        LaunchRecord(identity.generation, found.launch, handle).save(context)
        self._tell(context, run, handle, taken_up=found.run is not None)
        return run

    def _stop_other_generations(
        self, client: DominoClient, project: Project, identity: TaskIdentity, record: LaunchRecord | None
    ) -> None:
        if not self.stop_on_kill:
            return
        for run in active_of_other_generations(client, project.id, identity, record):
            handle = RunHandle(run.id, client.run_url(project, run.id), project.full_name, project.id)
            stop_quietly(client, handle, self.log, "its task was cleared, and now runs again")

    def _request(self, context: Context, client: DominoClient, project: Project) -> tuple[RunRequest, HardwareTier]:
        command = command_line(self.run_command(context))
        tier = client.resolve_tier(project, given(self.tier))
        wanted = given(self.environment)
        environment = client.resolve_environment(project, wanted) if wanted else None
        commit_id = given(self.commit_id)
        git_ref = git_reference(project, commit_id, given(self.branch), given(self.git_ref))
        commit = input_commit(client, project, commit_id, context)
        request = RunRequest(
            project_id=project.id,
            command=command,
            title=given(self.title) or f"{self.dag_id}.{self.task_id}",
            tier_id=tier.id,
            commit_id=self.stage_inputs(client, project) or commit,
            git_ref=git_ref,
            environment_id=environment.id if environment else None,
            environment_revision=given(self.environment_revision),
            compute_cluster=cluster_properties(self.compute_cluster),
            external_volumes=volume_ids(self.external_volumes),
        )
        return request, tier

    def _tell(self, context: Context, run: Run, handle: RunHandle, *, taken_up: bool) -> None:
        self.run_handle = handle
        task_instance = context["ti"]
        task_instance.xcom_push(key="run_id", value=handle.run_id)
        task_instance.xcom_push(key=LINK_KEY, value=handle.url)
        what = (
            "Going on with Domino run %s, which an earlier attempt launched" if taken_up else "Launched Domino run %s"
        )
        self.log.info(what + " in %s on tier %s: %s", run.number, handle.project, handle.tier or "unknown", handle.url)

    # ---- waiting -----------------------------------------------------------------------------------------------------

    def _wait_here(self, run: Run) -> Run:
        handle = self._handle()
        return wait_for_run(
            self.hook.client,
            run.id,
            interval=self.poll_interval,
            on_log=RunLog(self.log, handle.url).write if self.log_run else None,
            outage_budget=compat.default_outage_budget(),
            url=handle.url,
            renew=self.hook.renew,
        ).run

    def _defer(self, context: Context, log_cursor: str = "0") -> NoReturn:
        handle = self._handle()
        trigger = DominoRunTrigger(
            domino_conn_id=self.domino_conn_id,
            run=handle.to_dict(),
            poll_interval=self.poll_interval,
            outage_budget=compat.default_outage_budget(),
            deadline=self._deadline(context),
            log_run=self.log_run,
            log_cursor=log_cursor,
            ends_task=ends_without_worker(self) and not self.needs_worker_at_end(),
            push_result=bool(self.do_xcom_push),
            stop_on_kill=self.stop_on_kill,
            deferred_at=datetime.now(UTC).isoformat(),
        )
        waiting = {"run": handle.to_dict(), "stop_with": self.domino_conn_id if self.stop_on_kill else None}
        self.defer(trigger=trigger, method_name="execute_complete", kwargs=waiting, timeout=None)

    def _deadline(self, context: Context) -> str | None:
        start = context["ti"].start_date
        if self.execution_timeout is None or start is None:
            return None
        return str((start + self.execution_timeout).isoformat())

    def execute_complete(
        self, context: Context, event: Any = None, run: Mapping[str, Any] | None = None, stop_with: str | None = None
    ) -> Any:
        """Go on after the trigger has fired.

        :param event: what the trigger said; it came through a database, so it is checked first.
        :param run: the run that this attempt waits for; an event about another one is stale.
        :param stop_with: read by :mod:`airflow_domino.listener` alone: the connection with which to stop the run.
        """
        self._context = context
        self.run_handle = handle = self._awaited(context, event, run)
        try:
            if isinstance(event, Mapping) and event.get("run_id") not in (None, handle.run_id):
                self.log.info("Ignoring the news of run %s: this attempt waits for another", event.get("run_id"))
                self._defer(context)
            return self._complete(context, event, handle)
        except LOST_SIGHT:
            self._tell_what_becomes_of_the_run(context)
            raise
        finally:
            self.hook.close()

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
            raise AirflowException(f"Not an event of a Domino run: {event!r}")
        ended = self._look(handle)
        if not ended.status.is_completed:
            self._defer(context, str(event.get("log_cursor") or "0") if isinstance(event, Mapping) else "0")
        return self._finish(context, ended)

    def _end_at_deadline(self, handle: RunHandle) -> str:
        if not self.stop_on_kill:
            return "its Domino run goes on, since stop_on_kill is off"
        try:
            stop_and_confirm(self.hook.client, handle)
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
        # `dag.test()` resumes a task with nothing but the trigger's word.
        if (record := LaunchRecord.load(context)) is not None:
            return record.handle
        task_instance = context["ti"]
        run_id = task_instance.xcom_pull(key="run_id", task_ids=self.task_id, map_indexes=task_instance.map_index)
        if not run_id:
            raise AirflowException("The task was resumed without a word about which Domino run it waited for")
        client = self.hook.client
        return RunHandle.asked(client, client.project(self.hook.project_name(given(self.project))), client.run(run_id))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Go on after a deferral; when the trigger itself has failed, say what becomes of the run."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralError:
            self._tell_what_becomes_of_the_run(context)
            raise

    def _finish(self, context: Context, run: Run) -> Any:
        handle, client = self._handle(), self.hook.client
        if not run.status.succeeded:
            context["ti"].xcom_push(key=BAD_END_KEY, value=run_result(run, handle))
            raise run_error(run, handle.url, log_tail(client, handle))
        self.log.info("%s", sentence(run, handle))
        with refusing_wrong_requests(passing=RENEWABLE):
            return self.deliver(context, client, run, run_result(run, handle))

    def _handle(self) -> RunHandle:
        if self.run_handle is None:
            raise AirflowException("There is no Domino run to wait for")
        return self.run_handle
