"""The demo as a newcomer starts it, from the first process to the last."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from airflow_domino.commands.demo import SAMPLE_DAGS as DAGS

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


# Says that it runs, and has a child in a session of its own; neither ends at a polite signal. Only as a program: the
# pipeline is imported too, where a DAG is drawn of it.
STUBBORN = """\
import os, pathlib, signal, sys, time
if __name__ != "__main__":
    sys.exit("only a program")
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    time.sleep(900)
pathlib.Path({running!r}).touch()
time.sleep(900)
"""

# A demo whose clock is stepped by 18 s as soon as a file is there: psutil reckons the start of a process from it.
STEPPED_CLOCK = """\
import pathlib, sys, time, psutil
stepped = pathlib.Path({stepped!r})
boot_time, now = psutil._pslinux.boot_time, time.time
psutil._pslinux.boot_time = lambda: boot_time() + 18 * stepped.exists()
time.time = lambda: now() + 18 * stepped.exists()
from airflow_domino.cli import main
sys.exit(main())
"""
# A demo whose workers give Airflow no time to answer, as on a machine that is far too busy.
NO_PATIENCE = """\
import sys
from airflow_domino.demo import airflow_stack
settings = airflow_stack.AirflowStack._settings
hasty = {"AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "0.000001", "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "1"}
airflow_stack.AirflowStack._settings = lambda stack: settings(stack) | hasty
from airflow_domino.cli import main
sys.exit(main())
"""


def demo(state: Path, *arguments: str, program: Sequence[str] = ("-m", "airflow_domino.cli")) -> list[str]:
    return [sys.executable, *program, "demo", "--state", str(state), *arguments]


def environment(state: Path) -> dict[str, str]:
    """A newcomer's environment, with a mark by which every descendant can be found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DOMINO_"))}
    return kept | {"LEFT_BY_DEMO": str(state)}


def left_behind(state: Path) -> list[str]:
    """The processes that still run and were started, however indirectly, by a demo on this folder.

    The local Domino's runs do not inherit the mark, but work below the folder.
    """
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            places = [process.cwd(), *words, process.environ().get("LEFT_BY_DEMO", "")]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(state) in place for place in places):
            found.append(" ".join(words))
    return found


@contextmanager
def busy_port() -> Iterator[str]:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        yield str(busy.getsockname()[1])


@contextmanager
def started(command: list[str], state: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that goes on; it is killed when the test ends before it."""
    with subprocess.Popen(command, env=environment(state), stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.terminate()


def wait_for_line(running: subprocess.Popen[str], words: str) -> list[str]:
    """Everything that is said up to a line with these words."""
    said: list[str] = []
    for line in running.stdout or ():
        said.append(line)
        if words in line:
            return said
    raise AssertionError("".join(said))


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} has not come"
        time.sleep(0.1)


def dags_with_pipeline(folder: Path, source: str) -> Path:
    """The sample DAGs, with another program for the runs of `hello_world`."""
    dags = folder / "dags"
    shutil.copytree(DAGS, dags, ignore=shutil.ignore_patterns("__pycache__"))
    (dags / "projects" / "luigi-multi-run" / "example_pipeline.py").write_text(source)
    return dags


def run_once(state: Path, results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = demo(state, "--once", "--results", str(results), *arguments)
    return subprocess.run(command, env=environment(state), capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "state"


@pytest.fixture(scope="module")
def first(state: Path) -> subprocess.CompletedProcess[str]:
    """A demo on a new folder, by the README's command."""
    arguments = f"--state {state} --once --results {state.parent / 'first'} --airflow-port 0 --domino-port 0"
    installed = f"{sys.prefix}/installed"
    command = ["make", "-C", str(ROOT), "-o", installed, "demo", f"VENV={sys.prefix}", f"ARGS={arguments}"]
    ended = subprocess.run(command, env=environment(state), capture_output=True, text=True, check=False, timeout=600)
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


@pytest.fixture(scope="module")
def after_a_killed_one(state: Path, first: subprocess.CompletedProcess[str]) -> list[str]:
    """What a demo says that follows a killed one, finds its ports taken, stays up, and is interrupted then."""
    ports = ["--airflow-port", "0", "--domino-port", "0"]
    with started(demo(state, *ports), state) as running:
        wait_for_line(running, "Triggered")
        wait_for_line(running, " running")
        running.kill()
        running.wait()
    assert left_behind(state)
    with busy_port() as airflow_port, busy_port() as domino_port:
        taken = ["--airflow-port", airflow_port, "--domino-port", domino_port, "--timeout", "200"]
        with started(demo(state, "--results", str(state.parent / "second"), *taken), state) as running:
            said = wait_for_line(running, "stay up")
            assert left_behind(state)
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=120)
    assert running.returncode == 0, "".join(said)
    assert any(line.startswith(f"Port {airflow_port} is busy: Airflow takes ") for line in said)
    assert any(line.startswith(f"Port {domino_port} is busy: local Domino takes ") for line in said)
    return said


