"""XComs of a task that waits in the triggerer, pushed and read from there.

An event that ends a task may bring XComs along, and Airflow 3.3 stores those as JSON inside of JSON: a task that pulls
one gets a text where a mapping was meant, and `'"16258cd1…"'` for a commit. So XComs are pushed, and where that fails a
worker ends the task, and pushes them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from airflow_domino.compat import TaskSuccessEvent
from airflow_domino.domino.storable import storable

_log = logging.getLogger(__name__)

# A triggerer asks Airflow's API within its own process. That client (httpx and a2wsgi) writes a path as Latin-1 and
# reads it as UTF-8: ids that are not ASCII raise, or come out as those of another task. Some characters of ASCII, such
# as "/", it takes for parts of an address.
_ADDRESSABLE = re.compile(r"[A-Za-z0-9_.~:+-]+")


def is_addressable(*ids: str) -> bool:
    """Say whether XComs of a task with these ids can be pushed and read from the triggerer."""
    return all(_ADDRESSABLE.fullmatch(one) for one in ids)


def can_push_xcoms(task_instance: Any) -> bool:
    """Say whether a trigger can push XComs of its task.

    :param task_instance: the trigger's.
    """
    return task_instance is not None and is_addressable(
        task_instance.dag_id, task_instance.run_id, task_instance.task_id
    )


async def push_xcoms(task_instance: Any, values: Mapping[str, Any]) -> bool:
    """Push XComs of the task that a trigger waits for.

    Airflow does not promise this to triggers, so a worker must be able to push the same.

    :param task_instance: the trigger's.
    :returns: whether Airflow has taken them.
    """
    from airflow.sdk.execution_time import comms, task_runner

    if not can_push_xcoms(task_instance):
        return False
    try:
        for key, value in values.items():
            message = comms.SetXCom(key=key, value=storable(value), **_address(task_instance))
            await task_runner.SUPERVISOR_COMMS.asend(message)
    except Exception as error:
        _log.debug("Airflow takes no XCom from the triggerer: %r", error)
        return False
    return True


async def ended_well(task_instance: Any, xcoms: Mapping[str, Any]) -> TaskSuccessEvent | None:
    """End the task well from the triggerer, with these XComs; None where a worker has to do both.

    :param task_instance: the trigger's.
    """
    return TaskSuccessEvent() if await push_xcoms(task_instance, xcoms) else None


async def read_xcom(task_instance: Any, key: str) -> Any:
    """Read an XCom of the task that a trigger waits for; None when there is none, or Airflow does not give it.

    :param task_instance: the trigger's.
    """
    from airflow.sdk.execution_time import comms, task_runner

    if not can_push_xcoms(task_instance):
        return None
    try:
        answer = await task_runner.SUPERVISOR_COMMS.asend(comms.GetXCom(key=key, **_address(task_instance)))
    except Exception as error:
        _log.debug("Airflow gives no XCom to the triggerer: %r", error)
        return None
    return getattr(answer, "value", None)


def _address(task_instance: Any) -> dict[str, Any]:
    map_index = getattr(task_instance, "map_index", None)
    return {
        "dag_id": task_instance.dag_id,
        "run_id": task_instance.run_id,
        "task_id": task_instance.task_id,
        "map_index": -1 if map_index is None else map_index,
    }
