"""Stops the run of a trigger that a user killed, and only then.

Airflow 3.3 cancels `on_kill` again after a second, runs it also when a triggerer merely lost the trigger, and may have
started the next attempt already. So the stop is a task of its own that nobody cancels, and it asks first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_domino.compat import kill_is_only_for_users, task_state_seen_by_trigger

if TYPE_CHECKING:
    from airflow_domino.triggers.domino import DominoRunTrigger

_stopping: set[asyncio.Task[None]] = set()
_live: dict[tuple[Any, ...], list[DominoRunTrigger]] = {}


def _key(trigger: DominoRunTrigger) -> tuple[Any, ...] | None:
    task_instance = trigger.task_instance
    if task_instance is None:
        return None
    names = ("dag_id", "run_id", "task_id", "map_index")
    return tuple(getattr(task_instance, name, None) for name in names)


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
    task = asyncio.get_running_loop().create_task(_stop_if_killed(trigger))
    _stopping.add(task)
    task.add_done_callback(_stopping.discard)
    await asyncio.shield(task)


async def _stop_if_killed(trigger: DominoRunTrigger) -> None:
    why = "a user acted on its task"
    if trigger.task_instance is not None:
        state = await task_state_seen_by_trigger(trigger.task_instance)
        if state == "deferred" and not _is_ours_to_stop(trigger):
            trigger.log.info("Domino run %s goes on: its task is still deferred", trigger.run_handle.run_id)
            return
        why = f"its task is now {state or 'without a state'}"
    settings = await trigger.settings()
    await asyncio.to_thread(trigger.stop, settings, why)


def _is_ours_to_stop(trigger: DominoRunTrigger) -> bool:
    """Say whether a task that is deferred (again) was cleared, and its new attempt waits for another run.

    Below Airflow 3.4 the trigger may as well have moved to another triggerer, so the new attempt's operator does the
    stopping there; from 3.4 on nobody else does, except that the new attempt may have taken up the same run.
    """
    others = _live.get(_key(trigger) or (), ())
    same_run = any(other is not trigger and other.run_handle.run_id == trigger.run_handle.run_id for other in others)
    return kill_is_only_for_users() and not same_run
