"""Luigi tasks, what they wait for, and whole pipelines as tasks of a real Airflow."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from airflow_domino.domino.auth import ApiKey
from airflow_domino.domino.client import DominoClient
from airflow_domino.luigi.graph_record import unpack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

DAGS = ("e2e_luigi_twice", "e2e_luigi_failure", "e2e_luigi_long", "e2e_luigi_pipeline", "e2e_luigi_risky")
AGAIN = ("e2e_luigi_twice", "e2e_luigi_pipeline")
ENDED = ("success", "failed", "skipped", "upstream_failed")
MODULE = Path(__file__).parent / "dags" / "luigi_project" / "e2e_pipeline.py"


@pytest.fixture(scope="module")
def other_python(data_folder):
    """An interpreter with Luigi and without Airflow."""
    folder = data_folder / "luigi-only"
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert uv, "no uv to make an environment with"
    subprocess.run([uv, "venv", "--quiet", f"--python={sys.executable}", folder], check=True)
    luigi = f"luigi=={version('luigi')}"
    subprocess.run([uv, "pip", "install", "--quiet", f"--python={folder / 'bin' / 'python'}", luigi], check=True)
    return folder


@pytest.fixture(scope="module")
def work(data_folder):
    """The folder of the pipeline's targets."""
    folder = data_folder / "luigi"
    (folder / "delivered").mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def dag_runs(airflow, local_domino, other_python, work):
    """All DAGs of this file, triggered at once."""
    with DominoClient(local_domino.url, ApiKey(local_domino.token)) as client:
        client.upload_file(client.project(local_domino.project), MODULE.name, MODULE.read_bytes())
    (work / "delivered" / "diamond.csv").touch()
    airflow.api.wait_for_dags(DAGS)
    return {dag_id: airflow.api.trigger(dag_id) for dag_id in DAGS}


@pytest.fixture(scope="module")
def second_runs(airflow, dag_runs):
    """The DAGs that are triggered again, after their first runs."""
    for dag_id in AGAIN:
        airflow.api.wait_for_dag_run(dag_id, dag_runs[dag_id], timeout=200)
    return {dag_id: airflow.api.trigger(dag_id) for dag_id in AGAIN}


@pytest.fixture
def ended(airflow):
    """The task once it has ended: its state and its log."""

    def wait(dag_id, run_id, task_id):
        state = airflow.api.wait_for_task(dag_id, run_id, task_id, ENDED, timeout=200)
        return state, airflow.api.task_log(dag_id, run_id, task_id)

    return wait


def test_a_sensor_gives_its_slot_back_until_the_file_is_there(airflow, dag_runs, ended, work):
    where = ("e2e_luigi_long", dag_runs["e2e_luigi_long"], "late")
    airflow.api.wait_for_task(*where, ["up_for_reschedule"], timeout=180)
    (work / "delivered" / "late.csv").touch()
    state, log = ended(*where)
    assert state == "success", log
    assert "Waiting for delivered/late.csv" in log
    assert airflow.api.xcom(*where)["outputs"] == ["delivered/late.csv"]


def test_marking_a_task_failed_ends_all_its_processes(airflow, dag_runs, work):
    where = ("e2e_luigi_long", dag_runs["e2e_luigi_long"], "sleeps")
    wait_until((work / "sleeping").exists, "the task has not begun to sleep")
    processes = [int(pid) for pid in (work / "sleeping").read_text().split()]
    assert all(map(is_alive, processes))
    airflow.api.mark(*where, "failed")
    wait_until(lambda: not any(map(is_alive, processes)), "its processes go on")


@pytest.mark.parametrize(
    ("task_id", "said"),
    [
        ("fails", "Fails(name=x): RuntimeError: no luck today"),
        ("forgets", "Forgets(name=x) ran without an error, but its target is missing: written/Forgets-x.txt"),
        ("never", "Waiting for delivered/never.csv"),
    ],
)
def test_what_goes_wrong_fails_the_task_and_is_named(dag_runs, ended, task_id, said):
    state, log = ended("e2e_luigi_failure", dag_runs["e2e_luigi_failure"], task_id)
    assert state == "failed", log
    assert said in log


