"""What an engine is told of the DAG run that it works for, and what Airflow shows of the Luigi tasks that it ran."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from airflow.sdk import get_current_context

from airflow_domino.compat import default_luigi_scheduler_url, log_url, redact, task_state_store
from airflow_domino.domino.storable import storable
from airflow_domino.hooks.runs import Logger, push_xcom
from airflow_domino.luigi.engine.luigid import Luigid, LuigidError
from airflow_domino.luigi.graph_record import pack

TASKS_KEY = "luigi_tasks"
#: XCom with the graph of the tasks (:mod:`airflow_domino.luigi.graph_record`), for the page in Airflow's UI.
GRAPH_KEY = "luigi_graph"
# Airflow warns of more than 65,535 bytes of task state.
_MOST_STORED = 50_000
_TEXTS = ("message", "url")
_GRAPH_SECONDS = 5.0
_GRAPH_BYTES_PER_SECOND = 5_000


def of_dag_run(scheduler_url: str | None) -> dict[str, Any]:
    """The fields of an engine's request that say for which DAG run it is; none outside Airflow's tasks.

    :param scheduler_url: of the central Luigi scheduler; None for the setting, empty for none
    """
    task_instance = _context().get("ti")
    if task_instance is None:
        return {}
    url = default_luigi_scheduler_url() if scheduler_url is None else scheduler_url.strip()
    return {
        "dag_run": f"{task_instance.dag_id}/{task_instance.run_id}",
        "scheduler": _scheduler(task_instance, url) if url else None,
    }


def without_secrets(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is told of Luigi tasks, as it may be stored: Airflow masks secrets in its logs, and in no XCom or store.

    :param tasks: each with what its own code may have written, ``message`` and ``url``, and names, which stay as they
        are
    """
    return [{**task, **{name: redact(task[name]) for name in _TEXTS if task.get(name)}} for task in tasks]


def show_tasks(facts: Mapping[str, Any]) -> str:
    """Push what became of each Luigi task as the XCom :data:`TASKS_KEY`.

    The next attempt begins without it, so as much of it as fits is put where that finds it, too (Airflow 3.3).

    :param facts: the engine's answer
    :returns: where to follow the Luigi task that was asked for, or else one that it requires; empty if none said it
    """
    tasks = without_secrets(facts.get("tasks") or ())
    context = _context()
    if tasks and context:
        push_xcom(context["ti"], TASKS_KEY, list(tasks))
        if (store := task_state_store(context)) is not None:
            kept = {"counts": dict(facts.get("counts") or {}), "tasks": _as_many_as_fit(tasks)}
            store.set(TASKS_KEY, storable(kept))
    return _tracking_url(tasks, facts.get("task_id"))


def show_graph(graph: Mapping[str, Any] | None, asked: str) -> int:
    """Push the graph of the tasks as the XCom :data:`GRAPH_KEY`; a later one replaces it.

    :param graph: what the engine drew; None or one without tasks is not shown
    :param asked: what the engine was asked
    :returns: about how many bytes that took
    """
    context = _context()
    if not context or not graph or not graph["tasks"]:
        return 0
    record = pack({**graph, "tasks": without_secrets(graph["tasks"])}, asked)
    push_xcom(context["ti"], GRAPH_KEY, record)
    return len(record.get("packed", ""))


class GraphNews:
    """Shows the graph while the engine runs, the less often the larger it is; never fails the task.

    :param asked: what the engine was asked
    :param logger: of the Airflow task
    """

    def __init__(self, asked: str, logger: Logger) -> None:
        self._asked = asked
        self._logger = logger
        self._next = time.monotonic() + _GRAPH_SECONDS
        self._is_refused = False

    def take(self, graph: Mapping[str, Any]) -> None:
        """Show how things stand, unless that was done just now."""
        if self._is_refused or time.monotonic() < self._next:
            return
        try:
            size = show_graph(graph, self._asked)
        except Exception as error:
            self._is_refused = True
            self._logger.warning("Airflow does not take the graph of the Luigi tasks while they run: %s", error)
            return
        self._next = time.monotonic() + max(_GRAPH_SECONDS, size / _GRAPH_BYTES_PER_SECOND)


def _as_many_as_fit(tasks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    sizes = accumulate(len(json.dumps(task)) for task in tasks)
    return [task for task, size in zip(tasks, sizes, strict=True) if size < _MOST_STORED]


def tell_luigid(
    scheduler_url: str | None,
    task: Mapping[str, Any],
    status: str,
    logger: Logger,
    *,
    url: str | None = None,
    message: str = "",
) -> None:
    """Tell luigid of a Luigi task that no engine runs, such as one that a Domino run makes; never fail in that.

    :param scheduler_url: of the central Luigi scheduler; None for the setting, empty for none
    :param task: ``task_id``, ``module``, ``family`` and ``params`` (:func:`.engine.lineage.describe`)
    :param status: in luigid's words. "RUNNING" would not last: nobody is there to say each minute that it is still so
    :param logger: of the Airflow task
    :param url: where to follow it
    :param message: what there is to say about it; for "FAILED" the reason
    """
    scheduler = of_dag_run(scheduler_url).get("scheduler")
    if not scheduler:
        return
    shown: dict[str, Any] = {name: task[name] for name in ("task_id", "module", "family", "params")}
    shown |= {"status": status, "expl": json.dumps(message if status == "FAILED" else ""), "runnable": False}
    try:
        luigid = Luigid(scheduler["url"])
    except ValueError as error:
        logger.warning("The address of Luigi's central scheduler is wrong: %s", error)
        return
    try:
        luigid.connect()
        luigid.call("add_task", worker=scheduler["worker"], tracking_url=url or scheduler.get("tracking_url"), **shown)
        luigid.call("set_task_status_message", task_id=task["task_id"], status_message=message or None)
    except LuigidError as error:
        logger.warning("Luigi's central scheduler %s cannot be told: %s. The task goes on without it", luigid, error)
    finally:
        luigid.close()


def _context() -> Mapping[str, Any]:
    try:
        return get_current_context()
    except RuntimeError:
        return {}


def _scheduler(task_instance: Any, url: str) -> dict[str, str]:
    # luigid takes the end of a task from nobody but the worker that began it, and retries are other processes.
    worker = f"Airflow(dag_id={task_instance.dag_id}, run_id={task_instance.run_id})"
    followed = log_url(task_instance)
    return {"url": url, "worker": worker, **({"tracking_url": followed} if followed else {})}


def _tracking_url(tasks: Sequence[Mapping[str, Any]], root: Any) -> str:
    urls = {task.get("task_id"): str(task["url"]) for task in tasks if task.get("url")}
    return urls.get(root) or next(iter(urls.values()), "")
