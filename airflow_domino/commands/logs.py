"""``airflow-domino logs``: what a run printed."""

from __future__ import annotations

import argparse

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name, run_by_reference
from airflow_domino.commands.following import check_end, follow, print_log_line
from airflow_domino.domino import DominoClient, Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which run."""
    add_connection_arguments(parser)
    parser.add_argument("run", nargs="?", help="number or id of the run (default: the latest)")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="until the run is over; ends with the exit code of its command"
    )


def execute(options: argparse.Namespace) -> int:
    """Print the log.

    :raises CommandError: with ``--follow``, when the run ends badly, with the exit code of its command
    """
    with make_client(options) as client:
        project = client.project(project_name(options))
        run = run_by_reference(client, project, options.run)
        if not options.follow:
            _print_log(client, run)
            return 0
        check_end(follow(client, project, run), client.run_url(project, run.id))
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
