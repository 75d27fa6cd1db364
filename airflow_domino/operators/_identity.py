"""Which run belongs to which task instance: known before the run is launched, found again after any crash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from airflow_domino.compat import task_state_store
from airflow_domino.domino.errors import NotFoundError
from airflow_domino.domino.launch import RunMark, find_run
from airflow_domino.hooks.runs import RunHandle

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Run

STORE_KEY = "domino_run"
REMEMBERED_GENERATIONS = 20
REMEMBERED_LAUNCHES = 10
LAUNCH_STEP = 1_000_000
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class TaskIdentity:
    """A task instance in one generation: the same over its retries, another one after it was cleared.

    :param generation: tries that were over when it began: 0, or as many as there were when the task was cleared.
    :param since: no run of this task instance is older.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    generation: int
    try_number: int
    since: datetime | None = None

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> TaskIdentity:
        """Read it from Airflow's task context."""
        task_instance, dag_run = context["ti"], context.get("dag_run")
        map_index = getattr(task_instance, "map_index", -1)
        return cls(
            dag_id=task_instance.dag_id,
            run_id=task_instance.run_id,
            task_id=task_instance.task_id,
            map_index=-1 if map_index is None else map_index,
            # A clear sets max_tries to the tries so far plus the task's retries at that time.
            generation=task_instance.max_tries - getattr(context.get("task"), "retries", 0),
            try_number=task_instance.try_number,
            since=_earliest(dag_run),
        )

    def mark(self, launch: int, *, generation: int | None = None, pinned: bool = False) -> RunMark:
        """Return the mark of this task instance's launch number `launch` (0 for the first of a generation).

        Each launch has a mark of its own, so that the run of an attempt that ended badly is never taken for the next.
        """
        number = (self.generation if generation is None else generation) + launch * LAUNCH_STEP
        return RunMark.for_task(self.dag_id, self.run_id, self.task_id, self.map_index, number, pinned=pinned)

    def other_keys(self) -> set[str]:
        """Return the task keys of the marks that other generations can have used.

        Later numbers are among them: an author who edits `retries` before a clear shifts the numbers either way.
        """
        around = range(self.generation - REMEMBERED_GENERATIONS, self.generation + REMEMBERED_GENERATIONS + 1)
        others = (generation for generation in around if generation != self.generation)
        launches = range(REMEMBERED_LAUNCHES)
        return {self.mark(launch, generation=other).task_key for other in others for launch in launches}

    @property
    def is_first_try(self) -> bool:
        """Whether nothing can have been launched before for this task instance."""
        return self.try_number <= 1


def _earliest(dag_run: Any) -> datetime | None:
    """Return when a run of this DAG run can have been launched at the earliest.

    A clear moves `start_date` to later, so there `run_after` counts too; a DAG run that was never cleared may have been
    deleted and made again with the same `run_after`, and must not find the runs of its predecessor.
    """
    was_cleared = getattr(dag_run, "clear_number", None) != 0
    times = [getattr(dag_run, name, None) for name in (("run_after", "start_date") if was_cleared else ("start_date",))]
    known = [time for time in times if isinstance(time, datetime)]
    return min(known) - CLOCK_SKEW if known else None


@dataclass(frozen=True)
class LaunchRecord:
    """What is remembered of a launch over retries."""

    generation: int
    launch: int
    handle: RunHandle

    @classmethod
    def load(cls, context: Mapping[str, Any]) -> LaunchRecord | None:
        """Read the record of this task instance; None when there is none, or no store (below Airflow 3.3)."""
        store = task_state_store(context)
        data = store.get(STORE_KEY) if store is not None else None
        if not isinstance(data, Mapping):
            return None
        try:
            return cls(int(data["generation"]), int(data["launch"]), RunHandle.from_dict(data["run"]))
        except (KeyError, TypeError, ValueError):
            return None

    def save(self, context: Mapping[str, Any]) -> None:
        """Keep the record where retries find it, if there is such a place."""
        store = task_state_store(context)
        if store is not None:
            data = {"generation": self.generation, "launch": self.launch, "run_id": self.handle.run_id}
            store.set(STORE_KEY, {**data, "run": self.handle.to_dict()})


@dataclass(frozen=True)
class Found:
    """What an earlier attempt left: a run to go on with, or the number of the launch to make now."""

    run: Run | None
    launch: int


def find_earlier(
    client: DominoClient, project_id: str, identity: TaskIdentity, record: LaunchRecord | None, *, pinned: bool
) -> Found:
    """Find the run of an earlier attempt of this generation that is going on or has succeeded.

    :param record: what the store remembers; without it runs are found by their marks.
    :param pinned: whether the task's input commit is pinned to the DAG run, which its marks then tell.
    :raises DominoError: when Domino cannot be asked; a retry asks again.
    """
    start = 0
    if record is not None and record.generation == identity.generation:
        run = _remembered(client, record)
        if run is not None and is_useful(run):
            return Found(run, record.launch)
        start = record.launch + 1
    elif identity.is_first_try:
        return Found(None, 0)
    for launch in count(start):
        run = find_run(client, project_id, identity.mark(launch, pinned=pinned), since=identity.since)
        if run is None or is_useful(run):
            return Found(run, launch)
    raise AssertionError("unreachable")


def is_useful(run: Run) -> bool:
    """Say whether a retry goes on with this run instead of launching another: not with one that is being stopped."""
    return run.status.succeeded or not (run.status.is_completed or run.status.is_stopping)


def _remembered(client: DominoClient, record: LaunchRecord) -> Run | None:
    try:
        return client.run(record.handle.run_id)
    except NotFoundError:
        return None


def active_of_other_generations(
    client: DominoClient, project_id: str, identity: TaskIdentity, record: LaunchRecord | None
) -> Iterator[Run]:
    """Find runs that this task instance launched before it was cleared, and that still go on.

    :param record: what the store remembers.
    """
    if identity.is_first_try:
        return
    remembered = record.handle.run_id if record and record.generation != identity.generation else None
    others = identity.other_keys()
    for run in client.runs(project_id, status="active"):
        mark = RunMark.parse(run.title)
        if run.id == remembered or (mark is not None and mark.task_key in others):
            yield run
