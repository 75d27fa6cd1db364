"""What this package adds to Airflow's own command line: `airflow domino …`.

Every `airflow` command loads this module, so the work is imported when it is done.
"""

from __future__ import annotations

from airflow.cli.cli_config import ARG_OUTPUT, ARG_YES, ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command

ORPHANS = """List active runs on Domino that tasks of this Airflow have launched and that none waits for any more.

A run is left behind where a task was marked or cleared while no triggerer was up, say. The projects that are looked
through are those named by --project, or else the connection's own and those in which tasks have launched runs."""

ARG_CONNECTION = Arg(("--conn-id",), help="The Domino connection (default: domino_default)", default="domino_default")
ARG_PROJECT = Arg(
    ("--project",), help="A project (owner/name) to look through; may be given several times", action="append"
)
ARG_STOP = Arg(("--stop",), help="Stop them, keeping what they have written", action="store_true")
ARG_UNKNOWN = Arg(
    ("--unknown",),
    help="Also those of DAG runs that this Airflow does not know: of another Airflow, or deleted ones",
    action="store_true",
)


def get_cli_commands() -> list[CLICommand]:
    """Return the commands for Airflow's `cli` entry of a provider."""
    orphans = ActionCommand(
        name="orphans",
        help="List, and stop, runs that no task waits for any more",
        description=ORPHANS,
        func=lazy_load_command("airflow_domino.commands.orphans.orphans"),
        args=(ARG_CONNECTION, ARG_PROJECT, ARG_STOP, ARG_YES, ARG_UNKNOWN, ARG_OUTPUT),
    )
    return [GroupCommand(name="domino", help="Runs on Domino that this Airflow has launched", subcommands=(orphans,))]
