"""``airflow-domino runs``: the runs of a project."""

from __future__ import annotations

import argparse

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name
from airflow_domino.commands.output import local_time, seconds, show_table

COLUMNS = ("Run", "Status", "Submitted", "Queued", "Ran", "By", "Command", "Title")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which runs."""
    add_connection_arguments(parser)
    parser.add_argument("--active", action="store_true", help="only those that are not over")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="the newest N (default: 20)")


def execute(options: argparse.Namespace) -> int:
    """List, newest first."""
    with make_client(options) as client:
        project = client.project(project_name(options))
        runs = client.runs(project.id, status="active" if options.active else "all", limit=options.limit)
        rows = [
            (
                run.number,
                run.status,
                local_time(run.submitted_at),
                seconds(run.queued_seconds),
                seconds(run.run_seconds),
                run.started_by,
                run.command,
                run.title,
            )
            for run in runs
        ]
    show_table(COLUMNS, rows)
    return 0
