"""Simulated runs: one list of what is due moves the states of all of them, without a thread or a process for any."""

from __future__ import annotations

import heapq
import logging
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_domino.local import statuses
from airflow_domino.local.clock import now_ms, now_ns
from airflow_domino.local.endings import failed
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.runs import Run, stat_text
from airflow_domino.local.simulated_log import SimulatedLog
from airflow_domino.local.simulation import MANUAL, Plan, Script, Simulation, filled_in

if TYPE_CHECKING:
    from airflow_domino.local.database import Database
    from airflow_domino.local.platform import Platform
    from airflow_domino.local.projects import Projects
    from airflow_domino.local.repository import ProjectRepository
    from airflow_domino.local.runs import Runs

logger = logging.getLogger(__name__)

_SCHEMA = "CREATE TABLE IF NOT EXISTS plans (key TEXT PRIMARY KEY, document TEXT NOT NULL);"
# So many runs are moved in one transaction; then whoever waits has a turn.
_BATCH = 256
_RETRY_NS = 1_000_000_000
_STOPPING = (*statuses.STOP_WISHES, statuses.STOPPING)

Change = Callable[[str, Callable[["Run"], "Run"]], "Run"]


@dataclass(frozen=True)
class _Moving:
    """A run that is on its way: its plan, its tier, and the number of its latest entry in the list of what is due."""

    plan: Plan
    tier_id: str
    ticket: int = -1


