"""A run's life cycle in a real Airflow whose parts are killed: launched exactly once, stopped for sure.

The witness is the local Domino: which starts and stops it has accepted, and how its runs have ended.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter

import psutil
import pytest

from airflow_domino.demo.airflow_api import AirflowApiError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WAYS = ("started", "deferred", "worker")
PATIENCE = 240


@pytest.fixture(scope="module")
def domino(life):
    return life.domino


@pytest.fixture(scope="module")
def airflow(life):
    return life.airflow


def jobs(domino, title):
    """The runs of a task, by the readable part of their titles."""
    found = domino.get("/v4/jobs", projectId=domino.project_id, page_size=5000, status="all")["jobs"]
    return [job for job in found if (job.get("title") or "").startswith(f"{title} [")]


def statuses(domino, title):
    return Counter(job["statuses"]["executionStatus"] for job in jobs(domino, title))


def until(condition, what, seconds=PATIENCE):
    """Wait for something that is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.3)
    return value


def run_id_of(airflow, *where, other_than=None):
    def pushed():
        try:
            value = airflow.api.xcom(*where, key="run_id")
        except AirflowApiError:
            return None
        return value if value != other_than else None

    return until(pushed, f"{where} has pushed no run_id")


def succeeded(airflow, dag_id, run_id, task_id):
    """Wait for a task's end, and return its log and its result."""
    state = airflow.api.wait_for_task(dag_id, run_id, task_id, ["success", "failed"], timeout=PATIENCE)
    tries = airflow.api.task_instance(dag_id, run_id, task_id)["try_number"]
    logs = "\n".join(airflow.api.task_log(dag_id, run_id, task_id, try_number=n) for n in range(1, tries + 1))
    assert state == "success", logs
    return logs, airflow.api.xcom(dag_id, run_id, task_id)


# ---- launched exactly once


@pytest.fixture(scope="module")
def deaths(airflow):
    return airflow.api.trigger("life_worker_dies")


POINTS = ("before_post", "after_accept", "after_record", "while_waiting", "after_end")
DEATHS = [(way, point) for way in ("deferred", "worker") for point in POINTS if (way, point) != ("deferred", POINTS[3])]


@pytest.mark.parametrize(("way", "point"), DEATHS)
@pytest.mark.parametrize("kind", ["", "luigi_"])
def test_a_worker_that_dies_costs_neither_a_second_run_nor_the_result(airflow, domino, deaths, kind, way, point):
    task_id = f"{kind}{way}_{point}"
    _, result = succeeded(airflow, "life_worker_dies", deaths, task_id)
    assert airflow.api.task_instance("life_worker_dies", deaths, task_id)["try_number"] == 2
    (job,) = jobs(domino, f"life_worker_dies.{task_id}")
    assert (result["run_id"], result["status"], result["number"]) == (job["id"], "Succeeded", job["number"])
    assert {"url", "project", "tier", "output_commit", "run_seconds", "cost_cents"} <= result.keys()
    assert airflow.api.links("life_worker_dies", deaths, task_id) == {"Domino run": result["url"]}


LOST = {
    "dropped": {"action": "drop", "moment": "after"},
    "500": {"action": "status", "moment": "after", "status": 500},
    "502": {"action": "status", "moment": "after", "status": 502},
    "504": {"action": "status", "moment": "after", "status": 504},
    "too late": {"action": "delay", "moment": "after", "seconds": 6},
    "503, nothing started": {"action": "status", "moment": "before", "status": 503},
    "429, nothing started": {"action": "status", "moment": "before", "status": 429, "headers": {"Retry-After": "1"}},
}


