"""How a Luigi plan becomes Airflow tasks: what LuigiDag and LuigiTaskGroup have in common."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, Param

from airflow_domino import compat
from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.luigi.domino_project import TIER_VARIABLE
from airflow_domino.luigi.plan import Plan, PlanError, PlanNode, make_plan
from airflow_domino.luigi.selection import wanted
from airflow_domino.luigi.visibility import refuse_invisible
from airflow_domino.operators._luigi_arguments import freeze
from airflow_domino.operators._luigi_assets import alias_of
from airflow_domino.operators._luigi_places import (
    DOMINO,
    WORKER,
    arguments_of,
    arguments_of_runs,
    check_place,
    refuse_useless,
)
from airflow_domino.operators.luigi import LuigiTaskOperator
from airflow_domino.operators.luigi_plan import LuigiPlanOperator
from airflow_domino.progress import LineCount
from airflow_domino.sensors.luigi import LuigiTargetSensor

_MOST_NAMES_IN_FORM = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drawn:
    """The Airflow tasks of a pipeline.

    :param tasks: by Luigi's task ids in the plan
    :param by_name: the same by their readable names, without the prefix of a group
    :param plan_task: the first of all: asks what is complete
    :param gateway: the last of all: succeeds when the root is complete
    """

    tasks: Mapping[str, BaseOperator]
    by_name: Mapping[str, BaseOperator]
    plan_task: BaseOperator
    gateway: BaseOperator


@dataclass(frozen=True)
class Drawing:
    """How a plan is drawn; the arguments that :class:`~airflow_domino.luigi_dag.LuigiDag` and ``LuigiTaskGroup`` share.

    :param task: the root, as ``"module:Family"`` or a Luigi task object
    :param params: the root's parameters; templates are rendered when a task runs. The graph is drawn before: a sample
        date stands for a templated date, and ``plan_params`` gives samples for other types
    :param plan_params: typical values for templated parameters, used for nothing but the drawing
    :param plan_file: a plan that ``airflow-domino luigi plan`` wrote, instead of asking the pipeline's code
    :param project_path: folder that is put first on the import path
    :param working_dir: where relative targets are; by default ``project_path``
    :param run_on: "worker" or "domino"
    :param tier: hardware tier of tasks that run on Domino
    :param tiers: the same by family; also of Domino runs that the pipeline starts itself: ``{"TrainRForest": "GPU"}``
        is about the DominoRunTask whose command is ``example_ensemble.py TrainRForest``, and wins over its own tier
    :param pools: the Airflow pool for each of Luigi's resources; a task takes as many slots as it names
    :param overrides: by family, any arguments of the operator (``retries``, ``pool``, ``queue``, ``run_on``, ``tier``…)
    :param select: draw only these tasks and what they require (:func:`airflow_domino.luigi.selection.wanted`)
    :param exclude: leave these out, and what requires them
    :param missing_external: what becomes of external data that is not there: "wait" for it (a sensor), "fail", or
        "skip" it and what requires it, as Luigi does
    :param domino_conn_id: the connection
    :param project: Domino project ``owner/name``
    :param python: interpreter that has the pipeline's dependencies
    :param config: path of the ``luigi.cfg`` to use; by default what ``LUIGI_CONFIG_PATH`` says where the DAG is parsed
    :param env: environment variables to add
    :param most_tasks: refuse a graph with more tasks than this
    :param most_depth: refuse a graph that is deeper than this
    :param operator_args: arguments for every task that takes them; weaker than all that is said beside them
    """

    task: Any
    params: Mapping[str, Any] | None = None
    plan_params: Mapping[str, Any] | None = None
    plan_file: str | Path | None = None
    project_path: str | Path | None = None
    working_dir: str | Path | None = None
    run_on: Literal["worker", "domino"] = "worker"
    tier: str | None = None
    tiers: Mapping[str, str] = field(default_factory=dict)
    pools: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    select: Sequence[str] = ()
    exclude: Sequence[str] = ()
    missing_external: Literal["wait", "fail", "skip"] = "wait"
    domino_conn_id: str | None = None
    project: str | None = None
    python: str | None = None
    config: str | Path | None = field(default_factory=lambda: os.environ.get("LUIGI_CONFIG_PATH"))
    env: Mapping[str, str | int | float] | None = None
    most_tasks: int = 1000
    most_depth: int = 200
    operator_args: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse places that there are not, before anything is drawn."""
        check_place(self.run_on)
        for family, own in self.overrides.items():
            if not isinstance(own, Mapping):
                raise ValueError(f"overrides of {family}: {own!r} is no mapping; write {{'run_on': 'domino'}}, say")
            check_place(own.get("run_on", WORKER), f"run_on of {family}")

    def plan(self) -> Plan:
        """The graph, read from a plan file or drawn by a process of its own; complete() is not asked.

        :raises PlanError: there is no graph to draw
        :raises SelectionError: ``select`` or ``exclude`` name a task that the pipeline lacks, or leave nothing
        :raises ConfigurationError: a value cannot be written down, or must not be
        """
        if self.missing_external not in ("wait", "fail", "skip"):
            raise ValueError(f"missing_external={self.missing_external!r}: choose wait, fail or skip")
        whole = self._from_file(self.plan_file) if self.plan_file is not None else self._from_code()
        return whole.part(wanted(whole, _names(self.select), _names(self.exclude)))

    def _from_file(self, path: str | Path) -> Plan:
        plan = Plan.from_file(path)
        reference, _ = freeze(self.task, self.params)
        family = str(reference).rpartition(":")[2]
        if plan.root.family.rpartition(".")[2] != family.rpartition(".")[2]:
            raise PlanError(
                f"{str(path)!r} is the plan of {plan.root.family}, and not of {family}; write one anew: "
                "`airflow-domino luigi plan`"
            )
        if len(plan.nodes) > self.most_tasks:
            raise PlanError(
                f"{str(path)!r} has {len(plan.nodes)} tasks, more than most_tasks={self.most_tasks}; give a higher "
                "limit, or run the pipeline as one LuigiTaskOperator"
            )
        return plan

    def _from_code(self) -> Plan:
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
            most_depth=self.most_depth,
            visible_below=self._files_of_domino(),
            on_drawn=LineCount(f"drawing {reference}", "tasks", line=logger.info).reach,
        )
        if private := sorted(known.keys() - plan.root.params.keys()):
            raise ConfigurationError(
                f"The Luigi parameter {private[0]!r} is private, and Airflow keeps and shows what a DAG file says: let"
                " the task read it from its configuration or environment, or give a template of what Airflow masks,"
                " such as '{{ conn.warehouse.password }}'"
            )
        return plan

    def draw(self, plan: Plan) -> Drawn:
        """Make the tasks and their edges in the DAG or group at hand.

        :raises ValueError: ``tiers`` or ``overrides`` name what the plan lacks, or what does not run on Domino
        """
        self._check_names(plan)
        refuse_invisible(plan, {node.key for node in plan.nodes if self._place(node) == DOMINO})
        names, priorities = plan.names(), plan.priorities()
        is_ranked = any(priorities.values())
        shared = self._shared()
        tasks: dict[str, BaseOperator] = {}
        for node in plan.nodes:
            ranked = {"priority_weight": 1 + round(priorities[node.key]), "weight_rule": "absolute"}
            tasks[node.key] = self._task(node, names[node.key], {**shared, **(ranked if is_ranked else {})})
        gateway = EmptyOperator(
            task_id=_free("done", names.values()),
            trigger_rule="none_failed",
            doc_md=f"The Luigi task `{plan.root.family}` is complete.",
        )
        plan_task = LuigiPlanOperator(
            **_known_to(LuigiPlanOperator, {**self._form_templates(), **self.operator_args, **shared}),
            task_id=_free("plan", names.values()),
            plan=plan,
            task_ids={key: task.task_id for key, task in tasks.items()},
            gateway=gateway.task_id,
            missing_external=self.missing_external,
            doc_md="Asks the whole pipeline what is complete, from its root down, and skips all that is.",
        )
        for node in plan.nodes:
            for required in dict.fromkeys(node.requires):
                tasks[required] >> tasks[node.key]
        plan_task >> [tasks[node.key] for node in plan.nodes if not node.requires]
        [tasks[key] for key in plan.ends] >> gateway
        return Drawn(tasks, {names[key]: task for key, task in tasks.items()}, plan_task, gateway)

    def _check_names(self, plan: Plan) -> None:
        families = {name for node in plan.nodes for name in (node.family, node.label)}
        unknown = sorted({*self.tiers, *self.overrides} - families)
        if unknown:
            raise ValueError(
                f"tiers and overrides name {', '.join(unknown)}, but the plan has only {', '.join(sorted(families))}; "
                "choose among these"
            )
        _refuse_unknown("operator_args", self.operator_args, arguments_of(LuigiTaskOperator, LuigiTargetSensor))
        runs = [node for node in plan.nodes if node.is_domino_run or self._place(node) == DOMINO]
        on_domino = {name for node in runs for name in (node.family, node.label)}
        refuse_useless({**self.operator_args, "tier": self.tier}, self._places(), self.tiers, on_domino)

    def _form_templates(self) -> dict[str, str]:
        return {name: f"{{{{ params.get('{param}', '') }}}}" for name, param in FORM.items()}

    def _shared(self) -> dict[str, Any]:
        reference, params = freeze(self.task, self.params)
        poll_interval = compat.default_poll_interval()
        return {
            # The configuration is asked once for all tasks: to ask it is half the price of a task.
            "deferrable": compat.default_deferrable(),
            "start_from_trigger": compat.default_start_from_trigger(),
            "emit_assets": compat.default_emit_assets(),
            "poll_interval": poll_interval,
            "poke_interval": poll_interval,
            "task": reference,
            "luigi_params": params,
            "project_path": self.project_path,
            "working_dir": self.working_dir,
            "python": self.python,
            "config": self.config,
            "env": self.env,
            "domino_conn_id": self.domino_conn_id,
            "project": self.project,
        }

    def _task(self, node: PlanNode, name: str, more: Mapping[str, Any]) -> BaseOperator:
        is_awaited = node.is_external and self.missing_external == "wait"
        operator = LuigiTargetSensor if is_awaited else LuigiTaskOperator
        known, own, place = arguments_of(operator), _for(node, self.overrides, {}), self._place(node)
        _refuse_unknown(f"overrides of {node.label}", own, known)
        arguments: dict[str, Any] = {
            "task_id": name,
            "node": node.path,
            "doc_md": _describe(node),
            "task_display_name": self._title(node, name),
            "trigger_rule": "none_failed",
            **_known_to(operator, more),
            **self._limits_of(node),
            **{name: value for name, value in self.operator_args.items() if name in known},
        }
        if is_awaited:
            # A sensor waits in the triggerer only where somebody says that it sees the targets from there.
            arguments["deferrable"] = bool(self.operator_args.get("deferrable", False))
            return LuigiTargetSensor(**{**arguments, **own})
        arguments |= {"run_on": place, "asset_alias": alias_of(f"{node.module}:{node.family}")}
        if place == WORKER:
            arguments = {name: value for name, value in arguments.items() if name not in arguments_of_runs()}
        elif (tier := self._tier(node)) is not None:
            arguments["tier"] = tier  # else what default_args say
        if node.is_run_wrapper:
            arguments["run_wrapper"] = True  # what its plan found complete is skipped; else its turn has come
        if not node.is_domino_run or place == DOMINO:
            return LuigiTaskOperator(**{**arguments, **own})
        tier = self._tier(node)
        arguments["domino_conn_id"] = self.domino_conn_id or "domino_default"
        if tier != node.tier:
            arguments["env"] = {**(self.env or {}), TIER_VARIABLE: tier}
        task = LuigiTaskOperator(**{**arguments, **own, "tier": None})
        task.tier = tier  # of the run that the Luigi task starts, for people to see
        return task

    def _title(self, node: PlanNode, name: str) -> str:
        """The task's name on Airflow's pages, with what it is: external data, a wrapper, or a Domino run on a tier."""
        if node.is_external or node.is_wrapper:
            return f"{name} ({'external' if node.is_external else 'wrapper'})"
        on_domino = node.is_domino_run or self._place(node) == DOMINO
        tier = on_domino and self._tier(node)
        return f"{name} ({tier if isinstance(tier, str) else ' → '.join(tier)})" if tier else name

    def _tier(self, node: PlanNode) -> Any:
        return _for(node, self.overrides, {}).get("tier", _for(node, self.tiers, node.tier or self.tier))

    def _files_of_domino(self) -> str | None:
        """The folder whose files are those of the Domino project; None where no task runs there, or a template says."""
        folder = str(self.working_dir or self.project_path or Path.cwd())
        return folder if DOMINO in self._places() and not _is_templated(folder) else None

    def _places(self) -> set[Any]:
        return {self.run_on, *(own.get("run_on") for own in self.overrides.values())}

    def _place(self, node: PlanNode) -> str:
        # A wrapper has nothing to run, external data nobody runs, and a DominoRunTask starts its run from anywhere.
        is_here = node.is_wrapper or node.is_external or node.is_domino_run
        return str(_for(node, self.overrides, {}).get("run_on", WORKER if is_here else self.run_on))

    def _limits_of(self, node: PlanNode) -> dict[str, Any]:
        """What the task's author says of retries, time and resources, in Airflow's words."""
        limits: dict[str, Any] = {}
        if node.retry_count is not None:
            limits["retries"] = max(node.retry_count - 1, 0)
        if node.worker_timeout:
            limits["execution_timeout"] = timedelta(seconds=node.worker_timeout)
        pooled = {self.pools[name]: amount for name, amount in node.resources.items() if name in self.pools}
        if len(pooled) > 1:
            raise ValueError(
                f"{node.family} takes the resources {', '.join(sorted(node.resources))}, which are in the pools"
                f" {', '.join(sorted(pooled))}: an Airflow task is in one pool. Name it in overrides={{{node.family!r}:"
                " {'pool': …}} and leave one of the resources out of pools"
            )
        for pool, amount in pooled.items():
            limits |= {"pool": pool, "pool_slots": max(1, round(amount))}
        return limits


