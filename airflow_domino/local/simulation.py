"""What becomes of runs that are only simulated: plans, and the rules by which a run gets its plan."""

from __future__ import annotations

import fnmatch
import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, ValidationError, model_validator

from airflow_domino.local import statuses
from airflow_domino.local.repository import clean_path
from airflow_domino.local.setting_files import read_document

if TYPE_CHECKING:
    from airflow_domino.local.runs import Run

SECONDS: Literal["seconds"] = "seconds"
IMMEDIATE: Literal["immediate"] = "immediate"
MANUAL: Literal["manual"] = "manual"

# The way of a run from its place on a tier to its end. What is rarely seen is passed through only where it is named.
_WAY = (
    statuses.SCHEDULED,
    statuses.PENDING,
    statuses.BUILDING,
    statuses.PULLING,
    statuses.PREPARING,
    statuses.RUNNING,
    statuses.FINISHING,
)
_USUAL = (statuses.SCHEDULED, statuses.PREPARING, statuses.RUNNING, statuses.FINISHING)
_LONGEST = 10 * 366 * 86400.0
_SILENT_EXIT_CODES = (0, 137, 143)

_Amount = Annotated[float, Field(ge=0, le=_LONGEST)]
Seconds = _Amount | tuple[_Amount, _Amount]
Stage = Literal["Scheduled", "Pending", "Building", "Pulling", "Preparing", "Running", "Finishing", "Stopping"]


class SimulationError(ValueError):
    """A description of simulated runs cannot be used; the message says why."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Line(_Part):
    """One line of a log."""

    text: str
    stream: Literal["stdout", "stderr"] = "stdout"


def _as_line(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


def _as_stages(value: object) -> object:
    is_number = isinstance(value, int | float | list | tuple) and not isinstance(value, bool)
    return {statuses.RUNNING: value} if is_number else value


class Plan(_Part):
    """What becomes of a run.

    Texts of ``log``, ``files`` and ``message`` may have ``$number``, ``$run_id``, ``$command`` and ``$title`` in them.

    :param pace: ``seconds`` lets each status last for its seconds, ``immediate`` has no time pass, and ``manual`` has
        the run stay where it is until somebody moves it.
    :param seconds: how long each status lasts: a number, or the least and the most, between which the seed chooses. A
        number or a pair alone is for ``Running``; a status that is not named lasts no time.
    :param exit_code: of the command; 0 is ``Succeeded``, anything else ``Failed``.
    :param status: the last status, where the exit code does not say it: ``Error``, ``Faulty`` or ``Stopped``.
    :param reason: failure reason of a run that does not succeed.
    :param message: and the sentence about it.
    :param log: lines, evenly over the time in which the run is running.
    :param files: files that it writes, by path.
    :param stats: what it leaves in ``dominostats.json``.
    """

    pace: Literal["seconds", "immediate", "manual"] = SECONDS
    seconds: Annotated[dict[Stage, Seconds], BeforeValidator(_as_stages)] = Field(default={"Running": 1.0})
    exit_code: Annotated[int, Field(ge=0, le=255)] = 0
    status: Literal["Succeeded", "Failed", "Error", "Faulty", "Stopped"] | None = None
    reason: str | None = None
    message: str | None = None
    log: tuple[Annotated[Line, BeforeValidator(_as_line)], ...] = ()
    files: dict[str, str] = Field(default={})
    stats: dict[str, JsonValue] = Field(default={})

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.status == statuses.SUCCEEDED and self.exit_code:
            raise ValueError("a run whose exit_code is not 0 does not succeed")
        if self.status == statuses.FAILED and not self.exit_code:
            raise ValueError("a run that fails has an exit_code other than 0")
        for path in self.files:
            if clean_path(path) != path:
                raise ValueError(f"files: not a path as it is in a project: {path!r}")
        for least, most in (value for value in self.seconds.values() if isinstance(value, tuple)):
            if least > most:
                raise ValueError(f"seconds: the least comes first, not [{least}, {most}]")
        return self

    @property
    def last_status(self) -> str:
        """The status in which the run ends."""
        return self.status or (statuses.FAILED if self.exit_code else statuses.SUCCEEDED)

    @property
    def ends_by_itself(self) -> bool:
        """Whether the command comes to an end, unlike that of a run whose machine is lost."""
        return self.last_status in (statuses.SUCCEEDED, statuses.FAILED)

    @cached_property
    def way(self) -> tuple[str, ...]:
        """The statuses that the run goes through before its last one."""
        way = tuple(word for word in _WAY if word in _USUAL or word in self.seconds)
        return way if self.ends_by_itself else way[:-1]

    def duration(self, status: Any, run: Run, seed: int) -> float | None:
        """Give how many seconds a run stays in a status; None until somebody moves it.

        :param status: which status.
        :param run: which run.
        :param seed: chooses where a range is given; the same for the same run in each server.
        """
        if self.pace != SECONDS:
            return None if self.pace == MANUAL else 0.0
        value = self.seconds.get(status, 0.0)
        if isinstance(value, tuple):
            return random.Random(f"{seed}/{run.project_id}/{run.number}/{status}").uniform(*value)  # noqa: S311
        return value

    def failure(self, run: Run) -> tuple[str, str] | None:
        """Give the reason for which the run fails, and the sentence about it; None where it succeeds."""
        if self.last_status in (statuses.SUCCEEDED, statuses.STOPPED):
            return None
        if self.ends_by_itself:
            reason, message = "UserCodeFailed", f"The command ended with exit code {self.exit_code}"
        else:
            reason, message = "Simulated", f"The simulation lets this run end in {self.last_status}"
        return self.reason or reason, filled_in(self.message or message, run)

    @property
    def exit_line(self) -> str | None:
        """What the launcher writes at the end of the log of a command that has failed."""
        is_silent = not self.ends_by_itself or self.exit_code in _SILENT_EXIT_CODES
        return None if is_silent else f"Failed with exit code: {self.exit_code}"


class Rule(Plan):
    """A plan for the runs that it meets: all patterns must, with ``*``, ``?`` and ``[...]`` as in names of files.

    :param command: pattern of the whole command line.
    :param title: pattern of the title; a run without one has an empty one.
    :param project: pattern of ``owner/name``.
    :param tier: pattern of the tier's id.
    :param times: only for the next so many runs; None for all.
    """

    command: str = "*"
    title: str = "*"
    project: str = "*"
    tier: str = "*"
    times: Annotated[int, Field(ge=1)] | None = None

    def meets(self, run: Run, project: str) -> bool:
        """Tell whether a run gets this plan."""
        pairs = (
            (run.command, self.command),
            (run.title or "", self.title),
            (project, self.project),
            (run.tier_id, self.tier),
        )
        return all(pattern == "*" or fnmatch.fnmatchcase(text, pattern) for text, pattern in pairs)

    @property
    def plan(self) -> Plan:
        """The plan without the patterns."""
        return Plan.model_construct(**{name: getattr(self, name) for name in Plan.model_fields})


class Simulation(_Part):
    """Rules, of which the first that meets a run gives it its plan, and a plan for all others.

    :param rules: the rules.
    :param default: the plan of runs that no rule meets.
    :param seed: chooses between the least and the most seconds.
    """

    rules: tuple[Rule, ...] = ()
    default: Plan = Plan()
    seed: int = 0


@dataclass(frozen=True)
class KeptPlan:
    """A plan as it is kept: as JSON, under a name that no other plan has."""

    key: str
    document: str
    plan: Plan

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Name a plan by what is in it."""
        document = plan.model_dump_json(exclude_defaults=True)
        return cls(hashlib.sha256(document.encode()).hexdigest()[:16], document, plan)


