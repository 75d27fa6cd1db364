"""Domino runs as tasks of a real Airflow, in both ways of waiting."""

from __future__ import annotations

import json
import time

import pytest

from airflow_domino.demo.airflow_api import AirflowApiError

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

DAGS = ("e2e_domino_success", "e2e_domino_failure", "e2e_domino_long")
MODES = ("deferred", "on_worker")
ENDED = ("success", "failed", "skipped", "upstream_failed")


@pytest.fixture(scope="module")
def dag_runs(airflow):
    """All DAGs of this file, triggered at once."""
    airflow.api.wait_for_dags(DAGS)
    return {dag_id: airflow.api.trigger(dag_id) for dag_id in DAGS}


@pytest.fixture
def ended(airflow, dag_runs):
    """The task once it has ended: its state, its result, its log."""

    def wait(dag_id, task_id, map_index=-1):
        run_id = dag_runs[dag_id]
        state = airflow.api.wait_for_task(dag_id, run_id, task_id, ENDED, timeout=180, map_index=map_index)
        return state, airflow.api.task_log(dag_id, run_id, task_id, map_index=map_index)

    return wait


@pytest.mark.parametrize("mode", MODES)
def test_a_run_tells_its_result_its_link_and_its_log(airflow, local_domino, dag_runs, ended, mode):
    state, log = ended("e2e_domino_success", mode)
    assert state == "success", log
    where = ("e2e_domino_success", dag_runs["e2e_domino_success"], mode)
    result = airflow.api.xcom(*where)
    job = local_domino.job(result["run_id"])
    assert (result["status"], result["tier"], result["number"]) == ("Succeeded", "Small", job["number"])
    commits = job["commitDetails"]
    assert result["output_commit"] == commits.get("outputCommitId", commits["inputCommitId"])
    assert airflow.api.xcom(*where, key="run_id") == result["run_id"]
    assert airflow.api.xcom(*where, key="output_commit") == result["output_commit"]
    assert airflow.api.links(*where) == {"Domino run": result["url"]}
    assert "hello" in log.splitlines()
    assert f"Domino run {job['number']}: Succeeded" in log
    assert local_domino.token not in log


def test_an_output_is_brought_back_to_the_workers_disk(airflow, dag_runs, ended, data_folder):
    state, log = ended("e2e_domino_success", "with_output")
    assert state == "success", log
    assert (data_folder / "e2e" / "hello.txt").read_text() == "hello\nworld\n"


def test_a_sensor_tells_of_the_run_that_it_waited_for(airflow, dag_runs, ended):
    state, log = ended("e2e_domino_success", "sensor")
    assert state == "success", log
    run_id = dag_runs["e2e_domino_success"]
    seen = airflow.api.xcom("e2e_domino_success", run_id, "sensor")
    assert seen["run_id"] == airflow.api.xcom("e2e_domino_success", run_id, "with_output")["run_id"]
    assert seen["tier"] == "Large"


@pytest.mark.parametrize("task_id", ["by_title_deferred", "by_title_poking"])
def test_a_sensor_finds_the_run_of_this_dag_run_by_its_title(airflow, dag_runs, ended, task_id):
    state, log = ended("e2e_domino_success", task_id)
    assert state == "success", log
    run_id = dag_runs["e2e_domino_success"]
    titled = airflow.api.xcom("e2e_domino_success", run_id, "titled", key="run_id")
    seen = airflow.api.xcom("e2e_domino_success", run_id, task_id)
    assert seen["run_id"] == titled
    told_alone = airflow.api.xcom("e2e_domino_success", run_id, task_id, key="output_commit")
    assert told_alone == seen["output_commit"]


def test_a_sensor_can_skip_where_the_run_failed(dag_runs, ended):
    state, log = ended("e2e_domino_failure", "skips")
    assert state == "skipped", log


