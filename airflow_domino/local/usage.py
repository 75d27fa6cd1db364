"""How the hardware tiers are used, and what that costs: the numbers behind the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_domino.local.clock import now_ms
from airflow_domino.local.database import Database
from airflow_domino.local.runs import Run
from airflow_domino.local.tiers import Tier

Span = tuple[int, int]

_SPENT = """
WITH taken AS (SELECT project_id, tier_id, document ->> '$.cents_per_minute' AS price,
        CASE WHEN started_at IS NULL THEN 0 ELSE MAX(0, COALESCE(completed_at, :now) - started_at) END AS ran_ms,
        MAX(0, COALESCE(started_at, completed_at, :now) - submitted_at) AS queued_ms
    FROM runs WHERE submitted_at >= :since)
SELECT project_id, tier_id, COUNT(*) AS runs, SUM(queued_ms) AS queued_ms, SUM(ran_ms) AS ran_ms,
    SUM(ran_ms * COALESCE(price, 0)) / 60000.0 AS cents,
    SUM(CASE WHEN price IS NULL THEN ran_ms ELSE 0 END) AS unpriced_ms
FROM taken GROUP BY project_id, tier_id
"""
_SPANS = """
SELECT tier_id, submitted_at, COALESCE(started_at, completed_at, :now) AS left_queue_at, started_at,
    COALESCE(completed_at, :now) AS ended_at
FROM runs WHERE submitted_at <= :end AND COALESCE(completed_at, :now) >= :begin
"""


@dataclass(frozen=True)
class Spending:
    """What runs took; times in milliseconds."""

    runs: int = 0
    queued_ms: int = 0
    ran_ms: int = 0
    cents: float = 0.0

    def __add__(self, other: Spending) -> Spending:
        """Sum up."""
        return Spending(
            self.runs + other.runs,
            self.queued_ms + other.queued_ms,
            self.ran_ms + other.ran_ms,
            self.cents + other.cents,
        )


@dataclass(frozen=True)
class TierUse:
    """How full a tier was over a time, which is divided into columns of equal length.

    :param executing: for each column, the most runs that executed at once.
    :param queued: for each column, the most runs that waited at once.
    :param waits: how long each run waited, in milliseconds, those that still wait up to now.
    """

    executing: Sequence[int]
    queued: Sequence[int]
    waits: Sequence[int]

    @property
    def mean_wait(self) -> float:
        """Mean of the waits."""
        return sum(self.waits) / len(self.waits) if self.waits else 0.0

    @property
    def longest_wait(self) -> int:
        """The longest of the waits."""
        return max(self.waits, default=0)


def run_cents(run: Run, tier: Tier) -> float:
    """Price of a run until its end, or until now.

    :param tier: its hardware tier, whose price counts where the run remembers none.
    """
    if run.started_at is None:
        return 0.0
    price = tier.cents_per_minute if run.cents_per_minute is None else run.cents_per_minute
    return max(0, (run.completed_at or now_ms()) - run.started_at) / 60_000 * price


def spending(database: Database, since: int, prices: Mapping[str, float]) -> dict[tuple[str, str], Spending]:
    """Sum up what runs took, by project id and tier id.

    :param since: only runs that were submitted then or later, epoch milliseconds.
    :param prices: cents per minute by tier id, for runs that do not remember theirs.
    """
    return {
        (row["project_id"], row["tier_id"]): Spending(
            row["runs"],
            row["queued_ms"],
            row["ran_ms"],
            row["cents"] + row["unpriced_ms"] / 60_000 * prices.get(row["tier_id"], 0.0),
        )
        for row in database.rows(_SPENT, {"since": since, "now": now_ms()})
    }


def use_of_tiers(database: Database, begin: int, end: int, columns: int) -> dict[str, TierUse]:
    """Tell how full the tiers were over a time, by tier id; tiers without a run are left out.

    :param begin: of the time, epoch milliseconds.
    :param end: of the time.
    :param columns: how many parts it has.
    """
    waiting: dict[str, list[Span]] = {}
    executing: dict[str, list[Span]] = {}
    for row in database.rows(_SPANS, {"begin": begin, "end": end, "now": now_ms()}):
        waiting.setdefault(row["tier_id"], []).append((row["submitted_at"], row["left_queue_at"]))
        if row["started_at"] is not None:
            executing.setdefault(row["tier_id"], []).append((row["started_at"], row["ended_at"]))
    return {
        tier_id: TierUse(
            peaks(executing.get(tier_id, ()), begin, end, columns),
            peaks(spans, begin, end, columns),
            [stop - start for start, stop in spans],
        )
        for tier_id, spans in waiting.items()
    }


def peaks(spans: Iterable[Span], begin: int, end: int, columns: int) -> list[int]:
    """Count how many spans overlap at most in each column of a time.

    :param spans: begin and end of each, in any order; the end does not belong to it.
    :param begin: of the time.
    :param end: of the time.
    :param columns: how many parts it has.
    """
    width = max(1, end - begin) / columns
    changes: list[Span] = []
    for start, stop in spans:
        first, last = max(start, begin), min(stop, end)
        if first < last:
            changes += ((first, 1), (last, -1))
    found, level, column = [0] * columns, 0, 0
    # Of the same moment, ends come before beginnings.
    for moment, change in sorted(changes):
        reached = min(columns - 1, int((moment - begin) / width))
        for passed in range(column, reached):
            found[passed] = max(found[passed], level)
        # What ends just where a column begins was not there in it.
        if moment > begin + reached * width:
            found[reached] = max(found[reached], level)
        column, level = reached, level + change
        found[column] = max(found[column], level)
    return found


def earliest_submission(database: Database) -> int | None:
    """When the oldest run was submitted, epoch milliseconds; None while there is none."""
    found = database.rows("SELECT MIN(submitted_at) AS earliest FROM runs")[0]["earliest"]
    return None if found is None else int(found)
