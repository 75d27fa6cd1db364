"""Choosing a part of a plan by the names of its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_domino.luigi.plan import Plan, PlanNode


class SelectionError(ValueError):
    """A name that no task of the plan has; the message lists the names that there are."""


_MOST_NAMED = 40


def named(plan: Plan, patterns: Iterable[str]) -> frozenset[str]:
    """The keys of the tasks that patterns name.

    :param patterns: a task's name in Airflow, its family or Luigi's task id, each perhaps with ``*`` and ``?``; with
        ``+`` at the end the tasks that require it, directly or not, are named too
    :raises SelectionError: a pattern names nothing
    """
    names = plan.names()
    found: set[str] = set()
    for pattern in patterns:
        bare = pattern.removesuffix("+")
        keys = {node.key for node in plan.nodes if _matches(node, names[node.key], bare)}
        if not keys:
            there = sorted({*names.values(), *(node.family for node in plan.nodes)})
            more = f" and {len(there) - _MOST_NAMED} more" if len(there) > _MOST_NAMED else ""
            raise SelectionError(
                f"No task of the pipeline is named {bare!r}; there are {', '.join(there[:_MOST_NAMED])}{more}"
            )
        found |= keys | (requiring(plan, keys) if pattern.endswith("+") else set())
    return frozenset(found)


def wanted(plan: Plan, select: Sequence[str] = (), exclude: Sequence[str] = ()) -> frozenset[str]:
    """The keys of the tasks to make, as Luigi would: whatever is wanted, and all that it requires.

    :param select: patterns of what is wanted; nothing means the whole pipeline
    :param exclude: patterns of what is left out, with everything that requires it and what only it requires
    :raises SelectionError: a pattern names nothing, or nothing is left
    """
    targets = named(plan, select) if select else frozenset(plan.ends)
    if not exclude:
        return below(plan, targets)
    excluded = named(plan, exclude)
    cut_off = requiring(plan, excluded) - excluded
    left = below(plan, targets) - excluded - cut_off
    # What only an excluded task needs, nobody needs now; what a task needs that is cut off by that is still wanted.
    ends = targets | {one for node in plan.nodes if node.key in cut_off for one in node.requires}
    kept = below(plan, ends & left) & left
    if not kept:
        raise SelectionError(
            f"Nothing is left of the pipeline: all that is wanted is, or requires, {', '.join(exclude)}: left "
            "out. Leave out less"
        )
    return kept


def ends_of(plan: Plan, keys: frozenset[str]) -> tuple[str, ...]:
    """Those of some tasks that none of the others requires, in the plan's order."""
    required = {one for node in plan.nodes if node.key in keys for one in node.requires}
    return tuple(node.key for node in plan.nodes if node.key in keys and node.key not in required)


def below(plan: Plan, keys: Iterable[str]) -> frozenset[str]:
    """Some tasks and all that they require, directly or not."""
    return _reached(keys, {node.key: node.requires for node in plan.nodes})


def requiring(plan: Plan, keys: Iterable[str]) -> frozenset[str]:
    """Some tasks and all that require them, directly or not."""
    consumers: dict[str, list[str]] = {}
    for node in plan.nodes:
        for required in node.requires:
            consumers.setdefault(required, []).append(node.key)
    return _reached(keys, consumers)


def _reached(keys: Iterable[str], edges: Mapping[str, Sequence[str]]) -> frozenset[str]:
    waiting = list(keys)
    found = set(waiting)
    for key in waiting:  # grows while it is walked
        for other in edges.get(key, ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return frozenset(found)


def _matches(node: PlanNode, name: str, pattern: str) -> bool:
    return any(fnmatchcase(one, pattern) for one in (name, node.label, node.family, node.key))
