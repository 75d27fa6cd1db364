"""Runs that Luigi tasks have launched within an Airflow task (`DominoRunTask`), of which Airflow has no XCom each.

At its end the Airflow task tells which runs there were, on which tier; while it goes on, only Domino knows them. Each
carries the mark of the Airflow task for which Luigi works.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from airflow_domino.compat_server import TaskInstance, XComModel, instance_column
from airflow_domino.domino.launch import RunMark
from airflow_domino.plugin.past_run import LIVE_STATES, Launcher
from airflow_domino.plugin.stored import mappings, text, web_address

TASKS_KEY = "luigi_tasks"
"""XCom of tasks that run Luigi; written by :mod:`airflow_domino.operators._luigi_telling`."""
MOST_WORKING = 2000

_RUN_ADDRESS = re.compile(r"/jobs/([^/?#]+)/([^/?#]+)/([0-9A-Za-z]+)")
_STATUS = {"done": "Succeeded", "failed": "Failed"}
_NAMES = ("dag_id", "run_id", "task_id", "map_index")


@dataclass(frozen=True)
class LuigiRun:
    """A run that a Luigi task has launched.

    :param facts: as :func:`~airflow_domino.plugin.past_run.from_facts` takes them; its times are only those in which
        the Airflow task was at work.
    """

    run_id: str
    launcher: Launcher
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class LuigiWorker:
    """An Airflow task that runs Luigi, or may do so.

    :param max_tries: each clear raises it; its generations are not above it.
    """

    launcher: Launcher
    max_tries: int

    def owner_keys(self) -> Iterable[str]:
        """Give the keys by which the marks of its runs name it, one for each generation."""
        names = (self.launcher.dag_id, self.launcher.airflow_run_id, self.launcher.task_id, self.launcher.map_index)
        for generation in range(self.max_tries + 1):
            yield RunMark.for_task("luigi", json.dumps((*names, generation)), "").owner_key


def told_by_luigi(
    session: Session, conditions: Collection[Any], since: datetime | None, limit: int
) -> tuple[list[LuigiRun], list[LuigiWorker]]:
    """Find the runs that Airflow's tasks have told of, and those tasks; one statement.

    :param conditions: which XComs, beside their key.
    :param since: older XComs are left out.
    """
    same_task = and_(*(instance_column(TaskInstance, name) == instance_column(XComModel, name) for name in _NAMES))
    statement = select(XComModel.value, XComModel.timestamp, *_instance_columns()).join(TaskInstance, same_task)
    statement = statement.where(XComModel.key == TASKS_KEY, *conditions)
    if since is not None:
        statement = statement.where(XComModel.timestamp >= since)
    runs, workers = [], []
    for row in session.execute(statement.order_by(XComModel.timestamp.desc()).limit(limit)).mappings():
        worker = _worker(row)
        workers.append(worker)
        runs += [run for told in mappings(row["value"]) if (run := _run(told, worker.launcher, row["timestamp"]))]
    return runs, workers


def at_work(session: Session, conditions: Collection[Any]) -> list[LuigiWorker]:
    """Find the task instances that Luigi may be at work for now; one statement.

    :param conditions: which task instances.
    """
    statement = select(*_instance_columns()).where(TaskInstance.state.in_(LIVE_STATES), *conditions)
    return [_worker(row) for row in session.execute(statement.limit(MOST_WORKING)).mappings()]


def _instance_columns() -> list[Any]:
    names = (*_NAMES, "state", "try_number", "start_date", "end_date", "max_tries")
    return [instance_column(TaskInstance, name) for name in names]


def _worker(row: Mapping[Any, Any]) -> LuigiWorker:
    dag_id, run_id, task_id, map_index = (row[name] for name in _NAMES)
    now = (row["state"], row["try_number"], row["start_date"], row["end_date"])
    return LuigiWorker(Launcher(dag_id, run_id, task_id, map_index, *now), row["max_tries"] or 0)


def _run(told: Mapping[str, Any], launcher: Launcher, ended: datetime) -> LuigiRun | None:
    address = web_address(told.get("url"))
    found = _RUN_ADDRESS.search(address or "")
    if found is None:
        return None
    owner, project, run_id = found.groups()
    facts = {"url": address, "project": f"{owner}/{project}", "tier": text(told.get("tier"))}
    facts["status"] = _STATUS.get(str(told.get("state")))
    begin = launcher.began.isoformat() if launcher.began else None
    return LuigiRun(run_id, launcher, {**facts, "started_at": begin, "completed_at": ended.isoformat()})
