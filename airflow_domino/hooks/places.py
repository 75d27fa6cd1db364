"""Places for runs in flight: a limit holds launches back before they are made, first come, first served.

Counted are the active runs that carry a mark of ours, and what this process is about to launch. All launches of one
triggerer take their turns here, so a limit is exact there; several triggerers, or workers, that launch in the same
moment do not see each other.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_domino.domino.errors import ConfigurationError, DominoUnavailableError
from airflow_domino.domino.launch import RunMark

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Run
    from airflow_domino.domino.tiers import HardwareTier

QUICKEST, SLOWEST = 1.0, 10.0

ListActive = Callable[[str], Awaitable["Sequence[Run]"]]
TierOf = Callable[["Run"], Awaitable[str | None]]


@dataclass(frozen=True)
class Limits:
    """How many runs may be in flight at a time.

    :param total: of all tasks on the connection.
    :param per_tier: by a tier's name or id.
    :param per_task: of one task, over all its DAG runs and mapped instances.
    """

    total: int | None = None
    per_tier: Mapping[str, int] = field(default_factory=dict)
    per_task: int | None = None

    def __bool__(self) -> bool:
        return bool(self.total or self.per_tier or self.per_task)

    def of_tier(self, tier_id: str, tier_name: str) -> int | None:
        """Return the limit of a tier."""
        return self.per_tier.get(tier_id, self.per_tier.get(tier_name))


def check_limits(limits: Limits, tiers: Sequence[HardwareTier]) -> None:
    """Refuse a limit of a tier that there is not: it would never hold anything back.

    :raises ConfigurationError: listing the tiers there are.
    """
    known = {name for tier in tiers for name in (tier.id, tier.name)}
    unknown = sorted(set(limits.per_tier) - known)
    if unknown:
        there_are = ", ".join(sorted(tier.name for tier in tiers if not tier.is_archived))
        raise ConfigurationError(
            f"max_active_runs_per_tier limits {', '.join(map(repr, unknown))}, but the tiers there are: {there_are}"
        )


@dataclass(frozen=True)
class Claim:
    """Who wants a place.

    :param mark_text: mark of the run to be launched; when a run carries it, the place is that run's.
    """

    project_id: str
    tier_id: str
    tier_name: str
    group_key: str
    mark_text: str


@dataclass(frozen=True)
class InFlight:
    """What is in flight, as far as limits are concerned.

    :param mark_texts: marks of the runs counted.
    """

    total: int
    by_tier: Mapping[str, int]
    by_task: Mapping[str, int]
    mark_texts: frozenset[str] = frozenset()

    def obstacle(self, claim: Claim, limits: Limits) -> str | None:
        """Say why a claim has to wait; None when there is room."""
        tier_limit = limits.of_tier(claim.tier_id, claim.tier_name)
        for what, used, limit in (
            ("on the connection", self.total, limits.total),
            (f"on tier {claim.tier_name}", self.by_tier.get(claim.tier_id, 0), tier_limit),
            ("of this task", self.by_task.get(claim.group_key, 0), limits.per_task),
        ):
            if limit is not None and used >= limit:
                return f"Waiting for a place: {used} of {limit} runs are in flight {what}"
        return None


@dataclass(eq=False)
class _Turn:
    """One claim in the line."""

    claim: Claim
    limits: Limits
    on_wait: Callable[[str], None]
    admitted: asyncio.Future[Reservation]
    told: str = ""

    def tell(self, why: str, kind: str) -> None:
        if kind != self.told:
            self.told = kind
            self.on_wait(why)


@dataclass(eq=False)
class Reservation:
    """A place that is taken: it counts until Domino's list shows the run, or it is given back."""

    claim: Claim
    _places: Places
    _is_held: bool = True

    def give_back(self) -> None:
        """Leave the place: nothing was launched, or what was launched is over, or in the care of another process."""
        if self._is_held:
            self._is_held = False
            self._places.release(self)


