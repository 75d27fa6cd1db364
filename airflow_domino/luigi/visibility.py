"""Refusing, while a plan is drawn, what a Domino run could not find or could not leave behind."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from airflow_domino.luigi.plan import Plan, PlanError, PlanNode

_MOST_NAMED = 10


def refuse_invisible(plan: Plan, on_domino: Collection[str]) -> None:
    """Refuse a plan whose tasks on Domino read or write what only another machine sees.

    :param plan: drawn with ``visible_below``, so that its nodes tell their ``invisible`` targets
    :param on_domino: keys of the tasks that are to run on Domino
    :raises PlanError: names the targets, their tasks and the way out
    """
    by_key = {node.key: node for node in plan.nodes}
    found = [
        sentence
        for node in plan.nodes
        if node.key in on_domino
        for sentence in dict.fromkeys(_complaints(by_key, node))
    ]
    if found:
        more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise PlanError(
            f"{'; '.join(found[:_MOST_NAMED])}{more}. Give such a target a path below the working directory, or one"
            " that all machines see (S3, a database, DominoFileTarget), or let these tasks run on the worker:"
            " overrides={'Family': {'run_on': 'worker'}}"
        )


def _complaints(by_key: Mapping[str, PlanNode], node: PlanNode) -> Iterator[str]:
    for target in node.invisible:
        yield f"{node.family} cannot run on Domino: its target {target}"
    for required in _inputs(by_key, node):
        for target in required.invisible:
            yield f"{node.family} cannot run on Domino: it requires {required.family}, whose target {target}"


def _inputs(by_key: Mapping[str, PlanNode], node: PlanNode) -> Iterator[PlanNode]:
    """What a task reads: its requirements, and what wrappers among them stand for."""
    waiting = list(node.requires)
    for key in waiting:  # grows while it is walked
        required = by_key.get(key)
        if required is None:
            continue
        yield required
        if required.is_wrapper:
            waiting += [below for below in required.requires if below not in waiting]
