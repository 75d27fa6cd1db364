"""What Airflow's own store knows of the runs that its tasks started on Domino.

Each of our operators leaves XComs: the link to its run, the id of the run, and a dictionary about it when the run
is over. Where Airflow has a task state store (3.3), what was known at the launch is there. All of it is read as plain
JSON: nothing that a task has stored is ever turned into an object.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from sqlalchemy import RowMapping, Select, and_, null, select
from sqlalchemy.orm import Session, aliased

try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # Airflow below 3.3
    TaskStateStoreModel = None  # type: ignore[assignment, misc]

LINK_KEY = "domino_run_link"
RUN_ID_KEY = "run_id"
FACTS_KEY = "domino_run"  # the XCom about a run that ended badly, and the record of a launch in the task state store

LIVE_STATES = frozenset(
    {"scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"}
)
FAILED_STATES = frozenset({"failed", "upstream_failed"})
STATE_GROUPS: Mapping[str, frozenset[str]] = {
    "live": LIVE_STATES,
    "failed": FAILED_STATES,
    "success": frozenset({"success"}),
}


@dataclass(frozen=True)
class TaskRun:
    """One task instance of Airflow, and the run on Domino that its latest attempt started.

    What Domino alone knows (number, status, tier, seconds, cost) is None until the operator has stored it.
    """

    dag_id: str
    airflow_run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    started_at: datetime | None
    ended_at: datetime | None
    run_id: str | None
    url: str | None
    number: int | None = None
    status: str | None = None
    project: str | None = None
    tier: str | None = None
    queued_seconds: float | None = None
    run_seconds: float | None = None
    cost_cents: float | None = None

    @property
    def is_live(self) -> bool:
        """Whether Airflow still has something to do for this task instance."""
        return self.state in LIVE_STATES

    @property
    def has_failed(self) -> bool:
        """Whether Airflow has given the task instance up."""
        return self.state in FAILED_STATES


@dataclass(frozen=True)
class TierTotal:
    """What the runs of one tier add up to.

    :param tier: name of the tier; None for runs whose tier is not known.
    :param runs: number of runs.
    :param run_seconds: seconds that they ran, as far as known.
    :param cost_cents: what they cost, as far as known; None if no cost is known.
    :param without_cost: runs that are over and whose cost is not known.
    """

    tier: str | None
    runs: int
    run_seconds: float
    cost_cents: float | None
    without_cost: int


def find_runs(
    session: Session,
    dag_ids: Collection[str],
    *,
    states: Collection[str] | None = None,
    limit: int = 200,
) -> list[TaskRun]:
    """List the runs that tasks of the given DAGs started, the latest first.

    :param session: session on Airflow's database.
    :param dag_ids: DAGs that the caller may read; no others are looked at.
    :param states: states of task instances to keep; None keeps all.
    :param limit: length of the list.
    """
    if not dag_ids:
        return []
    rows = session.execute(_statement(dag_ids, states, limit)).mappings()
    runs = [run for run in (_task_run(row) for row in rows) if run.run_id or run.url]
    runs.sort(key=lambda run: run.started_at.timestamp() if run.started_at else float("inf"), reverse=True)
    return runs


def dags_with_runs(session: Session, dag_ids: Collection[str]) -> list[str]:
    """Those of the given DAGs that have ever started a run, by name."""
    if not dag_ids:
        return []
    statement = select(XComModel.dag_id).where(XComModel.key == LINK_KEY, XComModel.dag_id.in_(dag_ids)).distinct()
    return sorted(session.scalars(statement))


def tier_totals(runs: Iterable[TaskRun]) -> list[TierTotal]:
    """Add the runs up by tier, the most expensive tier first."""
    by_tier: dict[str | None, list[TaskRun]] = {}
    for run in runs:
        by_tier.setdefault(run.tier, []).append(run)
    totals = [_total(tier, members) for tier, members in by_tier.items()]
    return sorted(totals, key=lambda total: (total.tier is None, -(total.cost_cents or 0), total.tier or ""))


def _total(tier: str | None, runs: list[TaskRun]) -> TierTotal:
    costs = [run.cost_cents for run in runs if run.cost_cents is not None]
    return TierTotal(
        tier=tier,
        runs=len(runs),
        run_seconds=sum(run.run_seconds or 0.0 for run in runs),
        cost_cents=sum(costs) if costs else None,
        without_cost=sum(1 for run in runs if run.cost_cents is None and not run.is_live),
    )


def _statement(dag_ids: Collection[str], states: Collection[str] | None, limit: int) -> Select[Any]:
    link = aliased(XComModel)
    others = {key: aliased(XComModel) for key in (XCOM_RETURN_KEY, RUN_ID_KEY, FACTS_KEY)}
    statement = (
        select(
            link.dag_id,
            link.run_id.label("airflow_run_id"),
            link.task_id,
            link.map_index,
            TaskInstance.state,
            TaskInstance.try_number,
            TaskInstance.start_date.label("started_at"),
            TaskInstance.end_date.label("ended_at"),
            link.value.label(LINK_KEY),
            *(other.value.label(f"xcom_{key}") for key, other in others.items()),
        )
        .select_from(link)
        .join(
            TaskInstance,
            and_(
                TaskInstance.dag_id == link.dag_id,
                TaskInstance.task_id == link.task_id,
                TaskInstance.run_id == link.run_id,
                TaskInstance.map_index == link.map_index,
            ),
        )
        .where(link.key == LINK_KEY, link.dag_id.in_(dag_ids))
        .order_by(link.timestamp.desc())
        .limit(limit)
    )
    for key, other in others.items():
        statement = statement.outerjoin(
            other,
            and_(
                other.dag_run_id == link.dag_run_id,
                other.task_id == link.task_id,
                other.map_index == link.map_index,
                other.key == key,
            ),
        )
    if states is not None:
        statement = statement.where(TaskInstance.state.in_(states))
    return _with_launch_record(statement, link)


def _with_launch_record(statement: Select[Any], link: Any) -> Select[Any]:
    store = TaskStateStoreModel
    if store is None:
        return statement.add_columns(null().label("launch_record"))
    same_task = and_(
        store.dag_run_id == link.dag_run_id,
        store.task_id == link.task_id,
        store.map_index == link.map_index,
        store.key == FACTS_KEY,
    )
    return statement.add_columns(store.value.label("launch_record")).outerjoin(store, same_task)


def _task_run(row: RowMapping) -> TaskRun:
    at_launch = _mapping(_mapping(row["launch_record"]).get("run"))
    facts = {**at_launch, **_mapping(row[f"xcom_{FACTS_KEY}"]), **_mapping(row[f"xcom_{XCOM_RETURN_KEY}"])}
    return TaskRun(
        dag_id=row["dag_id"],
        airflow_run_id=row["airflow_run_id"],
        task_id=row["task_id"],
        map_index=row["map_index"],
        state=row["state"],
        try_number=row["try_number"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        run_id=_text(facts.get("run_id")) or _text(_plain(row[f"xcom_{RUN_ID_KEY}"])),
        url=_web_address(_plain(row[LINK_KEY])) or _web_address(facts.get("url")),
        number=_whole_number(facts.get("number")),
        status=_text(facts.get("status")),
        project=_text(facts.get("project")),
        tier=_text(facts.get("tier")),
        queued_seconds=_number(facts.get("queued_seconds")),
        run_seconds=_number(facts.get("run_seconds")),
        cost_cents=_number(facts.get("cost_cents")),
    )


def _plain(value: Any) -> Any:
    """The stored value; text that holds a JSON object or string is read (an id of digits alone stays text)."""
    if not isinstance(value, str) or not value.startswith(("{", '"')):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _mapping(value: Any) -> Mapping[str, Any]:
    plain = _plain(value)
    return plain if isinstance(plain, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < float("inf") else None


def _whole_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _web_address(value: Any) -> str | None:
    """The value if a browser may follow it; an address of another kind (``javascript:``) is no link."""
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme in {"http", "https"} and parts.netloc else None
