"""DominoRunTask: one Domino run as a Luigi task, complete when the file that the run makes is here."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for_any
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import luigi
from luigi.parameter import ParameterVisibility

from airflow_domino.domino.client import DominoClient, RunRequest, command_line
from airflow_domino.domino.errors import ConfigurationError, DominoError, NotFoundError, run_error
from airflow_domino.domino.launch import RunMark, find_run, launch_once
from airflow_domino.domino.watch import wait_for_run

if TYPE_CHECKING:
    from airflow_domino.domino.models import Project, Run

logger = logging.getLogger("luigi-interface")


class DominoRunTask(luigi.Task):
    """Start a Domino run, wait for it and copy one file that it wrote from its results commit to the local target.

    :param domino_run_command: the command as a list of words, for example ``["example_pipeline.py", "Hello"]``
    :param domino_run_tier: name or id of the hardware tier
    :param output_file_path: the file the run makes, relative to the working directory (or absolute below it)
    :param commit_id: input commit of the run; by default the input commit of the current Domino run,
        outside a Domino run the project's latest commit
    :param project: ``owner/name``; by default the project of the current Domino run, from the environment
    :param poll_interval: seconds between two looks at the run
    """

    domino_run_command = luigi.ListParameter()
    domino_run_tier = luigi.Parameter()
    output_file_path = luigi.Parameter()
    commit_id = luigi.OptionalParameter(default=None)
    project = luigi.OptionalParameter(default=None)
    poll_interval = luigi.FloatParameter(default=5.0, significant=False, visibility=ParameterVisibility.HIDDEN)

    def output(self) -> luigi.LocalTarget:
        """The local copy of the run's file: its presence is what makes this task complete."""
        return luigi.LocalTarget(self.output_file_path)

    def run(self) -> None:
        """Launch the run, wait, and bring its file here; stop the run when this process is told to end.

        :raises ConfigurationError: the project, the path or the command cannot be used
        :raises RunError: the run ended badly; the message holds its last log lines
        :raises NotFoundError: the run succeeded without writing the file
        """
        wanted_file = project_file(self.output_file_path)
        full_name = self.project or current_project()
        # The client is made here, not in __init__: Luigi forks one process per task.
        with _interruptible(), DominoClient.from_environment() as client:
            project = client.project(full_name)
            # Of this attempt alone: it finds the run again when it was started and the answer got lost.
            mark = RunMark.for_task("luigi", uuid.uuid4().hex, self.task_id)
            try:
                ended = self._launch_and_wait(client, project, mark)
            except (KeyboardInterrupt, SystemExit):
                _stop(client, project, mark)
                raise
            self._copy(client, project, ended, wanted_file)

    def _launch_and_wait(self, client: DominoClient, project: Project, mark: RunMark) -> Run:
        tier = client.resolve_tier(project, self.domino_run_tier)
        command = command_line(list(self.domino_run_command))
        request = RunRequest(
            project_id=project.id,
            command=command,
            title=f"Luigi: {command}",
            tier_id=tier.id,
            commit_id=self.commit_id or _current_input_commit(client, project),
        )
        run = launch_once(client, request, mark, look_first=False).run
        url = client.run_url(project, run.id)
        self._report(url, f"Domino run #{run.number} of {project.full_name} on tier {tier.name}: {url}")
        ended = wait_for_run(client, run.id, interval=self.poll_interval, url=url).run
        if not ended.status.succeeded:
            raise run_error(ended, url, _log_tail(client, run.id))
        return ended

    def _copy(self, client: DominoClient, project: Project, run: Run, wanted_file: str) -> None:
        commit, url = run.results_commit, client.run_url(project, run.id)
        if commit is None:
            raise NotFoundError(f"Domino run #{run.number} succeeded but names no results commit: {url}")
        try:
            size = client.download_file(project, commit, wanted_file, Path(self.output().path).absolute())
        except NotFoundError as error:
            raise NotFoundError(
                f"Domino run #{run.number} succeeded but its results have no file {wanted_file!r}"
                f" (commit {commit}): {error}. See {url}"
            ) from error
        logger.info("Copied %s (%d bytes) from the results of Domino run #%s", wanted_file, size, run.number)

    def _report(self, url: str, message: str) -> None:
        logger.info(message)
        # Luigi lends these two to a task only while it runs it.
        if self.set_tracking_url is not None:
            self.set_tracking_url(url)
        if self.set_status_message is not None:
            self.set_status_message(message)


def current_project() -> str:
    """Full name of the project that this process works for, from Domino's own environment variables.

    :raises ConfigurationError: not inside a Domino run and nothing set
    """
    owner, name = os.environ.get("DOMINO_PROJECT_OWNER"), os.environ.get("DOMINO_PROJECT_NAME")
    if not owner or not name:
        raise ConfigurationError(
            "Which Domino project? Give project='owner/name', or set DOMINO_PROJECT_OWNER and DOMINO_PROJECT_NAME"
        )
    return f"{owner}/{name}"


def project_file(path: str) -> str:
    """Where a local path lies inside the Domino project, with forward slashes.

    The project's files are those below ``DOMINO_WORKING_DIR`` inside a Domino run, else below the current directory.

    :param path: relative to the current directory, or absolute
    :raises ConfigurationError: the path lies outside
    """
    absolute = os.path.abspath(path)  # noqa: PTH100  (Path.resolve would follow links, Path.absolute keeps "..")
    here = str(Path.cwd())
    roots = [root for root in (os.environ.get("DOMINO_WORKING_DIR"), here) if root]
    for root in [*roots, *map(os.path.realpath, roots)]:
        inside = PurePath(os.path.relpath(absolute, root))
        if inside.parts and inside.parts[0] != "..":
            return inside.as_posix()
    raise ConfigurationError(
        f"The output {path!r} lies outside the project's files: give a path relative to the working directory"
        f" ({roots[0]}), so that the same file can be found in the run's results"
    )


def _current_input_commit(client: DominoClient, project: Project) -> str | None:
    """Input commit of the Domino run that this process is part of; None outside one, or for another project."""
    run_id = os.environ.get("DOMINO_RUN_ID")
    if not run_id:
        return None
    current = client.run(run_id)
    return current.input_commit if current.project_id in (None, project.id) else None


def _stop(client: DominoClient, project: Project, mark: RunMark) -> None:
    try:
        run = find_run(client, project.id, mark, since=None, limit=100)
        if run is not None and not run.status.is_completed:
            logger.warning("Ending: stopping Domino run #%s", run.number)
            client.stop_run(run.id, project_id=project.id)
    except DominoError as error:
        logger.error("The Domino run with the mark %s could not be stopped: %s", mark.text, error)


def _log_tail(client: DominoClient, run_id: str) -> list[str]:
    try:
        return client.log_tail(run_id)
    except DominoError as error:
        return [f"(the run's log could not be read: {error})"]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM, and the end of the Luigi process that forked this one, interrupt like Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _ending_with_parent():
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(signum: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: what follows is the stopping of the run
    raise KeyboardInterrupt("asked to end")


@contextmanager
def _ending_with_parent() -> Iterator[None]:
    parent = multiprocessing.parent_process()
    if parent is None:
        yield
        return
    over, say_over = multiprocessing.Pipe(duplex=False)

    def watch() -> None:
        if over not in wait_for_any([parent.sentinel, over]):
            os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch, name="watch-luigi", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        say_over.close()
        watcher.join()
        over.close()
