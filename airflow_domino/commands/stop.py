"""``airflow-domino stop``: end runs."""

from __future__ import annotations

import argparse

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name, run_by_reference
from airflow_domino.commands.output import say
from airflow_domino.domino.watch import wait_for_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which runs."""
    add_connection_arguments(parser)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="number or id of a run")
    parser.add_argument("--discard", action="store_true", help="do not keep what the runs have written")


def execute(options: argparse.Namespace) -> int:
    """Stop and wait until all have stopped: Domino's answer to a stop is only that it will."""
    with make_client(options) as client:
        project = client.project(project_name(options))
        runs = [run_by_reference(client, project, reference) for reference in options.runs]
        for run in runs:
            if not run.status.is_completed:
                client.stop_run(run.id, keep_results=not options.discard, project_id=project.id)
        for run in runs:
            if run.status.is_completed:
                say(f"Run {run.number} is over already: {run.status}")
            else:
                say(f"Run {run.number}: {wait_for_run(client, run.id, interval=1).run.status}")
    return 0
