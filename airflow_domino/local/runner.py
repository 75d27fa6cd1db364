"""Runs: from the queue, through a place on their tier, to their results."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from airflow_domino.local import processes, statuses
from airflow_domino.local.clock import now_ms
from airflow_domino.local.environments import Environments
from airflow_domino.local.execution import INTERRUPTED_MESSAGE, Execution
from airflow_domino.local.logs import RunLog
from airflow_domino.local.projects import Project, Projects
from airflow_domino.local.repository import ProjectRepository
from airflow_domino.local.requirements import Layers
from airflow_domino.local.runs import Run, Runs
from airflow_domino.local.tiers_in_use import TiersInUse
from airflow_domino.local.workplace import Code, Workplace

logger = logging.getLogger(__name__)

_SHUTDOWN_GRACE = 2.0


@dataclass
class Runner:
    """Starts queued runs where their tier has room, oldest first, and stops runs.

    :param runs: where runs are remembered.
    :param projects: where projects are remembered.
    :param repository: gives the files of a project by its id.
    :param tiers: the tiers.
    :param environments: the environments.
    :param root: folder under which runs work (``work``) and have their logs (``logs``).
    :param user: name of the user.
    :param stop_grace: seconds that a stopped program has between the polite signal and the other one.
    :param code: gives where the code of a project comes from.
    :param layers: installs what projects require; None where this is off.
    """

    runs: Runs
    projects: Projects
    repository: Callable[[str], ProjectRepository]
    tiers: TiersInUse
    environments: Environments
    root: Path
    user: str
    stop_grace: float = 10.0
    code: Callable[[Project], Code | None] = lambda _: None
    layers: Layers | None = None
    api_host: str = ""
    user_host: str = ""
    _executions: dict[str, Execution] = field(default_factory=dict)
    _keys: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
    _threads: set[threading.Thread] = field(default_factory=set)
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _is_closing: bool = False
    _is_emptied: bool = False

    def start(self, api_host: str, user_host: str) -> None:
        """Settle what an earlier server left, and begin to start queued runs.

        :param api_host: address by which runs reach this server.
        :param user_host: address by which people reach it.
        """
        self.api_host, self.user_host = api_host, user_host
        self._settle_interrupted()
        threading.Thread(target=self._schedule, name="queue", daemon=True).start()

    def look(self) -> None:
        """Look at the queue again, since a run was added or a place became free."""
        with self._wake:
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
            elif run.status in statuses.STOP_WISHES:
                run = self.runs.change(
                    run_id, lambda run: replace(run, status=statuses.STOPPED, completed_at=now_ms(), saved_at=now_ms())
                )
        return run

    def log(self, run_id: str) -> RunLog:
        """Give the log of a run."""
        execution = self._executions.get(run_id)
        return execution.log if execution is not None else RunLog(self._log_folder(run_id))

    def keys(self) -> list[str]:
        """List the keys that the latest runs were given."""
        return list(self._keys)

    def run_of_key(self, key: str) -> str | None:
        """Give the id of the executing run that was given this key, if there is one."""
        executions = list(self._executions.values())
        return next((execution.run.id for execution in executions if execution.key == key), None)

    def close(self) -> None:
        """End all runs with everything that they started, and wait until that is done. Queued runs stay queued."""
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
            processes.end_run(run.id, None, _SHUTDOWN_GRACE)
            ended = statuses.STOPPED if run.status in _STOPPING else statuses.ERROR
            self.runs.change(run.id, partial(interrupted, status=ended))
            self.log(run.id).say("stderr", INTERRUPTED_MESSAGE)
        for run_id, tier_id in self.runs.queue():
            if not self.tiers.has(tier_id):
                message = f"There is no hardware tier {tier_id} any more"
                self.runs.change(run_id, partial(_failed, reason="NoSuchTier", message=message))

    def _schedule(self) -> None:
        while True:
            with self._wake:
                if self._is_closing:
                    return
                self._start_what_fits()
                self._wake.wait()

    def _start_what_fits(self) -> None:
        if self._is_emptied:
            return
        places = {tier.id: self.tiers.places(tier.id) for tier in self.tiers}
        for execution in self._executions.values():
            places[execution.run.tier_id] = places.get(execution.run.tier_id, 0) - 1
        fitting = [pair for tier_id, free in places.items() if free > 0 for pair in self.runs.queue(tier_id, free)]
        for run_id, _ in fitting:
            run = self.runs.change(run_id, lambda run: replace(run, status=statuses.SCHEDULED))
            try:
                self._execute(run)
            except Exception as error:
                # Such as a full disk: this run ends, and the queue goes on.
                logger.exception("run %s could not be started", run_id)
                message = f"The run could not be started: {error}"
                self.runs.change(run_id, partial(_failed, reason="InternalError", message=message))

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
            folder=self.root / "work" / run.id,
            datasets=self.root / "datasets" / project.id,
            api_host=self.api_host,
            user_host=self.user_host,
            user=self.user,
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


def interrupted(run: Run, status: str = statuses.ERROR) -> Run:
    """Give the value of a run that the end of the server cut short.

    :param run: the run.
    :param status: the status that it ends in.
    """
    if run.is_completed:
        return run
    now = now_ms()
    ended = replace(run, status=status, completed_at=run.completed_at or now, saved_at=now)
    if status == statuses.ERROR:
        ended = replace(ended, failure_reason="ServerEnded", failure_message=INTERRUPTED_MESSAGE)
    return ended


def _failed(run: Run, *, reason: str, message: str) -> Run:
    now = now_ms()
    ended = replace(run, status=statuses.ERROR, completed_at=now, saved_at=now)
    return replace(ended, failure_reason=reason, failure_message=message)
