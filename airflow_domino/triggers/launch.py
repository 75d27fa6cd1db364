"""Launches a run in the triggerer, and waits for it there: no worker is needed where all goes well."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow_domino.compat import AirflowException, TriggerEvent
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoError, DominoUnavailableError, LaunchOutcomeUnknownError
from airflow_domino.domino.launch import MarkedRuns
from airflow_domino.domino.models import Project, Run
from airflow_domino.domino.watch import RunWatcher
from airflow_domino.hooks.arguments import given
from airflow_domino.hooks.commits import DAG_RUN
from airflow_domino.hooks.connection import ConnectionSettings
from airflow_domino.hooks.identity import LaunchRecord, TaskIdentity, began_late
from airflow_domino.hooks.launching import Launched, LaunchRules, RunLaunch, WantedRun, tell_launch
from airflow_domino.hooks.places import Reservation, places_for
from airflow_domino.hooks.runs import RUN_KEY, RunHandle
from airflow_domino.hooks.stopping import stop_run
from airflow_domino.links.domino import LINK_KEY
from airflow_domino.triggers import _kill
from airflow_domino.triggers._rendering import RendersStrictly
from airflow_domino.triggers._xcoms import can_push_xcoms, push_xcoms, read_xcom
from airflow_domino.triggers.domino import DominoRunTrigger, shared_watcher

SHORTEST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
LOST_SECONDS = 300.0
"""How long the run of a start is looked for whose answer was lost."""

_starts: set[asyncio.Future[Launched]] = set()


class _MadeElsewhereError(Exception):
    """Another task's run makes the same already."""


class _UnknownPinError(Exception):
    """An input commit may be pinned that only a worker can know."""