class Script:
    """A simulation that is being played: it knows how often each rule was applied.

    :param simulation: what is to be played.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self._applied: Counter[int] = Counter()
        # The last one is for runs that no rule meets.
        self.plans = [*(KeptPlan.of(rule.plan) for rule in simulation.rules), KeptPlan.of(simulation.default)]

    def plan_for(self, run: Run, project: str) -> KeptPlan:
        """Give a run its plan.

        :param run: the run.
        :param project: ``owner/name`` of its project.
        """
        for number, rule in enumerate(self.simulation.rules):
            if (rule.times is None or self._applied[number] < rule.times) and rule.meets(run, project):
                self._applied[number] += 1
                return self.plans[number]
        return self.plans[-1]

    def applied(self) -> Sequence[int]:
        """Tell how often each rule was applied, in their order."""
        return [self._applied[number] for number in range(len(self.simulation.rules))]


def filled_in(text: str, run: Run) -> str:
    """Put what is known of a run into a text of a plan."""
    if "$" not in text:
        return text
    known = {"number": run.number, "run_id": run.id, "command": run.command, "title": run.title or ""}
    return Template(text).safe_substitute(known)


def read_simulation(document: object) -> Simulation:
    """Read a simulation: a table with ``rules``, ``default`` and ``seed``, or a list of rules alone.

    :param document: plain JSON.
    :raises SimulationError: when it does not describe one; the message says where.
    """
    if isinstance(document, list):
        document = {"rules": document}
    if not isinstance(document, Mapping):
        raise SimulationError("expected a list of rules, or a table with rules, default and seed")
    try:
        return Simulation.model_validate(document)
    except ValidationError as error:
        raise SimulationError("; ".join(_problems(error))) from error


def load_simulation(path: Path) -> Simulation:
    """Read a simulation from a JSON, TOML or YAML file; see :func:`read_simulation`.

    :param path: the file; its suffix says which language it is in.
    :raises SimulationError: when the file cannot be read or does not describe one.
    """
    try:
        return read_simulation(read_document(path))
    except (OSError, ValueError) as error:
        raise SimulationError(f"{path}: {error}") from error


def _problems(error: ValidationError) -> Iterator[str]:
    for one in error.errors():
        place = ".".join(str(part) for part in one["loc"] if not str(part).startswith(("function-", "tuple[", "dict[")))
        yield f"{place}: {one['msg']}" if place else one["msg"]
