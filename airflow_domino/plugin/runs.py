"""What Airflow's own store knows of the runs that its tasks started on Domino.

Each of our operators leaves XComs: the link to its run, the id of the run, and a dictionary about it when the run
is over. Where Airflow has a task state store (3.3), what was known at the launch is there. All of it is read as plain
JSON: nothing that a task has stored is ever turned into an object.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, and_, null, select
from sqlalchemy.orm import Session, aliased

from airflow_domino.compat_server import (
    XCOM_RETURN_KEY,
    TaskInstance,
    TaskStateStoreModel,
    XComModel,
    instance_column,
)
from airflow_domino.plugin.stored import mapping, number, plain, text, web_address, whole_number

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

    :param cents_per_minute: price of its tier.
    :param conn_id: the Airflow connection by which it was launched.
    :param reason: why it ended badly, in Domino's words.
    :param log_tail: last lines of the log of a run that ended badly, oldest first.
    :param waits_because: Domino's words on why the run is still queued.
    :param is_inner: whether a Luigi task has launched it within the Airflow task, which may have several such runs.
    :param is_of_earlier_attempt: whether the attempt that goes on has not told of a run yet.
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
    cents_per_minute: float | None = None
    conn_id: str | None = None
    reason: str | None = None
    log_tail: tuple[str, ...] = ()
    waits_because: str | None = None
    is_inner: bool = False
    is_of_earlier_attempt: bool = False

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


@dataclass(frozen=True)
class Choice:
    """Which runs to look for, among those of the DAGs that the caller may read.

    :param states: states of task instances to keep; None keeps all.
    :param airflow_run_id: only this DAG run.
    :param task: only this task instance: task id and map index.
    :param limit: how many at most, the latest.
    """

    states: Collection[str] | None = None
    airflow_run_id: str | None = None
    task: tuple[str, int] | None = None
    limit: int = 200


def find_runs(session: Session, dag_ids: Collection[str], choice: Choice = Choice()) -> list[TaskRun]:
    """List the runs that tasks of the given DAGs started, the latest first; one statement.

    :param session: session on Airflow's database.
    :param dag_ids: DAGs that the caller may read; no others are looked at.
    """
    if not dag_ids:
        return []
    rows = session.execute(_statement(dag_ids, choice)).mappings()
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


def _statement(dag_ids: Collection[str], choice: Choice) -> Select[Any]:
    # The latest links are found by their keys alone; values are read for those of the list only.
    newest = _newest(dag_ids, choice).subquery("newest")
    link = aliased(XComModel)
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
            link.timestamp.label("linked_at"),
        )
        .select_from(newest)
        .join(link, _of(newest, link, LINK_KEY))
        .join(TaskInstance, _instance_of(link))
    )
    for key in (XCOM_RETURN_KEY, RUN_ID_KEY, FACTS_KEY):
        xcom = aliased(XComModel)
        statement = statement.add_columns(xcom.value.label(f"xcom_{key}")).outerjoin(xcom, _of(newest, xcom, key))
    store = TaskStateStoreModel
    if store is None:
        statement = statement.add_columns(null().label("launch_record"))
    else:
        statement = statement.add_columns(store.value.label("launch_record"))
        statement = statement.outerjoin(store, _of(newest, store, FACTS_KEY))
    return statement.order_by(newest.c.timestamp.desc())


def _newest(dag_ids: Collection[str], choice: Choice) -> Select[Any]:
    """Keys of task instances with a link to a run, the latest link first."""
    link = XComModel
    keys: tuple[Any, ...] = (link.dag_run_id, link.task_id, link.map_index, link.timestamp)
    statement = (
        select(*keys)
        .where(link.key == LINK_KEY, link.dag_id.in_(dag_ids))
        .order_by(link.timestamp.desc())
        .limit(choice.limit)
    )
    if choice.states is not None:
        statement = statement.join(TaskInstance, _instance_of(link)).where(TaskInstance.state.in_(choice.states))
    if choice.airflow_run_id is not None:
        statement = statement.where(link.run_id == choice.airflow_run_id)
    if choice.task is not None:
        task_id, map_index = choice.task
        statement = statement.where(link.task_id == task_id, link.map_index == map_index)
    return statement


def _instance_of(link: Any) -> Any:
    names = ("dag_id", "task_id", "run_id", "map_index")
    return and_(*(getattr(TaskInstance, name) == getattr(link, name) for name in names))


def _of(newest: Any, stored: Any, key: str) -> Any:
    """What one task instance has stored under a key."""
    return and_(
        stored.dag_run_id == newest.c.dag_run_id,
        stored.task_id == newest.c.task_id,
        instance_column(stored, "map_index") == newest.c.map_index,
        stored.key == key,
    )


def _task_run(row: RowMapping) -> TaskRun:
    run_id = text(plain(row[f"xcom_{RUN_ID_KEY}"]))
    at_launch = mapping(mapping(row["launch_record"]).get("run"))
    if run_id and at_launch.get("run_id", run_id) != run_id:  # of a launch before this one
        at_launch = {}
    began = row["started_at"]
    facts = {**at_launch, **mapping(row[f"xcom_{FACTS_KEY}"]), **mapping(row[f"xcom_{XCOM_RETURN_KEY}"])}
    return TaskRun(
        dag_id=row["dag_id"],
        airflow_run_id=row["airflow_run_id"],
        task_id=row["task_id"],
        map_index=row["map_index"],
        state=row["state"],
        try_number=row["try_number"],
        started_at=began,
        ended_at=row["ended_at"],
        run_id=text(facts.get("run_id")) or run_id,
        url=web_address(plain(row[LINK_KEY])) or web_address(facts.get("url")),
        number=whole_number(facts.get("number")),
        status=text(facts.get("status")),
        project=text(facts.get("project")),
        tier=text(facts.get("tier")),
        queued_seconds=number(facts.get("queued_seconds")),
        run_seconds=number(facts.get("run_seconds")),
        cost_cents=number(facts.get("cost_cents")),
        cents_per_minute=number(facts.get("cents_per_minute") or at_launch.get("cents_per_minute")),
        conn_id=text(facts.get("conn_id")),
        reason=text(facts.get("reason")),
        log_tail=_lines(facts.get("log_tail")),
        is_of_earlier_attempt=row["state"] in LIVE_STATES and (began is None or row["linked_at"] < began),
    )


def _lines(value: Any) -> tuple[str, ...]:
    return tuple(line for line in value if isinstance(line, str)) if isinstance(value, list) else ()
