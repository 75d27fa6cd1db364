"""Which tasks the scheduler may start in the triggerer, with no worker before, and what it tells the trigger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import jinja2
import jinja2.meta
from airflow.triggers.base import StartTriggerArgs

from airflow_domino import compat
from airflow_domino.triggers._xcoms import is_addressable

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseOperator

T = TypeVar("T")

# What a template may use where no worker renders it; XComs, for one, are out of a triggerer's reach on some versions.
RENDERED_BY_TRIGGERER = frozenset(
    {
        "conn",
        "dag_run",
        "data_interval_end",
        "data_interval_start",
        "ds",
        "ds_nodash",
        "logical_date",
        "macros",
        "params",
        "run_id",
        "ts",
        "ts_nodash",
        "ts_nodash_with_tz",
        "var",
    }
)


class AskedWhenNeeded(Generic[T]):
    """A class attribute of Airflow's that an instance works out when it is read: when its DAG is complete.

    :param on_class: what the class itself says, which Airflow asks of mapped operators.
    :param ask: works it out.
    """

    def __init__(self, on_class: T, ask: Callable[[Any], T]) -> None:
        self._on_class = on_class
        self._ask = ask

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        # Airflow also reads it while the task is still under construction.
        is_ready = instance is not None and getattr(instance, "_BaseOperator__instantiated", False)
        return self._ask(instance) if is_ready else self._on_class


class StartsInTriggerer:
    """Part of a task that needs no worker to begin; subclasses say what its trigger is told.

    :cvar start_from_trigger: Airflow's word for whether the scheduler starts it in the triggerer.
    :cvar start_trigger_args: Airflow's word for how.
    """

    may_start_from_trigger: bool = False
    start_from_trigger = AskedWhenNeeded[bool](False, lambda task: task.starting_arguments() is not None)
    start_trigger_args = AskedWhenNeeded[StartTriggerArgs | None](None, lambda task: task.starting_arguments())

    def starting_arguments(self) -> StartTriggerArgs | None:
        """Return what the scheduler gives the triggerer; None where a worker has to begin."""
        raise NotImplementedError


def can_start_without_worker(task: BaseOperator, base: type, values: Mapping[str, Any]) -> bool:
    """Say whether nothing about a task has to be done, asked or limited by way of a worker.

    :param base: the class whose behaviour the trigger knows; a subclass that changes it needs a worker.
    :param values: the templated arguments.
    """
    return (
        compat.can_start_from_trigger()
        and task.has_dag()  # type: ignore[no-untyped-call]
        and is_addressable(task.dag_id, task.task_id)
        and not _is_hooked(task)
        and not _is_limited(task)
        and not _changes_behaviour(type(task), base)
        and _renders_plainly(task.dag)
        and _is_plain(list(values.values()), task.get_template_env())
    )


def _is_hooked(task: BaseOperator) -> bool:
    base = _base_operator()
    hooked = task._pre_execute_hook is not None or type(task).pre_execute is not base.pre_execute
    return bool(hooked or task.on_execute_callback or task.inlets or task.run_as_user)


def _is_limited(task: BaseOperator) -> bool:
    """Say whether the author limits how many there are: Airflow does not look at that for such tasks."""
    limits = (task.max_active_tis_per_dag, task.max_active_tis_per_dagrun)
    return task.pool != _base_operator_pool() or any(limit is not None for limit in limits)


def _base_operator() -> type[BaseOperator]:
    from airflow.sdk import BaseOperator

    return BaseOperator


def _base_operator_pool() -> str:
    from airflow.sdk.bases.operator import DEFAULT_POOL_NAME  # type: ignore[attr-defined]

    return str(DEFAULT_POOL_NAME)


def _changes_behaviour(kind: type, base: type) -> bool:
    below = kind.__mro__[: kind.__mro__.index(base)]
    return any(callable(getattr(base, name, None)) and name != "__init__" for each in below for name in vars(each))


def _renders_plainly(dag: DAG) -> bool:
    special = (dag.user_defined_macros, dag.user_defined_filters, dag.jinja_environment_kwargs)
    return (
        not any(special) and not dag.render_template_as_native_obj and dag.template_undefined is jinja2.StrictUndefined
    )


def _is_plain(value: Any, environment: jinja2.Environment) -> bool:
    """Say whether a value is JSON whose templates a triggerer can render.

    :param environment: Airflow's own, which knows Airflow's filters.
    """
    if isinstance(value, str):
        return _is_simple_template(value, environment)
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(entry, environment) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(entry, environment) for entry in value)
    return value is None or isinstance(value, int | float | bool)


def _is_simple_template(text: str, environment: jinja2.Environment) -> bool:
    if "{" not in text:
        return True
    try:
        return jinja2.meta.find_undeclared_variables(environment.parse(text)) <= RENDERED_BY_TRIGGERER
    except jinja2.TemplateSyntaxError:
        return False
