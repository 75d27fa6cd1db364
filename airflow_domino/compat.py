"""What differs between the Airflow versions we run on (3.1 and later), found out in this one place."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from airflow import __version__ as airflow_version
from airflow.configuration import conf
from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from airflow_domino.domino.storable import storable

try:
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        DownstreamTasksSkipped,
        TaskDeferralError,
        TaskDeferralTimeout,
        TaskDeferred,
    )
except ImportError:  # Airflow 3.1 keeps them elsewhere
    from airflow.exceptions import (  # type: ignore[attr-defined, no-redef]
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        DownstreamTasksSkipped,
        TaskDeferralError,
        TaskDeferralTimeout,
        TaskDeferred,
    )

try:
    from airflow.sdk.log import mask_secret, redact  # type: ignore[attr-defined]
except ImportError:  # Airflow 3.1
    from airflow.sdk.execution_time.secrets_masker import mask_secret, redact  # type: ignore[no-redef]

try:
    from airflow.sdk.bases.decorator import determine_kwargs
except ImportError:  # Airflow 3.1
    from airflow.utils.operator_helpers import determine_kwargs  # type: ignore[attr-defined]

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BaseTrigger",
    "DownstreamTasksSkipped",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "TaskDeferred",
    "TaskSkippedEvent",
    "TaskSuccessEvent",
    "TriggerEvent",
    "can_start_from_trigger",
    "default_deferrable",
    "default_emit_assets",
    "default_luigi_scheduler_url",
    "default_luigi_shared_folder",
    "default_outage_budget",
    "default_output_dir",
    "default_poll_interval",
    "default_start_from_trigger",
    "determine_kwargs",
    "execution_api_timeout",
    "expiry_warning_days",
    "forget_xcoms",
    "keep_with_dag_run",
    "kill_is_only_for_users",
    "log_url",
    "mask_secret",
    "own_hostname",
    "redact",
    "task_state_of",
    "task_state_seen_by_trigger",
    "task_state_store",
    "trigger_event",
    "triggerer_takeover_seconds",
]

STATE_QUERY_SECONDS = 5.0


def _release() -> tuple[int, int]:
    major, minor, *_ = airflow_version.split(".")
    return int(major), int(minor)


def trigger_event(payload: Any) -> TriggerEvent:
    """Build an event that Airflow's database takes (Airflow's own constructor has no types)."""
    return TriggerEvent(storable(payload))  # type: ignore[no-untyped-call]


def kill_is_only_for_users() -> bool:
    """Say whether `BaseTrigger.on_kill` means that a user acted.

    Airflow 3.3 also calls it when a slow triggerer loses its triggers to another one; 3.4 does not (PR #73454).
    """
    return _release() >= (3, 4)


def task_state_store(context: Mapping[str, Any]) -> Any | None:
    """Return the store that outlives retries of a task instance (Airflow 3.3+), or None where there is none.

    :param context: Airflow's task context.
    """
    return context.get("task_state_store")


def keep_with_dag_run(store: Any, key: str, value: Any) -> None:
    """Keep a value as long as its DAG run, where others go after ``[state_store] default_retention_days``.

    :param store: of :func:`task_state_store`.
    """
    from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # its stub forgets it

    store.set(key, storable(value), retention=NEVER_EXPIRE)


def forget_xcoms(context: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Delete XComs of former attempts, where an attempt begins in the triggerer and Airflow does not do it.

    :param context: Airflow's task context, on a worker.
    """
    from airflow.sdk.execution_time.xcom import XCom

    ti = context["ti"]
    for key in keys:
        XCom.delete(key=key, task_id=ti.task_id, dag_id=ti.dag_id, run_id=ti.run_id, map_index=ti.map_index)


def default_deferrable() -> bool:
    """Return ``[domino] default_deferrable``: whether tasks wait in the triggerer when they do not say."""
    return conf.getboolean("domino", "default_deferrable", fallback=True)


def default_start_from_trigger() -> bool:
    """Return ``[domino] start_from_trigger``: whether deferrable tasks may be launched without a worker."""
    return conf.getboolean("domino", "start_from_trigger", fallback=True)


def default_emit_assets() -> bool:
    """Return ``[domino] emit_assets``: whether Luigi tasks tell Airflow of what they made when they do not say."""
    return conf.getboolean("domino", "emit_assets", fallback=True)


def execution_api_timeout() -> float:
    """Return how many seconds a worker waits for Airflow's answer to a request of a task (an option since 3.1.1)."""
    return conf.getfloat("workers", "execution_api_timeout", fallback=5.0)


def can_start_from_trigger() -> bool:
    """Say whether a task that the scheduler starts in the triggerer gets its templates rendered (Airflow 3.3)."""
    return _release() >= (3, 3)


def default_poll_interval() -> float:
    """Return ``[domino] poll_interval`` in seconds."""
    return conf.getfloat("domino", "poll_interval", fallback=10.0)


def default_outage_budget() -> float:
    """Return ``[domino] outage_budget`` in seconds."""
    return conf.getfloat("domino", "outage_budget", fallback=3600.0)


def triggerer_takeover_seconds() -> float:
    """Return how long a triggerer must be silent before another one takes its triggers over."""
    return conf.getfloat("triggerer", "triggerer_health_check_threshold", fallback=30.0)


def expiry_warning_days() -> float:
    """Return ``[domino] expiry_warning_days``: how long before a credential expires people are told."""
    return conf.getfloat("domino", "expiry_warning_days", fallback=14.0)


def default_output_dir() -> str | None:
    """Return ``[domino] output_dir``, the base of relative local paths, or None when it is not set."""
    return conf.get("domino", "output_dir", fallback="") or None


def default_luigi_scheduler_url() -> str:
    """Return ``[domino] luigi_scheduler_url``, the central Luigi scheduler to tell of Luigi tasks; empty for none."""
    return conf.get("domino", "luigi_scheduler_url", fallback="").strip()


def default_luigi_shared_folder() -> str:
    """Return ``[domino] luigi_shared_folder``, what the engines of all workers share; empty for nothing."""
    return conf.get("domino", "luigi_shared_folder", fallback="").strip()


def log_url(task_instance: Any) -> str | None:
    """Return the page of a task instance's log, where Airflow knows its own address (``[api] base_url``).

    :param task_instance: the worker's own task instance.
    """
    return getattr(task_instance, "log_url", None) if conf.get("api", "base_url", fallback=None) else None


def own_hostname() -> str:
    """Return the name by which Airflow knows this machine (``[core] hostname_callable``)."""
    try:
        from airflow.utils.net import get_hostname
    except ImportError:
        return socket.getfqdn()  # what Airflow takes where nothing is set
    return str(get_hostname())  # type: ignore[no-untyped-call]  # Airflow's has no types


def _states_request(task_instance: Any) -> Any:
    from airflow.sdk.execution_time.comms import GetTaskStates

    return GetTaskStates(
        dag_id=task_instance.dag_id,
        task_ids=[task_instance.task_id],
        run_ids=[task_instance.run_id],
        map_index=task_instance.map_index,
    )


def _state_in(answer: Any, task_instance: Any) -> str | None:
    states = getattr(answer, "task_states", {}).get(task_instance.run_id, {})
    name = task_instance.task_id
    if task_instance.map_index is not None and task_instance.map_index >= 0:
        name = f"{name}_{task_instance.map_index}"
    state = states.get(name, states.get(task_instance.task_id))
    return None if state is None else str(getattr(state, "value", state))


def task_state_of(task_instance: Any, timeout: float = STATE_QUERY_SECONDS) -> str | None:
    """Ask Airflow, from a worker, which state it holds a task instance to be in.

    Meant for `on_kill`, which runs inside a signal handler: asked on a thread of its own, so that a conversation with
    the supervisor that the signal interrupted cannot block it.

    :param task_instance: the worker's own task instance.
    :param timeout: seconds to wait for the answer.
    :returns: such as "failed", "restarting" or "running"; None when Airflow did not answer.
    """

    def ask() -> str | None:
        supervisor = sys.modules["airflow.sdk.execution_time.task_runner"].SUPERVISOR_COMMS
        return _state_in(supervisor.send(_states_request(task_instance)), task_instance)

    pool = ThreadPoolExecutor(max_workers=1)
    try:
        answer: Future[str | None] = pool.submit(ask)
        return answer.result(timeout)
    except (FutureTimeoutError, KeyError, AttributeError, OSError, RuntimeError):
        return None
    finally:
        pool.shutdown(wait=False)


async def task_state_seen_by_trigger(task_instance: Any) -> str | None:
    """Ask Airflow, from a trigger, which state it holds the task instance to be in.

    :param task_instance: the trigger's task instance.
    """
    from airflow.sdk.execution_time import task_runner

    answer = await task_runner.SUPERVISOR_COMMS.asend(_states_request(task_instance))
    return _state_in(answer, task_instance)
