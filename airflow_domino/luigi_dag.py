"""A Luigi pipeline drawn as Airflow tasks: a DAG, or a group within one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Literal

from airflow.sdk import DAG, BaseOperator, TaskGroup

from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.luigi.plan import Plan, PlanNode, make_plan
from airflow_domino.operators._luigi_arguments import freeze
from airflow_domino.operators.luigi import LuigiTaskOperator
from airflow_domino.sensors.luigi import LuigiTargetSensor

__all__ = ["LuigiDag", "LuigiTaskGroup"]

# What the drawing itself says of each task.
_DRAWN = frozenset({"task_id", "task", "params", "luigi_params", "node"})


@dataclass(frozen=True)
class Drawing:
    """How a plan is drawn; the arguments that :class:`LuigiDag` and :class:`LuigiTaskGroup` have in common.

    :param task: the root, as ``"module:Family"`` or a Luigi task object
    :param params: the root's parameters; templates are rendered when a task runs. The graph is drawn before: a sample
        date stands for a templated date, and ``plan_params`` gives samples for other types
    :param plan_params: typical values for templated parameters, used for nothing but the drawing
    :param project_path: folder that is put first on the import path
    :param working_dir: where relative targets are; by default ``project_path``
    :param run_on: "worker" or "domino"
    :param tier: hardware tier of tasks that run on Domino
    :param tiers: the same by family
    :param overrides: by family, any arguments of the operator (``retries``, ``pool``, ``run_on``, ``tier``…)
    :param domino_conn_id: the connection
    :param python: interpreter that has the pipeline's dependencies
    :param config: path of the ``luigi.cfg`` to use
    :param env: environment variables to add
    :param most_tasks: refuse a graph with more tasks than this
    :param operator_args: arguments for every task that takes them; weaker than all that is said beside them
    """

    task: Any
    params: Mapping[str, Any] | None = None
    plan_params: Mapping[str, Any] | None = None
    project_path: str | Path | None = None
    working_dir: str | Path | None = None
    run_on: Literal["worker", "domino"] = "worker"
    tier: str | None = None
    tiers: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    domino_conn_id: str | None = None
    python: str | None = None
    config: str | Path | None = None
    env: Mapping[str, str | int | float] | None = None
    most_tasks: int = 1000
    operator_args: Mapping[str, Any] = field(default_factory=dict)

    def plan(self) -> Plan:
        """The graph, drawn by a process of its own; complete() is not asked.

        :raises PlanError: there is no graph to draw
        :raises ConfigurationError: a value cannot be written down, or must not be
        """
        reference, params = freeze(self.task, self.params)
        given = dict(params or {})
        templated = {name for name, value in given.items() if _is_templated(value)} - set(self.plan_params or {})
        known = {name: value for name, value in given.items() if name not in templated}
        plan = make_plan(
            reference,
            {**known, **(self.plan_params or {})},
            templated=tuple(sorted(templated)),
            project_path=self.project_path,
            python=self.python,
            config=self.config,
            env=self.env,
            most_nodes=self.most_tasks,
        )
        if private := sorted(known.keys() - plan.root.params.keys()):
            raise ConfigurationError(
                f"The Luigi parameter {private[0]!r} is private, and Airflow keeps and shows what a DAG file says: let"
                " the task read it from its configuration or environment, or give a template of what Airflow masks,"
                " such as '{{ conn.warehouse.password }}'"
            )
        return plan

    def draw(self, plan: Plan) -> dict[str, BaseOperator]:
        """Make the tasks and their edges in the DAG or group at hand.

        :returns: the tasks by Luigi's task ids
        :raises ValueError: ``tiers`` or ``overrides`` name a family that the plan lacks
        """
        families = {node.family for node in plan.nodes}
        unknown = sorted({*self.tiers, *self.overrides} - families)
        if unknown:
            raise ValueError(
                f"tiers and overrides name {', '.join(unknown)}, but the plan has only {', '.join(sorted(families))}"
            )
        _refuse_unknown("operator_args", self.operator_args, _arguments(LuigiTaskOperator, LuigiTargetSensor))
        names, priorities = plan.names(), plan.priorities()
        is_ranked = any(priorities.values())
        tasks = {}
        for node in plan.nodes:
            ranked = {"priority_weight": 1 + round(priorities[node.key]), "weight_rule": "absolute"}
            tasks[node.key] = self._task(node, names[node.key], ranked if is_ranked else {})
        for node in plan.nodes:
            for required in dict.fromkeys(node.requires):
                tasks[required] >> tasks[node.key]
        return tasks

    def _task(self, node: PlanNode, name: str, more: Mapping[str, Any]) -> BaseOperator:
        operator = LuigiTargetSensor if node.is_external else LuigiTaskOperator
        known, own = _arguments(operator), self.overrides.get(node.family, {})
        _refuse_unknown(f"overrides of {node.family}", own, known)
        reference, params = freeze(self.task, self.params)
        arguments: dict[str, Any] = {
            "task_id": name,
            "task": reference,
            "luigi_params": params,
            "node": node.path,
            "project_path": self.project_path,
            "working_dir": self.working_dir,
            "python": self.python,
            "config": self.config,
            "env": self.env,
            "domino_conn_id": self.domino_conn_id,
            "doc_md": _describe(node),
            **more,
            **{name: value for name, value in self.operator_args.items() if name in known},
        }
        if node.is_external:
            return LuigiTargetSensor(**{**arguments, **own})
        # A wrapper has nothing to run, and a DominoRunTask starts its run from wherever it is.
        where = "worker" if node.is_wrapper or node.is_domino_run else self.run_on
        arguments |= {"run_on": where, "tier": self.tiers.get(node.family, self.tier)}
        if node.is_domino_run:
            arguments |= {"domino_conn_id": self.domino_conn_id or "domino_default", "tier": node.tier}
        return LuigiTaskOperator(**{**arguments, **own})


@cache
def _arguments(*operators: type[BaseOperator]) -> frozenset[str]:
    """Names of the arguments that operators take, as the signatures of their classes and those above tell them."""
    constructors = {
        vars(cls)["__init__"] for operator in operators for cls in operator.__mro__[:-1] if "__init__" in vars(cls)
    }
    found = {
        one.name
        for constructor in constructors
        for one in signature(constructor).parameters.values()
        if one.kind is Parameter.KEYWORD_ONLY or one.kind is Parameter.POSITIONAL_OR_KEYWORD
    }
    return frozenset(found - {"self"} - _DRAWN)


def _refuse_unknown(what: str, given: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := sorted(given.keys() - known):
        raise ValueError(f"{what}: no such argument {', '.join(unknown)}; there are {', '.join(sorted(known))}")


def _is_templated(value: Any) -> bool:
    return (
        not isinstance(value, str | int | float | bool | list | dict | None) or "{{" in str(value) or "{%" in str(value)
    )


def _describe(node: PlanNode) -> str:
    kind = "external data" if node.is_external else "wrapper" if node.is_wrapper else "task"
    if node.is_domino_run:
        kind = f"Domino run on the tier {node.tier}"
    values = "".join(f"\n- `{name}`: `{value}`" for name, value in node.params.items())
    return f"Luigi {kind} `{node.module}:{node.family}`" + (f", drawn with:\n{values}" if values else "")


class LuigiDag(DAG):
    """A DAG with one Airflow task per Luigi task, wired as ``requires()`` says.

    Drawing the graph never asks ``complete()``: each task asks it when it runs, and ends at once when the answer is
    yes. Each is found again from the real root at run time, so templated parameters may change the graph: a task that
    the plan lacks is made by the one that requires it, and one that is not there any more has nothing to do.

    :param dag_id: the DAG's id
    :param task: the root, as ``"module:Family"`` or a Luigi task object
    :param params: the root's parameters, not Airflow's form (that is ``dag_params``); see :class:`Drawing` for it and
        ``plan_params``, ``project_path``, ``working_dir``, ``run_on``, ``tier``, ``tiers``, ``overrides``,
        ``domino_conn_id``, ``python``, ``config``, ``env``, ``most_tasks`` and ``operator_args``
    :param dag_params: Airflow's own ``params`` of the DAG: its form
    :param kwargs: anything else that Airflow's DAG takes; ``max_active_runs`` is 1 unless it is given
    :raises PlanError: there is no graph to draw; the message says why, and the way out
    """

    plan: Plan
    #: The Airflow tasks by Luigi's task ids, for further edges.
    tasks_by_luigi_id: dict[str, BaseOperator]

    def __init__(self, dag_id: str, *, dag_params: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        drawing, rest = _split(kwargs)
        # Two runs of one DAG may name the same Luigi tasks; nothing but this keeps them from making one twice at once.
        rest.setdefault("max_active_runs", 1)
        super().__init__(dag_id, params=dict(dag_params) if dag_params else None, **rest)
        with self:  # also makes a DAG known to Airflow that nobody assigns to a name
            self.plan = drawing.plan()
            self.tasks_by_luigi_id = drawing.draw(self.plan)


class LuigiTaskGroup(TaskGroup):
    """The same as :class:`LuigiDag`, as a group of tasks within a DAG.

    :param group_id: the group's id
    :param kwargs: see :class:`Drawing`; anything else goes to Airflow's TaskGroup
    """

    plan: Plan
    #: The Airflow tasks by Luigi's task ids, for further edges.
    tasks_by_luigi_id: dict[str, BaseOperator]

    def __init__(self, group_id: str, **kwargs: Any) -> None:
        drawing, rest = _split(kwargs)
        super().__init__(group_id, **rest)
        with self:
            self.plan = drawing.plan()
            self.tasks_by_luigi_id = drawing.draw(self.plan)


def _split(kwargs: Mapping[str, Any]) -> tuple[Drawing, dict[str, Any]]:
    ours: Sequence[str] = tuple(Drawing.__dataclass_fields__)
    if "task" not in kwargs:
        raise TypeError("missing keyword argument 'task': the root of the Luigi pipeline, as 'module:Family'")
    said = {name: kwargs[name] for name in ours if kwargs.get(name) is not None}
    for_tasks = said.pop("operator_args", {})
    # What a drawing says itself reaches the planning too, so it is taken out of what only reaches the tasks.
    shared = _arguments(LuigiTaskOperator) & set(ours)
    weaker = {name: value for name, value in for_tasks.items() if name in shared}
    rest = {name: value for name, value in for_tasks.items() if name not in weaker}
    return Drawing(**{**weaker, **said}, operator_args=rest), {
        name: value for name, value in kwargs.items() if name not in ours
    }