@pytest.mark.deep
def test_a_second_demo_trains_nothing_and_leaves_its_results_too(state: Path, after_a_killed_one: list[str]) -> None:
    (complete,) = (line for line in after_a_killed_one if line.startswith("Already complete"))
    assert "ensemble.train_rforest" in complete
    assert "ensemble.train_nnet" in complete
    assert (state.parent / "second" / "hello_world.txt").read_bytes() == b"hello\nworld\n"
    assert (state.parent / "second" / "score_report.json").exists()


@pytest.mark.deep
def test_a_demo_stays_up_until_it_is_interrupted_and_leaves_no_process_then(
    state: Path, after_a_killed_one: list[str]
) -> None:
    assert "127.0.0.1" in after_a_killed_one[-1]
    assert left_behind(state) == []


@pytest.mark.deep
def test_a_demo_after_a_killed_one_ends_what_that_left_and_does_not_wait_for_it(after_a_killed_one: list[str]) -> None:
    assert any("An earlier demo was ended in the middle of" in line for line in after_a_killed_one)


@pytest.mark.deep
def test_a_demo_whose_run_fails_tells_the_end_of_the_log_and_fails(
    state: Path, first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    dags = dags_with_pipeline(tmp_path, "raise SystemExit('the pipeline is broken on purpose')\n")
    ended = run_once(state, tmp_path / "results", "--dags", str(dags), "--airflow-port", "0", "--domino-port", "0")
    assert ended.returncode == 1
    assert "hello_world.hello failed. The end of its log:" in ended.stdout
    assert "the pipeline is broken on purpose" in ended.stdout
    assert not (tmp_path / "results").exists()
    assert left_behind(state) == []


@pytest.mark.deep
def test_a_demo_whose_worker_dies_without_a_word_tells_what_the_scheduler_reports(
    first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    command = demo(state, "--once", "--airflow-port", "0", "--domino-port", "0", program=("-c", NO_PATIENCE))
    ended = subprocess.run(command, env=environment(state), capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    told = ended.stdout[ended.stdout.index("ensemble.extract_features failed. The end of its log:") :]
    assert "The scheduler's report:" in told
    assert "<TaskInstance: ensemble.extract_features " in told
    assert re.search(r"Before it, a worker had: httpx\.\w*Timeout", told)
    assert str(state / "airflow" / "logs" / "components" / "scheduler.log") in told


@pytest.mark.deep
@pytest.mark.skipif(sys.platform != "linux", reason="only here psutil reckons the start of a process from the clock")
def test_a_demo_that_is_interrupted_after_a_step_of_the_clock_leaves_no_process(
    state: Path, first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    stepped = tmp_path / "stepped"
    program = ("-c", STEPPED_CLOCK.format(stepped=str(stepped)))
    command = demo(state, "--airflow-port", "0", "--domino-port", "0", program=program)
    with started(command, state) as running:
        wait_for_line(running, "Triggered")
        stepped.touch()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=120)
    assert running.returncode == 130
    assert left_behind(state) == []
    assert list(state.rglob("processes.json")) == []


@pytest.mark.deep
def test_a_demo_that_is_interrupted_while_a_run_is_running_ends_the_run_with_all_that_it_started(
    state: Path, first: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    running_now = tmp_path / "running"
    dags = dags_with_pipeline(tmp_path, STUBBORN.format(running=str(running_now)))
    command = demo(state, "--dags", str(dags), "--airflow-port", "0", "--domino-port", "0")
    with started(command, state) as running:
        wait_for_line(running, "Triggered")
        wait_for_file(running_now)
        assert any("example_pipeline.py" in process for process in left_behind(state))
        refused = run_once(state, state.parent / "never")
        assert refused.returncode == 2
        assert f"process {running.pid}" in refused.stderr
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=120)
    assert running.returncode == 130
    assert left_behind(state) == []
