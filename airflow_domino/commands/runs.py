"""``airflow-domino runs``: the runs of a project."""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from typing import Any

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name
from airflow_domino.commands.output import local_time, say, seconds, show_table
from airflow_domino.domino import Run

COLUMNS = ("Run", "Status", "Submitted", "Queued", "Ran", "By", "Command", "Title")
STATUSES = ("all", "queued", "running", "completed", "active", "archived")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which runs."""
    add_connection_arguments(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--active", action="store_true", help="only those that are not over")
    which.add_argument("--status", choices=STATUSES, default="all", help="only those (default: all)")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="the newest N (default: 20)")
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def execute(options: argparse.Namespace) -> int:
    """List, newest first."""
    with make_client(options) as client:
        project = client.project(project_name(options))
        status = "active" if options.active else options.status
        runs = list(client.runs(project.id, status=status, limit=options.limit))
        if options.json:
            say(json.dumps([_as_json(run, client.run_url(project, run.id)) for run in runs], indent=2))
            return 0
    show_table(COLUMNS, [_row(run) for run in runs])
    return 0


def _row(run: Run) -> tuple[object, ...]:
    return (
        run.number,
        run.status,
        local_time(run.submitted_at),
        seconds(run.queued_seconds),
        seconds(run.run_seconds),
        run.started_by,
        run.command,
        run.title,
    )


def _as_json(run: Run, url: str) -> dict[str, Any]:
    def told(value: object) -> object:
        return value.isoformat() if isinstance(value, datetime) else value

    fields = {name: told(value) for name, value in vars(run).items() if name != "status"}
    return {**fields, "status": run.status.word, "is_completed": run.status.is_completed, "url": url}
