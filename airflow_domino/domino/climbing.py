"""A list of tiers to climb, when a run could not end well on one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from airflow_domino.domino.causes import died_of_memory, stayed_queued
from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.domino.models import Run


def parse_tiers(value: Any) -> tuple[str | None, ...]:
    """Read one tier or several, also as the JSON of a list that a template rendered.

    :returns: the tiers in their order; a single None where none is given, which means the project's default.
    :raises ConfigurationError: when they are not names or ids, or one is there twice.
    """
    found = value.strip() if isinstance(value, str) else value
    if found in (None, "", "None"):
        return (None,)
    if isinstance(found, str) and found.startswith("["):
        try:
            found = json.loads(found.replace("'", '"'))
        except ValueError:
            raise ConfigurationError(f"tier={value!r} is neither a tier nor a list of tiers") from None
    if isinstance(found, str):
        return (found,)
    if (
        not isinstance(found, Sequence)
        or not found
        or not all(isinstance(tier, str) and tier.strip() for tier in found)
    ):
        raise ConfigurationError(f"tier={value!r}: give the name or the id of a tier, or a list of them to climb")
    if len(set(found)) < len(found):
        raise ConfigurationError(f"tier={value!r} names a tier twice")
    return tuple(found)


def tier_index(
    earlier: Sequence[Run],
    tiers: Sequence[str],
    queue_timeout: float | None,
    log_tail_of: Callable[[Run], Sequence[str]],
) -> int:
    """Say which tier is next: one further for each run before that died of memory or stayed in its queue.

    :param earlier: the runs of earlier attempts, all ended badly.
    :param queue_timeout: seconds after which they were stopped in the queue.
    :param log_tail_of: reads the last lines of a run's log; asked only for runs that failed.
    """
    climbed = sum(
        stayed_queued(run, queue_timeout) or died_of_memory(run) or died_of_memory(run, log_tail_of(run))
        for run in earlier
        if run.status.is_completed
    )
    return min(climbed, len(tiers) - 1)
