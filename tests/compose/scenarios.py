"""What is done with a deployment once it is up: the sample DAGs, and workers that are killed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from deployment import Container, Deployment
from engine import TroubleError
from over_http import Airflow, LocalDomino, until

SAMPLES = ("hello_world", "ensemble")
# Their tasks that are Domino runs.
RUNS = ("hello_world.hello", "ensemble.extract_features", "ensemble.train_rforest", "ensemble.train_nnet")
KILLED = "killed_worker"
PATIENCE = 900


def run_samples(deployment: Deployment, airflow: Airflow, domino: LocalDomino) -> None:
    """Run both sample DAGs side by side, and look at what they made."""
    airflow.wait_for_dags(SAMPLES)
    runs = {dag_id: airflow.trigger(dag_id) for dag_id in SAMPLES}
    for dag_id, run_id in runs.items():
        _show(dag_id, airflow.wait_for_success(dag_id, run_id, PATIENCE))
    hello = deployment.file("data/hello_world.txt")
    _demand(hello == "hello\nworld\n", f"hello_world.txt holds {hello!r}")
    accuracy = json.loads(deployment.file("report/score_report.json"))["accuracy"]
    _demand(accuracy["ensemble"] > 0.9, f"the ensemble is right for {accuracy}")
    print(f"  results: hello_world.txt; score_report.json with the accuracy {json.dumps(accuracy)}")
    for task in RUNS:
        starts = domino.starts(task)
        _demand(len(starts) == 1, f"{task} has launched {len(starts)} runs: {starts}")
    print(f"  ledger: launched once each: {', '.join(RUNS)}")
    page = airflow.page("/domino/")
    _demand(all(dag_id in page for dag_id in SAMPLES), "the page Domino does not list the runs of the sample DAGs")
    charts = len(airflow.page("/domino/static/plotly.min.js"))
    print(f"  the page Domino lists the runs of both; its chart library ({charts / 1e6:.1f} MB) is in the image")


def kill_workers(deployment: Deployment, airflow: Airflow, domino: LocalDomino) -> None:
    """Kill the worker that deferred a task, then the one on which a task waits; each run is launched once."""
    airflow.wait_for_dags([KILLED])
    run_id = airflow.trigger(KILLED)
    _deferred_task_outlives_its_worker(deployment, airflow, domino, run_id)
    _waiting_task_outlives_its_worker(deployment, airflow, domino, run_id)
    tasks = airflow.wait_for_success(KILLED, run_id, PATIENCE)
    _show(KILLED, tasks)
    for name, attempts in {"deferred": 1, "on_worker": 2}.items():
        starts = domino.starts(f"{KILLED}.{name}")
        _demand(len(starts) == 1, f"{name} has launched {len(starts)} runs: {starts}")
        _demand(not domino.ledger("stop", run=starts[0]["runId"]), f"the run of {name} was stopped")
        _demand(tasks[name]["try_number"] == attempts, f"{name} took {tasks[name]['try_number']} attempts")
        states = " → ".join(domino.states(starts[0]["runId"]))
        print(
            f"  ledger: {KILLED}.{name} was launched once, as run {starts[0]['number']}: {states}; attempts: {attempts}"
        )


def _deferred_task_outlives_its_worker(
    deployment: Deployment, airflow: Airflow, domino: LocalDomino, run_id: str
) -> None:
    task = _waiting(airflow, domino, run_id, "deferred", "deferred")
    killed = _killed(deployment, task)
    print(f"  {killed.service} killed (kill -9) while the triggerer awaits the run of the task that it has deferred")
    _end_run(deployment, "deferred")
    after = until(lambda: _task(airflow, run_id, "deferred", "success"), "the deferred task's end", PATIENCE)
    other = _worker_of(deployment, after)
    _demand(other.id != killed.id, "the task has ended on a worker that was dead")
    print(f"  {other.service} took the task over, and brought back what its run wrote")
    _start_again(deployment, killed)


def _waiting_task_outlives_its_worker(
    deployment: Deployment, airflow: Airflow, domino: LocalDomino, run_id: str
) -> None:
    task = _waiting(airflow, domino, run_id, "on_worker", "running")
    killed = _killed(deployment, task)
    print(f"  {killed.service} killed (kill -9) while a task waits on it for its run")
    began = time.monotonic()

    def second_attempt() -> Mapping[str, Any] | None:
        found = _task(airflow, run_id, "on_worker", "running")
        return found if found and found["try_number"] == 2 and found["hostname"] != task["hostname"] else None

    again = until(second_attempt, "the second attempt of the task whose worker is dead", PATIENCE)
    other = _worker_of(deployment, again)
    print(f"  {other.service} took it over {time.monotonic() - began:.0f} s later, in a second attempt")
    _end_run(deployment, "on_worker")
    _start_again(deployment, killed)


def _waiting(airflow: Airflow, domino: LocalDomino, run_id: str, task_id: str, state: str) -> Mapping[str, Any]:
    """Wait until a task waits for a run that is running."""

    def awaited() -> Mapping[str, Any] | None:
        starts = domino.starts(f"{KILLED}.{task_id}")
        running = bool(starts) and domino.states(starts[0]["runId"])[-1] == "Running"
        return _task(airflow, run_id, task_id, state) if running else None

    return until(awaited, f"the task {task_id} waits for its run", PATIENCE)


def _task(airflow: Airflow, run_id: str, task_id: str, state: str) -> Mapping[str, Any] | None:
    found = airflow.tasks(KILLED, run_id)[task_id]
    if found["state"] == "failed":
        raise TroubleError(airflow.log(KILLED, run_id, found))
    return found if found["state"] == state else None


def _worker_of(deployment: Deployment, task: Mapping[str, Any]) -> Container:
    """Find the worker on which a task ran last; a container's name is the beginning of its id."""
    workers = [found for found in deployment.containers().values() if found.service.startswith("worker-")]
    (worker,) = [found for found in workers if task["hostname"] and found.id.startswith(task["hostname"])]
    return worker


def _killed(deployment: Deployment, task: Mapping[str, Any]) -> Container:
    worker = _worker_of(deployment, task)
    deployment.engine.docker("kill", "--signal", "KILL", worker.id)

    def dead() -> bool:
        return deployment.containers()[worker.service].exit_code == 137

    until(dead, f"{worker.service} is dead", 60)
    return worker


def _start_again(deployment: Deployment, worker: Container) -> None:
    deployment.engine.docker("start", worker.id)
    until(lambda: deployment.containers()[worker.service].is_well, f"{worker.service} is healthy again", PATIENCE)
    print(f"  {worker.service} is started again, and healthy")


def _end_run(deployment: Deployment, name: str) -> None:
    deployment.compose("exec", "-T", "local-domino", "touch", f"/tmp/end-{name}")


def _show(dag_id: str, tasks: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"  DAG {dag_id}: success")
    for name, task in sorted(tasks.items(), key=lambda item: item[1]["start_date"] or ""):
        took = f"{task['duration']:.1f} s" if task["duration"] is not None else "-"
        print(f"    {name:18} {task['state']:8} attempt {task['try_number']} {took:>8}  on {task['hostname'] or '-'}")


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise TroubleError(otherwise)
