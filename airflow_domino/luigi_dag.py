"""A Luigi pipeline drawn as Airflow tasks: a DAG, or a group within one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import DAG, BaseOperator, TaskGroup

from airflow_domino.luigi.plan import Plan
from airflow_domino.luigi_drawing import Drawing, Drawn, form_of
from airflow_domino.operators._luigi_places import arguments_of
from airflow_domino.operators.luigi import LuigiTaskOperator

__all__ = ["LuigiDag", "LuigiTaskGroup"]


class LuigiDag(DAG):
    """A DAG with one Airflow task per Luigi task, wired as ``requires()`` says.

    Drawing the graph never asks ``complete()``. When the DAG runs, a first task, ``plan``, asks the whole pipeline from
    its root down, as Luigi does, and skips what is complete; each other task asks again before it runs. Each is found
    again from the real root, so templated parameters may change the graph: a task that the plan lacks is made by the
    one that requires it, and one that is not there any more is skipped. The last task, ``done``, succeeds when the
    root is complete. The trigger form lets one DAG run make a part of the pipeline, or make something again.

    :param dag_id: the DAG's id
    :param task: the root, as ``"module:Family"`` or a Luigi task object
    :param params: the root's parameters, not Airflow's form (that is ``dag_params``)
    :param dag_params: Airflow's own ``params`` of the DAG: its form, beside the fields that are ours
    :param kwargs: see :class:`~airflow_domino.luigi_drawing.Drawing`; anything else goes to Airflow's DAG;
        ``max_active_runs`` is 1 unless it is given
    :raises PlanError: there is no graph to draw; the message says why, and the way out
    :raises SelectionError: ``select`` or ``exclude`` name a task that the pipeline lacks
    """

    plan: Plan
    drawn: Drawn

    def __init__(self, dag_id: str, *, dag_params: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        drawing, rest = _drawing(kwargs, kwargs.get("default_args") or {}), _of_airflow(kwargs)
        self.plan = drawing.plan()
        # Two runs of one DAG may name the same Luigi tasks, on machines that share no folder for locks.
        rest.setdefault("max_active_runs", 1)
        super().__init__(dag_id, params=dict(dag_params or {}), **rest)
        with self:  # also makes a DAG known to Airflow that nobody assigns to a name
            self.drawn = drawing.draw(self.plan)
        # Only now: each task gets a copy of what its DAG has when it is made, and this names all tasks of the pipeline.
        for name, field in form_of(self.plan).items():
            self.params.setdefault(name, field)

    @property
    def luigi_tasks(self) -> Mapping[str, BaseOperator]:
        """The Airflow tasks by readable name, for further edges."""
        return self.drawn.by_name

    @property
    def tasks_by_luigi_id(self) -> Mapping[str, BaseOperator]:
        """The same by Luigi's task ids in the plan."""
        return self.drawn.tasks


class LuigiTaskGroup(TaskGroup):
    """The same as :class:`LuigiDag`, as a group of tasks within a DAG.

    What comes after the group waits for its ``done``: it also runs when the whole pipeline was complete before. The
    fields of the form are heeded where the DAG has ``params`` of their names: ``luigi_select``, ``luigi_exclude``,
    ``luigi_force`` and ``luigi_force_downstream``.

    :param group_id: the group's id
    :param kwargs: see :class:`~airflow_domino.luigi_drawing.Drawing`; anything else goes to Airflow's TaskGroup
    """

    plan: Plan
    drawn: Drawn

    def __init__(self, group_id: str, **kwargs: Any) -> None:
        super().__init__(group_id, **_of_airflow(kwargs))
        drawing = _drawing(kwargs, {**self.dag.default_args, **self.default_args})
        with self:
            self.plan = drawing.plan()
            self.drawn = drawing.draw(self.plan)

    @property
    def luigi_tasks(self) -> Mapping[str, BaseOperator]:
        """The Airflow tasks by readable name (without the group's), for further edges."""
        return self.drawn.by_name

    @property
    def tasks_by_luigi_id(self) -> Mapping[str, BaseOperator]:
        """The same by Luigi's task ids in the plan."""
        return self.drawn.tasks


def _drawing(kwargs: Mapping[str, Any], default_args: Mapping[str, Any]) -> Drawing:
    ours: Sequence[str] = tuple(Drawing.__dataclass_fields__)
    if "task" not in kwargs:
        raise TypeError("missing keyword argument 'task': the root of the Luigi pipeline; give it as 'module:Family'")
    said = {name: kwargs[name] for name in ours if name in kwargs and (kwargs[name] is not None or name == "run_on")}
    for_tasks = said.pop("operator_args", {})
    # What a drawing says itself reaches the planning too, so it is taken out of what only reaches the tasks.
    shared = arguments_of(LuigiTaskOperator) & set(ours)
    weaker = {name: value for name, value in for_tasks.items() if name in shared}
    rest = {name: value for name, value in for_tasks.items() if name not in weaker}
    weakest = {name: value for name, value in default_args.items() if name == "run_on"}
    return Drawing(**{**weakest, **weaker, **said}, operator_args=rest)


def _of_airflow(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in Drawing.__dataclass_fields__}
