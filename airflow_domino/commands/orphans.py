"""`airflow domino orphans`: runs that no task waits for any more."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable
from typing import Any

from airflow.cli.simple_table import AirflowConsole

from airflow_domino.commands.failures import NOT_WELL, CommandError, explain
from airflow_domino.commands.output import seconds
from airflow_domino.compat import AirflowException
from airflow_domino.compat_server import create_session
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoError, NotFoundError
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.hooks.runs import stop_quietly
from airflow_domino.orphans import Orphan, find_orphans, recorded_projects

log = logging.getLogger(__name__)


def orphans(options: argparse.Namespace) -> None:
    """List what is left behind, and stop it where that is asked for."""
    try:
        left = _carry_out(options)
    except (DominoError, AirflowException, CommandError) as error:
        told = explain(error)
        sys.exit(f"airflow domino orphans: {told.message if told else error}")
    if left:
        sys.exit(NOT_WELL)


def _carry_out(options: argparse.Namespace) -> int:
    """Return how many runs could not be stopped."""
    hook = DominoHook(options.conn_id)
    with hook.settings.make_client() as client:
        found = _find(client, hook.default_project, options)
        AirflowConsole().print_as([_row(orphan) for orphan in found], output=options.output)
        if not (options.stop and found and (options.yes or _agrees(found))):
            return 0
        why = "no task waits for it any more"
        return sum(not stop_quietly(client, orphan.handle, log, why) for orphan in found)


def _find(client: DominoClient, default: str | None, options: argparse.Namespace) -> list[Orphan]:
    with create_session() as session:
        names = set(options.project or ()) or {*recorded_projects(session), *([default] if default else [])}
        if not names:
            raise CommandError("There is no project to look through: name one by --project owner/name")
        _say(f"Looking through {', '.join(sorted(names))}")
        found = [orphan for name in sorted(names) for orphan in _in_project(session, client, name, options)]
    unknown = sum(not orphan.is_known for orphan in found)
    if unknown and not options.unknown:
        _say(f"{unknown} active runs belong to DAG runs that this Airflow does not know (--unknown lists them)")
    return [orphan for orphan in found if orphan.is_known or options.unknown]


def _in_project(session: Any, client: DominoClient, name: str, options: argparse.Namespace) -> Iterable[Orphan]:
    try:
        return find_orphans(session, client, client.project(name))
    except NotFoundError:
        if options.project:
            raise
        _say(f"The connection {options.conn_id!r} does not see the project {name}, in which tasks have launched runs")
        return ()


def _agrees(found: list[Orphan]) -> bool:
    if not sys.stdin.isatty():
        raise CommandError(f"{len(found)} runs are to be stopped, and nobody is there to ask: confirm it by --yes")
    return input(f"Stop {len(found)} runs? [y/N] ").strip().lower() in ("y", "yes")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def _row(orphan: Orphan) -> dict[str, Any]:
    run = orphan.run
    return {
        "project": orphan.handle.project,
        "run": run.number,
        "status": str(run.status),
        "tier": orphan.handle.tier or "",
        "age": seconds(orphan.age_seconds()),
        "cost_cents": "" if orphan.cost_cents is None else orphan.cost_cents,
        "dag_id": orphan.dag_id or ("" if orphan.is_known else "(not of this Airflow)"),
        "dag_run": orphan.airflow_run_id or "",
        "task_id": orphan.task_id or "",
        "map_index": orphan.map_index,
        "task_state": orphan.state or "",
        "url": orphan.handle.url,
    }
