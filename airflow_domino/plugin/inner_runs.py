"""Runs that Luigi tasks have launched within an Airflow task, as rows of the list of runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from airflow_domino.compat_server import TaskInstance, XComModel
from airflow_domino.plugin.history import Scope, find_history
from airflow_domino.plugin.look import Look
from airflow_domino.plugin.luigi_runs import told_by_luigi
from airflow_domino.plugin.past_run import PastRun, from_facts
from airflow_domino.plugin.runs import Choice, TaskRun

MOST_TASKS = 30


def latest_inner_runs(session: Session, dag_ids: Collection[str], choice: Choice) -> list[TaskRun]:
    """List the runs of which the latest Airflow tasks that ran Luigi have told; one statement."""
    if not dag_ids:
        return []
    conditions = [XComModel.dag_id.in_(dag_ids)]
    if choice.states is not None:
        conditions.append(TaskInstance.state.in_(choice.states))
    told, _ = told_by_luigi(session, conditions, None, MOST_TASKS)
    return _rows(from_facts(each.run_id, each.launcher, each.facts, is_latest=False) for each in told)


def inner_runs_of(
    session: Session, dag_id: str, airflow_run_id: str, listed: Sequence[TaskRun], looks: Iterable[Look]
) -> list[TaskRun]:
    """List those of one DAG run, also those that go on; up to seven statements.

    :param listed: the runs that tasks have launched themselves; earlier runs of the same tasks are left out.
    :param looks: what Domino said last.
    """
    tasks = {(run.task_id, run.map_index) for run in listed}
    runs = find_history(session, Scope({dag_id}, airflow_run_id=airflow_run_id), looks).runs
    return _rows(run for run in runs if (run.launcher.task_id, run.launcher.map_index) not in tasks)


def together(listed: Sequence[TaskRun], inner: Sequence[TaskRun], limit: int) -> list[TaskRun]:
    """Put both into one list, the latest first."""
    known = {run.run_id for run in listed}
    runs = [*listed, *(run for run in inner if run.run_id not in known)]
    runs.sort(key=lambda run: run.started_at.timestamp() if run.started_at else float("inf"), reverse=True)
    return runs[:limit]


def _rows(runs: Iterable[PastRun]) -> list[TaskRun]:
    now = datetime.now(UTC)
    return [_row(run, now) for run in runs]


def _row(run: PastRun, now: datetime) -> TaskRun:
    by = run.launcher
    return TaskRun(
        dag_id=by.dag_id,
        airflow_run_id=by.airflow_run_id,
        task_id=by.task_id,
        map_index=by.map_index,
        state=by.state,
        try_number=by.try_number or 1,
        started_at=run.submitted_at if not run.is_estimated and run.submitted_at else by.began,
        ended_at=by.ended,
        run_id=run.run_id,
        url=run.url,
        number=run.number,
        status=run.status,
        project=run.project,
        tier=run.tier,
        queued_seconds=None if run.is_estimated else run.queued_seconds(now),
        run_seconds=None if run.is_estimated else run.run_seconds(now),
        cost_cents=run.cost_cents(now),
        cents_per_minute=run.cents_per_minute,
        conn_id=run.conn_id,
        is_inner=True,
    )
