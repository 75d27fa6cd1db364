"""Launching a run and being its task: what every task that is a Domino run shares."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

from airflow.sdk import BaseOperator

from airflow_domino import compat
from airflow_domino.domino.launch import scan_marked
from airflow_domino.domino.run_request import GitRef
from airflow_domino.domino.waiting import PASSING
from airflow_domino.hooks.arguments import given, in_seconds, one_of
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.hooks.identity import LaunchRecord, TaskIdentity, find_earlier
from airflow_domino.hooks.launching import Launched, LaunchRules, RunLaunch, WantedRun, tell_launch
from airflow_domino.hooks.past_runs import note_earlier, note_launch
from airflow_domino.hooks.places import wait_for_place
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.links.domino import DominoRunLink
from airflow_domino.operators._rules import RENEWABLE, refusing_wrong_requests, show_run
from airflow_domino.operators._waiting import LOST_SIGHT, AwaitsItsRun
from airflow_domino.triggers.launch import DominoLaunchTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, Run

__all__ = ["BaseDominoRunOperator", "given", "refusing_wrong_requests"]


class MadeByAnotherRun(Exception):  # noqa: N818  (no accident: somebody else is at it)
    """A run that another task has launched makes the same as the one that was to be launched.

    :param handle: that run.
    """

    def __init__(self, handle: RunHandle) -> None:
        super().__init__(f"Domino run {handle.number} makes the same already: {handle.url}")
        self.handle = handle


class BaseDominoRunOperator(AwaitsItsRun, BaseOperator):
    """A task that is one Domino run. Subclasses say which command, and what to do with its results.

    :param project: `owner/name`; the connection's default when it is not given.
    :param tier: name or id of a hardware tier; the project's default when it is not given. A list is climbed: an
        attempt whose run died of memory or of `queue_timeout` is followed by one on the next tier.
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
    :param start_from_trigger: whether a deferrable task may be launched by the triggerer, with no worker before it;
        default ``[domino] start_from_trigger``. Tasks that need a worker first go to one anyway.
    :param poll_interval: seconds between two looks at the run; default ``[domino] poll_interval``.
    :param log_run: whether the run's log lines are copied into the task's log while it runs.
    :param on_kill: what becomes of the run when a user marks the task, or it takes longer than `execution_timeout`:
        "stop", or "leave" to let it go on. A worker or triggerer that merely shuts down always leaves it going for the
        next attempt to take up.
    :param on_clear: what becomes of a run that goes on when its task is cleared: "stop", "reattach" to go on with it,
        or "leave" to let it go on beside the new one.
    :param keep_results: whether a run that is stopped keeps what it has written so far.
    :param queue_timeout: seconds (or a timedelta) after which a run that is still queued is stopped; the attempt
        fails, and the next one moves to the next tier of `tier`, if there is one.
    :param max_active_runs: how many runs of this task may be in flight, over all DAG runs and mapped instances; others
        wait their turn before they are launched. Limits for all tasks are the connection's.
    """

    #: Whether this attempt may have launched a run, and stopped it in favour of another task's.
    has_given_way = False

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
        tier: str | Sequence[str] | None = None,
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
        start_from_trigger: bool | None = None,
        poll_interval: float | None = None,
        log_run: bool = True,
        on_kill: Literal["stop", "leave"] = "stop",
        on_clear: Literal["stop", "reattach", "leave"] = "stop",
        keep_results: bool = True,
        queue_timeout: float | timedelta | None = None,
        max_active_runs: int | None = None,
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
        self.may_start_from_trigger = (
            compat.default_start_from_trigger() if start_from_trigger is None else start_from_trigger
        )
        interval = compat.default_poll_interval() if poll_interval is None else poll_interval
        self.poll_interval = in_seconds("poll_interval", interval) or interval
        self.log_run = log_run
        self.kill_action = one_of("on_kill", on_kill, ("stop", "leave"))
        self.on_clear = one_of("on_clear", on_clear, ("stop", "reattach", "leave"))
        self.keep_results = keep_results
        self.queue_timeout = in_seconds("queue_timeout", queue_timeout)
        self.max_active_runs = max_active_runs
        if max_active_runs is not None and max_active_runs < 1:
            raise ValueError(f"max_active_runs={max_active_runs!r}: give a number of runs above 0")

    # ---- what subclasses say -----------------------------------------------------------------------------------------

    @abstractmethod
    def run_command(self, context: Context) -> str | Sequence[str]:
        """Return the command of the run: a command line, or a list of arguments."""

    def check_arguments(self, context: Context) -> None:
        """Refuse arguments that are wrong, before Domino is asked for anything.

        :raises DominoError: saying what to change.
        """

    def stage_inputs(self, client: DominoClient, project: Project, commit: str | None) -> str | None:
        """Put files into the project before the run; return the commit that holds them, None when there are none.

        :param commit: the commit that the task asks for; None for the latest.
        """
        return None

    # ---- the story ---------------------------------------------------------------------------------------------------

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
        client, identity, record = self.hook.client, TaskIdentity.of(context), LaunchRecord.load(context)
        project = client.project(self.hook.project_name(given(self.project)))
        wanted = WantedRun.of(self, command=self.run_command(context))
        rules = self._rules()
        launch = RunLaunch(client, project, wanted, identity, rules, self.log, record, self.domino_conn_id)
        is_first = identity.try_number <= 1 and record is None and not self.has_given_way
        launched = None if is_first else launch.look(launch.scan())
        note_earlier(context, launch, self.log)
        if launched is None:
            self._give_way(launch)
            launch.prepare(lambda commit: self.stage_inputs(client, project, commit))
            self._await_place(context, launch)
            self._refuse_if_killed()
            launched = launch.start()
        self._remember(context, identity, launched)
        if not launched.run.status.is_completed:
            self._give_way(launch, launched)
        return launched.run

    def has_earlier_run(self, context: Context) -> bool:
        """Say whether an attempt before this one has launched a run that is to be waited for, or delivered."""
        identity, record = TaskIdentity.of(context), LaunchRecord.load(context)
        if identity.try_number <= 1 and record is None and not self.has_given_way:
            return False
        client = self.hook.client
        project = client.project(self.hook.project_name(given(self.project)))
        marked = scan_marked(client, project.id, identity.since)
        return find_earlier(marked, identity, record, client).run is not None

    def _give_way(self, launch: RunLaunch, launched: Launched | None = None) -> None:
        """Leave it to the run of another task to make the same, if one does so already.

        :raises MadeByAnotherRun: names that run; a run of this task is stopped.
        """
        if launch.wanted.work is None:
            return
        twin = launch.twin(launch.scan_active(), launched)
        if twin is None:
            return
        if launched is not None:
            launch.give_way(launched, twin)
            self.run_handle = None
        raise MadeByAnotherRun(RunHandle.asked(self.hook.client, launch.project, twin))

    def _rules(self) -> LaunchRules:
        limits = self.hook.settings.limits(self.max_active_runs)
        return LaunchRules(self.on_clear, self.keep_results, self.queue_timeout, limits)

    def _await_place(self, context: Context, launch: RunLaunch) -> None:
        """Hold the launch back while too many runs are in flight: in the triggerer, or here when not deferrable."""
        limits = launch.rules.limits
        if not limits:
            return
        if self.deferrable:
            self._defer_launch(context, launch)
        wait_for_place(self.hook.client, launch.claim(), limits, on_wait=lambda why: self.log.info("%s", why))

    def _defer_launch(self, context: Context, launch: RunLaunch) -> NoReturn:
        wanted = WantedRun.of(launch.wanted, staged_commit=launch.request.commit_id)
        trigger = DominoLaunchTrigger(
            **wanted.to_dict(),
            identity=launch.identity.to_dict(),
            max_active_runs=self.max_active_runs,
            deadline=self._deadline(context),
            deferred_at=datetime.now(UTC).isoformat(),
            **self.waiting_arguments(),
        )
        waiting = {"run": None, **self.for_listener()}
        self.defer(trigger=trigger, method_name="execute_complete", kwargs=waiting, timeout=None)

    def _remember(self, context: Context, identity: TaskIdentity, launched: Launched) -> None:
        """Keep the run where a retry finds it, before anything else that can fail; then tell of it."""
        LaunchRecord(identity.generation, launched.number, launched.handle).save(context)
        self.run_handle = launched.handle
        show_run(context["ti"], launched.handle)
        tell_launch(self.log, launched)
        if warning := self.hook.settings.expiry_warning():
            self.log.warning("%s", warning)
        note_launch(context, identity, launched.handle, self.log)
