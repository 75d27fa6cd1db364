"""DominoRunTask: one Domino run as a Luigi task, complete when the file that the run makes is here."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import wait as wait_for_any

import luigi
from luigi.parameter import ParameterVisibility

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import RunError
from airflow_domino.domino.watch import wait_for_run
from airflow_domino.luigi.run_of_task import RunOfTask, is_tried_again
from airflow_domino.luigi.run_owner import RunOwner


class DominoRunTask(luigi.Task):
    """Start a Domino run, wait for it and copy one file that it wrote from its results commit to the local target.

    :param domino_run_command: the command as a list of words, for example ``["example_pipeline.py", "Hello"]``
    :param domino_run_tier: name or id of the hardware tier
    :param output_file_path: the file the run makes, relative to the working directory (or absolute below it)
    :param commit_id: input commit of the run; by default the input commit of the current Domino run,
        outside a Domino run the project's latest commit
    :param project: ``owner/name``; by default the project of the current Domino run, from the environment
    :param poll_interval: seconds between two looks at the run
    :param environment: name or id of the Domino environment, by default the project's; the same run in another one is
        the same task
    :param max_retries: how often another run follows one that failed, or that Domino could not carry out; none follows
        one that somebody stopped
    """

    domino_run_command = luigi.ListParameter()
    domino_run_tier = luigi.Parameter()
    output_file_path = luigi.Parameter()
    commit_id = luigi.OptionalParameter(default=None)
    project = luigi.OptionalParameter(default=None)
    poll_interval = luigi.FloatParameter(default=5.0, significant=False, visibility=ParameterVisibility.HIDDEN)
    environment = luigi.OptionalParameter(default=None, significant=False)
    max_retries = luigi.IntParameter(default=0, significant=False)

    def output(self) -> luigi.LocalTarget:
        """The local copy of the run's file: its presence is what makes this task complete."""
        return luigi.LocalTarget(self.output_file_path)

    def run(self) -> None:
        """Launch the run, wait, and bring its file here; stop the run when this process is told to end.

        :raises ConfigurationError: the project, the path or the command cannot be used
        :raises RunError: the run ended badly; the message holds its last log lines
        :raises NotFoundError: the run succeeded without writing the file
        """
        owner, attempt = RunOwner.of_process(), 1
        # The client is made here, not in __init__: Luigi forks one process per task.
        with _interruptible(), DominoClient.from_environment() as client:
            for tries in count(1):
                run = RunOfTask(self, owner, attempt)
                try:
                    self._attempt(client, run)
                    return
                except RunError as error:
                    if not is_tried_again(self, tries, error):
                        raise
                attempt = run.attempt + 1

    def _attempt(self, client: DominoClient, run: RunOfTask) -> None:
        try:
            launched = run.launch(client)
            ended = wait_for_run(client, launched.id, interval=self.poll_interval, url=run.url).run
        except (KeyboardInterrupt, SystemExit):
            run.stop(client)
            raise
        run.finish(client, ended)


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
