"""What the page shows of Luigi tasks: each with its state, where it was made, its targets, and all as one graph."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

#: The states of a Luigi task in a DAG run, the most urgent first, and how a person says them.
STATES: Mapping[str, str] = {
    "failed": "failed",
    "running": "running",
    "missing": "data missing",
    "blocked": "held up",
    "waiting": "waiting",
    "done": "made now",
    "complete": "complete before",
    "unneeded": "not needed",
    "skipped": "left out",
    "unknown": "not known",
}
LIVE_STATES = frozenset({"running", "waiting", "missing"})
COMMAND = "domino_run_command"
_FAMILY = re.compile(r"(\w+\.)*[A-Z]\w*")
BUSY = frozenset({"running", "deferred", "restarting"})
STILL_TO_COME = frozenset({None, "none", "scheduled", "queued", "up_for_retry", "up_for_reschedule"})


@dataclass(frozen=True)
class AirflowTask:
    """A task instance that stands for Luigi tasks.

    :param operator: name of its class
    :param url: of its Domino run, if it has one
    :param result: its XCom ``return_value``, if it is a mapping
    """

    dag_id: str
    airflow_run_id: str
    task_id: str
    map_index: int = -1
    state: str | None = None
    try_number: int = 0
    operator: str | None = None
    name: str | None = None
    hostname: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    url: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its id within the DAG run."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def is_plan(self) -> bool:
        """Whether it is the first task of a drawn pipeline."""
        return self.operator == "LuigiPlanOperator"


@dataclass(frozen=True)
class Target:
    """An output of a Luigi task: its path or address, empty where it has none, and the name of its class."""

    path: str
    kind: str


@dataclass(frozen=True)
class Source:
    """Where something was told: by which Airflow task, and what that one's machine knew of its folders.

    :param folders: inode and time of change by path
    """

    task: AirflowTask
    folders: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class LuigiTask:
    """One Luigi task of a DAG run.

    :param key: names it within the graph
    :param state: one of :data:`STATES`
    :param requires: keys
    :param source: who told of it; its Airflow task made it, or would have
    :param is_drawn: it has an Airflow task of its own
    :param url: where it can be followed; its Domino run, where it has a ``tier``
    """

    key: str
    luigi_id: str
    module: str
    family: str
    state: str
    source: Source
    params: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    requires: tuple[str, ...] = ()
    message: str = ""
    seconds: float | None = None
    url: str | None = None
    tier: str | None = None
    progress: int | None = None
    is_external: bool = False
    is_wrapper: bool = False
    is_drawn: bool = False

    @property
    def name(self) -> str:
        """The family; of a DominoRunTask what its run makes, as the drawing of a pipeline names it."""
        words = _command(self.params)
        if len(words) > 1 and _FAMILY.fullmatch(words[1]):
            return words[1]
        return f"{self.family} {words[0]}" if words else self.family

    @property
    def values(self) -> str:
        """Its parameters in short: ``date=2026-01-01, shard=3``; empty ones are left out, and those of its run."""
        return self.values_of(self.params)

    def values_of(self, names: Collection[str]) -> str:
        """The same, of some parameters."""
        shown = self.params.items() if not _command(self.params) else ()
        return ", ".join(f"{name}={value}" for name, value in shown if value and name in names)


@dataclass(frozen=True)
class LuigiGraph:
    """The Luigi tasks of a DAG run.

    :param tasks: by key
    :param required_by: keys of what requires a task, by its key
    :param plans: the first tasks of drawn pipelines
    :param more: how many tasks were not told one by one
    """

    tasks: Mapping[str, LuigiTask]
    required_by: Mapping[str, tuple[str, ...]]
    plans: tuple[AirflowTask, ...] = ()
    more: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many tasks are in each state, in the order of :data:`STATES`."""
        found = Counter(task.state for task in self.tasks.values())
        return {state: found[state] for state in STATES if found[state]}

    @cached_property
    def telling(self) -> Mapping[str, frozenset[str]]:
        """Names of the parameters by which tasks of a family differ, by family; all of a task that is alone in its."""
        found: dict[str, dict[str, set[str]]] = {}
        sizes = Counter(task.family for task in self.tasks.values())
        for task in self.tasks.values():
            values = found.setdefault(task.family, {})
            for name, value in task.params.items():
                values.setdefault(name, set()).add(value)
        return {
            family: frozenset(name for name in values if sizes[family] == 1 or len(values[name]) > 1)
            for family, values in found.items()
        }

    @property
    def is_live(self) -> bool:
        """Whether anything is still to come."""
        return any(task.state in LIVE_STATES and not is_over(task.source.task) for task in self.tasks.values())


def _command(params: Mapping[str, str]) -> list[str]:
    """The command of a DominoRunTask; empty for any other task."""
    try:
        words = json.loads(params.get(COMMAND, "[]"))
    except ValueError:
        return []
    return [str(word) for word in words] if isinstance(words, list) else []


def is_over(task: AirflowTask) -> bool:
    """Whether Airflow has nothing more to do for a task."""
    return task.state not in BUSY and task.state not in STILL_TO_COME
