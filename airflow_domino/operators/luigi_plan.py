"""LuigiPlanOperator: the first task of a drawn Luigi pipeline, which leaves out what there is nothing to do for."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import BaseOperator

from airflow_domino.compat import AirflowFailException, DownstreamTasksSkipped
from airflow_domino.luigi.plan import Plan
from airflow_domino.luigi.selection import SelectionError, ends_of, named, requiring, wanted
from airflow_domino.operators._domino_run import refusing_wrong_requests
from airflow_domino.operators._luigi_arguments import parse_force, parse_names
from airflow_domino.operators._luigi_engine import ENGINE_FIELDS, ENGINE_RENDERERS, AsksLuigi
from airflow_domino.operators._luigi_params import LuigiParamsMeta

if TYPE_CHECKING:
    import luigi
    from airflow.sdk import Context

__all__ = ["LuigiPlanOperator"]

PLAN_XCOM = "luigi_plan"
#: XCom with the Airflow tasks of what is made again.
FORCED_XCOM = "luigi_forced"
#: XCom with the Airflow tasks of what was incomplete, and with a name of its own for the plan that found that.
DUE_XCOM = "luigi_due"
# Why a task is not run, and how the log says it. These words are keys of the XCom.
_REASONS = {
    "complete": "already complete",
    "not_needed": "not needed, since what requires them is complete",
    "left_out": "left out of this DAG run",
    "absent": "not in the pipeline with these parameters",
    "disabled": "disabled by their author",
    "missing": "external data that is missing, and what requires it",
}
_MOST_NAMED = 20


class LuigiPlanOperator(AsksLuigi, BaseOperator, metaclass=LuigiParamsMeta):
    """Ask a whole Luigi pipeline what is complete, from its root down, and skip the Airflow tasks of all that is.

    As in Luigi, what lies below a complete task is not asked. The skipped tasks start no process; those behind them
    have the trigger rule ``none_failed``. The XCom ``luigi_plan`` says of each task whether it is ``due``, or why it
    is not: ``complete``, ``not_needed``, ``left_out``, ``absent``, ``disabled``, ``missing``.

    :param task: the root, as ``"module:Family"`` or a Luigi task object (templated)
    :param plan: the drawn pipeline
    :param task_ids: the Airflow task of each planned task, by Luigi's task id in the plan
    :param gateway: the Airflow task behind all others
    :param luigi_params: the root's parameters (templated)
    :param select: what is wanted in this DAG run (:func:`airflow_domino.luigi.selection.wanted`) (templated)
    :param exclude: what is left out in it (templated)
    :param force: what is made again although it is complete; its outputs are moved aside (templated)
    :param force_downstream: make again everything that requires it, too (templated)
    :param missing_external: "wait" and "fail" leave the task of missing external data to itself; "skip" skips it, and
        what requires it
    :param check_threads: how many ``complete()`` may be asked at once where they take long
    :param luigi_scheduler_url: address of a central Luigi scheduler (``luigid``) to tell what there is to do; by
        default ``[domino] luigi_scheduler_url``, and none if it is empty (templated)
    """

    template_fields: Sequence[str] = (
        *ENGINE_FIELDS,
        "select",
        "exclude",
        "force",
        "force_downstream",
        "luigi_scheduler_url",
        "domino_conn_id",
        "project",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = ENGINE_RENDERERS
    ui_color = "#d0e0e3"
    ui_fgcolor = "#13333a"

    def __init__(
        self,
        *,
        task: str | luigi.Task,
        plan: Plan,
        task_ids: Mapping[str, str],
        gateway: str,
        luigi_params: Mapping[str, Any] | None = None,
        select: Any = None,
        exclude: Any = None,
        force: Any = None,
        force_downstream: Any = False,
        missing_external: Literal["wait", "fail", "skip"] = "wait",
        check_threads: int = 8,
        project_path: str | Path | None = None,
        working_dir: str | Path | None = None,
        python: str | None = None,
        env: Mapping[str, str | int | float] | None = None,
        config: str | Path | None = None,
        domino_conn_id: str | None = None,
        project: str | None = None,
        luigi_scheduler_url: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name_task(task, luigi_params, project_path, working_dir, python, env, config, ())
        self.plan = plan
        self.task_ids = task_ids
        self.gateway = gateway
        self.select = select
        self.exclude = exclude
        self.force = force
        self.force_downstream = force_downstream
        self.missing_external = missing_external
        self.check_threads = check_threads
        self.domino_conn_id = domino_conn_id
        self.project = project
        self.luigi_scheduler_url = luigi_scheduler_url

    def execute(self, context: Context) -> dict[str, int]:
        """Ask, tell, and skip.

        :raises AirflowFailException: the request is wrong, so that no retry can help
        :raises LuigiTaskError: the pipeline could not be asked
        :raises DownstreamTasksSkipped: some tasks have nothing to do; Airflow takes it for a success
        """
        with refusing_wrong_requests():
            try:
                chosen, forced = self._chosen(), self._forced()
            except SelectionError as error:
                raise AirflowFailException(str(error)) from error
            answer = self.ask_engine(
                "survey",
                nodes=[(node.key, node.path) for node in self.plan.nodes],
                targets=ends_of(self.plan, chosen),
                forced=[node.key for node in self.plan.nodes if node.key in forced],
                threads=self.check_threads,
            )
        found = answer.facts["nodes"]
        states = self._states(found, chosen | forced)
        self._tell(states, answer.facts)
        by_reason: dict[str, list[str]] = {}
        for key, state in states.items():
            by_reason.setdefault(state, []).append(self.task_ids[key])
        summary = {state: len(task_ids) for state, task_ids in by_reason.items()}
        context["ti"].xcom_push(PLAN_XCOM, by_reason)
        due = [self.task_ids[key] for key, state in states.items() if state == found[key]["state"] == "due"]
        context["ti"].xcom_push(DUE_XCOM, {"plan": uuid.uuid4().hex, "tasks": due})
        if again := [self.task_ids[key] for key in sorted(forced) if states.get(key) == "due"]:
            context["ti"].xcom_push(FORCED_XCOM, again)  # for tasks on Domino, where nothing was moved aside
        skipped = [task_id for state, task_ids in by_reason.items() if state in _REASONS for task_id in task_ids]
        unmade = [self.task_ids[key] for key in self.plan.ends if states[key] in ("left_out", "missing", "disabled")]
        if unmade:
            self.log.info("%s is not made, so what comes after the pipeline is skipped", ", ".join(unmade))
            skipped.append(self.gateway)
        if skipped:
            context["ti"].xcom_push("return_value", summary)
            raise DownstreamTasksSkipped(tasks=skipped)  # type: ignore[no-untyped-call]
        return summary

    def graph_to_show(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The real graph with the Airflow tasks that make it, and with the edges of the drawing where nobody asked."""
        graph = facts.get("graph")
        if graph is None:
            return None
        real = {key: one["task_id"] for key, one in facts["nodes"].items() if one.get("task_id")}
        places = {task["id"]: place for place, task in enumerate(graph["tasks"])}
        tasks = [dict(task) for task in graph["tasks"]]
        for node in self.plan.nodes:
            place = places.get(real.get(node.key, ""))
            if place is None:
                continue
            tasks[place]["airflow_task"] = self.task_ids[node.key]
            drawn = (places.get(real.get(key, "")) for key in node.requires)
            below = dict.fromkeys([*tasks[place].get("requires", ()), *(one for one in drawn if one is not None)])
            if below:
                tasks[place]["requires"] = list(below)
        return {**graph, "tasks": tasks}

    def _chosen(self) -> frozenset[str]:
        return wanted(self.plan, parse_names(self.select), parse_names(self.exclude))

    def _forced(self) -> frozenset[str]:
        again = parse_force(self.force)
        patterns = [self.plan.root.key] if again is True else again or []
        if parse_force(self.force_downstream) is True:
            patterns = [pattern if pattern.endswith("+") else f"{pattern}+" for pattern in patterns]
        return named(self.plan, patterns)

    def _states(self, found: Mapping[str, Mapping[str, Any]], chosen: frozenset[str]) -> dict[str, str]:
        """Say of each planned task that it is due, or why it is not."""
        states = {
            key: _state(one["state"], self.missing_external) if key in chosen else "left_out"
            for key, one in found.items()
        }
        for word in ("missing", "disabled"):
            # Nothing that requires it can be made; below a complete task it does not matter.
            blocked = requiring(self.plan, {key for key, state in states.items() if state == word})
            states.update({key: word for key in blocked if states[key] == "due"})
        return states

    def _tell(self, states: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        for reason, text in _REASONS.items():
            names = [self.task_ids[key] for key, state in states.items() if state == reason]
            if names:
                self.log.info("%s: %s", text.capitalize(), _listed(names))
        due = [self.task_ids[key] for key, state in states.items() if state == "due"]
        self.log.info("To be done: %s", _listed(due) if due else "nothing")
        for key, one in facts["nodes"].items():
            if states[key] == "due" and one.get("missing"):
                self.log.info("Waiting for external data: %s (%s)", one["task"], ", ".join(one["missing"]))
        for moved in facts["aside"]:
            self.log.info("To be made again: moved %s aside, to %s", moved["path"], moved["aside"])
        if facts["unplanned_count"]:
            self.log.info(
                "%s tasks are not in the drawing, and are made by the tasks that require them: %s",
                facts["unplanned_count"],
                _listed(facts["unplanned"], facts["unplanned_count"]),
            )

    def on_kill(self) -> None:
        """End the look that is going on."""
        self.end_engine()


def _state(found: str, missing_external: str) -> str:
    if found == "external_missing":
        return "missing" if missing_external == "skip" else "due"
    # What cannot be told (complete() raises, say) is left to the task itself, which fails with the reason.
    return found if found in _REASONS else "due"


def _listed(names: Sequence[str], count: int | None = None) -> str:
    more = (count or len(names)) - min(len(names), _MOST_NAMED)
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more else "")
