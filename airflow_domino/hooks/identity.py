"""Which run belongs to which task instance: known before the run is launched, found again after any crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Any

from airflow_domino.compat import task_state_store
from airflow_domino.domino.errors import NotFoundError
from airflow_domino.domino.launch import MarkedRuns, RunMark, work_of
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

    A DAG run that was deleted and created again is another one, though all names are the same.

    :param generation: tries that were over when it began: 0, or as many as there were when the task was cleared.
    :param since: no run of this task instance is older.
    :param dag_run_start: when its DAG run began.
    :param creation_key: key of its DAG run as created (:func:`creation_key`); empty where that is not known.
    :param was_cleared: whether tasks of its DAG run were cleared: earlier generations can have another `creation_key`.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    generation: int
    try_number: int
    since: datetime | None = None
    dag_run_start: datetime | None = None
    creation_key: str = ""
    was_cleared: bool = True

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> TaskIdentity:
        """Read it from the task context of a worker."""
        task_instance = context["ti"]
        # A clear sets max_tries to the tries so far plus the task's retries at that time.
        generation = task_instance.max_tries - getattr(context.get("task"), "retries", 0)
        return cls._of(task_instance, context.get("dag_run"), generation)

    @classmethod
    def of_first_try(cls, context: Mapping[str, Any]) -> TaskIdentity:
        """Read it from the task context of a triggerer, which knows no generation but that of a first try."""
        return cls._of(context["ti"], context.get("dag_run"), 0)

    @classmethod
    def _of(cls, task_instance: Any, dag_run: Any, generation: int) -> TaskIdentity:
        map_index = getattr(task_instance, "map_index", None)
        return cls(
            dag_id=task_instance.dag_id,
            run_id=task_instance.run_id,
            task_id=task_instance.task_id,
            map_index=-1 if map_index is None else map_index,
            generation=generation,
            try_number=task_instance.try_number,
            since=_earliest(dag_run),
            dag_run_start=getattr(dag_run, "start_date", None),
            creation_key=creation_key(dag_run),
            was_cleared=was_cleared(dag_run),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, for a trigger."""
        times = {"since": self.since, "dag_run_start": self.dag_run_start}
        return asdict(self) | {name: time.isoformat() if time else None for name, time in times.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskIdentity:
        """Read :meth:`to_dict`'s values, also those of a version that wrote more."""
        known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
        for name in ("since", "dag_run_start"):
            known[name] = datetime.fromisoformat(known[name]) if known.get(name) else None
        return cls(**known)

    def mark(self, launch: int, *, generation: int | None = None, pinned: bool = False) -> RunMark:
        """Return the mark of this task instance's launch number `launch` (0 for the first of a generation).

        Each launch has a mark of its own, so that the run of an attempt that ended badly is never taken for the next.
        """
        number = (self.generation if generation is None else generation) + launch * LAUNCH_STEP
        names = (self.dag_id, self.run_id, self.task_id, self.map_index)
        return RunMark.for_task(*names, number, pinned=pinned, creation_key=self.creation_key)

    @property
    def group_key(self) -> str:
        """What the marks of all runs of this task have in common, over all its DAG runs."""
        return RunMark.group_of(self.dag_id, self.task_id)

    def has_launched(self, mark: RunMark) -> bool:
        """Say whether a mark is of this generation, whichever launch of it."""
        return mark.task_key in self._own_keys and mark.may_be_of(self.creation_key)

    def is_of_dag_run(self, mark: RunMark) -> bool:
        """Say whether a mark can be of this DAG run as created, and not of one of its name that was deleted.

        A clear gives a DAG run that was over another start, so nothing is known of the generations before it.
        """
        return mark.owner_key == self.mark(0).owner_key and (self.was_cleared or mark.may_be_of(self.creation_key))

    def had_launched(self, mark: RunMark) -> bool:
        """Say whether a mark can be of another generation."""
        return mark.task_key in self._other_keys and self.is_of_dag_run(mark)

    @cached_property
    def _own_keys(self) -> frozenset[str]:
        """The task keys of the marks of this generation."""
        return frozenset(self.mark(launch).task_key for launch in range(REMEMBERED_LAUNCHES))

    @cached_property
    def _other_keys(self) -> frozenset[str]:
        """The task keys of the marks that other generations can have used.

        Later numbers are among them: an author who edits `retries` before a clear shifts the numbers either way.
        """
        around = range(self.generation - REMEMBERED_GENERATIONS, self.generation + REMEMBERED_GENERATIONS + 1)
        others = (generation for generation in around if generation != self.generation)
        launches = range(REMEMBERED_LAUNCHES)
        return frozenset(self.mark(launch, generation=other).task_key for other in others for launch in launches)


def creation_key(dag_run: Any) -> str:
    """Return the key that identifies a DAG run among others of its name; empty where it is not known.

    Airflow hands a task nothing that is made for this. The start is as good: it is later than the deletion of a DAG run
    of the name, equal for all tries of a task instance, and only a clear of a DAG run that is over changes it. With
    `dag.test()` it may be the logical date; there `run_after` is the time of the call.

    :param dag_run: a worker's, a triggerer's or that of Airflow's database.
    """
    start = getattr(dag_run, "start_date", None)
    state = getattr(dag_run, "state", None)
    # For a DAG run that has not begun, Airflow gives a triggerer the present time as its start.
    if not isinstance(start, datetime) or getattr(state, "value", state) == "queued":
        return ""
    return RunMark.creation_of(start, getattr(dag_run, "run_after", None))


def was_cleared(dag_run: Any) -> bool:
    """Say whether tasks of a DAG run were cleared; yes where that is not known."""
    return getattr(dag_run, "clear_number", None) != 0


def began_late(dag_run: Any) -> bool:
    """Say whether a DAG run began long after it was due: also a clear lets one that was over begin again."""
    start, due = getattr(dag_run, "start_date", None), getattr(dag_run, "run_after", None)
    return isinstance(start, datetime) and isinstance(due, datetime) and start - due > CLOCK_SKEW


def _earliest(dag_run: Any) -> datetime | None:
    """Return when a run of this DAG run can have been launched at the earliest, give or take clocks that differ.

    A clear moves `start_date` to later, so there `run_after` counts too. This only bounds the search: runs of a deleted
    DAG run of the same name are told apart by their `creation_key`.
    """
    names = ("run_after", "start_date") if was_cleared(dag_run) else ("start_date",)
    times = [getattr(dag_run, name, None) for name in names]
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
    """What earlier attempts of a generation left.

    :param run: a run to go on with; None when one is to be launched.
    :param launch: number of that run's launch, or of the launch to make now.
    :param ended_badly: the last run of each launch before, oldest first.
    :param doubles: further active runs of that launch, which a request that was thought lost has started.
    """

    run: Run | None
    launch: int
    ended_badly: tuple[Run, ...] = ()
    doubles: tuple[Run, ...] = ()


def find_earlier(
    marked: MarkedRuns, identity: TaskIdentity, record: LaunchRecord | None, client: DominoClient
) -> Found:
    """Find the run of an earlier attempt of this generation that is going on or has succeeded.

    :param marked: the project's runs since the DAG run began.
    :param record: what the store remembers; without it runs are found by their marks alone.
    :param client: asks for the remembered run, should it carry its mark no more.
    :raises DominoError: when Domino cannot be asked; a retry asks again.
    """
    known = record if record is not None and record.generation == identity.generation else None
    ended_badly: list[Run] = []
    for launch in count():
        runs = marked.of_launch(identity.mark(launch))
        if not runs and known is not None and known.launch == launch:
            runs = remembered(client, known)
        useful = sorted((run for run in runs if is_useful(run)), key=_success_then_oldest)
        if useful:
            doubles = (run for run in useful[1:] if not run.status.is_completed)
            return Found(useful[0], launch, tuple(ended_badly), tuple(doubles))
        if not runs and (known is None or launch > known.launch):
            return Found(None, launch, tuple(ended_badly))
        ended_badly += runs[:1]
    raise AssertionError("unreachable")


def runs_of(marked: MarkedRuns, identity: TaskIdentity) -> list[Run]:
    """Find the runs that this task instance has launched, in whichever generation, oldest first."""
    return [run for run, mark in marked if identity.has_launched(mark) or identity.had_launched(mark)][::-1]


def is_useful(run: Run) -> bool:
    """Say whether a retry goes on with this run instead of launching another: not with one that is being stopped."""
    return run.status.succeeded or not (run.status.is_completed or run.status.is_stopping)


def _success_then_oldest(run: Run) -> tuple[bool, int]:
    return not run.status.succeeded, run.number


def active_of_this_generation(marked: MarkedRuns, identity: TaskIdentity) -> list[Run]:
    """Find runs that this task instance has launched since it was cleared last, and that still go on, newest first."""
    return [run for run, mark in marked.active() if identity.has_launched(mark)]


def find_twin(marked: MarkedRuns, identity: TaskIdentity, work: str) -> Run | None:
    """Find the oldest active run of another task instance that makes the same.

    :param marked: the project's runs; all active ones are among them.
    :param work: key of what is made (:func:`~airflow_domino.domino.launch.work_key`).
    """
    own = {run.id for run in runs_of(marked, identity)}
    same = [run for run, _ in marked.active() if work_of(run.title) == work and run.id not in own]
    return min(same, key=lambda run: run.number, default=None)


def remembered(client: DominoClient, record: LaunchRecord) -> list[Run]:
    """Ask for the run of a record; Domino may know it no more."""
    try:
        return [client.run(record.handle.run_id)]
    except NotFoundError:
        return []


def active_of_other_generations(
    marked: MarkedRuns, identity: TaskIdentity, record: LaunchRecord | None, client: DominoClient
) -> list[Run]:
    """Find runs that this task instance launched before it was cleared, and that still go on, newest first.

    :param marked: the project's runs; all active ones are among them.
    :param record: what the store remembers.
    :param client: asks for the remembered run, should it carry its mark no more.
    """
    found = [run for run, mark in marked.active() if identity.had_launched(mark)]
    if record is not None and record.generation != identity.generation:
        ids = {run.id for run in found}
        known = (run for run in remembered(client, record) if run.id not in ids)
        found += [run for run in known if not run.status.is_completed]
    return found
