"""Stops the run of a deferred task that a user marks, where no trigger is there to do it.

Airflow tells a trigger of a kill only once a triggerer runs it. A task that is marked before that, or while no
triggerer is up, would leave its run going. The api-server, in which the user acts, tells listeners; so the run is
stopped from there as well, which does no harm where the trigger has stopped it already.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow_domino.hooks.connection import ConnectionSettings

log = logging.getLogger(__name__)


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """Stop the run of a waiting task that was marked failed."""
    _stop_run_of(task_instance, "its task was marked failed")


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Stop the run of a waiting task that was marked successful."""
    _stop_run_of(task_instance, "its task was marked successful")


def _stop_run_of(task_instance: Any, why: str) -> None:
    waiting = _awaited(task_instance)
    if waiting is not None:
        _submit(_stop(*waiting, why))


def _awaited(task_instance: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the connection and the run that a deferred task waits with and for; None where it is not one of ours.

    Workers pass a task instance without `next_kwargs`: there the operator itself takes care of its run.
    """
    if getattr(task_instance, "next_method", None) != "execute_complete":
        return None
    waiting = getattr(task_instance, "next_kwargs", None)
    if not isinstance(waiting, Mapping):
        return None
    waiting = waiting.get("__var", waiting)
    run, conn_id = waiting.get("run"), waiting.get("stop_with")
    run = run.get("__var", run) if isinstance(run, Mapping) else None
    return (conn_id, dict(run)) if isinstance(conn_id, str) and run and "run_id" in run else None


def _submit(stop: Coroutine[Any, Any, None]) -> None:
    asyncio.run_coroutine_threadsafe(stop, _loop())


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="stop-domino-runs", daemon=True).start()
    return loop


async def _stop(conn_id: str, run: Mapping[str, Any], why: str) -> None:
    from airflow_domino.hooks.domino import DominoHook
    from airflow_domino.hooks.runs import RunHandle
    from airflow_domino.hooks.stopping import stop_run

    def read_settings() -> ConnectionSettings:
        return DominoHook(conn_id).settings

    try:
        await stop_run(partial(asyncio.to_thread, read_settings), RunHandle.from_dict(run), log, why)
    except Exception:
        log.exception("Domino run %s may still be going", run.get("run_id"))
