"""The processes that :mod:`benchmarks.luigi_graphs` measures, one for each question to a pipeline.

Started in the pipeline's working folder as `python -m benchmarks.luigi_measures QUESTION ORDER`; the order, in JSON,
has the `family` and `params` of the root, its `project` folder, and how often to measure (`times`). Answers one line.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULE = "luigi_pipelines"


def root_task(order: dict[str, Any]) -> Any:
    """Make the pipeline's root."""
    sys.path.insert(0, order["project"])
    return getattr(importlib.import_module(MODULE), order["family"])(**order["params"])


def build(order: dict[str, Any]) -> dict[str, Any]:
    """Make the pipeline by Luigi's own scheduler and worker."""
    import luigi

    return {"is_good": luigi.build([root_task(order)], local_scheduler=True, workers=1, log_level="WARNING")}


def ask_all(order: dict[str, Any]) -> dict[str, Any]:
    """Ask each task of the pipeline once whether it is complete, and then for the bare existence of all targets."""
    root = root_task(order)
    tasks, seen = [root], {root.task_id}
    for task in tasks:  # grows while it is walked
        for required in task.deps():
            if required.task_id not in seen:
                seen.add(required.task_id)
                tasks.append(required)
    paths = [task.output().path for task in tasks if task.output()]
    # A wrapper's answer is that of all others, which are asked anyway.
    is_good = all(task.complete() for task in tasks if task.output())
    begin = time.perf_counter()
    is_there = all(map(os.path.exists, paths))
    return {"is_good": is_good and is_there, "exists_seconds": time.perf_counter() - begin}


def survey(order: dict[str, Any]) -> dict[str, Any]:
    """Ask the pipeline as the first task of a DAG run does: from the root down, nothing below what is complete."""
    from airflow_domino.luigi.engine.survey import Survey

    root = root_task(order)
    begin = time.process_time()
    found = Survey(threads=1).add([root])
    return {"seconds": time.process_time() - begin, "is_good": len(found) == order["size"]}


def parse(order: dict[str, Any]) -> dict[str, Any]:
    """Draw the pipeline as a DAG without and with a plan from before, and make the same objects by hand."""
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG

    from airflow_domino.luigi.plan import PlanError
    from airflow_domino.luigi_dag import LuigiDag
    from airflow_domino.operators.luigi import LuigiTaskOperator

    where = {"task": f"{MODULE}:{order['family']}", "project_path": order["project"]}
    kept_plans = Path(tempfile.gettempdir())

    def draw() -> Any:
        limits = {"most_tasks": order["size"], "most_depth": order["size"]}
        return LuigiDag("drawn", params=order["params"], schedule=None, **where, **limits)

    def draw_anew() -> Any:
        shutil.rmtree(kept_plans)
        kept_plans.mkdir()
        return draw()

    def by_hand(operator: Callable[..., Any]) -> Any:
        with DAG("by_hand", schedule=None) as dag:
            tasks = {node.key: operator(node, f"t{number}") for number, node in enumerate(plan.nodes)}
            for node in plan.nodes:
                for required in node.requires:
                    tasks[required] >> tasks[node.key]
        return dag

    def luigi_operator(node: Any, name: str) -> LuigiTaskOperator:
        same = {"luigi_params": order["params"], "node": node.path, "doc_md": node.family}
        return LuigiTaskOperator(task_id=name, trigger_rule="none_failed", **where, **same)

    try:
        plan = draw().plan
    except PlanError as error:
        return {"refused": str(error)}
    times = order["times"]
    return {
        "cold": quickest(draw_anew, min(times, 3), time.perf_counter),
        "warm": quickest(draw, times),
        "objects": quickest(lambda: by_hand(luigi_operator), times),
        "empty_operators": quickest(lambda: by_hand(lambda _, name: EmptyOperator(task_id=name)), times),
    }


def quickest(do: Callable[[], Any], times: int, clock: Callable[[], float] = time.process_time) -> float:
    """Measure the seconds of the quickest of some times.

    :param clock: by default that of this process, which does not go on while others are at work
    """
    found = []
    for _ in range(times):
        gc.collect()
        gc.freeze()  # what was there before is not gone through again and again while many objects are made
        begin = clock()
        made = do()
        found.append(clock() - begin)
        del made
        gc.unfreeze()
    return min(found)


QUESTIONS = {"build": build, "ask_all": ask_all, "survey": survey, "parse": parse}


if __name__ == "__main__":
    print(json.dumps(QUESTIONS[sys.argv[1]](json.loads(sys.argv[2]))))
