"""What the package ships for tests of one's own works from a project that knows nothing of this repository."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from airflow_domino.testing import DominoTestError, LocalDomino

CONFTEST = 'pytest_plugins = ["airflow_domino.testing"]\n'
SETTINGS = """\
[pytest]
filterwarnings = error
domino_projects =
    me/weather = project
    me/empty
domino_arguments = --seed=1
"""
TESTS = """\
import json, os, sys
import pytest
from airflow_domino.testing import LocalDomino

def test_projects_come_from_the_settings(local_domino):
    assert list(local_domino.projects) == ["me/weather", "me/empty"]
    assert local_domino.content(local_domino.head(), "sky.txt") == b"blue"

def test_a_connection_is_there_for_airflow(domino_connection, local_domino):
    connection = json.loads(os.environ["AIRFLOW_CONN_DOMINO_DEFAULT"])
    assert (domino_connection, connection["host"]) == ("domino_default", local_domino.url)
    assert connection["extra"] == {"project": "me/weather"}

@pytest.mark.domino_project("me/marked", files={"a.txt": "1"}, results="isolated")
def test_a_marker_makes_a_project_that_the_connection_names(domino_connection, local_domino):
    assert json.loads(os.environ["AIRFLOW_CONN_DOMINO_DEFAULT"])["extra"] == {"project": "me/marked"}
    assert "me/marked" in local_domino.projects

def test_the_connection_is_gone_with_its_test():
    assert "AIRFLOW_CONN_DOMINO_DEFAULT" not in os.environ

def test_a_fault_is_left(local_domino):
    local_domino.order_fault("status", path="/v4", times=None)

def test_it_is_gone_in_the_next_test(local_domino):
    assert local_domino.request("GET", "/v4/users/self").ok

def test_a_fresh_one_has_no_runs_and_no_further_projects(fresh_domino):
    assert fresh_domino.starts() == []
    assert list(fresh_domino.projects) == ["me/weather", "me/empty"]

def test_nothing_heavy_is_loaded():
    assert not {"airflow", "pygit2", "fastapi", "luigi"} & set(sys.modules)

def test_that_fails(local_domino):
    local_domino.run("echo here", title="seen in the report")
    assert False
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of the tests of such a project."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "project").mkdir()
    (folder / "project" / "sky.txt").write_text("blue")
    for name, text in {"conftest.py": CONFTEST, "pytest.ini": SETTINGS, "test_sky.py": TESTS}.items():
        (folder / name).write_text(text)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DOMINO_", "PYTEST"))}
    kept["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False, timeout=240)
    return done.stdout + done.stderr


def test_all_of_its_tests_pass_but_the_one_that_is_to_fail(report):
    assert "1 failed, 8 passed" in report


def test_the_report_of_a_failed_test_shows_what_the_local_domino_accepted(report):
    _, _, section = report.partition("- Local Domino -")
    assert "title='seen in the report'" in section
    assert "to='Succeeded'" in section


@pytest.fixture(scope="module")
def simulating() -> Iterator[LocalDomino]:
    with LocalDomino.serve({"me/weather": None}, arguments=["--depth=simulate"]) as domino:
        yield domino


def status(domino: LocalDomino, run_id: str) -> str:
    return str(domino.job(run_id)["statuses"]["executionStatus"])


def test_simulated_runs_go_by_what_was_said_and_by_the_clock(simulating):
    simulating.simulate({"command": "slow *", "seconds": 3600, "exit_code": 2}, default={"pace": "manual"})
    slow, manual = (simulating.start(command)["id"] for command in ("slow one", "other"))
    assert status(simulating, slow) == "Running"
    simulating.advance(3600)
    assert status(simulating, slow) == "Failed"
    before = status(simulating, manual)
    simulating.move(manual)
    assert status(simulating, manual) != before
    simulating.move(manual, "Running")
    assert status(simulating, manual) == "Running"


def test_a_run_loses_its_machine_and_a_tier_its_machines(simulating):
    simulating.reset()
    simulating.simulate(default={"seconds": 3600})
    first = simulating.start("one")["id"]
    simulating.lose(first)
    assert status(simulating, first) == "Error"
    second = simulating.start("two")["id"]
    simulating.change_tier("small-k8s", away=True, lose="all")
    assert status(simulating, second) == "Error"
    assert status(simulating, simulating.start("three")["id"]) == "Queued"
    simulating.reset()
    assert status(simulating, simulating.start("four")["id"]) == "Running"


def test_a_reset_forgets_simulated_runs_on_their_way(simulating):
    simulating.reset()
    simulating.simulate(default={"seconds": 3600})
    simulating.start("one")
    simulating.reset()
    simulating.advance(7200)
    assert [entry["event"] for entry in simulating.ledger()] == ["reset"]


def test_variables_and_connection_lead_clients_to_the_server(simulating):
    assert simulating.variables()["DOMINO_API_HOST"] == simulating.url
    assert simulating.variables()["DOMINO_PROJECT_NAME"] == "weather"
    assert simulating.connection()["password"] == simulating.token


def test_a_refused_question_says_what_was_asked_and_answered(simulating):
    with pytest.raises(DominoTestError, match=r"GET /v4/jobs/nonsense was answered with 400: .*not a valid job id"):
        simulating.job("nonsense")


def test_a_server_that_cannot_start_says_why():
    with pytest.raises(
        DominoTestError, match=r"did not start(.|\n)*expected owner/name|did not start(.|\n)*owner/name"
    ):
        LocalDomino.serve({"nonsense": None})


def test_a_server_ends_with_the_process_that_started_it():
    program = (
        "import sys, time\nfrom airflow_domino.testing import LocalDomino\n"
        "domino = LocalDomino.serve()\nprint(domino.process.pid, flush=True)\ntime.sleep(600)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        server = psutil.Process(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server goes on"
        time.sleep(0.05)
