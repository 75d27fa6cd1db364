"""Runs: from the queue, through a place on their tier, to their results, or through a simulation of all that."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from airflow_domino.local import processes, statuses
from airflow_domino.local.clock import CLOCK, now_ms, now_ns
from airflow_domino.local.endings import INTERRUPTED_MESSAGE, failed, interrupted
from airflow_domino.local.environments import Environments
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.execution import TAKEN_UP, Execution
from airflow_domino.local.limits import Limits
from airflow_domino.local.logs import STDERR, ReadableLog, RunLog
from airflow_domino.local.projects import Project, Projects
from airflow_domino.local.repository import ProjectRepository
from airflow_domino.local.requirements import Layers
from airflow_domino.local.runs import Run, Runs
from airflow_domino.local.simulation import Simulation
from airflow_domino.local.simulator import Simulator
from airflow_domino.local.tiers_in_use import SPOT, TiersInUse, loss_of
from airflow_domino.local.workplace import Code, Workplace

logger = logging.getLogger(__name__)

_SHUTDOWN_GRACE = 2.0
_NEVER, _LOOK_AGAIN = 1 << 63, 1.0


@dataclass
class Runner:
    """Starts queued runs where their tier has room, oldest first, and stops runs.

    :param runs: where runs are remembered.
    :param projects: where projects are remembered.
    :param repository: gives the files of a project by its id.
    :param tiers: the tiers.
    :param environments: the environments.
    :param root: folder under which runs work (``work``) and have their logs (``logs``).
    :param stop_grace: seconds that a stopped program has between the polite signal and the other one.
    :param limits: holds runs to the cores and the memory of their tier.
    :param simulator: moves the states of runs that are only simulated; None executes runs.
    :param code: gives where the code of a project comes from.
    :param layers: installs what projects require; None where this is off.
    """

    runs: Runs
    projects: Projects
    repository: Callable[[str], ProjectRepository]
    tiers: TiersInUse
    environments: Environments
    root: Path
    stop_grace: float = 10.0
    limits: Limits = field(default_factory=Limits)
    simulator: Simulator | None = None
    code: Callable[[Project], Code | None] = lambda _: None
    layers: Layers | None = None
    api_host: str = ""
    user_host: str = ""
    _executions: dict[str, Execution] = field(default_factory=dict)
    _keys: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
    _threads: set[threading.Thread] = field(default_factory=set)
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _is_closing: bool = False
    _wakes_at: int = 0
    _is_emptied: bool = False

    def start(self, api_host: str, user_host: str) -> None:
        """Settle what an earlier server left, and begin to start queued runs.

        :param api_host: address by which runs reach this server.
        :param user_host: address by which people reach it.
        """
        self.api_host, self.user_host = api_host, user_host
        self._settle_interrupted()
        self._sweep()
        CLOCK.follow(self)
        threading.Thread(target=self._schedule, name="queue", daemon=True).start()

    def look(self) -> None:
        """Look at the queue again, since a run was added or a place became free."""
        with self._wake:
            if self.simulator is not None and not self._is_closing:
                # At once, so that a test sees it when its own request is answered.
                with self._despite_errors():
                    self._start_what_fits()
                    self._settle_some()
                due = self.simulator.next_due()
                if due is not None and due >= self._wakes_at:
                    return
            self._wake.notify_all()

    def next_due(self) -> int | None:
        """Give the time, in nanoseconds of the clock, at which a simulated run goes on next."""
        with self._wake:
            return None if self.simulator is None else self.simulator.next_due()

    def settle(self) -> None:
        """Let all simulated runs go on that are to by now."""
        with self._wake:
            while not self._is_closing and self._settle_some():
                pass
            self._wake.notify_all()

    def stop(self, run_id: str, *, keep_results: bool) -> Run:
        """Wish a run stopped. A run that has ended, or that is only saving its results, stays as it is.

        :param run_id: which run.
        :param keep_results: whether what it wrote until now becomes its results.
        """
        wish = statuses.STOP_REQUESTED if keep_results else statuses.STOP_AND_DISCARD_REQUESTED

        def change(run: Run) -> Run:
            can_stop = run.status in statuses.WAITING + statuses.EXECUTING and run.status != statuses.FINISHING
            return (
                replace(run, status=wish, keep_results=keep_results)
                if can_stop and run.status not in _STOPPING
                else run
            )

        with self._wake:
            run = self.runs.change(run_id, change)
            execution = self._executions.get(run_id)
            if execution is not None:
                execution.wake.set()
            elif self.simulator is not None and self.simulator.has(run_id):
                if run.status in statuses.STOP_WISHES:
                    self.simulator.stop(run_id)
                    self.settle()
            elif run.status in statuses.STOP_WISHES:
                run = self.runs.change(
                    run_id, lambda run: replace(run, status=statuses.STOPPED, completed_at=now_ms(), saved_at=now_ms())
                )
        return run

    def lose(self, run_id: str, *, reason: str, message: str, status: str = statuses.ERROR) -> Run:
        """End a run as the loss of its machine does: at once, and without results. One that has ended stays as it is.

        A run that executes has ended when its status says so; any other has when this returns.

        :param run_id: which run.
        :param reason: failure reason, one word.
        :param message: the sentence about it.
        :param status: the status that it ends in: ``Error`` or ``Faulty``.
        """
        with self._wake:
            execution = self._executions.get(run_id)
            change = partial(failed, reason=reason, message=message, status=status)
            if execution is not None:
                execution.lose(change)
            elif self.simulator is not None and self.simulator.has(run_id):
                self.simulator.lose(run_id, change)
                self.settle()
            else:
                self.runs.change(run_id, change)
            return self.runs.change(run_id, lambda run: run)

    def take_away(self, tier_id: str, *, lose: str = SPOT) -> list[Run]:
        """Take the machines of a tier away until they are brought back, and give the runs that were lost with them.

        :param tier_id: which tier.
        :param lose: the runs whose machines are lost: those on ``spot`` ones, ``all``, or ``none``.
        :raises BadRequest: when there is no such tier.
        """
        tier = self.tiers.take_away(tier_id)
        message = f"The machine of this run was taken away: hardware tier {tier.name} has none any more"
        with self._wake:
            executing = [run for run in self.runs.with_status(statuses.EXECUTING) if run.tier_id == tier_id]
            lost = [run for run in executing if lose == "all" or (lose == SPOT and run.capacity_type == SPOT)]
            return [self.lose(run.id, reason=loss_of(run), message=message) for run in lost]

    def bring_back(self, tier_id: str) -> None:
        """Bring the machines of a tier back, and start what has waited for them.

        :param tier_id: which tier.
        :raises BadRequest: when there is no such tier.
        """
        self.tiers.bring_back(tier_id)
        self.look()

    def move(self, run_id: str, to: str | None = None) -> Run:
        """Let a simulated run go on at once; see :meth:`airflow_domino.local.simulator.Simulator.move`.

        :raises BadRequest: when runs are not simulated here, or this one is not on its way to that status.
        """
        if self.simulator is None:
            raise BadRequest("Runs are executed here, not simulated: start the server with --depth simulate")
        with self._wake:
            self.simulator.move(run_id, to)
            self.settle()
            return self.runs.change(run_id, lambda run: run)

    def play(self, simulator: Simulator, simulation: Simulation) -> None:
        """Let runs that get their place from now on be simulated in another way."""
        with self._wake:
            simulator.play(simulation)

    def log(self, run_id: str) -> ReadableLog:
        """Give the log of a run."""
        if (execution := self._executions.get(run_id)) is not None:
            return execution.log
        if self.simulator is not None and (run := self.runs.find(run_id)) is not None and run.simulation is not None:
            return self.simulator.log(run)
        return RunLog(self._log_folder(run_id))

    def keys(self) -> list[str]:
        """List the keys that the latest runs were given."""
        return list(self._keys)

    def run_of_key(self, key: str) -> str | None:
        """Give the id of the executing run that was given this key, if there is one."""
        executions = list(self._executions.values())
        return next((execution.run.id for execution in executions if execution.key == key), None)

    def close(self) -> None:
        """End all runs with everything that they started, and wait until that is done. Queued runs stay queued."""
        CLOCK.leave(self)
        with self._wake:
            self._is_closing = True
            for execution in self._executions.values():
                execution.interrupt()
            self._wake.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """End all runs with everything that they started, and start none for as long as the context lasts.

        What is found executing at its end was not started by this server, and is settled.
        """
        with self._wake:
            self._is_emptied = True
            if self.simulator is not None:
                self.simulator.forget()
            for execution in self._executions.values():
                execution.interrupt()
            threads = list(self._threads)
        try:
            for thread in threads:
                thread.join()
            yield
        finally:
            self._settle_interrupted()
            with self._wake:
                self._is_emptied = False
                self._wake.notify_all()

    def _settle_interrupted(self) -> None:
        for run in self.runs.with_status(statuses.EXECUTING):
            if run.simulation is not None and self.simulator is not None:
                self.simulator.take_up(run)
                continue
            if run.simulation is None:
                processes.end_run(run.id, None, _SHUTDOWN_GRACE)
            if self._can_take_up(run):
                with self._wake:
                    self._begin(run)
                continue
            self.runs.change(run.id, interrupted)
            if run.simulation is None:
                RunLog(self._log_folder(run.id)).say(STDERR, INTERRUPTED_MESSAGE)
        for run_id, tier_id in self.runs.queue():
            if not self.tiers.has(tier_id):
                message = f"There is no hardware tier {tier_id} any more"
                self.runs.change(run_id, partial(failed, reason="NoSuchTier", message=message))

    def _can_take_up(self, run: Run) -> bool:
        """Tell whether the program of a run was ended, or is to be, and what it has written is still there."""
        is_wanted = run.status == statuses.FINISHING or run.keep_results
        has_begun = run.started_at is not None and (self.root / "work" / run.id).is_dir()
        return run.simulation is None and run.status in TAKEN_UP and is_wanted and has_begun

    def _sweep(self) -> None:
        with self._wake:
            for folder in (self.root / "work").iterdir():
                if folder.name.partition(".")[0] not in self._executions:
                    shutil.rmtree(folder, ignore_errors=True)

    def _schedule(self) -> None:
        while True:
            with self._wake:
                if self._is_closing:
                    return
                with self._despite_errors():
                    self._start_what_fits()
                    if not self._settle_some():
                        self._sleep()
            # Without this, whoever waits for the lock would seldom get it while there is much to do.
            time.sleep(0)

    @contextmanager
    def _despite_errors(self) -> Iterator[None]:
        """Let an error, such as a full disk, keep neither the queue nor a request from going on."""
        try:
            yield
        except Exception:
            logger.exception("the queue could not be looked at")
            self._wake.wait(_LOOK_AGAIN)

    def _sleep(self) -> None:
        """Wait until somebody calls, or until a simulated run goes on."""
        due = None if CLOCK.is_frozen else self.next_due()
        self._wakes_at = _NEVER if due is None else due
        self._wake.wait(None if due is None else max(0.0, (due - now_ns()) / 1e9))
        self._wakes_at = 0

    def _settle_some(self) -> bool:
        has_settled = self.simulator is not None and self.simulator.settle()
        if has_settled:
            self._start_what_fits()
        return has_settled

    def _start_what_fits(self) -> None:
        if self._is_emptied:
            return
        places = {tier.id: self.tiers.places(tier.id) for tier in self.tiers}
        for execution in self._executions.values():
            places[execution.run.tier_id] = places.get(execution.run.tier_id, 0) - 1
        taken = self.simulator.taken if self.simulator is not None else {}
        fitting = [
            run_id
            for tier_id, free in places.items()
            if free > taken.get(tier_id, 0)
            for run_id, _ in self.runs.queue(tier_id, free - taken.get(tier_id, 0))
        ]
        if self.simulator is not None:
            self.simulator.begin(fitting)
            return
        for run_id in fitting:
            run = self.runs.change(run_id, self._with_place)
            self._begin(run)

    def _begin(self, run: Run) -> None:
        try:
            self._execute(run)
        except Exception as error:
            # Such as a full disk: this run ends, and the queue goes on.
            logger.exception("run %s could not be started", run.id)
            message = f"The run could not be started: {error}"
            self.runs.change(run.id, partial(failed, reason="InternalError", message=message))

    def _with_place(self, run: Run) -> Run:
        return replace(run, status=statuses.SCHEDULED, cents_per_minute=self.tiers.of(run).cents_per_minute)

    def _execute(self, run: Run) -> None:
        project = self.projects.find(run.project_id)
        if project is None:
            raise LookupError(f"run {run.id} belongs to no project")
        environment = self.environments.find(run.environment_id) or self.environments.default
        workplace = Workplace(
            project=project,
            repository=self.repository(project.id),
            environment=environment,
            revision=environment.used_revision(run.environment_revision_id),
            tier=self.tiers.of(run),
            limits=self.limits,
            folder=self.root / "work" / run.id,
            datasets=self.root / "datasets" / project.id,
            api_host=self.api_host,
            user_host=self.user_host,
            stop_grace=self.stop_grace,
            code=self.code(project),
            layers=self.layers,
        )
        execution = Execution(run, workplace, self.runs, RunLog(self._log_folder(run.id)))
        thread = threading.Thread(target=self._complete, args=(execution,), name=f"run {run.id}")
        # Its end is noted under the lock that is held here, and so comes after these notes of its beginning.
        thread.start()
        self._executions[run.id] = execution
        self._keys.append(execution.key)
        self._threads.add(thread)

    def _complete(self, execution: Execution) -> None:
        try:
            execution.execute()
        finally:
            with self._wake:
                del self._executions[execution.run.id]
                self._threads.discard(threading.current_thread())
                self._wake.notify_all()

    def _log_folder(self, run_id: str) -> Path:
        return self.root / "logs" / run_id


_STOPPING: Sequence[str] = (*statuses.STOP_WISHES, statuses.STOPPING)