class Places:
    """The line of those who want to launch on one connection.

    :param list_active: reads the active runs of a project.
    :param tier_of: asks for the id of the tier that a run is on; asked once a run, and only if tiers are limited.
    """

    def __init__(self, list_active: ListActive, tier_of: TierOf) -> None:
        self.list_active = list_active
        self.tier_of = tier_of
        self._line: list[_Turn] = []
        self._reservations: list[Reservation] = []
        self._projects: Counter[str] = Counter()
        self._tiers: dict[str, str | None] = {}
        self._clerk: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def joins(self, project_id: str) -> None:
        """Count the runs of a project, in which somebody waits."""
        self._projects[project_id] += 1

    def leaves(self, project_id: str) -> None:
        """Count them no more, unless somebody else does."""
        self._projects[project_id] -= 1
        if self._projects[project_id] <= 0:
            del self._projects[project_id]

    async def take(
        self, claim: Claim, limits: Limits, *, on_wait: Callable[[str], None], deadline: datetime | None = None
    ) -> Reservation:
        """Wait for a place, in the order of arrival.

        :param on_wait: gets a sentence for the log when the claim has to wait, and when the reason changes.
        :raises TimeoutError: when the deadline passes before.
        """
        turn = _Turn(claim, limits, on_wait, asyncio.get_running_loop().create_future())
        self._line.append(turn)
        self.joins(claim.project_id)
        self._news.set()
        if self._clerk is None or self._clerk.done():
            self._clerk = asyncio.create_task(self._serve(), name="domino-places")
        seconds = None if deadline is None else max(0.0, (deadline - datetime.now(UTC)).total_seconds())
        try:
            async with asyncio.timeout(seconds):
                return await turn.admitted
        except BaseException:
            if turn.admitted.done() and not turn.admitted.cancelled() and turn.admitted.exception() is None:
                turn.admitted.result().give_back()
            raise
        finally:
            if turn in self._line:
                self._line.remove(turn)
            self.leaves(claim.project_id)

    def release(self, reservation: Reservation) -> None:
        """Take a reservation back, and with it the interest in its project."""
        self.leaves(reservation.claim.project_id)
        if reservation in self._reservations:
            self._reservations.remove(reservation)
        self._news.set()

    async def _serve(self) -> None:
        """Admit those for whom there is room, as long as somebody stands in the line."""
        pause = QUICKEST
        while self._line:
            self._news.clear()
            try:
                admitted = self._admit(await self._count())
            except DominoUnavailableError as error:
                admitted = False
                for turn in self._line:
                    turn.tell(f"Waiting for a place, and Domino cannot be asked at the moment: {error}", "outage")
                pause = max(pause, min(error.retry_after or 0.0, 60.0))
            except Exception as error:
                for turn in self._line:
                    if not turn.admitted.done():
                        turn.admitted.set_exception(error)
                return
            pause = QUICKEST if admitted else min(pause * 1.5, SLOWEST)
            self._line = [turn for turn in self._line if not turn.admitted.done()]
            if self._line:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), pause * random.uniform(0.9, 1.1))  # noqa: S311  spreads load

    async def _count(self) -> InFlight:
        runs = [run for project_id in list(self._projects) for run in await self.list_active(project_id)]
        by_tier_matters = any(turn.limits.per_tier for turn in self._line)
        return await self._counted(runs, by_tier_matters)

    async def _counted(self, runs: Sequence[Run], by_tier_matters: bool) -> InFlight:
        marked = [(run, mark) for run in runs if (mark := RunMark.parse(run.title)) and not run.status.is_completed]
        if by_tier_matters:
            self._tiers = {run.id: self._tiers[run.id] for run, _ in marked if run.id in self._tiers}
            for run, _ in marked:
                if run.id not in self._tiers:
                    self._tiers[run.id] = await self.tier_of(run)
        mark_texts = frozenset(mark.text for _, mark in marked)
        self._reservations = [each for each in self._reservations if each.claim.mark_text not in mark_texts]
        claims = [reservation.claim for reservation in self._reservations]
        return InFlight(
            total=len(marked) + len(claims),
            by_tier=Counter(self._tiers.get(run.id) or "" for run, _ in marked) + Counter(c.tier_id for c in claims),
            by_task=Counter(mark.group_key for _, mark in marked) + Counter(c.group_key for c in claims),
            mark_texts=mark_texts,
        )

    def _admit(self, in_flight: InFlight) -> bool:
        """Go through the line in its order: who finds no room is passed by those who need another."""
        total, by_tier, by_task = in_flight.total, Counter(in_flight.by_tier), Counter(in_flight.by_task)
        admitted = False
        for turn in self._line:
            if turn.admitted.done():
                continue
            claim = turn.claim
            why = InFlight(total, by_tier, by_task).obstacle(claim, turn.limits)
            if why is not None:
                turn.tell(why, "full")
                continue
            reservation = Reservation(claim, self)
            self._reservations.append(reservation)
            self.joins(claim.project_id)
            turn.admitted.set_result(reservation)
            total, admitted = total + 1, True
            by_tier[claim.tier_id] += 1
            by_task[claim.group_key] += 1
        return admitted


_places: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, Places]] = WeakKeyDictionary()


def places_for(key: Hashable, list_active: ListActive, tier_of: TierOf) -> Places:
    """Return the line that all launches of the running event loop stand in, for one connection.

    :param key: what names the connection. Never a secret.
    """
    all_places = _places.setdefault(asyncio.get_running_loop(), {})
    places = all_places.setdefault(key, Places(list_active, tier_of))
    places.list_active, places.tier_of = list_active, tier_of
    return places


def wait_for_place(
    client: DominoClient,
    claim: Claim,
    limits: Limits,
    *,
    on_wait: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Block until there is room, for a task that waits on its worker: it counts by Domino's list of its project."""
    told = False
    tiers: dict[str, str | None] = {}
    for attempt in count():
        marked = [(run, m) for run in client.runs(claim.project_id, status="active") if (m := RunMark.parse(run.title))]
        if limits.per_tier:
            tiers = {run.id: tiers.get(run.id) or client.run_details(run.id).tier_id for run, _ in marked}
        by_tier = Counter(tiers.get(run.id) or "" for run, _ in marked)
        why = InFlight(len(marked), by_tier, Counter(mark.group_key for _, mark in marked)).obstacle(claim, limits)
        if why is None:
            return
        if not told:
            on_wait(why)
            told = True
        pause(min(QUICKEST * 1.5**attempt, SLOWEST) * random.uniform(0.9, 1.1))  # noqa: S311  spreads load