def test_secrets_in_the_environment_of_a_failing_program_are_in_no_log_and_no_xcom(
    airflow, local_domino, dag_runs, ended
):
    where = ("e2e_luigi_failure", dag_runs["e2e_luigi_failure"], "leaks")
    state, log = ended(*where)
    (told,) = airflow.api.xcom(*where, key="luigi_tasks")
    graph = unpack(airflow.api.xcom(*where, key="luigi_graph"))
    assert state == "failed", log
    assert "the program says *** and ***" in log
    assert "Program failed with return code=3" in told["message"]
    for secret in (local_domino.token, "e2e-secret-4711"):
        assert secret not in log + str(told) + str(graph)


def test_the_log_of_a_failing_task_has_luigis_summary(dag_runs, ended):
    _, log = ended("e2e_luigi_failure", dag_runs["e2e_luigi_failure"], "fails")
    assert "===== Luigi Execution Summary =====" in log
    assert "- 1 Fails(name=x)" in log


def test_a_sensor_fails_after_its_timeout(dag_runs, ended):
    _, log = ended("e2e_luigi_failure", dag_runs["e2e_luigi_failure"], "never")
    assert "AirflowSensorTimeout" in log


def test_tasks_run_once_and_are_already_complete_at_the_second_dag_run(airflow, dag_runs, second_runs, ended):
    dag_id = "e2e_luigi_twice"
    for task_id in ("on_worker", "other_python", "on_domino"):
        (state, log), (state_again, log_again) = (
            ended(dag_id, runs[dag_id], task_id) for runs in (dag_runs, second_runs)
        )
        assert (state, state_again) == ("success", "success"), log + log_again
        first, again = (airflow.api.xcom(dag_id, runs[dag_id], task_id) for runs in (dag_runs, second_runs))
        assert (first["already_complete"], again["already_complete"]) == (False, True)
        assert first["outputs"] == again["outputs"]
        assert "already complete" not in log.lower()
        assert "already complete" in log_again.lower()


def test_a_task_runs_under_the_interpreter_that_is_named(dag_runs, ended, work, other_python):
    state, log = ended("e2e_luigi_twice", dag_runs["e2e_luigi_twice"], "other_python")
    assert state == "success", log
    assert (work / "written" / "Writes-2026-01-02.txt").read_text() == str(other_python)


def test_a_task_on_domino_is_one_run_whose_target_comes_back_and_no_second_one(
    airflow, local_domino, dag_runs, second_runs, ended, work
):
    dag_id = "e2e_luigi_twice"
    state, log = ended(dag_id, second_runs[dag_id], "on_domino")
    assert state == "success", log
    first, again = (airflow.api.xcom(dag_id, runs[dag_id], "on_domino") for runs in (dag_runs, second_runs))
    titles = [entry["title"] or "" for entry in local_domino.ledger() if entry["event"] == "start"]
    assert len([title for title in titles if title.startswith(f"{dag_id}.on_domino")]) == 1
    assert (first["status"], first["outputs"]) == ("Succeeded", ["written/Writes-on-domino.txt"])
    assert "run_id" not in again
    assert (work / "written" / "Writes-on-domino.txt").is_file()


def test_a_drawn_task_that_raises_after_writing_its_target_fails_and_nothing_rests_on_it(airflow, dag_runs, work):
    dag_id, run_id = "e2e_luigi_risky", dag_runs["e2e_luigi_risky"]
    assert airflow.api.wait_for_dag_run(dag_id, run_id, timeout=200) == "failed"
    tasks = airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
    assert {task["task_id"]: task["state"] for task in tasks} == {
        "plan": "success",
        "Halves": "failed",
        "Rests": "upstream_failed",
        "Writes": "success",
        "Appends": "success",
        "Risky": "upstream_failed",
        "done": "upstream_failed",
    }
    assert (work / "written" / "Halves-half.txt").exists()
    assert "RuntimeError: disk full. Its targets exist all the same" in airflow.api.task_log(dag_id, run_id, "Halves")


