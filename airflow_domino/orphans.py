"""Runs that Airflow has launched and no task waits for any more."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from airflow_domino.compat_server import DagRun, DBDagBag, TaskInstance, TaskStateStoreModel, XComModel, is_missing
from airflow_domino.domino.launch import RunMark
from airflow_domino.hooks.identity import LAUNCH_STEP, REMEMBERED_LAUNCHES, STORE_KEY, creation_key, was_cleared
from airflow_domino.hooks.runs import RUN_KEY, RunHandle

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, Run

WAITING = frozenset({"scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"})
OVER = frozenset({"success", "failed"})
NEWEST_RECORDS = 5000


@dataclass(frozen=True)
class Orphan:
    """An active run that nobody waits for.

    :param state: of its task instance now; None also where the task instance was cleared.
    :param is_known: whether it belongs to a DAG run of this Airflow. Another one may wait for those that do not.
    :param cost_cents: what it has cost so far; None where its tier has no known price.
    """

    run: Run
    handle: RunHandle
    dag_id: str | None = None
    airflow_run_id: str | None = None
    task_id: str | None = None
    map_index: int = -1
    state: str | None = None
    is_known: bool = True
    cost_cents: float | None = None

    def age_seconds(self, now: datetime | None = None) -> float | None:
        """Return how long ago it was launched."""
        since = self.run.submitted_at
        return None if since is None else ((now or datetime.now(UTC)) - since).total_seconds()


@dataclass(frozen=True)
class _Task:
    """A task instance that may have launched a run.

    :param retries: None where its DAG is not known any more.
    :param creation_key: of its DAG run (:func:`~airflow_domino.hooks.identity.creation_key`), for `was_cleared` too.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    max_tries: int
    retries: int | None
    dag_run_state: str
    creation_key: str
    was_cleared: bool

    def mark_keys(self) -> Iterator[tuple[str, int]]:
        """Give the keys of the marks that this task instance can have used, each with its generation."""
        for generation in range(self.max_tries + 1):
            for launch in range(REMEMBERED_LAUNCHES):
                number = generation + launch * LAUNCH_STEP
                mark = RunMark.for_task(self.dag_id, self.run_id, self.task_id, self.map_index, number)
                yield mark.task_key, generation

    def has_launched(self, mark: RunMark) -> bool:
        """Say whether a mark with one of its keys is its own, and not of a deleted DAG run of the same name."""
        return self.was_cleared or mark.may_be_of(self.creation_key)

    def waits_for(self, mark: RunMark, generation: int) -> bool:
        """Say whether its present attempt, or one that is due, takes care of a run of a generation.

        Where its retries are not known, a run of any generation may be the one that is awaited.
        """
        is_due = self.state is None and self.dag_run_state not in OVER
        if is_due:
            return True
        is_present = self.retries is None or generation == self.max_tries - self.retries
        return self.state in WAITING and is_present and mark.may_be_of(self.creation_key)


