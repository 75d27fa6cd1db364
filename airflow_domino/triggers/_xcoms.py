"""XComs of a task that waits in the triggerer, pushed and read from there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow_domino.compat import TaskSuccessEvent

_log = logging.getLogger(__name__)


async def push_xcoms(task_instance: Any, values: Mapping[str, Any]) -> bool:
    """Push XComs of the task that a trigger waits for.

    Airflow does not promise this to triggers, so whatever is pushed must also come in another way.

    :param task_instance: the trigger's.
    :returns: whether Airflow has taken them.
    """
    from airflow.sdk.execution_time import comms, task_runner

    if task_instance is None:
        return False
    try:
        for key, value in values.items():
            message = comms.SetXCom(key=key, value=value, **_address(task_instance))
            await task_runner.SUPERVISOR_COMMS.asend(message)
    except Exception as error:
        _log.debug("Airflow takes no XCom from the triggerer: %r", error)
        return False
    return True


async def ended_well(task_instance: Any, xcoms: Mapping[str, Any]) -> TaskSuccessEvent:
    """End the task well from the triggerer, with these XComs.

    Airflow 3.3 writes those that come with the event as JSON inside of JSON: a task after it reads a text where a
    mapping was meant, and `{{ ti.xcom_pull("train")["run_id"] }}` fails. Pushed before, they stay what they are.

    :param task_instance: the trigger's.
    """
    is_pushed = await push_xcoms(task_instance, xcoms)
    return TaskSuccessEvent(xcoms={} if is_pushed else dict(xcoms))


async def read_xcom(task_instance: Any, key: str) -> Any:
    """Read an XCom of the task that a trigger waits for; None when there is none, or Airflow does not give it.

    :param task_instance: the trigger's.
    """
    from airflow.sdk.execution_time import comms, task_runner

    if task_instance is None:
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