@pytest.mark.parametrize("fault", LOST)
def test_an_answer_that_is_lost_or_a_refusal_costs_neither_a_second_run_nor_the_task(airflow, domino, fault):
    before = {way: {job["id"] for job in jobs(domino, f"life_lost_answers.{way}")} for way in WAYS}
    domino.order_fault(path="/v4/jobs/start", method="POST", times=3, **LOST[fault])
    run_id = airflow.api.trigger("life_lost_answers")
    for way in WAYS:
        log, result = succeeded(airflow, "life_lost_answers", run_id, way)
        new = {job["id"] for job in jobs(domino, f"life_lost_answers.{way}")} - before[way]
        assert new == {result["run_id"]}, log
        assert airflow.api.task_instance("life_lost_answers", run_id, way)["try_number"] == 1


def test_marks_of_mapped_tasks_groups_and_simultaneous_dag_runs_never_collide(airflow, domino):
    runs = [airflow.api.trigger("life_marks", run_id=f"side_by_side_{n}") for n in range(2)]
    for run_id in runs:
        assert airflow.api.wait_for_dag_run("life_marks", run_id) == "success"
    assert len(jobs(domino, "life_marks.group.mapped")) == 10
    assert len(jobs(domino, "life_marks.one")) == 2
    titles = [job["title"] for job in domino.get("/v4/jobs", projectId=domino.project_id, page_size=5000)["jobs"]]
    assert len(titles) == len(set(titles))
    assert sum(title.startswith("The forest of ") for title in titles) == 2


@pytest.fixture(scope="module")
def again(airflow, domino):
    """A DAG run that succeeds, is deleted, and is triggered again under the same id: its tasks' runs by their turn."""
    run_id, turns = "the_same_id", []
    tasks = [(way, -1) for way in WAYS] + [("mapped", 0)]
    for turn in (1, 2):
        if turn > 1:
            airflow.api.call("DELETE", f"/dags/life_again/dagRuns/{run_id}")
        assert airflow.api.trigger("life_again", run_id=run_id) == run_id
        assert airflow.api.wait_for_dag_run("life_again", run_id) == "success"
        keys = ("return_value", "run_id", "domino_run_link")
        xcoms = {
            task_id: {key: airflow.api.xcom("life_again", run_id, task_id, key=key, map_index=index) for key in keys}
            for task_id, index in tasks
        }
        turns.append(xcoms)
    return turns


@pytest.mark.parametrize("task_id", [*WAYS, "mapped"])
def test_a_dag_run_that_was_deleted_and_is_triggered_again_under_its_id_launches_again(domino, again, task_id):
    newest, oldest = sorted(jobs(domino, f"life_again.{task_id}"), key=lambda job: -job["number"])
    accepted = [entry["runId"] for entry in domino.ledger() if entry["event"] == "start"]
    for job, xcoms in ((oldest, again[0][task_id]), (newest, again[1][task_id])):
        assert accepted.count(job["id"]) == 1
        assert xcoms["run_id"] == xcoms["return_value"]["run_id"] == job["id"]
        assert job["id"] in xcoms["domino_run_link"]


# ---- restarts are no kills


def whole_log_once(log):
    counted = re.findall(r"^count (\d+)$", log, re.MULTILINE)
    return counted == [str(n) for n in range(60)], counted