class OrphanFinder:
    """Finds orphans again and again, remembering what cannot have changed: whose run is whose, and on which tier."""

    def __init__(self) -> None:
        self._dags = None if is_missing(DBDagBag) else DBDagBag()
        self._dag_runs: dict[str, tuple[str, str]] = {}
        self._strangers: dict[str, int] = {}
        self._handles: dict[str, RunHandle] = {}

    def find(
        self,
        session: Session,
        client: DominoClient,
        project: Project,
        active: Iterable[Run],
        now: datetime | None = None,
    ) -> list[Orphan]:
        """Find those of the active runs of a project that carry a mark of ours and that no task instance waits for.

        Domino is asked for the tiers of those alone.

        :param session: on Airflow's database.
        """
        marked = [(run, mark) for run in active if (mark := RunMark.parse(run.title))]
        tasks = self._load(session, marked) if marked else {}
        orphans = []
        for run, mark in marked:
            known = mark.owner_key in self._dag_runs
            task, generation = tasks.get((mark.owner_key, mark.task_key), (None, 0))
            if task is not None and not mark.may_be_of(task.creation_key) and _is_noted(session, task, run):
                mark = replace(mark, creation_key="")  # its DAG run was set back to queued, and began again
            if task is None or not task.has_launched(mark):
                orphans.append(self._orphan(client, project, run, now, is_known=known))
            elif not task.waits_for(mark, generation):
                orphans.append(self._orphan(client, project, run, now, task=task))
        self._handles = {orphan.run.id: orphan.handle for orphan in orphans}
        return orphans

    def _load(self, session: Session, marked: list[tuple[Run, RunMark]]) -> dict[tuple[str, str], tuple[_Task, int]]:
        """Find the task instances behind marks, and in which generation each launched the run."""
        self._find_dag_runs(session, {mark.owner_key for _, mark in marked})
        found = {}
        groups: dict[str, set[str]] = {}
        for _, mark in marked:
            groups.setdefault(mark.owner_key, set()).add(mark.group_key)
        for owner_key, group_keys in groups.items():
            for task in self._tasks(session, owner_key, group_keys):
                found.update({(owner_key, key): (task, generation) for key, generation in task.mark_keys()})
        return found

    def _find_dag_runs(self, session: Session, owner_keys: set[str]) -> None:
        """Find the DAG runs with these keys, the newest first, since only those tend to have active runs."""
        newest = session.scalar(select(func.max(DagRun.id))) or 0
        self._dag_runs = {key: names for key, names in self._dag_runs.items() if key in owner_keys}
        self._strangers = {key: upto for key, upto in self._strangers.items() if key in owner_keys}
        missing = {key: self._strangers.get(key, 0) for key in owner_keys if key not in self._dag_runs}
        missing = {key: upto for key, upto in missing.items() if upto < newest}
        if not missing:
            return
        columns = select(DagRun.dag_id, DagRun.run_id).where(DagRun.id > min(missing.values()))
        rows = session.execute(columns.order_by(DagRun.id.desc()).execution_options(yield_per=1000))
        for dag_id, run_id in rows:
            owner_key = RunMark.for_task(dag_id, run_id, "").owner_key
            if missing.pop(owner_key, None) is not None:
                self._dag_runs[owner_key] = (dag_id, run_id)
            if not missing:
                break
        rows.close()
        self._strangers.update(dict.fromkeys(missing, newest))

    def _tasks(self, session: Session, owner_key: str, group_keys: set[str]) -> Iterator[_Task]:
        dag_id, run_id = self._dag_runs.get(owner_key, ("", ""))
        dag_run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if dag_run is None:
            self._dag_runs.pop(owner_key, None)
            return
        dag = self._dags.get_dag_for_run(dag_run=dag_run, session=session) if self._dags else None
        retries = {task.task_id: task.retries for task in dag.tasks} if dag is not None else {}
        columns = (TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state, TaskInstance.max_tries)
        where = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        is_meant: dict[str, bool] = {}
        for task_id, map_index, state, max_tries in session.execute(select(*columns).where(*where)):
            if task_id not in is_meant:
                is_meant[task_id] = "" in group_keys or RunMark.group_of(dag_id, task_id) in group_keys
            if is_meant[task_id]:
                state = None if state is None else str(getattr(state, "value", state))
                dag_run_state = str(getattr(dag_run.state, "value", dag_run.state))
                known = retries.get(task_id)
                tries = max(max_tries or 0, 0)
                names = (dag_id, run_id, task_id, map_index)
                yield _Task(*names, state, tries, known, dag_run_state, creation_key(dag_run), was_cleared(dag_run))

    def _orphan(
        self,
        client: DominoClient,
        project: Project,
        run: Run,
        now: datetime | None,
        *,
        task: _Task | None = None,
        is_known: bool = True,
    ) -> Orphan:
        handle = self._handles.get(run.id) or RunHandle.asked(client, project, run)
        seconds = ((now or datetime.now(UTC)) - run.started_at).total_seconds() if run.started_at else 0.0
        cost = None if handle.cents_per_minute is None else round(handle.cents_per_minute * seconds / 60, 4)
        if task is None:
            return Orphan(run, handle, is_known=is_known, cost_cents=cost)
        where = (task.dag_id, task.run_id, task.task_id, task.map_index, task.state)
        return Orphan(run, handle, *where, is_known=is_known, cost_cents=cost)


def _is_noted(session: Session, task: _Task, run: Run) -> bool:
    """Say whether a task instance has a run in its XComs; those of a deleted DAG run are gone."""
    names = {"dag_id": task.dag_id, "run_id": task.run_id, "task_id": task.task_id, "map_index": task.map_index}
    noted = session.scalar(select(XComModel.value).filter_by(key=RUN_KEY, **names))
    return _launch(noted).get("run_id") == run.id


def find_orphans(
    session: Session, client: DominoClient, project: Project, *, now: datetime | None = None
) -> list[Orphan]:
    """Find the active runs of a project that carry a mark of ours and that no task instance waits for.

    :param session: on Airflow's database.
    :raises DominoError: when Domino cannot be asked.
    """
    return OrphanFinder().find(session, client, project, client.runs(project.id, status="active"), now)


def recorded_projects(session: Session) -> set[str]:
    """Return the projects (`owner/name`) in which tasks have launched runs, by what Airflow has kept of the newest."""
    return {project for _, project in recorded_places(session)}


def recorded_places(
    session: Session, dag_ids: Collection[str] | None = None, newest: int = NEWEST_RECORDS
) -> list[tuple[str | None, str]]:
    """Return connection and project (`owner/name`) where tasks have launched runs, the latest first.

    The connection is None where it was not recorded. Two statements, whatever there is.

    :param dag_ids: only tasks of these DAGs; None for all.
    :param newest: how many records of each kind are looked at.
    """
    models: list[tuple[Any, Any, str]] = [(XComModel, XComModel.timestamp, RUN_KEY)]
    if TaskStateStoreModel is not None:
        models.append((TaskStateStoreModel, TaskStateStoreModel.updated_at, STORE_KEY))
    records: list[tuple[datetime, Any]] = []
    for model, time, key in models:
        statement = select(time, model.value).where(model.key == key).order_by(time.desc()).limit(newest)
        if dag_ids is not None:
            statement = statement.where(model.dag_id.in_(dag_ids))
        records += [(when, value) for when, value in session.execute(statement)]
    records.sort(key=lambda record: record[0], reverse=True)
    launches = [_launch(value) for _, value in records]
    return list(dict.fromkeys((each.get("conn_id"), str(each["project"])) for each in launches if each.get("project")))


def _launch(value: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return {}
    found = found.get("run", found) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