def test_tasks_of_one_dag_run_can_share_a_commit(airflow, dag_runs, ended):
    commits = set()
    for task_id in ("pinned_1", "pinned_2"):
        state, log = ended("e2e_domino_success", task_id)
        assert state == "success", log
        commits.add(airflow.api.xcom("e2e_domino_success", dag_runs["e2e_domino_success"], task_id)["input_commit"])
    assert len(commits) == 1


def test_an_input_is_among_the_files_that_the_run_begins_with(airflow, local_domino, dag_runs, ended):
    state, log = ended("e2e_domino_success", "with_inputs")
    assert state == "success", log
    result = airflow.api.xcom("e2e_domino_success", dag_runs["e2e_domino_success"], "with_inputs")
    assert local_domino.content(result["input_commit"], "staged/hello.txt") == b"hello\nworld\n"


def test_mapped_tasks_have_a_run_a_tier_and_a_link_each(airflow, dag_runs, ended):
    run_id = dag_runs["e2e_domino_success"]
    tiers, links = [], set()
    for index in range(3):
        state, log = ended("e2e_domino_success", "mapped", index)
        assert state == "success", log
        tiers.append(airflow.api.xcom("e2e_domino_success", run_id, "mapped", map_index=index)["tier"])
        links.add(airflow.api.links("e2e_domino_success", run_id, "mapped", map_index=index)["Domino run"])
    assert tiers == ["Small", "Medium", "Large"]
    assert len(links) == 3


def test_a_decorated_function_says_the_command(airflow, local_domino, dag_runs, ended):
    state, log = ended("e2e_domino_success", "decorated")
    assert state == "success", log
    run_id = dag_runs["e2e_domino_success"]
    job = local_domino.job(airflow.api.xcom("e2e_domino_success", run_id, "decorated", key="run_id"))
    assert job["jobRunCommand"] == f"hello.py {run_id}"


def test_a_worker_that_dies_after_the_launch_costs_no_second_run(airflow, local_domino, dag_runs, ended):
    dag_id, run_id = "e2e_domino_success", dag_runs["e2e_domino_success"]
    state, _ = ended(dag_id, "dies_once")
    instance = airflow.api.task_instance(dag_id, run_id, "dies_once")
    log = airflow.api.task_log(dag_id, run_id, "dies_once", try_number=instance["try_number"])
    assert state == "success", log
    assert instance["try_number"] == 2
    assert "Going on with Domino run" in log
    jobs = local_domino.get("/v4/jobs", projectId=local_domino.project_id, page_size=1000, status="all")["jobs"]
    assert len([job for job in jobs if (job.get("title") or "").startswith(f"{dag_id}.dies_once ")]) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_run_fails_the_task_with_status_link_and_last_log_lines(airflow, dag_runs, ended, mode):
    state, log = ended("e2e_domino_failure", mode)
    assert state == "failed"
    assert "RunFailedError" in log
    assert "status Failed" in log
    assert "about to fail" in log
    url = airflow.api.links("e2e_domino_failure", dag_runs["e2e_domino_failure"], mode)["Domino run"]
    assert f"See {url}" in log


def test_an_unknown_tier_fails_without_retries_and_lists_the_tiers(airflow, local_domino, dag_runs, ended):
    state, log = ended("e2e_domino_failure", "unknown_tier")
    assert state == "failed"
    assert "Enormous" in log
    for tier in ("Small", "Medium", "Large", "X-Large"):
        assert tier in log
    instance = airflow.api.task_instance("e2e_domino_failure", dag_runs["e2e_domino_failure"], "unknown_tier")
    assert instance["try_number"] == 1


def test_execution_timeout_counts_while_the_task_is_deferred_and_stops_the_run(airflow, local_domino, dag_runs, ended):
    state, log = ended("e2e_domino_failure", "too_long")
    assert state == "failed"
    assert "execution_timeout" in log
    run = airflow.api.xcom("e2e_domino_failure", dag_runs["e2e_domino_failure"], "too_long", key="run_id")
    assert local_domino.wait(run)["statuses"]["executionStatus"] == "Stopped"