@dataclass
class Simulator:
    """Moves simulated runs. Whoever calls holds the lock of the queue.

    :param database: where plans are kept.
    :param runs: where runs are remembered.
    :param projects: where projects are remembered.
    :param repository: gives the files of a project by its id.
    :param folder: where files of results are put together.
    :param price: gives the cents per minute of a tier by its id.
    :param script: gives runs their plans.
    """

    database: Database
    runs: Runs
    projects: Projects
    repository: Callable[[str], ProjectRepository]
    folder: Path
    price: Callable[[str], float]
    script: Script = field(default_factory=lambda: Script(Simulation()))
    taken: Counter[str] = field(default_factory=Counter)
    _moving: dict[str, _Moving] = field(default_factory=dict)
    _due: list[tuple[int, int, str]] = field(default_factory=list)
    _tickets: count[int] = field(default_factory=count)
    _plans: dict[str, Plan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database.create(_SCHEMA)
        self._first = self.script.simulation
        self.play(self._first)

    # What others ask for

    def play(self, simulation: Simulation) -> None:
        """Let runs that get their place from now on be simulated in another way."""
        script = Script(simulation)
        with self.database.transaction() as connection:
            for kept in script.plans:
                connection.execute("INSERT OR IGNORE INTO plans VALUES (?, ?)", (kept.key, kept.document))
        self._plans |= {kept.key: kept.plan for kept in script.plans}
        self.script = script

    def begin(self, run_ids: Sequence[str]) -> None:
        """Let runs that have got their place go their way."""
        for first in range(0, len(run_ids), _BATCH):
            batch = run_ids[first : first + _BATCH]
            try:
                self._together((run_id, self._scheduled, now_ns()) for run_id in batch)
            except BaseException:
                self._leave(batch)
                raise

    def take_up(self, run: Run) -> None:
        """Go on with a run that an earlier server had begun; the status that it is in lasts its whole time again."""
        plan = self._plan(run)
        self._enter(run, plan)
        seconds = plan.duration(run.status, run, self._seed)
        if run.status in _STOPPING and plan.pace != MANUAL:
            seconds = 0.0
        if seconds is not None:
            self._note(run.id, now_ns() + round(seconds * 1e9))

    def has(self, run_id: str) -> bool:
        """Tell whether a run is on its way."""
        return run_id in self._moving

    def stop(self, run_id: str) -> None:
        """End a run that is wished stopped, unless its plan leaves that to somebody's hand."""
        if self._moving[run_id].plan.pace != MANUAL:
            self._together([(run_id, self._next, now_ns())])

    def move(self, run_id: str, to: str | None = None) -> None:
        """Let a run go on at once.

        :param run_id: which run.
        :param to: the status to go on to; None is the next one.
        :raises BadRequest: when the run is not on its way, or comes to its end without having had that status.
        """
        if run_id not in self._moving:
            raise BadRequest(f"Run {run_id} is not on its way: it is queued, over, or not simulated")
        while True:
            run = self._moved_alone(run_id)
            if to is None or run.status == to:
                break
            if run.is_completed:
                raise BadRequest(f"Run {run_id} came to its end in {run.status} without having been {to}")
        if run.is_completed:
            self._leave([run.id])
        elif (seconds := self._moving[run_id].plan.duration(run.status, run, self._seed)) is not None:
            self._note(run_id, now_ns() + round(seconds * 1e9))

    def lose(self, run_id: str, change: Callable[[Run], Run]) -> None:
        """Take a run off its way, and change it."""
        self.runs.change(run_id, change)
        self._leave([run_id])

    def forget(self) -> None:
        """Take all runs off their way, leave them as they are, and begin the first simulation anew."""
        self.script = Script(self._first)
        self._moving.clear()
        self._due.clear()
        self.taken.clear()

    def next_due(self) -> int | None:
        """Give the time, in nanoseconds of the clock, of what is due next."""
        while self._due and not self._is_current(self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def settle(self) -> bool:
        """Do what is due, up to a batch, and tell whether there was anything."""
        now, found = now_ns(), list[tuple[int, str]]()
        while len(found) < _BATCH and (due := self.next_due()) is not None and due <= now:
            found.append((due, heapq.heappop(self._due)[2]))
        if not found:
            return False
        try:
            self._together((run_id, self._next, due) for due, run_id in found if not self._writes(run_id))
            for due, run_id in found:
                if self._writes(run_id):
                    self._alone(run_id, due)
        except (OSError, sqlite3.Error):
            # Such as a full disk. What was not moved is where it was.
            logger.exception("simulated runs could not be moved; they are tried again")
            for _, run_id in found:
                if run_id in self._moving:
                    self._note(run_id, now + _RETRY_NS)
        return True

    def log(self, run: Run) -> SimulatedLog:
        """Give the log of a simulated run."""
        return SimulatedLog(run, self._plan(run), self._seed)

    # Steps

    def _together(self, moves: Iterable[tuple[str, Callable[[Run], Run], int]]) -> None:
        """Move runs in one transaction: each by a change, and since when it is due."""
        ended = list[str]()
        with self.database.transaction() as connection:
            change = partial(self.runs.change_within, connection)
            for run_id, move, since in moves:
                run = self._carried_on(change, change(run_id, move), since)
                if run.is_completed:
                    ended.append(run_id)
        self._leave(ended)

    def _alone(self, run_id: str, since: int) -> None:
        """Move a run that writes files, which takes too long for a transaction."""
        run = self._carried_on(self.runs.change, self._moved_alone(run_id), since)
        if run.is_completed:
            self._leave([run.id])

    def _moved_alone(self, run_id: str) -> Run:
        """Move one run to its next status, with its results where it has some."""
        run, plan = self.runs.find(run_id), self._moving[run_id].plan
        if run is None or not self._saves_next(run, plan):
            return self.runs.change(run_id, self._next)
        try:
            results = self._results(run, plan)
        except Exception as error:
            logger.exception("the results of run %s could not be saved", run_id)
            failure = f"{type(error).__name__}: {error}"
            return self.runs.change(run_id, partial(failed, reason="InternalError", message=failure))
        return self.runs.change(run_id, partial(self._next, results=results))

    def _carried_on(self, change: Change, run: Run, since: int) -> Run:
        """Note when a run is due next; where that is at once, move it on."""
        while not run.is_completed:
            plan = self._moving[run.id].plan
            seconds = plan.duration(run.status, run, self._seed)
            if seconds is None:
                break
            if seconds > 0 or self._saves_next(run, plan):
                self._note(run.id, since + round(seconds * 1e9))
                break
            run = change(run.id, self._next)
        return run

    def _writes(self, run_id: str) -> bool:
        return run_id in self._moving and bool(self._moving[run_id].plan.files)

    def _saves_next(self, run: Run, plan: Plan) -> bool:
        return bool(plan.files) and plan.ends_by_itself and run.status == plan.way[-1]

    def _results(self, run: Run, plan: Plan) -> str | None:
        """Commit the files that a run writes."""
        project = self.projects.find(run.project_id)
        if project is None:
            raise LookupError(f"run {run.id} belongs to no project")
        repository, folder = self.repository(project.id), self.folder / run.id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            checkout = repository.check_out(run.input_commit, folder)
            for path, text in plan.files.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(filled_in(text, run), encoding="utf-8")
            saved = repository.commit_run(
                checkout,
                run.id,
                f"Results of run {run.number}: {run.title or run.command}",
                run.started_by,
                extra={},
                isolated=project.results == "isolated",
                notes=[],
            )
            return saved.commit
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _scheduled(self, run: Run) -> Run:
        project = self.projects.find(run.project_id)
        kept = self.script.plan_for(run, project.full_name if project else "")
        self._enter(run, kept.plan)
        return replace(run, status=kept.plan.way[0], simulation=kept.key, cents_per_minute=self.price(run.tier_id))

    def _next(self, run: Run, results: str | None = None) -> Run:
        """Give the value of a run in its next status."""
        plan, now = self._moving[run.id].plan, now_ms()
        if run.status in statuses.STOP_WISHES:
            return replace(run, status=statuses.STOPPING, completed_at=now)
        if run.status == statuses.STOPPING:
            kept = run.input_commit if run.keep_results and run.started_at is not None else None
            return replace(run, status=statuses.STOPPED, saved_at=now, output_commit=kept)
        way = plan.way
        later = way[way.index(run.status) + 1 :] if run.status in way else ()
        if not later:
            return _ended(run, plan, now, results)
        if later[0] == statuses.RUNNING:
            return replace(run, status=statuses.RUNNING, started_at=now)
        if later[0] == statuses.FINISHING:
            return replace(run, status=statuses.FINISHING, completed_at=now, exit_code=plan.exit_code)
        return replace(run, status=later[0])

    # Notes

    def _enter(self, run: Run, plan: Plan) -> None:
        self._moving[run.id] = _Moving(plan, run.tier_id)
        self.taken[run.tier_id] += 1

    def _leave(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            if (moving := self._moving.pop(run_id, None)) is not None:
                self.taken[moving.tier_id] -= 1

    def _note(self, run_id: str, due: int) -> None:
        ticket = next(self._tickets)
        self._moving[run_id] = replace(self._moving[run_id], ticket=ticket)
        heapq.heappush(self._due, (due, ticket, run_id))

    def _is_current(self, entry: tuple[int, int, str]) -> bool:
        moving = self._moving.get(entry[2])
        return moving is not None and moving.ticket == entry[1]

    @property
    def _seed(self) -> int:
        return self.script.simulation.seed

    def _plan(self, run: Run) -> Plan:
        if run.simulation not in self._plans:
            rows = self.database.rows("SELECT document FROM plans WHERE key = ?", (run.simulation,))
            self._plans[str(run.simulation)] = Plan.model_validate_json(rows[0]["document"]) if rows else Plan()
        return self._plans[str(run.simulation)]


def simulator_of(platform: Platform) -> Simulator | None:
    """Make what simulates the runs of a platform; None where it executes them."""
    if platform.simulation is None:
        return None
    return Simulator(
        database=platform.database,
        runs=platform.runs,
        projects=platform.projects,
        repository=platform.files_of,
        folder=platform.root / "work",
        price=lambda tier_id: platform.tiers_in_use.tier(tier_id).cents_per_minute,
        script=Script(platform.simulation),
    )


def _ended(run: Run, plan: Plan, now: int, results: str | None) -> Run:
    failure = plan.failure(run)
    has_results = plan.last_status in (statuses.SUCCEEDED, statuses.FAILED, statuses.STOPPED)
    return replace(
        run,
        status=plan.last_status,
        completed_at=run.completed_at or now,
        saved_at=now,
        output_commit=results or (run.input_commit if has_results else None),
        stats=[{"name": name, "value": stat_text(value)} for name, value in plan.stats.items()],
        failure_reason=failure and failure[0],
        failure_message=failure and failure[1],
    )
