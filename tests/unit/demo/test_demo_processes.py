"""The programs of a demo: known again whatever the clock does, and ended with all that they started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from airflow_domino.demo import processes
from airflow_domino.demo.processes import ManagedProcess, ProcessesLeftError, ProcessIdentity, ProcessRegister

SLEEPS = "import time; print('begun', flush=True); time.sleep(900)"
IGNORES_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"
LEAVES_A_CHILD = """\
import os, pathlib, sys, time
if os.fork() == 0:
    os.setpgid(0, 0)
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(900)
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.05)
os._exit(3)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ManagedProcess]]:
    started: list[ManagedProcess] = []

    def start_program(source: str, *arguments: str) -> ManagedProcess:
        command = [sys.executable, "-c", source, *arguments]
        process = ManagedProcess("a program", command, os.environ, tmp_path / "log" / f"{len(started)}", tmp_path)
        started.append(process)
        return process

    yield start_program
    for process in started:
        process.kill()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_begun(process: ManagedProcess) -> bool:
    return "begun" in process.log_tail()


def goes_on(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="only here psutil reckons the start of a process from the clock")
@pytest.mark.parametrize("step", [18, -18, 86_400])
def test_programs_are_ended_after_a_step_of_the_clock(
    tmp_path: Path, start: Callable[..., ManagedProcess], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    register = ProcessRegister(tmp_path / "processes.json")
    program = start(SLEEPS)
    register.add(program.identity)
    by_the_clock = psutil.Process(program.pid).create_time()
    boot_time = psutil._pslinux.boot_time
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot_time() + step)
    assert psutil.Process(program.pid).create_time() == pytest.approx(by_the_clock + step, abs=1)

    register.end_all()

    assert not goes_on(program.pid)
    assert register.read() == []


def test_a_program_that_could_not_be_ended_stays_noted_and_is_named(
    tmp_path: Path, start: Callable[..., ManagedProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    register = ProcessRegister(tmp_path / "processes.json")
    program = start(IGNORES_SIGTERM)
    register.add(program.identity)
    until(lambda: has_begun(program))
    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "kill", lambda process: None)
        patch.setattr(processes, "_DEATH_SECONDS", 0.1)
        with pytest.raises(ProcessesLeftError, match=rf"{program.pid} go on .* noted in {tmp_path}"):
            register.end_all(grace=0.1)
    assert program.identity in register.read()

    register.end_all(grace=0.1)

    assert not goes_on(program.pid)
    assert not (tmp_path / "processes.json").exists()


def test_what_a_crashed_program_left_is_ended_too(tmp_path: Path, start: Callable[..., ManagedProcess]) -> None:
    register = ProcessRegister(tmp_path / "processes.json")
    program = start(LEAVES_A_CHILD, str(tmp_path / "child"))
    register.add(program.identity)
    until(lambda: program.exit_code is not None)
    child = int((tmp_path / "child").read_text())
    assert program.exit_code == 3
    assert goes_on(child)

    register.end_all()

    assert not goes_on(child)


def test_the_exit_code_of_a_killed_program_is_the_signal(start: Callable[..., ManagedProcess]) -> None:
    program = start(SLEEPS)
    assert program.exit_code is None

    psutil.Process(program.pid).send_signal(9)
    until(lambda: program.exit_code is not None)

    assert program.exit_code == -9
    program.wait(60)
    assert program.exit_code == -9


def test_what_a_crashed_program_left_and_could_not_be_ended_is_noted_too(
    tmp_path: Path, start: Callable[..., ManagedProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    register, note = ProcessRegister(tmp_path / "processes.json"), tmp_path / "child"
    program = start(LEAVES_A_CHILD, str(note))
    register.add(program.identity)
    until(lambda: program.exit_code is not None)
    child = int(note.read_text())
    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "kill", lambda process: None)
        patch.setattr(processes, "_DEATH_SECONDS", 0.1)
        with pytest.raises(ProcessesLeftError, match=str(child)):
            register.end_all(grace=0.1)
    program.wait(60)  # from now on nothing but its own entry leads to the child

    register.end_all(grace=0.1)

    assert not goes_on(child)


@pytest.mark.parametrize("birth", ["another-boot:1", ""])
def test_a_process_that_has_the_number_of_another_is_left_alone(
    tmp_path: Path, start: Callable[..., ManagedProcess], birth: str
) -> None:
    register = ProcessRegister(tmp_path / "processes.json")
    stranger = start(SLEEPS)
    register.add(ProcessIdentity(stranger.pid, birth))

    register.end_all()

    assert goes_on(stranger.pid)
    assert register.read() == []


@pytest.mark.parametrize(("difference", "is_known"), [(0.0, True), (18.0, False)])
def test_a_register_of_an_earlier_version_is_read(
    tmp_path: Path, start: Callable[..., ManagedProcess], difference: float, is_known: bool
) -> None:
    program = start(SLEEPS)
    started = psutil.Process(program.pid).create_time() + difference
    (tmp_path / "processes.json").write_text(json.dumps([{"pid": program.pid, "started": started}]))

    assert ProcessRegister(tmp_path / "processes.json").read() == ([program.identity] if is_known else [])


@pytest.mark.skipif(shutil.which("ps") is None, reason="there is no ps")
def test_where_there_is_no_proc_ps_tells_one_process_from_another(
    start: Callable[..., ManagedProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    monkeypatch.setattr(processes, "_BOOT_ID", tmp_path / "boot_id")

    program = start(SLEEPS)

    assert program.identity.birth.split()[-1].isdigit()  # such as "Tue Dec  1 00:46:02 2026"
    assert program.identity.process() is not None
    assert processes.birth_of(ended.pid) is None
