"""A list of tiers to climb, when a run could not end well on one of them."""

from __future__ import annotations

import ast
import contextlib
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
    found = _read_list(value.strip()) if isinstance(value, str) else value
    if found in (None, "", "None"):
        return (None,)
    if isinstance(found, str):
        return (found,)
    if not isinstance(found, Sequence) or not found or not all(_is_name(tier) for tier in found):
        raise ConfigurationError(f"tier={value!r}: give the name or the id of a tier, or a list of them to climb")
    names = tuple(tier.strip() for tier in found)
    if len(set(names)) < len(names):
        raise ConfigurationError(f"tier={value!r} names a tier twice; name each once, from small to large")
    return names


def _is_name(tier: Any) -> bool:
    return isinstance(tier, str) and bool(tier.strip())


def _read_list(words: str) -> Any:
    """Read a list as JSON or Python writes it; other words are a tier's name, which may have brackets in it."""
    if not (words.startswith("[") and words.endswith("]")):
        return words
    for read in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError):
            return read(words)
    raise ConfigurationError(
        f"tier={words!r} is neither a tier nor a list of tiers; give a name, or a list such as ['Small', 'Large']"
    )


def tier_index(
    earlier: Sequence[Run],
    tiers: Sequence[str],
    queue_timeout: float | None,
    log_tail_of: Callable[[Run], Sequence[str]],
) -> int:
    """Say which tier is next: one further for each run before that died of memory or stayed in its queue.

    :param earlier: the runs of earlier attempts, all ended badly.
    :param queue_timeout: seconds after which they were stopped in the queue.
    :param log_tail_of: reads the last lines of a run's log; asked only for runs that failed and do not say why.
    """

    def wants_another_tier(run: Run) -> bool:
        if stayed_queued(run, queue_timeout) or died_of_memory(run):
            return True
        return run.status.word == "Failed" and died_of_memory(run, log_tail_of(run))

    climbed = sum(wants_another_tier(run) for run in earlier)
    return min(climbed, len(tiers) - 1)
