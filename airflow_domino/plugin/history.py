"""All runs that Airflow's tasks have launched on Domino: of every attempt, also before a task was cleared.

Three sources are laid over each other: the XComs of present attempts, what workers have noted of attempts before
(:mod:`airflow_domino.hooks.past_runs`), and the latest look at Domino, where each run names its task instance by its
mark. It takes three statements, and up to three more where Domino knows runs that Airflow has not told of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import RowMapping, Select, and_, null, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from airflow_domino.compat_server import (
    XCOM_RETURN_KEY,
    DagRun,
    TaskInstance,
    TaskStateStoreModel,
    XComModel,
    instance_column,
)
from airflow_domino.domino.launch import RunMark
from airflow_domino.hooks.identity import STORE_KEY
from airflow_domino.hooks.past_runs import PAST_RUNS_KEY
from airflow_domino.hooks.runs import RUN_KEY
from airflow_domino.links.domino import LINK_KEY
from airflow_domino.plugin.luigi_runs import LuigiWorker, at_work, told_by_luigi
from airflow_domino.plugin.past_run import Launcher, PastRun, from_facts
from airflow_domino.plugin.stored import mapping, mappings, plain, text, web_address

if TYPE_CHECKING:
    from airflow_domino.domino.models import Run
    from airflow_domino.plugin.look import Look

MOST_RUNS = 20_000
NEWEST_DAG_RUNS = 20_000
RUN_ID_KEY = "run_id"
_TASK = ("dag_id", "run_id", "task_id", "map_index")


@dataclass(frozen=True)
class Scope:
    """Which runs are asked for.

    :param dag_ids: DAGs that the caller may read.
    :param since: runs that were over before are left out.
    :param airflow_run_id: only this DAG run, and with `task_id` and `map_index` only this task instance.
    """

    dag_ids: Collection[str]
    since: datetime | None = None
    airflow_run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None


@dataclass(frozen=True)
class History:
    """Runs, the latest first.

    :param is_cut: whether there are more than were read.
    """

    runs: Sequence[PastRun]
    is_cut: bool = False


def find_history(session: Session, scope: Scope, looks: Iterable[Look] = (), limit: int = MOST_RUNS) -> History:
    """Find the runs that tasks have launched.

    :param session: session on Airflow's database.
    :param looks: what Domino said last, of all places that matter.
    :param limit: how many task instances are read.
    """
    if not scope.dag_ids:
        return History(())
    rows = session.execute(_present(scope).limit(limit)).mappings().all()
    noted = _noted(session, scope, limit)
    found = {run_id: from_facts(run_id, *each, is_latest=False) for run_id, each in noted.items()}
    for row in rows:
        if (told := _told(row)) is not None:
            run_id, facts = told
            before = noted[run_id][1] if run_id in noted else {}
            # A run belongs to the attempt that noted it first.
            first = {name: before[name] for name in ("try_number",) if name in before}
            all_facts, is_latest = {**before, **facts, **first}, _is_of_present_attempt(row)
            found[run_id] = from_facts(run_id, _launcher(row), all_facts, is_latest=is_latest)
    luigi_runs, workers = told_by_luigi(session, _in_scope(XComModel, scope), scope.since, limit)
    for each in luigi_runs:
        run = from_facts(each.run_id, each.launcher, each.facts, is_latest=False)
        found.setdefault(each.run_id, replace(run, is_estimated=True))
    _add_looks(session, scope, found, list(looks), workers)
    runs = [run for run in found.values() if _is_in(run, scope.since)]
    runs.sort(key=lambda run: run.submitted_at.timestamp() if run.submitted_at else float("inf"), reverse=True)
    return History(runs, is_cut=len(rows) >= limit)


def _is_of_present_attempt(row: RowMapping) -> bool:
    """Say whether the attempt at work has told of a run: what one before it has told stays until it does so."""
    began = row["start_date"]
    return began is not None and row["timestamp"] >= began


def _is_in(run: PastRun, since: datetime | None) -> bool:
    return since is None or not run.is_over or run.last_moment is None or run.last_moment >= since


# ---- what tasks have stored ------------------------------------------------------------------------------------------


def _present(scope: Scope) -> Select[Any]:
    """Ask for the XComs of present attempts, and what was noted at their launch."""
    link = aliased(XComModel)
    others = {key: aliased(XComModel) for key in (XCOM_RETURN_KEY, RUN_ID_KEY, RUN_KEY)}
    same_task = _same_task(link)
    columns = (*_instance_columns(link), link.value.label(LINK_KEY), link.timestamp)
    values = (other.value.label(f"xcom_{key}") for key, other in others.items())
    statement = select(*columns, *values).select_from(link).join(TaskInstance, same_task)
    statement = statement.where(link.key == LINK_KEY, *_in_scope(link, scope)).order_by(link.timestamp.desc())
    if scope.since is not None:
        goes_on = or_(TaskInstance.end_date.is_(None), TaskInstance.end_date >= scope.since)
        statement = statement.where(or_(link.timestamp >= scope.since, goes_on))
    for key, other in others.items():
        statement = statement.outerjoin(other, and_(*_same_instance(other, link), other.key == key))
    if TaskStateStoreModel is None:
        return statement.add_columns(null().label("record"))
    store = aliased(TaskStateStoreModel)
    statement = statement.outerjoin(store, and_(*_same_instance(store, link), store.key == STORE_KEY))
    return statement.add_columns(store.value.label("record"))


def _same_instance(one: Any, other: Any) -> list[Any]:
    names = ("dag_run_id", "task_id", "map_index")
    return [instance_column(one, name) == instance_column(other, name) for name in names]


def _same_task(names: Any) -> Any:
    return and_(*(instance_column(TaskInstance, name) == instance_column(names, name) for name in _TASK))


def _instance_columns(names: Any) -> tuple[Any, ...]:
    instance = TaskInstance
    return (
        *(instance_column(names, name) for name in _TASK),
        instance.state,
        instance.try_number,
        instance.start_date,
        instance.end_date,
    )


def _in_scope(names: Any, scope: Scope) -> list[Any]:
    wanted = {"run_id": scope.airflow_run_id, "task_id": scope.task_id, "map_index": scope.map_index}
    exact = [instance_column(names, name) == value for name, value in wanted.items() if value is not None]
    return [names.dag_id.in_(scope.dag_ids), *exact]


def _launcher(row: RowMapping) -> Launcher:
    names = (row["dag_id"], row["run_id"], row["task_id"], row["map_index"])
    return Launcher(*names, row["state"], row["try_number"], row["start_date"], row["end_date"])


def _told(row: RowMapping) -> tuple[str, Mapping[str, Any]] | None:
    """Return the id of the run of a present attempt, and what is stored of it."""
    record, facts = mapping(mapping(row["record"]).get("run")), mapping(row[f"xcom_{RUN_KEY}"])
    result = mapping(row[f"xcom_{XCOM_RETURN_KEY}"])
    run_id = text(plain(row[f"xcom_{RUN_ID_KEY}"]))
    if run_id is None:  # a task that only waits for a run, such as a sensor, has launched none
        return None
    merged: dict[str, Any] = {}
    for each in (record, facts, result):
        if each.get("run_id") in (run_id, None):
            merged |= {name: value for name, value in each.items() if value is not None}
    if address := web_address(plain(row[LINK_KEY])):
        merged["url"] = address
    return run_id, merged


def _noted(session: Session, scope: Scope, limit: int) -> dict[str, tuple[Launcher, Mapping[str, Any]]]:
    """Return what workers have noted of runs, by their ids."""
    store = TaskStateStoreModel
    if store is None:
        return {}
    statement = select(*_instance_columns(store), store.value).outerjoin(TaskInstance, _same_task(store))
    statement = statement.where(store.key == PAST_RUNS_KEY, *_in_scope(store, scope))
    if scope.since is not None:
        statement = statement.where(store.updated_at >= scope.since)
    rows = session.execute(statement.order_by(store.updated_at.desc()).limit(limit)).mappings()
    known = ((text(facts.get("run_id")), _launcher(row), facts) for row in rows for facts in mappings(row["value"]))
    return {run_id: (launcher, facts) for run_id, launcher, facts in known if run_id is not None}


# ---- what Domino says ------------------------------------------------------------------------------------------------


def _add_looks(
    session: Session, scope: Scope, found: dict[str, PastRun], looks: list[Look], workers: list[LuigiWorker]
) -> None:
    """Bring runs up to date, and add those that Airflow has forgotten."""
    strangers: list[tuple[Run, RunMark, Look]] = []
    for look in looks:
        for run in look.runs:
            if run.id in found:
                found[run.id] = _seen(found[run.id], run, look)
            elif (mark := RunMark.parse(run.title)) is not None and _is_recent(run, scope.since):
                strangers.append((run, mark, look))
    if not strangers:
        return
    launchers = _launchers(session, scope, {mark for _, mark, _ in strangers}, workers)
    for run, mark, look in strangers:
        if (launcher := launchers.get(mark)) is not None:
            known = from_facts(run.id, launcher, _known_of(run, look), is_latest=False)
            found[run.id] = _seen(known, run, look)


def _seen(known: PastRun, run: Run, look: Look) -> PastRun:
    """Return a run with what Domino says of it; where the price was not noted at its launch, it is that of now."""
    seen = known.seen(run)
    tier = look.tier(seen.tier) if seen.cents_per_minute is None else None
    return seen if tier is None else replace(seen, cents_per_minute=tier.cents_per_minute)


def _launchers(
    session: Session, scope: Scope, marks: set[RunMark], workers: list[LuigiWorker]
) -> dict[RunMark, Launcher]:
    """Find who has launched the runs with these marks: a task of Airflow, or Luigi at work for one."""
    dag_runs = _dag_runs(session, scope, {mark.owner_key for mark in marks})
    named = {mark for mark in marks if mark.owner_key in dag_runs}
    tasks = _tasks(session, {dag_runs[mark.owner_key] for mark in named}) if named else {}
    found = {}
    for mark in named if scope.map_index is None else ():
        dag_id, run_id = dag_runs[mark.owner_key]
        task_id = tasks.get((dag_id, run_id, mark.group_key))
        if task_id is not None and scope.task_id in (None, task_id):
            found[mark] = Launcher(dag_id, run_id, task_id)
    if others := marks - named:
        workers = [*workers, *at_work(session, _in_scope(TaskInstance, scope))]
        by_key = {key: worker.launcher for worker in workers for key in worker.owner_keys()}
        found |= {mark: by_key[mark.owner_key] for mark in others if mark.owner_key in by_key}
    return found


def _is_recent(run: Run, since: datetime | None) -> bool:
    end = run.completed_at or run.submitted_at
    return since is None or not run.status.is_completed or end is None or end >= since


def _known_of(run: Run, look: Look) -> Mapping[str, Any]:
    """Return what a look tells of a run beside the run itself."""
    orphan = next((each for each in look.orphans if each.run.id == run.id), None)
    handle = orphan.handle.to_dict() if orphan is not None else {"project": look.project}
    return {**handle, "conn_id": look.conn_id}


def _dag_runs(session: Session, scope: Scope, owner_keys: set[str]) -> dict[str, tuple[str, str]]:
    """Find those of the DAG runs with these keys that the caller may read, among the newest."""
    statement = select(DagRun.dag_id, DagRun.run_id).where(*_in_scope_of_dag_runs(scope))
    rows = session.execute(statement.order_by(DagRun.id.desc()).limit(NEWEST_DAG_RUNS))
    return {key: (dag_id, run_id) for dag_id, run_id in rows if (key := _owner_key(dag_id, run_id)) in owner_keys}


def _in_scope_of_dag_runs(scope: Scope) -> list[Any]:
    named = [] if scope.airflow_run_id is None else [DagRun.run_id == scope.airflow_run_id]
    return [DagRun.dag_id.in_(scope.dag_ids), *named]


@lru_cache(maxsize=2 * NEWEST_DAG_RUNS)
def _owner_key(dag_id: str, run_id: str) -> str:
    return RunMark.for_task(dag_id, run_id, "").owner_key


def _tasks(session: Session, dag_runs: set[tuple[str, str]]) -> dict[tuple[str, str, str], str]:
    """Return the tasks of DAG runs by what the marks of their runs tell of them."""
    columns = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id)
    where = tuple_(TaskInstance.dag_id, TaskInstance.run_id).in_(dag_runs)
    rows = session.execute(select(*columns).where(where).distinct())
    return {(dag_id, run_id, RunMark.group_of(dag_id, task_id)): task_id for dag_id, run_id, task_id in rows}
