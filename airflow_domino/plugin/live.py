"""What Domino says of runs that go on, or whose end nobody has told, added to what Airflow's own store knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from airflow_domino.domino.models import Run
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.plugin import look
from airflow_domino.plugin.look import Look
from airflow_domino.plugin.runs import TaskRun


@dataclass(frozen=True)
class Seen:
    """Runs with what Domino says of them now, and the looks at Domino from which that was taken."""

    runs: list[TaskRun]
    looks: tuple[Look, ...] = ()

    @property
    def is_pending(self) -> bool:
        """Whether Domino is being asked for the first time, so that more is known soon."""
        return any(each.is_pending for each in self.looks)

    @property
    def troubles(self) -> list[str]:
        """Sentences on why some of it may be old, each once."""
        return list(dict.fromkeys(each.trouble for each in self.looks if each.trouble))

    @property
    def warnings(self) -> list[str]:
        """Sentences about what will be trouble soon, such as a credential that expires."""
        return list(dict.fromkeys(each.warning for each in self.looks if each.warning))


def seen_now(runs: Sequence[TaskRun]) -> Seen:
    """Complete those runs by the latest look at Domino; Domino is never waited for."""
    looks = {place: look.latest(*place) for place in _places(runs)}
    now = datetime.now(UTC)
    return Seen([_seen(run, looks, now) for run in runs], tuple(looks.values()))


def _places(runs: Iterable[TaskRun]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(place for run in runs if (place := _place(run))))


def _place(run: TaskRun) -> tuple[str, str] | None:
    is_open = run.is_live or run.status is None  # a task that was ended from outside has not told how its run ended
    if not is_open or run.run_id is None or run.project is None:
        return None
    return run.conn_id or DominoHook.default_conn_name, run.project


def _seen(run: TaskRun, looks: dict[tuple[str, str], Look], now: datetime) -> TaskRun:
    place = _place(run)
    said = looks[place].runs_by_id.get(run.run_id or "") if place else None
    return run if said is None else _with(run, said, now)


def _with(run: TaskRun, said: Run, now: datetime) -> TaskRun:
    queued = said.queued_seconds
    if queued is None and said.submitted_at is not None:
        queued = _seconds(said.submitted_at, said.started_at or now)
    ran = said.run_seconds
    if ran is None and said.started_at is not None:
        ran = _seconds(said.started_at, said.completed_at or now)
    cost = run.cost_cents
    if cost is None and ran is not None and run.cents_per_minute is not None:
        cost = run.cents_per_minute * ran / 60
    return replace(
        run,
        number=said.number or run.number,
        status=said.status.word,
        queued_seconds=queued,
        run_seconds=ran,
        cost_cents=cost,
        waits_because=said.queue_explanation if said.status.is_queued else None,
    )


def _seconds(begin: datetime, end: datetime) -> float:
    return max(0.0, (end - begin).total_seconds())
