"""``airflow-domino stop``: end a run."""

from __future__ import annotations

import argparse

from airflow_domino.commands.connection import add_connection_arguments, make_client, project_name, run_by_reference
from airflow_domino.commands.output import say
from airflow_domino.domino.watch import wait_for_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which run."""
    add_connection_arguments(parser)
    parser.add_argument("run", help="number or id of the run")
    parser.add_argument("--discard", action="store_true", help="do not keep what the run has written")


def execute(options: argparse.Namespace) -> int:
    """Stop and wait until it has stopped: Domino's answer to a stop is only that it will."""
    with make_client(options) as client:
        project = client.project(project_name(options))
        run = run_by_reference(client, project, options.run)
        if run.status.is_completed:
            say(f"Run {run.number} is over already: {run.status}")
            return 0
        client.stop_run(run.id, keep_results=not options.discard, project_id=project.id)
        run = wait_for_run(client, run.id, interval=1).run
        say(f"Run {run.number}: {run.status}")
    return 0
