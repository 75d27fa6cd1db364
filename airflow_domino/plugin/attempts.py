"""The attempts of one task instance, and the runs that each of them has launched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select
from sqlalchemy.orm import Session

from airflow_domino.compat_server import attempts_of
from airflow_domino.plugin.history import Scope, find_history
from airflow_domino.plugin.past_run import PastRun

if TYPE_CHECKING:
    from airflow_domino.plugin.look import Look

MOST_LISTED = 200
CLOCK_SKEW = timedelta(seconds=5)
"""How much Domino's clock may be behind Airflow's."""


@dataclass(frozen=True)
class TaskName:
    """Which task instance."""

    dag_id: str
    airflow_run_id: str
    task_id: str
    map_index: int = -1


@dataclass(frozen=True)
class Attempt:
    """One attempt of a task instance.

    :param state: what became of it; of the latest, what it is now.
    :param runs: those that it has launched, the latest first.
    :param goes_on_with: a run of an earlier attempt that this one has taken up.
    """

    try_number: int
    state: str | None
    started_at: datetime | None
    ended_at: datetime | None
    runs: tuple[PastRun, ...] = ()
    goes_on_with: PastRun | None = None


def find_attempts(session: Session, task: TaskName, looks: Iterable[Look] = ()) -> list[Attempt]:
    """List the attempts of a task instance, the latest first; four statements, or up to seven.

    :param session: session on Airflow's database.
    :param task: of a DAG that the caller may read.
    :param looks: what Domino said last.
    """
    # A task that was cleared has the number of its last attempt until it is scheduled again.
    by_number: dict[int, Any] = {}
    for row in session.execute(_statement(task)):
        by_number.setdefault(row.try_number, row)
    rows = list(by_number.values())
    if not rows:
        return []
    scope = Scope({task.dag_id}, None, task.airflow_run_id, task.task_id, task.map_index)
    runs = list(find_history(session, scope, looks).runs)
    launched: dict[int, list[PastRun]] = {}
    for run in runs:
        launched.setdefault(_launched_by(run, rows), []).append(run)
    attempts = [_attempt(row, launched.get(row.try_number, [])) for row in rows if row.try_number > 0]
    return [_with_run_of_another(attempts[0], runs), *attempts[1:]] if attempts else []


def _statement(task: TaskName) -> Select[Any]:
    names = {
        "dag_id": task.dag_id,
        "run_id": task.airflow_run_id,
        "task_id": task.task_id,
        "map_index": task.map_index,
    }
    statement = attempts_of(names, ("try_number", "state", "start_date", "end_date"))
    columns = statement.selected_columns
    return statement.order_by(columns.try_number.desc(), columns.is_past.desc()).limit(MOST_LISTED)


def _attempt(row: Any, runs: Sequence[PastRun]) -> Attempt:
    return Attempt(row.try_number, row.state, row.start_date, row.end_date, tuple(runs))


def _launched_by(run: PastRun, rows: Sequence[Any]) -> int:
    """Return the number of the attempt that launched a run: as it was noted, or else by its time."""
    if run.try_number is not None:
        return run.try_number
    begun = [row for row in rows if row.start_date is not None]
    moment = run.submitted_at
    at_work = (row.try_number for row in begun if moment is not None and row.start_date - CLOCK_SKEW <= moment)
    return next(at_work, begun[-1].try_number if begun else 0)


def _with_run_of_another(attempt: Attempt, runs: Sequence[PastRun]) -> Attempt:
    taken_up = next((run for run in runs if run.is_latest), None)
    if attempt.runs or taken_up is None:
        return attempt
    return Attempt(attempt.try_number, attempt.state, attempt.started_at, attempt.ended_at, (), taken_up)
