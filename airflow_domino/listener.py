"""Stops the run of a deferred task that a user marks, where no trigger is there to do it.

Airflow tells a trigger of a kill only once a triggerer runs it. A task that is marked before that, or while no
triggerer is up, would leave its run going. The api-server, in which the user acts, tells listeners; so the run is
stopped from there as well, which does no harm where the trigger has stopped it already.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from airflow.listeners import hookimpl

STOPPING_AT_ONCE = 8

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
        _pool().submit(_stop, *waiting, why)


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


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(STOPPING_AT_ONCE, thread_name_prefix="stop-domino-run")


def _stop(conn_id: str, run: Mapping[str, Any], why: str) -> None:
    from airflow_domino.hooks.domino import DominoHook
    from airflow_domino.hooks.runs import RunHandle, stop_quietly

    hook = DominoHook(conn_id)
    try:
        stop_quietly(hook.client, RunHandle.from_dict(run), log, why)
    except Exception:
        log.exception("Domino run %s may still be going", run.get("run_id"))
    finally:
        hook.close()
