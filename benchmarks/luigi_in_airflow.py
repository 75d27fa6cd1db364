"""What each node of a LuigiDag costs in a real Airflow, against the same pipeline as one task; for luigi_graphs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from airflow_domino.demo.airflow_stack import AirflowStack
from benchmarks.full_domino import ROOT
from benchmarks.luigi_measures import MODULE
from benchmarks.luigi_pipelines import root_of
from benchmarks.watch import machine

PARALLELISM = 4
PATIENCE = 3600.0
NODES, ONE_TASK = "luigi_nodes", "luigi_one_task"
DAG_FILE = """\
from airflow.sdk import DAG
from airflow_domino.luigi_dag import LuigiDag
from airflow_domino.operators.luigi import LuigiTaskOperator

same = dict(task={reference!r}, project_path={project!r})
LuigiDag({nodes!r}, params={params!r}, working_dir={folder!r} + "/nodes", schedule=None, most_tasks={size},
         max_active_tasks=1000, **same)
with DAG({one_task!r}, schedule=None):
    LuigiTaskOperator(task_id="all", luigi_params={params!r}, working_dir={folder!r} + "/one_task", **same)
"""


def measure_in_airflow(size: int) -> dict[str, Any]:
    """Run a wide pipeline as a LuigiDag, as one task, and as a LuigiDag with nothing to do.

    :param size: how many Luigi tasks it has
    """
    print(f"{size} tasks in Airflow …", file=sys.stderr, flush=True)
    family, params = root_of("wide", size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dags, project = folder / "dags", folder / "project"
        dags.mkdir()
        project.mkdir()
        shutil.copy(ROOT / "benchmarks" / f"{MODULE}.py", project)
        text = DAG_FILE.format(
            reference=f"{MODULE}:{family}",
            project=str(project),
            params=params,
            folder=str(folder),
            size=size,
            nodes=NODES,
            one_task=ONE_TASK,
        )
        (dags / "luigi_graphs.py").write_text(text)
        with AirflowStack(folder / "airflow", dags, parallelism=PARALLELISM) as airflow:
            airflow.api.wait_for_dags([NODES, ONE_TASK])
            load = os.getloadavg()[0]
            nodes, one, again = (_seconds(airflow, dag_id) for dag_id in (NODES, ONE_TASK, NODES))
    return {
        "shape": "wide in Airflow",
        "tasks": size,
        "airflow_seconds": nodes,
        "airflow_seconds_per_node": round(nodes / size, 3),
        "airflow_one_task_seconds": one,
        "airflow_recheck_seconds": again,
        "parallelism": PARALLELISM,
        "load_average_before": round(load, 2),
        "machine": machine(),
    }


def _seconds(airflow: AirflowStack, dag_id: str) -> float:
    run_id = airflow.api.trigger(dag_id)
    state = airflow.api.wait_for_dag_run(dag_id, run_id, PATIENCE)
    if state != "success":
        raise RuntimeError(f"{dag_id} ended in the state {state}")
    return round(float(airflow.api.dag_run(dag_id, run_id)["duration"]), 2)


def show_in_airflow(result: dict[str, Any]) -> None:
    """Print the part of the table for Airflow."""
    print(
        f"{result['tasks']:>6}  in Airflow, {result['parallelism']} at once: one Airflow task for each"
        f" {result['airflow_seconds']:g} s ({result['airflow_seconds_per_node']:g} s per node), all in one Airflow task"
        f" {result['airflow_one_task_seconds']:g} s, nothing to do {result['airflow_recheck_seconds']:g} s"
        f"; load {result['load_average_before']:g}",
        flush=True,
    )
