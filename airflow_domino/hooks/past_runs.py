"""All runs of a task instance, remembered over its attempts, for those who ask later what was run and what it cost.

Airflow forgets an attempt's XComs when the next one begins. So each attempt on a worker notes its run in the task state
store (Airflow 3.3), and those of attempts before it that had no such place: a triggerer has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_domino.compat import keep_with_dag_run, task_state_store
from airflow_domino.hooks.runs import RunHandle, run_result

if TYPE_CHECKING:
    from airflow_domino.domino.models import Run
    from airflow_domino.hooks.identity import TaskIdentity
    from airflow_domino.hooks.launching import RunLaunch
    from airflow_domino.hooks.runs import Logger

PAST_RUNS_KEY = "domino_runs"
MOST_REMEMBERED = 50
"""Airflow warns of more than 65,535 bytes of task state; a run takes about 500."""

_OF_THE_END = ("status", "queued_seconds", "run_seconds", "cost_cents")


def note_launch(context: Mapping[str, Any], identity: TaskIdentity, handle: RunHandle, logger: Logger) -> None:
    """Note the run that this attempt has launched, or goes on with."""
    _note(context, [{"try_number": identity.try_number, **handle.to_dict()}], logger)


def note_end(context: Mapping[str, Any], run: Run, handle: RunHandle, logger: Logger) -> None:
    """Note how the run of this attempt has ended."""
    _note(context, [facts_of(run, handle)], logger)


def note_earlier(context: Mapping[str, Any], launch: RunLaunch, logger: Logger) -> None:
    """Note the runs of earlier attempts, which Domino still knows by their marks.

    :param launch: that has looked for them.
    """
    store = task_state_store(context)
    earlier = launch.earlier_runs() if store is not None else []
    if earlier:
        known = {str(each.get("run_id")): each for each in _read(store, logger)}
        new = [run for run in earlier if "completed_at" not in known.get(run.id, {})][-MOST_REMEMBERED:]
        _note(context, [facts_of(run, launch.handle_of(run, known.get(run.id))) for run in new], logger)


def facts_of(run: Run, handle: RunHandle) -> dict[str, Any]:
    """Return what is kept of a run; what is not known is left out.

    :param handle: what was known from its launch.
    """
    times = {"submitted_at": run.submitted_at, "started_at": run.started_at, "completed_at": run.completed_at}
    result = run_result(run, handle)
    facts = {**handle.to_dict(), **{name: result[name] for name in _OF_THE_END}, "number": run.number}
    facts |= {name: time.isoformat() for name, time in times.items() if time is not None}
    return {name: value for name, value in facts.items() if value is not None}


def _note(context: Mapping[str, Any], facts: Iterable[Mapping[str, Any]], logger: Logger) -> None:
    """Add facts to those that are kept; what is only remembered must never fail the task that is at work.

    A run belongs to the attempt that noted it first, whichever goes on with it.
    """
    store, facts = task_state_store(context), list(facts)
    if store is None or not facts:
        return
    kept = {str(each.get("run_id")): each for each in _read(store, logger)}
    for each in facts:
        before = kept.get(str(each["run_id"]), {})
        first = {"try_number": before["try_number"]} if "try_number" in before else {}
        kept[str(each["run_id"])] = {**before, **{name: one for name, one in each.items() if one is not None}, **first}
    newest = sorted(kept.values(), key=lambda each: str(each.get("submitted_at") or ""))[-MOST_REMEMBERED:]
    try:
        keep_with_dag_run(store, PAST_RUNS_KEY, newest)
    except Exception as error:
        logger.warning("Airflow does not keep what this task has run: %s", error)


def _read(store: Any, logger: Logger) -> list[Mapping[str, Any]]:
    try:
        kept = store.get(PAST_RUNS_KEY)
    except Exception as error:
        logger.warning("Airflow does not tell what this task has run before: %s", error)
        return []
    return [each for each in kept if isinstance(each, Mapping)] if isinstance(kept, list) else []