#: Fields of the trigger form, by the argument of the plan task that they fill.
FORM = {
    "select": "luigi_select",
    "exclude": "luigi_exclude",
    "force": "luigi_force",
    "force_downstream": "luigi_force_downstream",
}


def form_of(plan: Plan) -> dict[str, Param]:
    """The fields of the trigger form by which one DAG run makes a part of the pipeline, or makes something again."""
    names = list(dict.fromkeys([*sorted({node.label for node in plan.nodes}), *sorted(plan.names().values())]))

    def names_of_tasks(title: str, description: str) -> Param:
        items = {"type": "string"}
        shown = names[:_MOST_NAMES_IN_FORM]
        return Param(None, title=title, description=description, type=["null", "array"], items=items, examples=shown)

    return {
        FORM["select"]: names_of_tasks("Luigi: make only", "Tasks to make with what they require; none means all."),
        FORM["exclude"]: names_of_tasks("Luigi: leave out", "Tasks to leave out with what requires them."),
        FORM["force"]: names_of_tasks(
            "Luigi: make again", "Tasks to make although they are complete; old outputs are moved aside."
        ),
        FORM["force_downstream"]: Param(
            False,
            title="Luigi: and what requires them",
            description="Also make again everything that requires what is made again.",
            type="boolean",
        ),
    }


def _for(node: PlanNode, said: Mapping[str, Any], otherwise: Any) -> Any:
    """What is said of a node by its label, or else by its family."""
    return said.get(node.label, said.get(node.family, otherwise))


def _names(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _free(name: str, taken: Any) -> str:
    """A task id that no Luigi task has."""
    while name in taken:
        name = f"{name}_"
    return name


def _known_to(operator: type[BaseOperator], arguments: Mapping[str, Any]) -> dict[str, Any]:
    known = arguments_of(operator) | {"task", "luigi_params"}
    return {name: value for name, value in arguments.items() if name in known}


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