def test_a_drawn_task_runs_although_its_requirement_made_its_target_appear_and_asks_when_it_is_cleared(
    airflow, dag_runs, ended, work
):
    where = ("e2e_luigi_risky", dag_runs["e2e_luigi_risky"], "Appends")
    state, log = ended(*where)
    assert state == "success", log
    made = work / "written" / "Writes-appended.txt"
    assert made.read_text().endswith(" and more")
    before = made.read_text()
    airflow.api.wait_for_dag_run(*where[:2], timeout=200)
    airflow.api.clear(*where[:2], [where[2]])
    airflow.api.wait_for_dag_run(*where[:2], timeout=200)
    assert airflow.api.xcom(*where)["already_complete"] is True
    assert made.read_text() == before


def test_a_pipeline_is_drawn_with_its_edges(airflow, dag_runs):
    tasks = airflow.api.call("GET", "/dags/e2e_luigi_pipeline/tasks")["tasks"]
    assert {task["task_id"]: sorted(task["downstream_task_ids"]) for task in tasks} == {
        "plan": ["Delivered"],
        "Delivered": ["Clean"],
        "Clean": ["Left", "Right"],
        "Left": ["Both"],
        "Right": ["Both"],
        "Both": ["Report"],
        "Report": ["done"],
        "done": [],
    }


def test_a_pipeline_leaves_its_graph_for_the_page(airflow, dag_runs):
    dag_id = "e2e_luigi_pipeline"
    assert airflow.api.wait_for_dag_run(dag_id, dag_runs[dag_id], timeout=200) == "success"
    graph = unpack(airflow.api.xcom(dag_id, dag_runs[dag_id], "plan", key="luigi_graph"))
    names = [task.get("airflow_task") for task in graph["tasks"]]
    below = {task.get("airflow_task"): {names[place] for place in task.get("requires", ())} for task in graph["tasks"]}
    assert below["Report"] == {"Both"}
    assert below["Both"] == {"Left", "Right"}
    assert below["Clean"] == {"Delivered"}


def test_a_pipeline_makes_each_task_once_and_nothing_at_the_second_dag_run(airflow, dag_runs, second_runs, work):
    dag_id, names = "e2e_luigi_pipeline", ("Clean", "Left", "Right", "Both", "Report")
    assert airflow.api.wait_for_dag_run(dag_id, second_runs[dag_id], timeout=200) == "success"
    assert airflow.api.dag_run(dag_id, dag_runs[dag_id])["state"] == "success"
    first = {name: airflow.api.xcom(dag_id, dag_runs[dag_id], name) for name in names}
    assert {name: len(result["ran"]) for name, result in first.items()} == dict.fromkeys(names, 1) | {"Both": 0}
    assert (work / "written" / "Report-diamond.txt").is_file()
    tasks = airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/{second_runs[dag_id]}/taskInstances")["task_instances"]
    states = {task["task_id"]: (task["state"], task["pid"]) for task in tasks}
    assert states.pop("plan")[0] == "success"
    assert states == {**dict.fromkeys(("Delivered", *names), ("skipped", None)), "done": ("success", None)}


def test_the_first_task_of_a_pipeline_says_why_each_other_is_not_run(airflow, second_runs, ended):
    dag_id = "e2e_luigi_pipeline"
    _, log = ended(dag_id, second_runs[dag_id], "plan")
    assert "Already complete: Report" in log
    assert "Not needed, since what requires them is complete: Both, Left, Right, Clean, Delivered" in log
    assert airflow.api.xcom(dag_id, second_runs[dag_id], "plan", key="luigi_plan")["complete"] == ["Report"]


def is_alive(pid: int) -> bool:
    """Whether a process goes on."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, complaint: str) -> None:
    """Wait a minute or two for something to become so."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.2)