def test_a_line_of_the_run_is_in_the_tasks_log_while_it_still_runs(airflow, local_domino, dag_runs):
    where = ("e2e_domino_long", dag_runs["e2e_domino_long"], "deferred")
    airflow.api.wait_for_task(*where, ["deferred"], timeout=180)
    run = wait_for_xcom(airflow, *where, "run_id")
    local_domino.wait_for_status(run, "Running")
    deadline = time.monotonic() + 60
    while "sleeping" not in airflow.api.task_log(*where).splitlines():
        assert time.monotonic() < deadline, airflow.api.task_log(*where)
        time.sleep(0.5)
    assert local_domino.job(run)["statuses"]["isCompleted"] is False


@pytest.mark.parametrize("mode", MODES)
def test_marking_a_waiting_task_failed_stops_its_run(airflow, local_domino, dag_runs, mode):
    dag_id, run_id = "e2e_domino_long", dag_runs["e2e_domino_long"]
    waiting = "deferred" if mode == "deferred" else "running"
    airflow.api.wait_for_task(dag_id, run_id, mode, [waiting], timeout=180)
    run = wait_for_xcom(airflow, dag_id, run_id, mode, "run_id")
    assert airflow.api.links(dag_id, run_id, mode)["Domino run"]
    local_domino.wait_for_status(run, "Running")
    airflow.api.mark(dag_id, run_id, mode, "failed")
    assert local_domino.wait(run)["statuses"]["executionStatus"] == "Stopped"


def test_clearing_a_deferred_task_stops_its_run_and_launches_another(airflow, local_domino, dag_runs):
    dag_id = "e2e_domino_long"
    run_id = airflow.api.trigger(dag_id)
    airflow.api.wait_for_task(dag_id, run_id, "deferred", ["deferred"], timeout=120)
    first = wait_for_xcom(airflow, dag_id, run_id, "deferred", "run_id")
    airflow.api.clear(dag_id, run_id, ["deferred"])
    second = wait_for_xcom(airflow, dag_id, run_id, "deferred", "run_id", other_than=first)
    airflow.api.wait_for_task(dag_id, run_id, "deferred", ["deferred"])
    assert local_domino.wait(first)["statuses"]["executionStatus"] == "Stopped"
    assert local_domino.job(second)["statuses"]["isCompleted"] is False
    for task_id in MODES:
        airflow.api.mark(dag_id, run_id, task_id, "failed")
    assert local_domino.wait(second)["statuses"]["executionStatus"] == "Stopped"


def test_a_dag_can_be_tried_without_scheduler_and_triggerer(airflow):
    said = airflow.run("dags", "test", "e2e_domino_tried")
    assert "state=success" in said, said


def test_the_connection_can_be_tested_from_airflows_form(airflow, local_domino):
    connection = {
        "connection_id": "tried",
        "conn_type": "domino",
        "host": local_domino.url,
        "password": local_domino.token,
        "extra": json.dumps({"project": local_domino.project}),
    }
    answer = airflow.api.call("POST", "/connections/test", body=connection)
    assert answer["status"] is True
    assert answer["message"].startswith("ok: Domino ")
    assert f"tiers in {local_domino.project}" in answer["message"]
    wrong = airflow.api.call("POST", "/connections/test", body=connection | {"password": "wrong-token"})
    assert wrong["status"] is False
    assert "wrong-token" not in wrong["message"]


def test_the_token_is_in_no_file_that_airflow_has_written(airflow, local_domino):
    files = [path for path in airflow.home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {"airflow.db"} <= {path.name for path in files}  # XComs, rendered fields, what triggers were given
    assert any(path.name.startswith("attempt=") for path in files)
    assert [path for path in files if local_domino.token.encode() in path.read_bytes()] == []


def wait_for_xcom(airflow, dag_id, run_id, task_id, key, other_than=None):
    """The value of an XCom once it is there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            value = airflow.api.xcom(dag_id, run_id, task_id, key=key)
        except AirflowApiError:
            value = None
        if value not in (None, other_than):
            return value
        assert time.monotonic() < deadline, f"{task_id} has pushed no {key}"
        time.sleep(0.3)
