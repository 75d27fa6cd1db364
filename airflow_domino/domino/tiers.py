"""Hardware tiers, as Domino tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from airflow_domino.domino.lenient import count, first, gibibytes, mapping, number, required_text, text


@dataclass(frozen=True)
class HardwareTier:
    """A kind of machine that runs can be given.

    :param cents_per_minute: price of a minute of running, in cents.
    :param capacity_level: Domino's word for whether a run could start at once, such as FULL.
    :param executing_runs: how many runs, of all projects, execute on it at the moment; None where Domino does not tell.
    :param queued_runs: how many wait for it.
    :param most_runs: how many can execute at once.
    :param free_places: how many more could start, on machines that may have to be launched first.
    :param free_places_at_once: how many more could start on machines that are there.
    """

    id: str
    name: str
    cents_per_minute: float = 0.0
    cores: float = 0.0
    memory_gib: float = 0.0
    gpus: int = 0
    is_default: bool = False
    is_archived: bool = False
    capacity_level: str | None = None
    executing_runs: int | None = None
    queued_runs: int | None = None
    most_runs: int | None = None
    free_places: int | None = None
    free_places_at_once: int | None = None

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read an entry of v4 `/projects/{id}/hardwareTiers`, of the public API, or the old flat shape.

        :raises ValueError: when there is no id in it.
        """
        tier = mapping(data.get("hardwareTier")) or data
        resources = mapping(tier.get("hwtResources")) or mapping(tier.get("resources")) or tier
        flags = mapping(tier.get("hwtFlags")) or mapping(tier.get("flags")) or tier
        capacity = mapping(data.get("capacity")) or mapping(tier.get("capacity"))
        tier_id = required_text(tier, "id")
        return cls(
            id=tier_id,
            name=text(tier.get("name")) or tier_id,
            cents_per_minute=number(tier.get("centsPerMinute")),
            cores=number(resources.get("cores")),
            memory_gib=gibibytes(resources.get("memory")),
            gpus=int(number(mapping(tier.get("gpuConfiguration")).get("numberOfGpus"))),
            is_default=flags.get("isDefault") is True,
            is_archived=flags.get("isArchived") is True,
            capacity_level=text(capacity.get("capacityLevel")),
            executing_runs=count(first(capacity.get("numberOfCurrentlyExecutingRuns"), capacity.get("executingRuns"))),
            queued_runs=count(first(capacity.get("numberOfQueuedRuns"), capacity.get("queuedRuns"))),
            most_runs=count(first(capacity.get("maximumConcurrentRuns"), capacity.get("maxConcurrentRuns"))),
            free_places=count(first(capacity.get("maximumAvailableCapacity"), capacity.get("maxAvailableCapacity"))),
            free_places_at_once=count(capacity.get("availableCapacityWithoutLaunching")),
        )

    def cost_cents(self, seconds: float) -> float:
        """Price of that many seconds of running, in cents."""
        return self.cents_per_minute * seconds / 60