def end_group(process):
    """End a component with all its children at once, as a machine that is gone does."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def triggerer_of(airflow, run_id, task_id):
    """Which triggerer a task waits in; None for none, -1 where it has waited to its end."""
    instance = airflow.api.task_instance("life_restarts", run_id, task_id)
    if instance["state"] != "deferred":
        return -1
    return (instance.get("triggerer_job") or {}).get("id")


@pytest.fixture(scope="module", params=["triggerer killed", "triggerer frozen", "scheduler killed"])
def restarted(request, life, airflow, domino):
    """A DAG run during which a part of Airflow has gone, and come back or been replaced."""
    before = len(jobs(domino, "life_restarts.started"))
    run_id = airflow.api.trigger("life_restarts")
    launched = ("started", "deferred", "worker", "luigi")
    for task_id in launched:
        run_id_of(airflow, "life_restarts", run_id, task_id)
    for task_id in ("sensor_started", "sensor_deferred"):
        airflow.api.wait_for_task("life_restarts", run_id, task_id, ["deferred"])
    time.sleep(4)
    name = request.param.split()[0]
    process = airflow.processes[name]
    if request.param == "triggerer frozen":
        watched = ("started", "deferred", "sensor_started", "sensor_deferred")
        frozen = {task_id: triggerer_of(airflow, run_id, task_id) for task_id in watched}
        os.killpg(process.pid, signal.SIGSTOP)
        airflow.start_component("triggerer", "triggerer 2")
        until(
            lambda: all(triggerer_of(airflow, run_id, task_id) not in (None, frozen[task_id]) for task_id in watched),
            "the other triggerer has not taken over",
        )
        time.sleep(2)
        os.killpg(process.pid, signal.SIGCONT)
        time.sleep(5)
        # Airflow begins a log file anew where a trigger comes back to the triggerer that it was taken from.
        end_group(airflow.processes.pop("triggerer"))
    elif name == "triggerer":
        end_group(process)
        airflow.start_component("triggerer")
    else:
        life.left_behind += psutil.Process(process.pid).children(recursive=True)
        process.kill()
        airflow.start_component("scheduler")
    yield request.param, run_id, before
    if request.param == "triggerer frozen":
        airflow.processes["triggerer"] = airflow.processes.pop("triggerer 2")


@pytest.mark.parametrize("way", WAYS)
def test_a_part_of_airflow_that_goes_leaves_the_run_alone_and_the_result_comes(airflow, domino, restarted, way):
    _, run_id, before = restarted
    log, result = succeeded(airflow, "life_restarts", run_id, way)
    all_jobs = jobs(domino, f"life_restarts.{way}")
    assert len(all_jobs) == before + 1, log
    assert all_jobs[0]["id"] == result["run_id"]
    assert result["status"] == "Succeeded"


def test_the_run_of_a_dag_run_that_is_set_back_to_queued_is_watched_on_by_another_triggerer(life, airflow, domino):
    before = len(jobs(domino, "life_restarts.started"))
    run_id = airflow.api.trigger("life_restarts")
    launched = run_id_of(airflow, "life_restarts", run_id, "started")
    place = f"/dags/life_restarts/dagRuns/{run_id}"
    began = airflow.api.call("GET", place)["start_date"]
    airflow.api.call("PATCH", place, body={"state": "queued"})
    until(lambda: airflow.api.call("GET", place)["start_date"] not in (None, began), "the DAG run has not begun again")
    end_group(airflow.processes["triggerer"])
    airflow.start_component("triggerer")
    log, result = succeeded(airflow, "life_restarts", run_id, "started")
    assert result["run_id"] == launched, log
    assert len(jobs(domino, "life_restarts.started")) == before + 1, log


@pytest.mark.parametrize("task_id", ["sensor_started", "sensor_deferred"])
def test_a_sensor_outlives_it_too(airflow, restarted, task_id):
    _, run_id, _ = restarted
    _, result = succeeded(airflow, "life_restarts", run_id, task_id)
    assert result["run_id"] == airflow.api.xcom("life_restarts", run_id, "started", key="run_id")


def test_a_luigi_task_on_domino_outlives_it_too(airflow, domino, restarted):
    _, run_id, before = restarted
    succeeded(airflow, "life_restarts", run_id, "luigi")
    assert len(jobs(domino, "life_restarts.luigi")) == before + 1


@pytest.mark.parametrize("task_id", ["started", "deferred", "sensor_started", "sensor_deferred"])
def test_each_line_of_the_log_is_there_once_whichever_triggerer_copied_it(airflow, restarted, task_id):
    _, run_id, _ = restarted
    log, _ = succeeded(airflow, "life_restarts", run_id, task_id)
    is_whole, counted = whole_log_once(log)
    assert is_whole, counted


# ---- stopped for sure


@pytest.fixture(scope="module")
def stopped(airflow, domino):
    """Tasks of each way that a user marks or clears while their runs go on."""
    run_id = airflow.api.trigger("life_stopped")
    runs = {}
    for way in WAYS:
        for kill in ("failed", "success", "clear"):
            runs[f"{way}_{kill}"] = run_id_of(airflow, "life_stopped", run_id, f"{way}_{kill}")
    runs["luigi_failed"] = run_id_of(airflow, "life_stopped", run_id, "luigi_failed")
    # Until a triggerer has begun to wait, it is the api-server that stops the run, and no task's log says so.
    until(
        lambda: airflow.api.task_instance("life_stopped", run_id, "deferred_failed").get("triggerer_job"),
        "deferred_failed is not waited for",
    )
    time.sleep(2)
    for task_id in runs:
        kill = task_id.partition("_")[2]
        domino.wait_for_status(runs[task_id], "Running")
        if kill == "clear":
            airflow.api.clear("life_stopped", run_id, [task_id])
        else:
            airflow.api.mark("life_stopped", run_id, task_id, kill)
    return run_id, runs


@pytest.mark.parametrize(
    "task_id", [f"{way}_{kill}" for way in WAYS for kill in ("failed", "success")] + ["luigi_failed"]
)
def test_marking_a_task_stops_its_run(airflow, domino, stopped, task_id):
    _, runs = stopped
    assert domino.wait(runs[task_id])["statuses"]["executionStatus"] == "Stopped"
    assert len(jobs(domino, f"life_stopped.{task_id}")) == 1


@pytest.mark.parametrize("way", ["deferred", "started"])
def test_the_log_of_a_waiting_task_says_that_its_run_is_stopped(airflow, stopped, way):
    run_id, _ = stopped

    def told():
        log = airflow.api.task_log("life_stopped", run_id, f"{way}_failed")
        return re.search(r"Domino run \d+ is over: Stopped|Domino run \d+: Stopped", log)

    until(told, lambda: airflow.api.task_log("life_stopped", run_id, f"{way}_failed"), 30)


@pytest.mark.parametrize("way", WAYS)
def test_clearing_a_task_stops_its_run_and_launches_one_other(airflow, domino, stopped, way):
    run_id, runs = stopped
    task_id = f"{way}_clear"
    second = run_id_of(airflow, "life_stopped", run_id, task_id, other_than=runs[task_id])
    until(lambda: domino.job(runs[task_id])["statuses"]["isCompleted"], f"the first run of {task_id} goes on")
    assert domino.wait(runs[task_id])["statuses"]["executionStatus"] == "Stopped"
    domino.wait_for_status(second, "Running")
    assert len(jobs(domino, f"life_stopped.{task_id}")) == 2
    airflow.api.mark("life_stopped", run_id, task_id, "failed")
    assert domino.wait(second)["statuses"]["executionStatus"] == "Stopped"


@pytest.fixture(scope="module")
def deadlines(airflow):
    return airflow.api.trigger("life_deadlines")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phase", ["running", "queued"])
def test_a_deadline_stops_the_run_in_every_phase(airflow, domino, deadlines, way, phase):
    where = ("life_deadlines", deadlines, f"{way}_{phase}")
    assert airflow.api.wait_for_task(*where, ["failed", "success"], timeout=PATIENCE) == "failed"
    assert "execution_timeout" in airflow.api.task_log(*where)
    run = airflow.api.xcom(*where, key="run_id")
    assert domino.wait(run)["statuses"]["executionStatus"] == "Stopped"


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_stays_queued_is_stopped_and_the_reason_told(airflow, domino, deadlines, way):
    where = ("life_deadlines", deadlines, f"{way}_queue_timeout")
    assert airflow.api.wait_for_task(*where, ["failed", "success"], timeout=PATIENCE) == "failed"
    assert "waited too long in the queue" in airflow.api.task_log(*where)
    run = airflow.api.xcom(*where, key="run_id")
    assert domino.wait(run)["statuses"]["executionStatus"] == "Stopped"


def test_failing_a_dag_run_stops_150_waiting_runs(airflow, domino):
    run_id = airflow.api.trigger("life_wide")
    titles = [f"life_wide.t{number}" for number in range(150)]

    def of_dag():
        found = domino.get("/v4/jobs", projectId=domino.project_id, page_size=5000, status="all")["jobs"]
        return [job for job in found if (job.get("title") or "").startswith("life_wide.t")]

    until(lambda: len(of_dag()) == len(titles), lambda: f"{len(of_dag())} of 150 are launched")
    path = f"/dags/life_wide/dagRuns/{run_id}".replace("+", "%2B")
    airflow.api.call("PATCH", path, body={"state": "failed"})
    until(
        lambda: all(job["statuses"]["executionStatus"] == "Stopped" for job in of_dag()),
        lambda: str(Counter(job["statuses"]["executionStatus"] for job in of_dag())),
    )
    assert len(of_dag()) == 150


# ---- retries, limits, and many at once


@pytest.fixture(scope="module")
def climbs(airflow):
    return airflow.api.trigger("life_climbs")


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_died_of_memory_is_followed_by_one_on_the_next_tier(airflow, domino, climbs, way):
    log, result = succeeded(airflow, "life_climbs", climbs, f"{way}_memory")
    assert result["tier"] == "Large"
    assert "RunOutOfMemoryError" in log
    assert len(jobs(domino, f"life_climbs.{way}_memory")) == 3


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_stayed_queued_is_followed_by_one_on_the_next_tier(airflow, domino, climbs, way):
    log, result = succeeded(airflow, "life_climbs", climbs, f"{way}_queue")
    assert result["tier"] == "Small"
    assert "RunQueueTimeoutError" in log
    assert statuses(domino, f"life_climbs.{way}_queue") == {"Stopped": 1, "Succeeded": 1}


@pytest.mark.parametrize("way", WAYS)
def test_a_retry_after_a_failed_command_launches_again_on_the_same_tier(airflow, domino, climbs, way):
    where = ("life_climbs", climbs, f"{way}_code")
    assert airflow.api.wait_for_task(*where, ["failed", "success"], timeout=PATIENCE) == "failed"
    assert statuses(domino, f"life_climbs.{way}_code") == {"Failed": 3}
    assert airflow.api.xcom(*where, key="domino_run")["tier"] == "Small"


def most_at_once(jobs):
    """How many of some runs were queued or running at the same moment."""
    moments = []
    for job in jobs:
        times = job["stageTime"]
        moments += [(times["submissionTime"], 1), (times["completedTime"], -1)]
    count = most = 0
    for _, step in sorted(moments):
        count += step
        most = max(most, count)
    return most


def test_no_more_runs_are_in_flight_than_the_connection_and_the_task_allow(airflow, domino):
    run_id = airflow.api.trigger("life_limits")
    assert airflow.api.wait_for_dag_run("life_limits", run_id) == "success"
    limited = [job for number in range(4) for job in jobs(domino, f"life_limits.t{number}")]
    assert len(limited) == 4
    assert most_at_once(limited) <= 2
    mapped = jobs(domino, "life_limits.mapped")
    assert (len(mapped), most_at_once(mapped)) == (3, 1)
    logs = [airflow.api.task_log("life_limits", run_id, f"t{number}") for number in range(4)]
    told = [log.count("Waiting for a place: 2 of 2 runs are in flight on tier Wide") for log in logs]
    assert set(told) == {0, 1}, "a task that waits says so in its own log, once"


def test_fifty_short_runs_side_by_side_again_and_again_fail_no_task_and_need_no_worker(airflow, domino, is_deep):
    times = 10 if is_deep else 3
    for _ in range(times):
        run_id = airflow.api.trigger("life_short")
        assert airflow.api.wait_for_dag_run("life_short", run_id) == "success"
    counts = [len(jobs(domino, f"life_short.t{number}")) for number in range(50)]
    assert counts == [times] * 50
    logs = airflow.home / "logs" / "dag_id=life_short"
    assert list(logs.rglob("attempt=*.log.trigger.*")) != []
    of_workers = [path for path in logs.rglob("attempt=*.log") if ".trigger." not in path.name]
    assert [path for path in of_workers if path.stat().st_size] == []
