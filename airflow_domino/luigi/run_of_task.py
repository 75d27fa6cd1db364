"""The Domino run of one DominoRunTask: launched once, told of, judged at its end, its file brought here, or stopped.

All of it blocks: a task that Luigi runs calls it in turn, :class:`~airflow_domino.luigi.remote_runs.RemoteRuns` from a
few threads for many tasks. Neither waiting nor the number of processes is a matter of this module.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_domino.domino.client import DominoClient, RunRequest, command_line
from airflow_domino.domino.errors import DominoError, NotFoundError, RunError, RunStoppedError, run_error
from airflow_domino.domino.launch import RunMark, find_run, launch_once
from airflow_domino.domino.watch import wait_for_run
from airflow_domino.luigi.domino_project import TIER_VARIABLE, current_project, project_file
from airflow_domino.luigi.run_owner import RunOwner

if TYPE_CHECKING:
    from airflow_domino.domino.models import Project, Run
    from airflow_domino.domino.tiers import HardwareTier
    from airflow_domino.luigi.run_task import DominoRunTask

STOP_PATIENCE_SECONDS = 20.0
"""How long a stopped run may take to be over; shorter than what a task that is told to end is given."""
LATE_SECONDS = 2.0
_RUNS_LOOKED_AT = 1000

logger = logging.getLogger("luigi-interface")


class NotLaunchedError(DominoError):
    """A run that was given up before it was launched."""


class RunOfTask:
    """The run of one attempt at a task.

    :param task: the task; its ``set_tracking_url`` and ``set_status_message`` are told of the run
    :param owner: on whose behalf it is launched; the run's mark is made of that
    :param attempt: tells attempts of one owner at one task apart; moved on past those that an earlier process used up
    :raises ConfigurationError: the project is not named, or the output lies outside its files
    """

    def __init__(self, task: DominoRunTask, owner: RunOwner, attempt: int = 1) -> None:
        self.task = task
        self.attempt = attempt
        self.run: Run | None = None
        self.url = ""
        self._owner = owner
        self._wanted_file = project_file(task.output_file_path)
        self._project_name = task.project or current_project()
        self._project: Project | None = None
        self._began: datetime | None = None
        self._given_up = threading.Event()

    @property
    def mark(self) -> RunMark:
        """The mark by which the run is found again."""
        owner, task_id = self._owner, self.task.task_id
        return RunMark.for_task("luigi", owner.name, task_id, generation=self.attempt, creation_key=owner.creation_key)

    @property
    def project(self) -> Project:
        """The run's project, known once the launch has begun."""
        if self._project is None:
            raise RuntimeError("launch() comes first")
        return self._project

    def launch(self, client: DominoClient) -> Run:
        """Launch the run, once, or take up what an earlier process launched; and tell the task where it is.

        :raises DominoError: see :func:`~airflow_domino.domino.launch.launch_once`
        :raises NotLaunchedError: it was given up before
        """
        self._project = project = client.project(self._project_name)
        if (left := self._left_by_an_earlier_process(client)) is not None:
            self.run, self.url = left, client.run_url(project, left.id)
            self._report(f"Going on with Domino run #{left.number} of an earlier attempt: {self.url}")
            return left
        tier = client.resolve_tier(project, os.environ.get(TIER_VARIABLE) or self.task.domino_run_tier)
        self.run = self._start(client, tier)
        self.url = client.run_url(project, self.run.id)
        self._report(f"Domino run #{self.run.number} of {project.full_name} on tier {tier.name}: {self.url}")
        return self.run

    def _left_by_an_earlier_process(self, client: DominoClient) -> Run | None:
        """The run of this attempt that goes on or went well; what ended badly has used its attempt up."""
        earlier = self._owner.earlier_runs(client, self.project.id)
        while runs := earlier.of_launch(self.mark):
            if useful := [run for run in runs if not run.status.is_completed or run.status.succeeded]:
                return useful[0]
            self.attempt += 1
        return None

    def _start(self, client: DominoClient, tier: HardwareTier) -> Run:
        named = self.task.environment
        environment = client.resolve_environment(self.project, named) if named else None
        command = command_line(list(self.task.domino_run_command))
        request = RunRequest(
            project_id=self.project.id,
            command=command,
            title=f"Luigi: {command}",
            tier_id=tier.id,
            commit_id=self.task.commit_id or _current_input_commit(client, self.project),
            environment_id=environment.id if environment else None,
        )
        self._refuse_if_given_up()
        self._began = datetime.now(UTC)
        # What was there before was looked at already.
        return launch_once(client, request, self.mark, look_first=False, before_start=self._refuse_if_given_up).run

    def _refuse_if_given_up(self) -> None:
        if self._given_up.is_set():
            raise NotLaunchedError(
                f"No Domino run is launched for {self.task}: it was told to end before; start the pipeline again"
            )

    def _report(self, message: str) -> None:
        logger.info(message)
        # Luigi lends these two to a task only while it runs it.
        if self.task.set_tracking_url is not None:
            self.task.set_tracking_url(self.url)
        if self.task.set_status_message is not None:
            self.task.set_status_message(message)

    def finish(self, client: DominoClient, ended: Run) -> None:
        """Bring the file that the run made here.

        :param ended: the run, over
        :raises RunError: it ended badly; the message holds its last log lines
        :raises NotFoundError: it succeeded without writing the file
        """
        if not ended.status.succeeded:
            raise run_error(ended, self.url, _log_tail(client, ended.id))
        commit, wanted = ended.results_commit, self._wanted_file
        if commit is None:
            raise NotFoundError(
                f"Domino run #{ended.number} succeeded but names no results commit; run it again. See {self.url}"
            )
        try:
            size = client.download_file(self.project, commit, wanted, Path(self.task.output().path).absolute())
        except NotFoundError as error:
            raise NotFoundError(
                f"Domino run #{ended.number} succeeded but its results have no file {wanted!r}"
                f" (commit {commit}): {error}. See {self.url}"
            ) from error
        logger.info("Copied %s (%d bytes) from the results of Domino run #%s", wanted, size, ended.number)

    # ---- ending it ---------------------------------------------------------------------------------------------------

    def give_up(self) -> None:
        """From now on nothing is started any more; a start that is under way is not taken back by this."""
        self._given_up.set()

    def ask_to_stop(self, client: DominoClient) -> Run | None:
        """Ask for the run to be stopped, if there is one and it goes on; looks for it where its start was not answered.

        :returns: the run that is to end, None when none was found that goes on
        :raises DominoError: Domino could not be asked, or refused
        """
        found = self.run
        if found is None and self._began is not None:
            found = find_run(client, self.project.id, self.mark, since=self._began, limit=_RUNS_LOOKED_AT)
        if found is None or found.status.is_completed:
            return None
        logger.warning("Ending: stopping Domino run #%s", found.number)
        return client.stop_run(found.id, project_id=self.project.id)

    def stop(self, client: DominoClient) -> None:
        """Stop the run and see it end; trouble in that is told in the log."""
        self.give_up()
        try:
            run = self.ask_to_stop(client)
            if run is None and self.run is None and self._began is not None:
                time.sleep(LATE_SECONDS)  # a start that was interrupted may still arrive
                run = self.ask_to_stop(client)
            if run is not None:
                deadline = datetime.now(UTC) + timedelta(seconds=STOP_PATIENCE_SECONDS)
                wait_for_run(
                    client, run.id, interval=1.0, deadline=deadline, outage_budget=STOP_PATIENCE_SECONDS, url=self.url
                )
        except DominoError as error:
            self.tell_not_stopped(error)

    def tell_not_stopped(self, error: DominoError) -> None:
        """Write down that the run may still be going."""
        logger.error("The Domino run with the mark %s may still be going: %s", self.mark.text, error)


def is_tried_again(task: DominoRunTask, tries: int, error: RunError) -> bool:
    """Whether another run follows one that ended badly; then the log says so.

    :param tries: how many runs there were
    :param error: what became of the last one
    """
    if isinstance(error, RunStoppedError) or tries > task.max_retries:
        return False
    logger.warning("%s: try %d of %d failed, the next one follows. %s", task, tries, task.max_retries + 1, error)
    return True


def _current_input_commit(client: DominoClient, project: Project) -> str | None:
    """Input commit of the Domino run that this process is part of; None outside one, or for another project."""
    run_id = os.environ.get("DOMINO_RUN_ID")
    if not run_id:
        return None
    current = client.run(run_id)
    return current.input_commit if current.project_id in (None, project.id) else None


def _log_tail(client: DominoClient, run_id: str) -> list[str]:
    try:
        return client.log_tail(run_id)
    except DominoError as error:
        return [f"(the run's log could not be read: {error})"]
