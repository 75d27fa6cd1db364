"""How the page says things: durations, money, states, and addresses inside Airflow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import quote, urlencode

from airflow_domino.domino.causes import CLOSING_LINE
from airflow_domino.plugin.addresses import base_path
from airflow_domino.plugin.runs import TaskRun

NOTHING_KNOWN = "–"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: ``0.4s``, ``42s``, ``3m 20s``, ``2h 05m``, ``1d 4h``."""
    if seconds is None:
        return NOTHING_KNOWN
    if 0.05 <= seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days}d {hours_left}h"
    if hours:
        return f"{hours}h {minutes_left:02d}m"
    return f"{minutes}m {seconds_left:02d}s" if minutes else f"{seconds_left}s"


def money(cents: float | None) -> str:
    """Cents of Domino's price list in whole currency units; more digits for what costs next to nothing."""
    if cents is None:
        return NOTHING_KNOWN
    if 0 < cents < 0.005:
        return "<$0.0001"
    if 0 < cents < 1:
        return f"${cents / 100:.4f}"
    return f"${cents / 100:,.2f}"


def state_word(state: str | None) -> str:
    """A task instance's state as Airflow's UI writes it."""
    return (state or "no status").replace("_", " ")


class NamesTask(Protocol):
    """What names a task instance, beside other things."""

    @property
    def dag_id(self) -> str: ...
    @property
    def airflow_run_id(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def map_index(self) -> int: ...


def task_path(task: NamesTask, try_number: int | None = None) -> str:
    """Address of the task instance in Airflow's UI, relative to the host.

    :param try_number: the attempt whose log is shown; None for the latest.
    """
    parts = ["dags", task.dag_id, "runs", task.airflow_run_id, "tasks", task.task_id]
    if task.map_index >= 0:
        parts += ["mapped", str(task.map_index)]
    path = base_path() + "/" + "/".join(quote(part, safe="") for part in parts)
    return f"{path}?try_number={try_number}" if try_number is not None else path


def story_path(task: NamesTask) -> str:
    """Address of our page of the task instance, relative to the application."""
    names = {"dag_id": task.dag_id, "run_id": task.airflow_run_id, "task_id": task.task_id}
    return "task?" + urlencode(names | {"map_index": task.map_index})


def task_title(task: NamesTask) -> str:
    """What to call the task instance."""
    return task.task_id if task.map_index < 0 else f"{task.task_id} [{task.map_index}]"


def task_names(task: NamesTask) -> dict[str, str | int]:
    """What the buttons of a task instance send."""
    names: dict[str, str | int] = {"dag_id": task.dag_id, "run_id": task.airflow_run_id, "task_id": task.task_id}
    return names | {"map_index": task.map_index}


def elapsed_seconds(run: TaskRun) -> float | None:
    """Seconds since the task instance started, for one that goes on; None for one that is over."""
    if not run.is_live or run.started_at is None:
        return None
    return max(0.0, (datetime.now(UTC) - run.started_at).total_seconds())


def clock_time(moment: datetime) -> str:
    """A time as it is written where no script puts it into the reader's own zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


class NamesRun(Protocol):
    """What names a run on Domino, beside other things."""

    @property
    def number(self) -> int | None: ...
    @property
    def run_id(self) -> str | None: ...


def telling_line(log_tail: Sequence[str]) -> str:
    """The line of a log's end that tells most: a program's own last words, which are not those of its launcher."""
    lines = [line for text in log_tail if (line := text.strip())]
    told = [line for line in lines if not CLOSING_LINE.fullmatch(line)]
    return next(reversed(told or lines), "")


def run_name(run: NamesRun) -> str:
    """What to call the run: its number, else the end of its id."""
    if run.number is not None:
        return f"#{run.number}"
    return f"…{run.run_id[-6:]}" if run.run_id else "run"
