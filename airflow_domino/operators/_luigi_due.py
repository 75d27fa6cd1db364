"""Whether the plan of a drawn pipeline found a task due, so that it runs whatever its targets say by now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from airflow_domino.compat import task_state_store
from airflow_domino.operators._luigi_forced import plan_of
from airflow_domino.operators.luigi_plan import DUE_XCOM

if TYPE_CHECKING:
    from airflow.sdk import Context

STORE_KEY = "luigi_plan_attempt"


def begins_after_plan(operator: BaseOperator, context: Context) -> bool:
    """Whether this is the first attempt at a task since the plan of its pipeline found it incomplete.

    Every further attempt, after a failure or a clear, asks ``complete()`` anew, as another start of ``luigi`` does.
    Which attempt of the plan a task has followed is kept in the task state store (Airflow 3.3); without one, only the
    first try of a task follows a plan.

    :param operator: a task of a drawn pipeline, or any other
    """
    plan = plan_of(operator)
    if plan is None:
        return False
    found = context["ti"].xcom_pull(task_ids=plan.task_id, key=DUE_XCOM)
    if not isinstance(found, Mapping) or operator.task_id not in found.get("tasks", ()):
        return False
    store = task_state_store(context)
    if store is None:
        return bool(context["ti"].try_number <= 1)
    if store.get(STORE_KEY) == found.get("attempt"):
        return False
    store.set(STORE_KEY, found.get("attempt"))
    return True
