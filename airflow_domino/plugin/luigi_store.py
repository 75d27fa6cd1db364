"""What Airflow's database holds of the Luigi tasks of a DAG run, read in four statements, however many tasks there are.

A fifth reads the DAG's edges, where tasks have told nothing yet.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, exists, select
from sqlalchemy.orm import Session, aliased

from airflow_domino.compat_server import (
    XCOM_RETURN_KEY,
    DagRun,
    SerializedDagModel,
    TaskInstance,
    XComModel,
    column_or_null,
    serialized_dag_columns,
)
from airflow_domino.plugin.luigi_graph import Told, put_together
from airflow_domino.plugin.luigi_values import AirflowTask, LuigiGraph
from airflow_domino.plugin.stored import mapping, plain, web_address

GRAPH_KEY = "luigi_graph"
PLAN_KEY = "luigi_plan"
TASKS_KEY = "luigi_tasks"
LINK_KEY = "domino_run_link"
# So many are looked through for Luigi tasks.
_NEWEST_DAG_RUNS = 2_000
OPERATORS = frozenset({"LuigiTaskOperator", "LuigiTargetSensor", "LuigiPlanOperator"})


@dataclass(frozen=True)
class DagRunFacts:
    """A DAG run, as the pages name it."""

    dag_id: str
    run_id: str
    state: str | None
    started_at: datetime | None
    ended_at: datetime | None


def _facts() -> tuple[Any, ...]:
    return (DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date, DagRun.end_date)


def runs_with_luigi(session: Session, dag_ids: Collection[str], limit: int = 50) -> list[DagRunFacts]:
    """The latest DAG runs whose tasks told of Luigi tasks.

    :param dag_ids: those that may be read
    :param limit: length of the list
    """
    if not dag_ids:
        return []
    order = (DagRun.run_after.desc(), DagRun.id.desc())
    newest = select(DagRun.id).where(DagRun.dag_id.in_(dag_ids)).order_by(*order).limit(_NEWEST_DAG_RUNS).subquery()
    told = exists().where(XComModel.dag_run_id == DagRun.id, XComModel.key.in_((GRAPH_KEY, PLAN_KEY, TASKS_KEY)))
    statement = select(*_facts()).join(newest, newest.c.id == DagRun.id).where(told).order_by(*order).limit(limit)
    return [DagRunFacts(*row) for row in session.execute(statement)]


def find_run(session: Session, dag_id: str, run_id: str) -> DagRunFacts | None:
    """One DAG run; None where there is none."""
    row = session.execute(select(*_facts()).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).first()
    return DagRunFacts(*row) if row else None


def read_graph(session: Session, dag_id: str, run_id: str) -> LuigiGraph:
    """The Luigi tasks of a DAG run.

    :param dag_id: one that may be read
    """
    stored = _stored(session, dag_id, run_id)
    speaking = {place for place, left in stored.items() if GRAPH_KEY in left or PLAN_KEY in left}
    tasks = _airflow_tasks(session, dag_id, run_id, speaking)
    results = _results(session, dag_id, run_id)
    told = []
    for task in tasks:
        place = (task.task_id, task.map_index)
        left = stored.get(place, {})
        known = replace(
            task, url=web_address(plain(left.get(LINK_KEY))), result=mapping(results.get(place)) or task.result
        )
        told.append(Told(known, left.get(GRAPH_KEY), left.get(PLAN_KEY)))
    is_silent = any(one.graph is None and not one.task.is_plan for one in told)
    has_plan = any(one.graph is not None and one.task.is_plan for one in told)
    edges = _edges(session, dag_id, run_id) if is_silent and not has_plan else {}
    return put_together(told, edges)


def _airflow_tasks(
    session: Session, dag_id: str, run_id: str, told: Collection[tuple[str, int]]
) -> Sequence[AirflowTask]:
    """The task instances of our Luigi operators, and those of others that told something all the same."""
    columns = {
        "task_id": TaskInstance.task_id,
        "map_index": TaskInstance.map_index,
        "state": TaskInstance.state,
        "try_number": TaskInstance.try_number,
        "operator": TaskInstance.operator,
        "name": column_or_null(TaskInstance, "_task_display_property_value"),
        "hostname": TaskInstance.hostname,
        "started_at": TaskInstance.start_date,
        "ended_at": TaskInstance.end_date,
    }
    statement = select(*(column.label(name) for name, column in columns.items()))
    statement = statement.where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
    rows = session.execute(statement.order_by(TaskInstance.task_id, TaskInstance.map_index)).mappings()
    return [
        AirflowTask(dag_id, run_id, **row)
        for row in rows
        if row["operator"] in OPERATORS or (row["task_id"], row["map_index"]) in told
    ]


def _stored(session: Session, dag_id: str, run_id: str) -> dict[tuple[str, int], dict[str, Any]]:
    """What tasks have left as XComs for this page, by task id and map index."""
    statement = select(XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.value)
    statement = statement.where(XComModel.dag_id == dag_id, XComModel.run_id == run_id)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for task_id, map_index, key, value in session.execute(
        statement.where(XComModel.key.in_((GRAPH_KEY, PLAN_KEY, LINK_KEY)))
    ):
        found.setdefault((task_id, map_index), {})[key] = value
    return found


def _results(session: Session, dag_id: str, run_id: str) -> dict[tuple[str, int], Any]:
    """The results of tasks that told of Luigi tasks."""
    other = aliased(XComModel)
    same_task = and_(
        other.dag_run_id == XComModel.dag_run_id,
        other.task_id == XComModel.task_id,
        other.map_index == XComModel.map_index,
        other.key.in_((GRAPH_KEY, TASKS_KEY)),
    )
    statement = select(XComModel.task_id, XComModel.map_index, XComModel.value).where(
        XComModel.dag_id == dag_id,
        XComModel.run_id == run_id,
        XComModel.key == XCOM_RETURN_KEY,
        exists().where(same_task),
    )
    return {(task_id, map_index): value for task_id, map_index, value in session.execute(statement)}


def _edges(session: Session, dag_id: str, run_id: str) -> Mapping[str, Sequence[str]]:
    """Ids of the tasks right below each task of the DAG, as this DAG run began with it."""
    columns = serialized_dag_columns()
    if not columns:
        return {}
    statement = select(*columns).join(DagRun, DagRun.created_dag_version_id == SerializedDagModel.dag_version_id)
    row = session.execute(statement.where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).first()
    if row is None:
        return {}
    data = row[0] if row[0] is not None else json.loads(zlib.decompress(row[1] or b""))
    tasks = mapping(mapping(data).get("dag")).get("tasks")
    described = [mapping(mapping(task).get("__var")) for task in (tasks if isinstance(tasks, list) else ())]
    return {str(task.get("task_id")): task.get("downstream_task_ids") or [] for task in described}
