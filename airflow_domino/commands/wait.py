"""``airflow-domino wait``: until runs are over."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name, run_by_reference
from airflow_domino.commands.failures import CommandError
from airflow_domino.commands.following import Followed, check_end, telling
from airflow_domino.commands.output import remark, say, seconds
from airflow_domino.domino import DominoClient, Project, Run
from airflow_domino.domino.watch import wait_for_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which runs, and how long."""
    parser.epilog = "Prints a line for each run that is over: its number, its status, and how long it ran."
    add_connection_arguments(parser)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="number or id of a run (default: the latest)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up then; the runs go on")


def execute(options: argparse.Namespace) -> int:
    """Wait for all of them.

    :raises RunWaitTimeoutError: when they take longer than was allowed
    :raises CommandError: when one has ended badly: with the exit code of the first of those
    """
    deadline = datetime.now(UTC) + timedelta(seconds=options.timeout) if options.timeout is not None else None
    with make_client(options) as client:
        project = client.project(project_name(options))
        runs = [run_by_reference(client, project, reference) for reference in options.runs or [None]]
        failures = [failure for run in runs if (failure := _wait(client, project, run, deadline)) is not None]
    for failure in failures[1:]:
        remark(str(failure))
    if failures:
        raise failures[0]
    return 0


def _wait(client: DominoClient, project: Project, run: Run, deadline: datetime | None) -> CommandError | None:
    """Wait for one run; say how it ended badly, if it did."""
    url = client.run_url(project, run.id)
    with telling(run) as tell:
        ended = wait_for_run(client, run.id, interval=2, deadline=deadline, url=url, on_look=tell).run
    say("\t".join((str(ended.number), str(ended.status), seconds(ended.run_seconds))))
    try:
        check_end(Followed(ended, None), url)
    except CommandError as error:
        return error
    return None
