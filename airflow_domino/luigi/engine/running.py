"""Running one task, with what it requires, and telling the truth about how it went."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import luigi

from . import graph as graph_words
from . import survey as survey_words
from .completion import dependencies, is_complete, is_external, missing_outputs
from .dispatch import Dispatch
from .force import Aside, forced_tasks
from .graph import Node
from .journal import Journal
from .lineage import made
from .locks import Locks
from .outcome import (
    COMPLETE,
    DEPENDENCY_INCOMPLETE,
    DONE,
    EXTERNAL_MISSING,
    NOT_RUN,
    RUN_FAILED,
    SCHEDULING_FAILED,
    TARGET_MISSING,
    Problem,
)
from .settings import MOST_DOMINO_RUNS, STRICT, configure_logging, read_settings
from .summary import summarize
from .survey import THREADS, Survey, Surveyed, is_plain_wrapper

__all__ = ["Journal", "run"]

_MOST_NAMED = 10
_IN_LOG = "The log tells more of each; correct them, and run again: what is complete is kept"
_MOST_LISTED = 1_000

logger = logging.getLogger("luigi-interface")


def run(
    root: luigi.Task,
    journal: Journal,
    *,
    workers: int = 1,
    force: Any = False,
    force_downstream: bool = False,
    only_self: bool = False,
    run_wrapper: bool = False,
    planned: bool = False,
    plan: str | None = None,
    check: str = STRICT,
    threads: int | None = None,
    locks: str | None = None,
    domino_runs: int | None = None,
) -> dict[str, Any]:
    """Make the task unless it is complete, and answer how it went.

    :param root: the task
    :param journal: is told what happens to each task
    :param workers: how many tasks may run at once, each in a process of its own if it is more than one
    :param force: True to make the task again although complete; a list of families to make those again
    :param force_downstream: with families: also all that requires them
    :param only_self: fail when a requirement is incomplete, instead of making it
    :param run_wrapper: run a wrapper with a ``run()`` of its own although all that it requires is complete
    :param planned: a plan found the task incomplete, so that it is run although it is complete by now, unless another
        process of that plan has run it
    :param plan: names that plan
    :param check: "strict" asks complete() right after each run; "luigi" does what Luigi does
    :param threads: how many complete() may be asked at once while planning
    :param locks: folder of the locks by which engines on this machine leave a running task to each other
    :param domino_runs: how many Domino runs may be under way at once
    :raises Problem: whatever kept the task from being complete afterwards
    """
    configure_logging()
    settings = read_settings(check=check, workers=workers)
    guard = Locks(locks, plan)
    is_due = planned and not is_external(root) and not guard.is_made(root)
    survey = Survey(threads=threads or THREADS, due=[root] if is_due else ())
    runs = domino_runs or MOST_DOMINO_RUNS

    def make(due: list[luigi.Task], surveyed: list[Surveyed]) -> dict[str, Any]:
        dispatch = Dispatch(survey, settings, journal, guard, domino_runs=runs)
        dispatch.make(surveyed)
        return _answer(due, dispatch)

    forced = forced_tasks(root, force, downstream=force_downstream)
    if not forced:
        surveyed = _only(survey, root) if only_self else _all_below(survey, root)
        if run_wrapper and is_plain_wrapper(root) and type(root).run is not luigi.Task.run:
            survey.nodes[root.task_id].state = survey_words.DUE
        if survey.nodes[root.task_id].state == survey_words.COMPLETE:
            journal.note({"task_id": root.task_id, "event": graph_words.COMPLETE, "task": root, "requires": ()})
            message = f"{root} is already complete: nothing run"
            return {"outcome": COMPLETE, "message": message, "already_complete": True}
        return make([root], surveyed)
    due = forced if root in forced or _is_complete(survey, root) else [*forced, root]
    with Aside(forced):
        return make(due, _only(survey, root) if only_self and due == [root] else survey.add(due))


def _is_complete(survey: Survey, root: luigi.Task) -> bool:
    return root.task_id not in survey.due and is_complete(root)


def _all_below(survey: Survey, root: luigi.Task) -> list[Surveyed]:
    """Ask the root and what is below it.

    :raises Problem: the root's ``complete()`` gave no answer
    """
    surveyed = survey.add([root])
    first = survey.nodes[root.task_id]
    if first.state == survey_words.COMPLETE_FAILED and first.problem is not None:
        raise first.problem
    return surveyed


def _only(survey: Survey, root: luigi.Task) -> list[Surveyed]:
    """Ask the root alone; what it requires has to be complete.

    :raises Problem: it is not
    """
    state = survey_words.COMPLETE if _is_complete(survey, root) else survey_words.DUE
    if state == survey_words.DUE:
        _check_requirements(root)
        state = survey_words.DISABLED if root.disabled else state
    survey.nodes[root.task_id] = Surveyed(root, state)
    return [survey.nodes[root.task_id]]


def _check_requirements(root: luigi.Task) -> None:
    if is_external(root):
        raise Problem(EXTERNAL_MISSING, _missing_externals([root]))
    incomplete = [task for task in dependencies(root) if not is_complete(task)]
    if incomplete:
        raise Problem(
            DEPENDENCY_INCOMPLETE,
            f"{root} cannot run: what it requires is not complete: {_names(incomplete, with_outputs=True)}. "
            "Make that first",
        )


def _answer(due: list[luigi.Task], dispatch: Dispatch) -> dict[str, Any]:
    nodes = list(dispatch.graph)
    summary = summarize(nodes)
    logger.info(summary)
    failed = sorted(node.task.task_id for node in nodes if node.state == graph_words.FAILED)
    facts: dict[str, Any] = {
        "already_complete": False,
        "ran": dispatch.ran,
        "made": made([dispatch.graph.nodes[task_id].task for task_id in dispatch.ran]),
        "summary": summary,
        "tasks": _listed(nodes),
        "counts": dict(Counter(node.state for node in nodes)),
    }
    incomplete = [task for task in due if not dispatch.graph.nodes[task.task_id].is_good]
    if not incomplete:
        but = f" (although {len(failed)} Luigi task(s) failed; see the log)" if failed else ""
        return {"outcome": DONE, "message": f"Made, and complete now: {_names(due)}{but}", **facts}
    raise Problem(*_explain(nodes, incomplete), failed=failed, **facts)


def _listed(nodes: list[Node]) -> list[dict[str, Any]]:
    """The tasks one by one, up to a limit: first those that are not complete."""
    ordered = sorted(nodes, key=lambda node: (node.is_good, node.state == graph_words.COMPLETE))
    return [
        {
            "task_id": node.task.task_id,
            "family": node.task.task_family,
            "state": node.state,
            "seconds": round(node.seconds, 3),
            "tier": getattr(node.task, "domino_run_tier", None),
            "url": node.url,
            "message": node.message,
        }
        for node in ordered[:_MOST_LISTED]
    ]


def _explain(nodes: list[Node], incomplete: list[luigi.Task]) -> tuple[str, str]:
    """The outcome word and the message for tasks that are not complete after all."""
    by_state: dict[str, list[Node]] = {}
    for node in nodes:
        by_state.setdefault(node.state, []).append(node)
    failed = sorted(by_state.get(graph_words.FAILED, []), key=lambda node: str(node.task.task_id))
    without_target = [node.message for node in failed if node.is_target_missing]
    if without_target:
        return TARGET_MISSING, " ".join(without_target[:_MOST_NAMED])
    if failed:
        named = "; ".join(f"{node.task}: {node.message}" for node in failed[:_MOST_NAMED])
        return RUN_FAILED, f"{len(failed)} Luigi task(s) failed: {named}. {_IN_LOG}"
    if unscheduled := by_state.get(graph_words.SCHEDULING_FAILED):
        reasons = "; ".join(f"{node.task}: {node.message}" for node in unscheduled[:_MOST_NAMED])
        return SCHEDULING_FAILED, f"{len(unscheduled)} Luigi task(s) could not be scheduled: {reasons}"
    if external := by_state.get(graph_words.EXTERNAL_MISSING):
        return EXTERNAL_MISSING, _missing_externals([node.task for node in external])
    reasons = "; ".join(
        f"{node.task}: {node.message or node.state}" for node in nodes if node.task in incomplete[:_MOST_NAMED]
    )
    return NOT_RUN, f"{len(incomplete)} Luigi task(s) could not be run: {reasons}. {_IN_LOG}"


def _missing_externals(tasks: Any) -> str:
    return (
        f"External data is missing: {_names(tasks, with_outputs=True)}. Nobody here makes it: put it there, "
        "then run again"
    )


def _names(tasks: Any, *, with_outputs: bool = False) -> str:
    ordered = sorted(tasks, key=lambda task: str(task.task_id))
    names = [
        f"{task} ({', '.join(missing_outputs(task)) or 'no target missing'})" if with_outputs else str(task)
        for task in ordered[:_MOST_NAMED]
    ]
    more = len(ordered) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
