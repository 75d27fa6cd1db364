"""Runs that Airflow has launched and no task waits for any more."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import select

from airflow_domino.domino.launch import RunMark
from airflow_domino.hooks.identity import LAUNCH_STEP, REMEMBERED_LAUNCHES, STORE_KEY
from airflow_domino.hooks.runs import RUN_KEY, RunHandle

try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # Airflow below 3.3
    TaskStateStoreModel = None  # type: ignore[assignment, misc]

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
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    max_tries: int
    retries: int | None
    dag_run_state: str

    def generation_of(self, mark: RunMark) -> int | None:
        """Return the generation in which this task instance launched a run with the mark; None for another's run."""
        for generation in range(self.max_tries + 1):
            for launch in range(REMEMBERED_LAUNCHES):
                number = generation + launch * LAUNCH_STEP
                own = RunMark.for_task(self.dag_id, self.run_id, self.task_id, self.map_index, number)
                if own.task_key == mark.task_key:
                    return generation
        return None

    def waits_for(self, generation: int) -> bool:
        """Say whether its present attempt, or one that is due, takes care of a run of a generation.

        Where its retries are not known, a run of any generation may be the one that is awaited.
        """
        is_due = self.state is None and self.dag_run_state not in OVER
        if is_due:
            return True
        return self.state in WAITING and (self.retries is None or generation == self.max_tries - self.retries)


@dataclass
class _Airflow:
    """What Airflow's database says of the task instances behind marks."""

    session: Session
    tasks: dict[str, list[_Task]] = field(default_factory=dict)

    def load(self, owner_keys: Iterable[str]) -> None:
        """Find the DAG runs with these keys, and their task instances."""
        wanted = set(owner_keys)
        for dag_id, run_id in self.session.execute(select(DagRun.dag_id, DagRun.run_id)).all():
            owner_key = RunMark.for_task(dag_id, run_id, "").owner_key
            if owner_key in wanted:
                self.tasks[owner_key] = list(self._tasks(dag_id, run_id))

    def _tasks(self, dag_id: str, run_id: str) -> Iterator[_Task]:
        dag_run = self.session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if dag_run is None:
            return
        dag = DBDagBag().get_dag_for_run(dag_run=dag_run, session=self.session)
        retries = {task.task_id: task.retries for task in dag.tasks} if dag is not None else {}
        columns = (TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state, TaskInstance.max_tries)
        where = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        for task_id, map_index, state, max_tries in self.session.execute(select(*columns).where(*where)):
            state = None if state is None else str(getattr(state, "value", state))
            known = retries.get(task_id)
            dag_run_state = str(getattr(dag_run.state, "value", dag_run.state))
            yield _Task(dag_id, run_id, task_id, map_index, state, max_tries or 0, known, dag_run_state)

    def find(self, mark: RunMark) -> tuple[_Task, int] | None:
        """Return the task instance that launched a run with the mark, and in which generation."""
        for task in self.tasks.get(mark.owner_key, ()):
            if mark.group_key in ("", RunMark.group_of(task.dag_id, task.task_id)):
                generation = task.generation_of(mark)
                if generation is not None:
                    return task, generation
        return None


def find_orphans(
    session: Session, client: DominoClient, project: Project, *, now: datetime | None = None
) -> list[Orphan]:
    """Find the active runs of a project that carry a mark of ours and that no task instance waits for.

    :param session: on Airflow's database.
    :raises DominoError: when Domino cannot be asked.
    """
    active = [(run, mark) for run in client.runs(project.id, status="active") if (mark := RunMark.parse(run.title))]
    airflow = _Airflow(session)
    if active:
        airflow.load({mark.owner_key for _, mark in active})
    orphans = []
    for run, mark in active:
        found = airflow.find(mark)
        if found is None:
            known = mark.owner_key in airflow.tasks
            orphans.append(_orphan(client, project, run, now, is_known=known))
        elif not found[0].waits_for(found[1]):
            orphans.append(_orphan(client, project, run, now, task=found[0]))
    return orphans


def _orphan(
    client: DominoClient,
    project: Project,
    run: Run,
    now: datetime | None,
    *,
    task: _Task | None = None,
    is_known: bool = True,
) -> Orphan:
    handle = RunHandle.asked(client, project, run)
    seconds = ((now or datetime.now(UTC)) - run.started_at).total_seconds() if run.started_at else 0.0
    cost = None if handle.cents_per_minute is None else round(handle.cents_per_minute * seconds / 60, 4)
    if task is None:
        return Orphan(run, handle, is_known=is_known, cost_cents=cost)
    where = (task.dag_id, task.run_id, task.task_id, task.map_index, task.state)
    return Orphan(run, handle, *where, is_known=is_known, cost_cents=cost)


def recorded_projects(session: Session) -> set[str]:
    """Return the projects (`owner/name`) in which tasks have launched runs, by what Airflow has kept of the newest."""
    statements = [select(XComModel.value).where(XComModel.key == RUN_KEY).order_by(XComModel.timestamp.desc())]
    if TaskStateStoreModel is not None:
        store = TaskStateStoreModel
        statements.append(select(store.value).where(store.key == STORE_KEY).order_by(store.updated_at.desc()))
    values = (value for each in statements for value in session.scalars(each.limit(NEWEST_RECORDS)))
    facts = (_launch(value) for value in values)
    return {str(each["project"]) for each in facts if each.get("project")}


def _launch(value: Any) -> Mapping[str, Any]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return {}
    found = found.get("run", found) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
