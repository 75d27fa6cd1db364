"""Workers and triggerers that are lost, frozen or replaced in a real Airflow: one run, and its whole result.

The witness is the local Domino: which starts and stops it has accepted, and how its runs have ended.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LATE = {"action": "delay", "moment": "after", "path": "/v4/jobs/start", "method": "POST"}
REFUSED = {"action": "status", "moment": "before", "path": "/v4/jobs/start", "method": "POST", "status": 503}
LAUNCHES = ("started", "limited")
TAKE_OVER_SECONDS = 6


WORKERS = ("deferred_before_post", "deferred_after_accept", "worker_before_post", "worker_after_accept")


# ---- no triggerer is alive for a while


@pytest.fixture(scope="module")
def no_triggerer(life):
    """A DAG run during which no triggerer is up for a while: its runs end, are marked, and reach their deadlines."""
    run_id = life.api.trigger("life_no_triggerer")
    tasks = [f"{way}_{what}" for way in ("started", "deferred") for what in ("undelivered", "marked", "deadline")]
    for task_id in (*tasks, "luigi_undelivered"):
        run = life.run_of("life_no_triggerer", run_id, task_id)
        if not task_id.endswith("undelivered"):
            life.domino.wait_for_status(run, "Running")
            life.api.wait_for_task("life_no_triggerer", run_id, task_id, ["deferred"])
    for way in ("started", "deferred"):
        life.api.wait_for_task("life_no_triggerer", run_id, f"{way}_sensor", ["deferred"])
    life.domino.order_fault(**LATE, seconds=20, times=len(LAUNCHES))
    launching = life.api.trigger("life_launching")
    life.until(
        lambda: all(life.jobs(f"life_launching.{task}") for task in LAUNCHES), "not all launches were accepted", 60
    )
    assert life.faults() == []
    life.kill("triggerer")
    (life.data / "may_end").touch()
    for way in ("started", "deferred"):
        life.api.mark("life_no_triggerer", run_id, f"{way}_marked", "failed")
    yield run_id, launching
    if "triggerer" not in life.airflow.processes:
        life.airflow.start_component("triggerer")


@pytest.mark.parametrize("way", ["started", "deferred"])
def test_marking_a_waiting_task_stops_its_run_although_no_triggerer_is_alive(life, no_triggerer, way):
    run_id, _ = no_triggerer
    run = life.run_of("life_no_triggerer", run_id, f"{way}_marked")
    assert "triggerer" not in life.airflow.processes
    assert life.domino.wait(run)["statuses"]["executionStatus"] == "Stopped"


def test_a_trigger_timeout_stops_the_run_although_no_triggerer_is_alive(life, no_triggerer):
    where = ("life_no_triggerer", no_triggerer[0], "started_deadline")
    assert life.api.wait_for_task(*where, ["failed", "success"]) == "failed"
    assert "triggerer" not in life.airflow.processes
    assert life.domino.wait(life.run_of(*where))["statuses"]["executionStatus"] == "Stopped"
    assert "execution_timeout" in life.logs(*where)


@pytest.fixture(scope="module")
def triggerer_back(life, no_triggerer, workers):
    """The triggerer is back after everything that could end without it has ended."""
    ended = ["life_launching.started", "life_launching.limited"]
    ended += [f"life_no_triggerer.{name}_undelivered" for name in ("started", "deferred", "luigi")]
    for title in ended:
        life.until(lambda title=title: life.statuses(title) == {"Succeeded": 1}, title)
    life.airflow.start_component("triggerer")
    return no_triggerer


def test_a_deadline_that_passed_while_no_triggerer_was_alive_stops_the_run(life, triggerer_back):
    where = ("life_no_triggerer", triggerer_back[0], "deferred_deadline")
    assert life.api.wait_for_task(*where, ["failed", "success"]) == "failed"
    assert life.domino.wait(life.run_of(*where))["statuses"]["executionStatus"] == "Stopped"
    assert "execution_timeout" in life.logs(*where)


@pytest.mark.parametrize("task", LAUNCHES)
def test_a_triggerer_lost_before_the_answer_to_its_launch_costs_no_second_run(life, triggerer_back, task):
    _, launching = triggerer_back
    life.delivered_once("life_launching", launching, task)


@pytest.mark.parametrize("way", ["started", "deferred"])
def test_a_run_that_ended_while_no_triggerer_was_alive_is_delivered(life, triggerer_back, way):
    life.delivered_once("life_no_triggerer", triggerer_back[0], f"{way}_undelivered")


def test_so_is_the_run_of_a_luigi_task(life, triggerer_back):
    result = life.succeeded("life_no_triggerer", triggerer_back[0], "luigi_undelivered")
    assert result
    assert life.statuses("life_no_triggerer.luigi_undelivered") == {"Succeeded": 1}


@pytest.mark.parametrize("way", ["started", "deferred"])
def test_a_sensor_resumes_its_wait_after_the_loss_of_its_triggerer(life, triggerer_back, way):
    run_id, _ = triggerer_back
    seen = life.succeeded("life_no_triggerer", run_id, f"{way}_sensor")
    assert seen["run_id"] == life.run_of("life_no_triggerer", run_id, "started_undelivered")


# ---- a worker goes, with its supervisor


@pytest.fixture(scope="module")
def workers(life, no_triggerer):
    return life.api.trigger("life_workers")


@pytest.mark.parametrize("task_id", [*WORKERS, "worker_while_waiting"])
def test_a_worker_lost_with_its_supervisor_costs_neither_a_second_run_nor_the_result(life, workers, task_id):
    life.delivered_once("life_workers", workers, task_id)
    assert life.api.task_instance("life_workers", workers, task_id)["try_number"] == 2


@pytest.mark.parametrize("way", ["deferred", "worker"])
def test_a_worker_that_froze_before_its_launch_and_wakes_up_leaves_the_run_of_the_next_attempt_alone(
    life, workers, way
):
    life.delivered_once("life_workers", workers, f"{way}_frozen")
    assert life.api.task_instance("life_workers", workers, f"{way}_frozen")["try_number"] == 2


def test_a_worker_that_wakes_up_before_the_next_attempt_leaves_the_run_to_that(life, workers):
    life.delivered_once("life_workers", workers, "worker_wakes_early")
    assert life.api.task_instance("life_workers", workers, "worker_wakes_early")["try_number"] == 2


def test_a_worker_that_is_asked_to_end_leaves_the_run_to_the_next_attempt(life, workers):
    life.delivered_once("life_workers", workers, "worker_shutdown")
    assert life.api.task_instance("life_workers", workers, "worker_shutdown")["try_number"] == 2
    assert "goes on for the next attempt" in life.logs("life_workers", workers, "worker_shutdown")


@pytest.mark.parametrize("task_id", ["luigi_while_waiting", "luigi_shutdown"])
def test_a_lost_or_ended_worker_costs_a_luigi_task_no_second_run(life, workers, task_id):
    assert life.succeeded("life_workers", workers, task_id)
    assert life.api.task_instance("life_workers", workers, task_id)["try_number"] == 2
    assert life.statuses(f"life_workers.{task_id}") == {"Succeeded": 1}


# ---- a deployment


@pytest.fixture(scope="module")
def deployment(life, triggerer_back):
    """A DAG run during which the triggerer is asked to end, and another is started."""
    run_id = life.api.trigger("life_deployment")
    runs = [life.run_of("life_deployment", run_id, task_id) for task_id in ("started", "deferred", "luigi")]
    for task_id in ("sensor_started", "sensor_deferred"):
        life.api.wait_for_task("life_deployment", run_id, task_id, ["deferred"])
    for run in runs:
        life.domino.wait_for_status(run, "Running", "Succeeded")
    life.end("triggerer")
    assert Counter(map(life.status, runs))["Stopped"] == 0
    life.airflow.start_component("triggerer")
    return run_id


@pytest.mark.parametrize("way", ["started", "deferred"])
def test_a_triggerer_that_is_asked_to_end_leaves_the_run_to_the_next_one(life, deployment, way):
    life.delivered_once("life_deployment", deployment, way)


def test_it_leaves_the_run_of_a_luigi_task_too(life, deployment):
    assert life.succeeded("life_deployment", deployment, "luigi")
    assert life.statuses("life_deployment.luigi") == {"Succeeded": 1}


@pytest.mark.parametrize("way", ["started", "deferred"])
def test_it_leaves_the_wait_of_a_sensor_too(life, deployment, way):
    seen = life.succeeded("life_deployment", deployment, f"sensor_{way}")
    assert seen["run_id"] == life.run_of("life_deployment", deployment, "started")


# ---- a triggerer freezes in the middle of a launch, and wakes up after another has taken over


@pytest.fixture(scope="module", params=["accepted", "refused"])
def frozen(request, life, triggerer_back):
    """A DAG run whose launches were under way in a triggerer that froze, was replaced, and woke up."""
    before = {task: {job["id"] for job in life.jobs(f"life_launching.{task}")} for task in LAUNCHES}
    times = len(LAUNCHES) if request.param == "accepted" else 10_000
    life.domino.order_fault(**(LATE | {"seconds": 2} if request.param == "accepted" else REFUSED), times=times)
    run_id = life.api.trigger("life_launching")
    for task in LAUNCHES:
        life.api.wait_for_task("life_launching", run_id, task, ["deferred"])
        if request.param == "accepted":
            life.until(lambda task=task: len(life.jobs(f"life_launching.{task}")) > len(before[task]), task, 60)
    if request.param == "refused":
        time.sleep(3)
    assert bool(life.faults()) is (request.param == "refused")
    process = life.airflow.processes["triggerer"]
    os.killpg(process.pid, signal.SIGSTOP)
    life.forget_faults()
    life.airflow.start_component("triggerer", "triggerer 2")
    life.until(lambda: all(len(life.jobs(f"life_launching.{t}")) > len(before[t]) for t in LAUNCHES), "no take-over")
    time.sleep(10 if request.param == "accepted" else 1)
    os.killpg(process.pid, signal.SIGCONT)
    yield run_id, before
    # SQLite gives the id of an ended trigger to the next one: the one that woke up must have dropped its own before.
    time.sleep(TAKE_OVER_SECONDS)
    life.kill("triggerer 2")


@pytest.mark.parametrize("task", LAUNCHES)
def test_a_triggerer_that_froze_in_a_launch_and_wakes_up_launches_no_second_run(life, frozen, task):
    run_id, before = frozen
    result = life.succeeded("life_launching", run_id, task)
    new = [job for job in life.jobs(f"life_launching.{task}") if job["id"] not in before[task]]
    assert [job["id"] for job in new] == [result["run_id"]], life.logs("life_launching", run_id, task)
    assert new[0]["statuses"]["executionStatus"] == "Succeeded"
