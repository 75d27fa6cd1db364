"""The hardware tiers of a running server: how full they are, and what is changed about them while it runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

from airflow_domino.local import statuses
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.tiers import Tier

if TYPE_CHECKING:
    from airflow_domino.local.runs import Run, Runs

ON_DEMAND = "on-demand"
SPOT = "spot"
CAPACITY_TYPES = (ON_DEMAND, SPOT)


@dataclass(frozen=True)
class Capacity:
    """How full a tier is."""

    executing: int
    queued: int
    limit: int

    @property
    def free(self) -> int:
        """How many more runs could execute now."""
        return max(0, self.limit - self.executing)


class TiersInUse(Sequence[Tier]):
    """The tiers, as they are now. It is the sequence of them, archived ones too.

    A tier that is *away* has no machines: it is listed as full, and what is started on it waits.

    :param tiers: as the settings have them, and checked.
    :param runs: whose runs fill them.
    """

    def __init__(self, tiers: Sequence[Tier], runs: Runs) -> None:
        self._runs = runs
        self._settings = {tier.id: tier for tier in tiers}
        self._lock = threading.Lock()
        # Replaced as a whole at each change, so that it can be read without the lock.
        self._now = dict(self._settings)
        self._away: frozenset[str] = frozenset()

    @overload
    def __getitem__(self, index: int) -> Tier: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Tier]: ...

    def __getitem__(self, index: int | slice) -> Tier | Sequence[Tier]:
        """Give the tiers at places of the settings' order."""
        return tuple(self._now.values())[index]

    def __len__(self) -> int:
        """Count the tiers."""
        return len(self._now)

    # Looking up

    @property
    def default(self) -> Tier:
        """The tier of runs that name none."""
        return next(tier for tier in self if tier.is_default)

    def tier(self, tier_id: str | None) -> Tier:
        """Give the tier of an id, to start a run on.

        :param tier_id: the id; None for the default.
        :raises BadRequest: when there is no such tier, or it is archived.
        """
        if tier_id is None:
            return self.default
        found = self._now.get(tier_id)
        if found is None or found.is_archived:
            known = ", ".join(tier.id for tier in self if not tier.is_archived)
            raise BadRequest(f"Hardware tier {tier_id!r} does not exist or is archived; there are {known}")
        return found

    def named(self, name: str | None) -> Tier:
        """Give the first tier of a name, as version 1 of the API does.

        :param name: the name; None for the default.
        :raises BadRequest: when there is no such tier.
        """
        if name is None:
            return self.default
        found = next((tier for tier in self if tier.name == name and not tier.is_archived), None)
        if found is None:
            known = ", ".join(tier.name for tier in self if not tier.is_archived)
            raise BadRequest(f"Hardware tier {name!r} does not exist or is archived; there are {known}")
        return found

    def of(self, run: Run) -> Tier:
        """Give the tier of a run; a tier that is no longer in the settings counts as archived."""
        found = self._now.get(run.tier_id)
        return Tier(run.tier_id, run.tier_id, 0, 0, 0, 0, is_archived=True) if found is None else found

    def has(self, tier_id: str) -> bool:
        """Tell whether there is a tier of this id, archived or not."""
        return tier_id in self._now

    # Room

    def places(self, tier_id: str) -> int:
        """Give how many runs a tier executes at once, which is none while it is away or archived."""
        tier = self._now.get(tier_id)
        return 0 if tier is None or tier.is_archived or tier_id in self._away else tier.capacity

    def is_away(self, tier_id: str) -> bool:
        """Tell whether a tier has no machines."""
        return tier_id in self._away

    def capacities(self) -> dict[str, Capacity]:
        """Tell how full the tiers are, by tier id."""
        waiting = self._runs.counts_by_tier(statuses.WAITING)
        executing = self._runs.counts_by_tier(statuses.EXECUTING)
        return {
            tier.id: Capacity(executing.get(tier.id, 0), waiting.get(tier.id, 0), self.places(tier.id)) for tier in self
        }

    def queue_explanation(self, run: Run, places: Mapping[str, int] | None = None) -> str:
        """Say in a sentence why a run waits.

        :param run: the run.
        :param places: the places of all runs in the queue, where they are known already.
        """
        tier = self.of(run)
        ahead = self._runs.queued_before(run) if places is None else places.get(run.id, 0)
        reason = (
            f"executes at most {tier.capacity} runs at once, and all its places are taken"
            if self.places(tier.id)
            else "has no machines at present"
        )
        return f"Hardware tier {tier.name} {reason}. Runs ahead of this one: {ahead}."

    # Changes

    def change(self, tier_id: str, *, capacity: int | None = None, is_archived: bool | None = None) -> Tier:
        """Change a tier until the server ends. Runs that have their place keep it.

        :param tier_id: which tier.
        :param capacity: how many runs it executes at once from now on; 0 for none. None leaves it.
        :param is_archived: whether it is retired: not to be started on, nor listed. None leaves it.
        :raises BadRequest: when there is no such tier, the capacity is negative, or it is the default and would retire.
        """
        if capacity is not None and capacity < 0:
            raise BadRequest("The capacity of a tier must not be negative")
        with self._lock:
            tier = self._known(tier_id)
            if is_archived and tier.is_default:
                raise BadRequest(f"Hardware tier {tier_id} is the default one and cannot be archived")
            changed = replace(
                tier,
                capacity=tier.capacity if capacity is None else capacity,
                is_archived=tier.is_archived if is_archived is None else is_archived,
            )
            self._now = {**self._now, tier_id: changed}
        return changed

    def take_away(self, tier_id: str) -> Tier:
        """Take the machines of a tier away: it is full, and what is started on it waits.

        What becomes of the runs that execute on it is for the caller to say.

        :param tier_id: which tier.
        :raises BadRequest: when there is no such tier.
        """
        with self._lock:
            tier = self._known(tier_id)
            self._away |= {tier_id}
        return tier

    def bring_back(self, tier_id: str) -> Tier:
        """Give a tier its machines back.

        :param tier_id: which tier.
        :raises BadRequest: when there is no such tier.
        """
        with self._lock:
            tier = self._known(tier_id)
            self._away -= {tier_id}
        return tier

    def reset(self) -> None:
        """Let all tiers be again as the settings have them."""
        with self._lock:
            self._now, self._away = dict(self._settings), frozenset()

    def _known(self, tier_id: str) -> Tier:
        if tier_id not in self._now:
            raise BadRequest(f"Hardware tier {tier_id!r} does not exist; there are {', '.join(self._now)}")
        return self._now[tier_id]


def checked_capacity_type(text: str | None) -> str | None:
    """Give the sort of machine that a start asks for.

    :param text: ``on-demand`` or ``spot``; None is the former.
    :raises BadRequest: when it is something else.
    """
    if text is not None and text not in CAPACITY_TYPES:
        raise BadRequest(f"capacityType must be one of {', '.join(CAPACITY_TYPES)}, not {text!r}")
    return text


def loss_of(run: Run) -> str:
    """Give the failure reason of a run whose machine is lost."""
    return "SpotInstanceLost" if run.capacity_type == SPOT else "NodeLost"
