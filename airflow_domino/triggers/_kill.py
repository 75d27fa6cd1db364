"""Stops the run of a trigger that a user killed, and only then.

Airflow 3.3 cancels `on_kill` again after a second, runs it also when a triggerer merely lost the trigger, and may have
started the next attempt already. So the stop is a task of its own that nobody cancels, and it asks first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from airflow_domino.compat import kill_is_only_for_users, task_state_seen_by_trigger
from airflow_domino.hooks.stopping import stop_run

if TYPE_CHECKING:
    from airflow_domino.hooks.runs import RunHandle
    from airflow_domino.triggers.domino import DominoRunTrigger

STATE_PAUSES = (0.5, 2.0)
STATE_SECONDS = 10.0
UNKNOWN = "in a state that Airflow does not tell"
# What a user can mark a task; any other state is that of a task that was cleared.
MARKED = frozenset({"failed", "success", "skipped"})

_stopping: set[asyncio.Task[None]] = set()
_live: dict[tuple[Any, ...], list[DominoRunTrigger]] = {}


def task_key(task_instance: Any) -> list[Any] | None:
    """Return what names the task instance of a trigger, or of a worker, in an event; None without one.

    SQLite gives the id of a trigger that is gone to another one. A triggerer that was frozen, and wakes up when its
    triggers are long done by others, may then send its news to somebody else's task.
    """
    if task_instance is None:
        return None
    return [getattr(task_instance, name, None) for name in ("dag_id", "run_id", "task_id", "map_index")]


async def still_waits(task_instance: Any) -> bool:
    """Say whether the trigger's task has not been ended by others meanwhile; yes where Airflow does not tell."""
    if task_instance is None:
        return True
    try:
        state = await asyncio.wait_for(task_state_seen_by_trigger(task_instance), STATE_SECONDS)
    except Exception:
        return True
    return state in ("deferred", None)


def _key(trigger: DominoRunTrigger) -> tuple[Any, ...] | None:
    key = task_key(trigger.task_instance)
    return None if key is None else tuple(key)


def register(trigger: DominoRunTrigger) -> None:
    """Note that the trigger waits in this process."""
    if (key := _key(trigger)) is not None:
        _live.setdefault(key, []).append(trigger)


def forget(trigger: DominoRunTrigger) -> None:
    """Note that it no longer does."""
    key = _key(trigger)
    if key not in _live:
        return
    _live[key] = [other for other in _live[key] if other is not trigger]
    if not _live[key]:
        del _live[key]


async def stop_run_of(trigger: DominoRunTrigger) -> None:
    """Stop the trigger's run in a task that survives the cancellation of this one."""
    await asyncio.shield(do_later(_stop_if_killed(trigger)))


def do_later(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begin something that goes on when the trigger is gone."""
    task = asyncio.get_running_loop().create_task(work)
    _stopping.add(task)
    task.add_done_callback(_stopping.discard)
    return task


async def _stop_if_killed(trigger: DominoRunTrigger) -> None:
    handle = await trigger.run_to_stop()
    if handle is None:
        return
    why = "a user acted on its task"
    if trigger.task_instance is not None:
        state = await _state_of_task(trigger)
        goes_on = state == "deferred" and not kill_is_only_for_users()
        if goes_on or (state in ("deferred", UNKNOWN) and _is_taken_up(trigger, handle)):
            trigger.log.info("Domino run %s goes on: its task is still deferred", handle.run_id)
            return
        if not (trigger.stop_on_kill if state in (*MARKED, UNKNOWN) else trigger.on_clear == "stop"):
            trigger.log.info("Domino run %s goes on, as its task wants it: the task is now %s", handle.run_id, state)
            return
        why = f"its task is now {state or 'without a state'}"
    await stop_run(trigger.settings, handle, trigger.log, why, keep_results=trigger.keep_results)


async def _state_of_task(trigger: DominoRunTrigger) -> str | None:
    """Ask for the task's state a few times.

    Without an answer the run is stopped, on every version: nearly every kill is a user's, and a run that was stopped
    though its trigger had merely moved is noticed and retried, while one that nobody waits for costs money unseen.
    """
    for pause in (*STATE_PAUSES, None):
        try:
            return await asyncio.wait_for(task_state_seen_by_trigger(trigger.task_instance), STATE_SECONDS)
        except Exception as error:
            trigger.log.warning("Airflow does not say in which state the task is: %r", error)
        if pause is not None:
            await asyncio.sleep(pause)
    return UNKNOWN


def _is_taken_up(trigger: DominoRunTrigger, handle: RunHandle) -> bool:
    """Say whether another trigger here waits for the same run: the next attempt's, after the task was cleared.

    Below Airflow 3.4 a task that is deferred (again) may as well have moved to another triggerer; there the new
    attempt's operator stops the run of a cleared one.
    """
    others = _live.get(_key(trigger) or (), ())
    return any(
        other is not trigger and other.run_handle is not None and other.run_handle.run_id == handle.run_id
        for other in others
    )
