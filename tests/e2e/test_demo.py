"""The demo as a newcomer starts it, from the first process to the last."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from airflow_domino.commands.demo import SAMPLE_DAGS as DAGS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def demo(state: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow_domino.cli", "demo", "--state", str(state), *arguments]


def environment(state: Path) -> dict[str, str]:
    """A newcomer's environment, with a mark by which every descendant can be found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DOMINO_"))}
    return kept | {"LEFT_BY_DEMO": str(state)}


def left_behind(state: Path) -> list[str]:
    """The processes that still run and were started, however indirectly, by a demo on this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("LEFT_BY_DEMO") == str(state):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def run_once(state: Path, results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = demo(state, "--once", "--results", str(results), *arguments)
    return subprocess.run(command, env=environment(state), capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "state"


@pytest.fixture(scope="module")
def first(state: Path) -> subprocess.CompletedProcess[str]:
    """A demo on a new folder."""
    ended = run_once(state, state.parent / "first", "--airflow-port", "0", "--domino-port", "0")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


def test_the_demo_leaves_its_two_results(state: Path, first: subprocess.CompletedProcess[str]) -> None:
    results = state.parent / "first"
    assert (results / "hello_world.txt").read_bytes() == b"hello\nworld\n"
    report = json.loads((results / "score_report.json").read_text())
    assert all(accuracy > 0.9 for accuracy in report["accuracy"].values())


def test_the_demo_shows_which_task_ran_on_which_tier(first: subprocess.CompletedProcess[str]) -> None:
    table = {
        line.split()[0]: line.split()[1:]
        for line in first.stdout.splitlines()
        if line.startswith(("hello_world.", "ensemble."))
    }
    assert table["hello_world.hello"][0] == "Small"
    assert table["ensemble.train_rforest"][0] == "X-Large"
    assert table["ensemble.train_nnet"][0] == "GPU"
    assert table["ensemble.train_nnet"][2] == "Succeeded"
    assert table["ensemble.train_nnet"][-1].startswith("$")
    assert table["ensemble.score_report"][0] == "worker"


def test_the_demo_leaves_no_process_behind(state: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert left_behind(state) == []


def test_a_second_demo_trains_nothing_says_so_and_takes_free_ports(
    state: Path, first: subprocess.CompletedProcess[str]
) -> None:
    results = state.parent / "second"
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        ended = run_once(state, results, "--airflow-port", port, "--domino-port", "0")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"Port {port} is busy: Airflow takes " in ended.stdout
    (told,) = (line for line in ended.stdout.splitlines() if line.startswith("Already complete"))
    assert "ensemble.train_rforest" in told
    assert "ensemble.train_nnet" in told
    assert (results / "hello_world.txt").read_bytes() == b"hello\nworld\n"
    assert (results / "score_report.json").exists()


def test_a_demo_whose_run_fails_tells_the_end_of_the_log_and_fails(
    state: Path, first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    dags = tmp_path / "dags"
    shutil.copytree(DAGS, dags, ignore=shutil.ignore_patterns("__pycache__"))
    pipeline = dags / "projects" / "luigi-multi-run" / "example_pipeline.py"
    pipeline.write_text("raise SystemExit('the pipeline is broken on purpose')\n")
    ended = run_once(state, tmp_path / "results", "--dags", str(dags), "--airflow-port", "0", "--domino-port", "0")
    assert ended.returncode == 1
    assert "hello_world.hello failed. The end of its log:" in ended.stdout
    assert "the pipeline is broken on purpose" in ended.stdout
    assert not (tmp_path / "results").exists()
    assert left_behind(state) == []


def test_an_interrupted_demo_ends_all_that_it_started(state: Path, first: subprocess.CompletedProcess[str]) -> None:
    command = demo(state, "--airflow-port", "0", "--domino-port", "0")
    with subprocess.Popen(command, env=environment(state), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("Triggered"):
                break
        refused = run_once(state, state.parent / "never")
        assert refused.returncode == 2
        assert f"process {running.pid}" in refused.stderr
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=120)
    assert running.returncode == 130
    assert left_behind(state) == []
