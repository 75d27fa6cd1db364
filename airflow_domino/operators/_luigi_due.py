"""Whether the plan of a drawn pipeline found a task due, so that it runs whatever its targets say by now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_domino.compat import task_state_store
from airflow_domino.operators._luigi_forced import plan_of
from airflow_domino.operators.luigi_plan import DUE_XCOM

if TYPE_CHECKING:
    from airflow.sdk import Context

STORE_KEY = "luigi_plan_followed"


def follow_plan(operator: BaseOperator, context: Context) -> dict[str, Any]:
    """The fields of an engine's request that say which plan a task follows, and whether that found it incomplete.

    The first attempt since then runs; every further one, after a failure or a clear, asks ``complete()`` anew, as
    another start of ``luigi`` does. Which plan a task has followed is kept in the task state store (Airflow 3.3);
    without one, only the first try of a task follows a plan.

    :param operator: a task of a drawn pipeline, or any other
    """
    first = plan_of(operator)
    found = None if first is None else context["ti"].xcom_pull(task_ids=first.task_id, key=DUE_XCOM)
    if not isinstance(found, Mapping):
        return {}
    plan = str(found["plan"])
    return {"plan": plan, "planned": operator.task_id in found["tasks"] and _is_first_since(plan, context)}


def _is_first_since(plan: str, context: Context) -> bool:
    store = task_state_store(context)
    if store is None:
        return bool(context["ti"].try_number <= 1)
    if store.get(STORE_KEY) == plan:
        return False
    store.set(STORE_KEY, plan)
    return True
