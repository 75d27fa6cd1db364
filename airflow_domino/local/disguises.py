"""Runs that the server shows other than they are, so that clients can be tested against that.

The run itself goes on as it would: its program executes and its results are committed. The ledger tells what is so, the
API tells what the disguise says.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from airflow_domino.local.clock import now_ms, now_ns
from airflow_domino.local.logs import STREAMS, Line, ReadableLog
from airflow_domino.local.runs import Run

if TYPE_CHECKING:
    from airflow_domino.local.database import Database
    from airflow_domino.local.faults import Fault, Phase

_SCHEMA = "CREATE TABLE IF NOT EXISTS disguises (run_id TEXT PRIMARY KEY, document TEXT NOT NULL);"
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class Disguise:
    """How a run is shown.

    :param lost_from: epoch milliseconds from which on the API does not know the run; None knows it.
    :param hides_output: whether its output commit is kept back.
    :param word: a status in place of its own; None shows its own.
    :param phase: when the word is shown: while the run is ``active``, once it has ``completed``, or ``always``.
    :param log_delay: seconds after which a line of its log is shown.
    :param log_lines: how many lines of its log are ever shown; None for all.
    """

    lost_from: int | None = None
    hides_output: bool = False
    word: str | None = None
    phase: Phase = "always"
    log_delay: float = 0.0
    log_lines: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the API does not know the run now."""
        return self.lost_from is not None and self.lost_from <= now_ms()

    def with_fault(self, fault: Fault) -> Disguise:
        """Give the disguise with what a fault of runs adds to it; ``faulty`` adds nothing, since it is no disguise."""
        added = {
            "lose": {"lost_from": now_ms() + round(fault.seconds * 1000)},
            "no_output": {"hides_output": True},
            "word": {"word": fault.word, "phase": fault.phase},
            "slow_log": {"log_delay": fault.seconds},
            "stuck_log": {"log_lines": fault.lines},
        }
        return replace(self, **added.get(fault.action, {}))  # type: ignore[arg-type]


@dataclass(frozen=True)
class DisguisedRun(Run):
    """A run as it is shown, which may have a status that does not tell whether it has completed."""

    has_completed: bool = False

    @property
    def is_completed(self) -> bool:
        """Whether nothing about the run will change any more."""
        return self.has_completed


@dataclass(frozen=True)
class ShownLog:
    """A log of which some is kept back.

    :param log: the whole log.
    :param until_ns: time of the last line that is shown.
    :param is_stuck: whether it never comes to its end.
    """

    log: ReadableLog
    until_ns: int
    is_stuck: bool

    @property
    def is_held_back(self) -> bool:
        """Whether there is more to come, or seems to be."""
        return self.is_stuck or next(iter(self.log.lines(after_ns=self.until_ns)), None) is not None

    def lines(self, streams: Collection[str] = STREAMS, *, after_ns: int = 0) -> Iterator[Line]:
        """Give the lines that are shown; see :meth:`airflow_domino.local.logs.RunLog.lines`."""
        for line in self.log.lines(streams, after_ns=after_ns):
            if line.time_ns > self.until_ns:
                return
            yield line

    def tail(self, count: int, streams: Collection[str] = STREAMS, *, largest: int = 16 << 20) -> list[Line]:
        """Give the last lines that are shown; see :meth:`airflow_domino.local.logs.RunLog.tail`."""
        return list(self.lines(streams))[-count:] if count else []


class Disguises:
    """The disguises of all runs; most have none.

    :param database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.create(_SCHEMA)
        self._of: dict[str, Disguise] = {}
        self.load()

    def load(self) -> None:
        """Read what is kept."""
        rows = self._database.rows("SELECT run_id, document FROM disguises")
        self._of = {row["run_id"]: Disguise(**json.loads(row["document"])) for row in rows}

    def of(self, run_id: str) -> Disguise | None:
        """Give the disguise of a run, if it has one."""
        return self._of.get(run_id)

    def put_on(self, run_id: str, disguise: Disguise) -> None:
        """Show a run in a disguise from now on; the one that changes nothing takes it off."""
        is_none = disguise == Disguise()
        with self._database.transaction() as connection:
            if is_none:
                connection.execute("DELETE FROM disguises WHERE run_id = ?", (run_id,))
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO disguises VALUES (?, ?)", (run_id, json.dumps(asdict(disguise)))
                )
        if is_none:
            self._of.pop(run_id, None)
        else:
            self._of[run_id] = disguise

    def lost(self) -> list[str]:
        """List the runs that the API does not know."""
        return [run_id for run_id, disguise in list(self._of.items()) if disguise.is_lost]

    def shown(self, run: Run) -> Run:
        """Give a run as it is shown."""
        disguise = self._of.get(run.id)
        if disguise is None:
            return run
        shown = DisguisedRun(**vars(run), has_completed=run.is_completed)
        if disguise.hides_output:
            shown = replace(shown, output_commit=None)
        phases = ("always", "completed" if run.is_completed else "active")
        if disguise.word is not None and disguise.phase in phases:
            shown = replace(shown, status=disguise.word)
        return shown

    def log(self, run_id: str, log: ReadableLog) -> ReadableLog:
        """Give a run's log as it is shown."""
        disguise = self._of.get(run_id)
        if disguise is None or (disguise.log_lines is None and disguise.log_delay == 0):
            return log
        until = now_ns() - round(disguise.log_delay * _NANOSECONDS)
        if disguise.log_lines is None:
            return ShownLog(log, until, is_stuck=False)
        shown = list(islice(log.lines(), disguise.log_lines))
        return ShownLog(log, min(until, shown[-1].time_ns) if shown else 0, is_stuck=True)
