"""Stops the run of a deferred task that a user marks, where no trigger is there to do it.

Airflow tells a trigger of a kill only once a triggerer runs it. A task that is marked before that, or while no
triggerer is up, would leave its run going. The api-server, in which the user acts, tells listeners; so the run is
stopped from there as well, which does no harm where the trigger has stopped it already.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow_domino.hooks.connection import ConnectionSettings

TRIGGER_SECONDS = 3.0
"""Time in which the trigger of the task stops its run, if there is one; it can say so in the task's log."""

log = logging.getLogger(__name__)


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """Stop the run of a waiting task that was marked failed."""
    _stop_run_of(task_instance, "its task was marked failed")


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Stop the run of a waiting task that was marked successful."""
    _stop_run_of(task_instance, "its task was marked successful")


@dataclass(frozen=True)
class _Waiting:
    """What a deferred task waits for.

    :param run: :class:`~airflow_domino.hooks.runs.RunHandle` as plain values; None where the triggerer launched it.
    :param keep_results: whether the run keeps what it wrote.
    :param where: the task instance's `dag_id`, `run_id`, `task_id` and `map_index`.
    """

    conn_id: str
    run: Mapping[str, Any] | None
    where: Mapping[str, Any]
    keep_results: bool


def _stop_run_of(task_instance: Any, why: str) -> None:
    waiting = _awaited(task_instance)
    if waiting is not None:
        _submit(_stop(waiting, why))


def _awaited(task_instance: Any) -> _Waiting | None:
    """Return what a deferred task waits for; None where it is not one of ours.

    Workers pass a task instance without `next_kwargs`: there the operator itself takes care of its run.
    """
    if getattr(task_instance, "next_method", None) != "execute_complete":
        return None
    waiting = _plain(getattr(task_instance, "next_kwargs", None))
    conn_id, run = waiting.get("stop_with"), _plain(waiting.get("run"))
    if not isinstance(conn_id, str) or (run and "run_id" not in run):
        return None
    where = {name: getattr(task_instance, name, None) for name in ("dag_id", "run_id", "task_id", "map_index")}
    return _Waiting(conn_id, dict(run) if run else None, where, waiting.get("keep_results") is not False)


def _plain(value: Any) -> Mapping[str, Any]:
    value = value.get("__var", value) if isinstance(value, Mapping) else value
    return value if isinstance(value, Mapping) else {}


def _submit(stop: Coroutine[Any, Any, None]) -> None:
    asyncio.run_coroutine_threadsafe(stop, _loop())


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="stop-domino-runs", daemon=True).start()
    return loop


async def _stop(waiting: _Waiting, why: str) -> None:
    from airflow_domino.hooks.domino import DominoHook
    from airflow_domino.hooks.runs import RunHandle
    from airflow_domino.hooks.stopping import stop_run

    def read_settings() -> ConnectionSettings:
        return DominoHook(waiting.conn_id).settings

    try:
        await asyncio.sleep(TRIGGER_SECONDS)
        run = waiting.run or await asyncio.to_thread(_launched_by_triggerer, waiting)
        if run is None:
            return
        if "{" in waiting.conn_id:
            log.warning(
                "Domino run %s may still be going: its connection %r is a template, which only a task can read; "
                "`airflow domino orphans --stop` stops it",
                run["run_id"],
                waiting.conn_id,
            )
            return
        settings, handle = partial(asyncio.to_thread, read_settings), RunHandle.from_dict(run)
        await stop_run(settings, handle, log, why, keep_results=waiting.keep_results)
    except Exception:
        log.exception("The Domino run of the task %s may still be going", dict(waiting.where))


def _launched_by_triggerer(waiting: _Waiting) -> Mapping[str, Any] | None:
    """Read from Airflow's database which run the triggerer has launched for a task; None when it has launched none."""
    from sqlalchemy import select

    from airflow_domino.compat_server import XComModel, create_session
    from airflow_domino.hooks.runs import RUN_KEY

    with create_session() as session:
        value = session.scalar(select(XComModel.value).filter_by(key=RUN_KEY, **waiting.where))
    run = json.loads(value) if isinstance(value, str) else value
    return run if isinstance(run, Mapping) and "run_id" in run else None
