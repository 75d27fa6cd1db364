"""The hardware tiers as the page shows them: what Domino says of them, and what Airflow's tasks have on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from airflow_domino.domino.tiers import HardwareTier
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.orphans import Orphan
from airflow_domino.plugin.look import Look
from airflow_domino.plugin.runs import TaskRun

LEVELS = {
    "CAN_EXECUTE_WITH_CURRENT_INSTANCES": ("free", "starts at once"),
    "CANEXECUTEWITHCURRENTINSTANCES": ("free", "starts at once"),
    "REQUIRES_LAUNCHING_INSTANCE": ("launch", "waits for a machine"),
    "REQUIRESLAUNCHINGINSTANCE": ("launch", "waits for a machine"),
    "FULL": ("full", "queues: full"),
}


@dataclass(frozen=True)
class TierUse:
    """A tier, and how it is used.

    :param ours_running: runs of Airflow's tasks that execute on it, of DAGs that the reader may see.
    :param ours_queued: those of them that wait for it.
    """

    tier: HardwareTier
    ours_running: int = 0
    ours_queued: int = 0

    @property
    def level(self) -> tuple[str, str]:
        """Whether a run would start at once: a word for the colour, and words for people; empty where not told."""
        return LEVELS.get((self.tier.capacity_level or "").upper(), ("", ""))

    @property
    def filled(self) -> float | None:
        """Which part of its places is taken, from 0 to 1; None where that is not told."""
        executing, most = self.tier.executing_runs, self.tier.most_runs
        return None if executing is None or not most else min(1.0, executing / most)

    @property
    def filled_by_us(self) -> float | None:
        """Which part of its places runs of Airflow's tasks take."""
        return (
            None
            if self.filled is None or not self.tier.most_runs
            else min(self.filled, self.ours_running / self.tier.most_runs)
        )

    @property
    def machine(self) -> str:
        """What one run gets."""
        tier = self.tier
        words = [f"{tier.cores:g} core{'' if tier.cores == 1 else 's'}"] if tier.cores else []
        words += [f"{tier.memory_gib:g} GiB"] if tier.memory_gib else []
        words += [f"{tier.gpus} GPU{'s' if tier.gpus > 1 else ''}"] if tier.gpus else []
        return ", ".join(words)


@dataclass(frozen=True)
class Board:
    """What one connection shows.

    :param looks: one a project.
    :param unlisted: runs of Airflow's tasks on tiers that no project lists any more, or whose tier is not known.
    """

    conn_id: str
    looks: tuple[Look, ...]
    tiers: tuple[TierUse, ...]
    unlisted: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether Domino is just being asked for the first time."""
        return not self.tiers and any(look.is_pending for look in self.looks)

    @property
    def projects(self) -> tuple[str, ...]:
        """The projects that were looked at."""
        return tuple(look.project for look in self.looks if look.project)

    @property
    def troubles(self) -> list[str]:
        """Why it may be old, each sentence once."""
        return list(dict.fromkeys(look.trouble for look in self.looks if look.trouble))

    @property
    def warnings(self) -> list[str]:
        """What will be trouble soon."""
        return list(dict.fromkeys(look.warning for look in self.looks if look.warning))


@dataclass
class _Count:
    running: Counter[str] = field(default_factory=Counter)
    queued: Counter[str] = field(default_factory=Counter)

    def add(self, tier: str, *, is_queued: bool) -> None:
        (self.queued if is_queued else self.running)[tier] += 1


def boards(looks: Sequence[Look], live: Iterable[TaskRun]) -> list[Board]:
    """Put together what each connection shows, in the order of the looks.

    :param looks: at all projects that the reader's DAGs use.
    :param live: task instances that go on, with their runs.
    """
    live = list(live)
    by_connection: dict[str, list[Look]] = {}
    for look in looks:
        by_connection.setdefault(look.conn_id, []).append(look)
    return [_board(conn_id, tuple(group), live) for conn_id, group in by_connection.items()]


def _board(conn_id: str, looks: tuple[Look, ...], live: list[TaskRun]) -> Board:
    # The projects of a deployment share its tiers; the one that was looked at last knows best how full each is.
    newest_last = sorted(looks, key=lambda look: look.taken_at.timestamp() if look.taken_at else 0.0)
    tiers = {tier.id: tier for look in newest_last for tier in look.tiers}
    ids = {name: tier.id for tier in tiers.values() for name in (tier.name, tier.id)}
    count = _Count()
    for run in live:
        if (run.conn_id or DominoHook.default_conn_name) != conn_id or run.run_id is None:
            continue
        said = next((look.runs_by_id[run.run_id] for look in looks if run.run_id in look.runs_by_id), None)
        if said is None or not said.status.is_completed:
            is_queued = said is not None and said.status.is_queued
            count.add(ids.get(run.tier or "", ""), is_queued=is_queued)
    uses = [TierUse(tier, count.running[tier.id], count.queued[tier.id]) for tier in tiers.values()]
    uses.sort(key=lambda use: (use.tier.cents_per_minute, use.tier.name))
    return Board(conn_id, looks, tuple(uses), count.running[""] + count.queued[""])


@dataclass(frozen=True)
class Left:
    """Runs that no task waits for, as far as the reader may know of them.

    :param orphans: those of DAGs that the reader may see, each with the look that saw it.
    :param strangers: how many carry the mark of an Airflow, but of a DAG run that this one does not know.
    """

    orphans: tuple[tuple[Look, Orphan], ...] = ()
    strangers: int = 0

    @property
    def cents_per_hour(self) -> float:
        """What those of them cost that execute, as far as their tiers have known prices."""
        prices = (one.handle.cents_per_minute for _, one in self.orphans if one.run.status.is_running)
        return 60 * sum(price or 0.0 for price in prices)


def left_behind(looks: Sequence[Look], dag_ids: Iterable[str]) -> Left:
    """Gather the orphans of all looks, the oldest first.

    :param dag_ids: DAGs that the reader may see.
    """
    readable = set(dag_ids)
    seen: dict[str, tuple[Look, Orphan]] = {}
    for look in looks:
        seen |= {orphan.run.id: (look, orphan) for orphan in look.orphans if orphan.run.id not in seen}
    shown = [(look, orphan) for look, orphan in seen.values() if orphan.dag_id in readable]
    shown.sort(key=lambda entry: entry[1].run.submitted_at.timestamp() if entry[1].run.submitted_at else 0.0)
    return Left(tuple(shown), sum(not orphan.is_known for _, orphan in seen.values()))
