"""``airflow-domino logs``: what a run printed."""

from __future__ import annotations

import argparse

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name, run_by_reference
from airflow_domino.commands.run import print_log_line
from airflow_domino.domino import DominoClient, Run, run_error
from airflow_domino.domino.watch import wait_for_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which run."""
    add_connection_arguments(parser)
    parser.add_argument("run", help="number or id of the run")
    parser.add_argument("--follow", action="store_true", help="until the run is over; fails when it ends badly")


def execute(options: argparse.Namespace) -> int:
    """Print the log.

    :raises RunError: with ``--follow``, when the run ends badly
    """
    with make_client(options) as client:
        project = client.project(project_name(options))
        run = run_by_reference(client, project, options.run)
        if not options.follow:
            _print_log(client, run)
            return 0
        run = wait_for_run(client, run.id, interval=1, on_log=print_log_line).run
        if not run.status.succeeded:
            raise run_error(run, client.run_url(project, run.id))
    return 0


def _print_log(client: DominoClient, run: Run) -> None:
    cursor = "0"
    while True:
        page = client.log_page(run.id, cursor)
        for line in page.lines:
            print_log_line(line)
        if not page.lines or page.cursor == cursor:
            return
        cursor = page.cursor