class DominoLaunchTrigger(RendersStrictly, DominoRunTrigger):
    """Launches the run of a task instance exactly once, then waits for it like its base class.

    Airflow's scheduler starts it for the first try of a task, with no worker before it; a worker defers to it where
    the launch has to wait for a place. Its arguments are the task's own: Airflow renders the templates in them.

    :param command: see :class:`~airflow_domino.operators.domino.DominoRunOperator`, and there for `project`, `tier`,
        `commit_id`, `branch`, `git_ref`, `environment`, `environment_revision`, `title`, `compute_cluster`,
        `external_volumes` and `max_active_runs`.
    :param staged_commit: commit that a worker has put files into for this run.
    :param work: key of what the run makes; where another task's run makes the same, a worker decides how to go on.
    :param identity: the task instance's :class:`~airflow_domino.hooks.identity.TaskIdentity`, as a worker knows it;
        without it only a first try is launched here, since a triggerer is not told of clears.
    :param waiting: see the base class.
    """

    WANTED: ClassVar[tuple[str, ...]] = (
        "command",
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
        "staged_commit",
        "work",
    )
    ARGUMENTS = (*DominoRunTrigger.ARGUMENTS, *WANTED, "identity", "max_active_runs")

    def __init__(
        self,
        *,
        command: str | Sequence[str],
        project: str | None = None,
        tier: str | Sequence[str] | None = None,
        commit_id: str | None = None,
        branch: str | None = None,
        git_ref: Any = None,
        environment: str | None = None,
        environment_revision: str | None = None,
        title: str | None = None,
        compute_cluster: Any = None,
        external_volumes: Any = None,
        staged_commit: str | None = None,
        work: str | None = None,
        identity: dict[str, Any] | None = None,
        max_active_runs: int | None = None,
        run: dict[str, Any] | None = None,
        **waiting: Any,
    ) -> None:
        super().__init__(run=run, **waiting)
        self.command = command
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
        self.staged_commit = staged_commit
        self.work = work
        self.identity = identity
        self.max_active_runs = max_active_runs
        self._started: asyncio.Future[Launched] | None = None
        self._reservation: Reservation | None = None
        self._is_shown = False

    async def _event(self) -> TriggerEvent:
        identity = self._identity()
        if identity is None or not self.is_rendered:
            return self._news("launch")
        try:
            settings = await self.settings()
            await self._launch_in_patience(settings, identity)
        except (_MadeElsewhereError, _UnknownPinError):
            return self._news("launch")
        except TimeoutError:
            return self._news("deadline")
        except (DominoError, AirflowException) as error:
            return self._news("error", error)
        if not self._is_shown:
            return self._news("ended")  # a worker pushes what shows the run, and goes on waiting for it
        return await super()._event()

    def _identity(self) -> TaskIdentity | None:
        """Return whose run it is, None where only a worker can know."""
        if self.identity is not None:
            return TaskIdentity.from_dict(self.identity)
        task_instance = self.task_instance
        if task_instance is None or task_instance.try_number > 1 or not can_push_xcoms(task_instance):
            return None
        return TaskIdentity.of_first_try(task_instance.get_template_context())

    # ---- launching ---------------------------------------------------------------------------------------------------

    async def _launch_in_patience(self, settings: ConnectionSettings, identity: TaskIdentity) -> None:
        """Launch; waits out an outage of Domino like a wait does, since nobody's slot is taken meanwhile.

        :raises TimeoutError: when the deadline passes before.
        """
        begin = asyncio.get_running_loop().time()
        pause, only_look = SHORTEST_PAUSE, False
        patience = self.outage_budget
        while True:
            try:
                return await self._launch(settings, identity, only_look=only_look)
            except LaunchOutcomeUnknownError as error:
                trouble: DominoUnavailableError = error
                only_look, patience = True, min(patience, LOST_SECONDS)
            except DominoUnavailableError as error:
                trouble = error
            if asyncio.get_running_loop().time() - begin > patience:
                raise trouble
            self._refuse_late()
            self.log.warning("The Domino run is not launched yet, trying again: %s", trouble)
            await asyncio.sleep(max(pause, min(trouble.retry_after or 0.0, LONGEST_PAUSE)) * random.uniform(0.9, 1.1))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE)

    def _refuse_late(self) -> None:
        deadline = self.absolute_deadline()
        if deadline is not None and datetime.now(UTC) >= deadline:
            raise TimeoutError

    async def _launch(self, settings: ConnectionSettings, identity: TaskIdentity, *, only_look: bool) -> None:
        wanted = WantedRun.of(self)
        limits = settings.limits(self.max_active_runs)
        rules = LaunchRules(self.on_clear, self.keep_results, self.queue_timeout, limits)
        project = await self._look_up(settings, given(wanted.project))
        watcher = self._watcher(settings, project.id)
        marked = await watcher.marked_runs(identity.since)
        noted = await self._noted(identity, marked)
        record = LaunchRecord(identity.generation, 0, noted) if noted is not None else None
        client = await watcher.call(lambda client: client)
        launch = RunLaunch(client, project, wanted, identity, rules, self.log, record, settings.conn_id)
        launched = await watcher.call(lambda _: launch.look(marked))
        if launched is None and only_look:
            raise LaunchOutcomeUnknownError(
                "The run of a start whose answer was lost has not been seen so far; look for it in Domino's list of "
                "runs before you clear the task"
            )
        if launched is None:
            self._refuse_unknown_pin(identity, marked)
            await watcher.call(lambda _: launch.prepare())
            self._refuse_late()
            launched = await self._start_in_turn(watcher, launch, settings)
        await self._give_way(watcher, launch, launched)
        await self._tell(launched)
        if warning := await watcher.call(lambda _: settings.expiry_warning()):
            self.log.warning("%s", warning)

    async def _noted(self, identity: TaskIdentity, marked: MarkedRuns) -> RunHandle | None:
        """Return the run that this task has in its XComs, where the run's mark names another start of the DAG run.

        A DAG run that is set back to queued starts again, and its tasks go on; a deleted one leaves no XComs.
        """
        mark = identity.mark(0)
        others = [run.id for run, other in marked if other.task_key == mark.task_key and not mark.is_same_launch(other)]
        noted = await read_xcom(self.task_instance, RUN_KEY) if others else None
        with suppress(ValueError):
            handle = RunHandle.from_dict(noted if isinstance(noted, Mapping) else {})
            return handle if handle.run_id in others else None
        return None

    def _refuse_unknown_pin(self, identity: TaskIdentity, marked: MarkedRuns) -> None:
        """Leave a pinned commit to a worker where the DAG run may have begun again after a clear.

        A triggerer is not told of clears, so it cannot tell tasks that ran before from those of a deleted DAG run.
        """
        if self.identity is not None or given(self.commit_id) != DAG_RUN or self.task_instance is None:
            return
        of_name = marked.with_owner_key(identity.mark(0).owner_key)
        is_pinned_before = any(mark.pinned and not mark.may_be_of(identity.creation_key) for _, mark in of_name)
        if is_pinned_before or began_late(self.task_instance.get_template_context().get("dag_run")):
            raise _UnknownPinError

    async def _give_way(self, watcher: RunWatcher, launch: RunLaunch, launched: Launched) -> None:
        """Stop the run where another task has launched one before that makes the same."""
        if launch.wanted.work is None or launched.run.status.is_completed:
            return
        marked = await watcher.marked_runs(launch.identity.since)
        if (twin := launch.twin(marked, launched)) is not None:
            await watcher.call(lambda _: launch.give_way(launched, twin))
            self._started = None
            raise _MadeElsewhereError

    async def _start_in_turn(self, watcher: RunWatcher, launch: RunLaunch, settings: ConnectionSettings) -> Launched:
        if not launch.rules.limits:
            return await self._start(watcher, launch)
        places = places_for(
            settings.fingerprint,
            lambda project_id: self._watcher(settings, project_id).call(lambda client: active_runs(client, project_id)),
            lambda run: watcher.call(lambda client: tier_of(client, run)),
        )
        self._reservation = await places.take(
            launch.claim(), launch.rules.limits, on_wait=self._speaker(), deadline=self.absolute_deadline()
        )
        return await self._start(watcher, launch)

    def _speaker(self) -> Callable[[str], None]:
        """Return what writes into this trigger's log, whoever calls it: Airflow finds the log by the context."""
        context = contextvars.copy_context()
        return lambda sentence: context.run(self.log.info, "%s", sentence)

    async def _start(self, watcher: RunWatcher, launch: RunLaunch) -> Launched:
        # What is sent cannot be taken back: a kill waits for its outcome.
        self._started = asyncio.ensure_future(watcher.call(lambda _: launch.start()))
        _starts.add(self._started)
        self._started.add_done_callback(_starts.discard)
        return await asyncio.shield(self._started)

    async def _tell(self, launched: Launched) -> None:
        self.run_handle, self.launch_number = launched.handle, launched.number
        tell_launch(self.log, launched)
        handle = launched.handle
        xcoms = {RUN_KEY: handle.to_dict(), "run_id": handle.run_id, LINK_KEY: handle.url}
        self._is_shown = await push_xcoms(self.task_instance, xcoms)

    async def _look_up(self, settings: ConnectionSettings, name: str | None) -> Project:
        watcher = self._watcher(settings, "")
        return await watcher.call(lambda client: client.project(settings.project_name(name)))

    def _watcher(self, settings: ConnectionSettings, project_id: str) -> RunWatcher:
        return shared_watcher(settings, project_id)

    async def cleanup(self) -> None:
        """Forget the trigger, and leave its place to the run itself, as long as that goes on."""
        await super().cleanup()
        if self._reservation is not None:
            self._reservation.give_back()
        deadline = self.absolute_deadline()
        is_late = deadline is not None and datetime.now(UTC) >= deadline
        if is_late and self.stop_on_kill and self._started is not None and not self._started.done():
            _kill.do_later(self._stop_late_launch())

    async def _stop_late_launch(self) -> None:
        # Airflow gives a trigger up at its deadline without a word; what it was just launching is stopped all the same.
        if (handle := await self.run_to_stop()) is not None:
            why = "it was launched when its task had reached its execution_timeout"
            await stop_run(self.settings, handle, self.log, why, keep_results=self.keep_results)

    # ---- a kill ------------------------------------------------------------------------------------------------------

    async def run_to_stop(self) -> RunHandle | None:
        """Return the run, also one whose launch was under way, or that an earlier triggerer has launched."""
        if self._started is not None:
            with suppress(DominoError):
                return (await asyncio.shield(self._started)).handle
        if self.run_handle is None and (identity := self._identity()) is not None:
            with suppress(DominoError, AirflowException):
                await self._find(identity)
        return self.run_handle

    async def _find(self, identity: TaskIdentity) -> None:
        settings = await self.settings()
        project = await self._look_up(settings, given(self.project))
        marked = await self._watcher(settings, project.id).marked_runs(identity.since)
        runs = [run for run in marked.of_launch(identity.mark(0)) if not run.status.is_completed]
        self.run_handle = await self._noted(identity, marked)
        if runs:
            url = await self._watcher(settings, project.id).call(lambda client: client.run_url(project, runs[0].id))
            self.run_handle = RunHandle(runs[0].id, url, project.full_name, project.id, number=runs[0].number)


def active_runs(client: DominoClient, project_id: str) -> list[Run]:
    """Return the active runs of a project."""
    return list(client.runs(project_id, status="active"))


def tier_of(client: DominoClient, run: Run) -> str | None:
    """Return the id of the tier that a run is on."""
    return client.run_details(run.id).tier_id
