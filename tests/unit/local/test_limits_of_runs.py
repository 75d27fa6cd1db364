"""What holds runs to their tiers: processors are given in turn, and processes of a run are found wherever they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from airflow_domino.local import limits, process_table, processes
from airflow_domino.local.limits import GIB, Cores, Limits, Watched
from airflow_domino.local.process_table import MARK, Marks, Process
from airflow_domino.local.tiers import Tier

TIER = Tier("t", "T", cores=1, memory_gib=0.5, cents_per_minute=1, capacity=1, gpus=2)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that carries the mark of a run, in a session of its own."""
    child = subprocess.Popen(["sleep", "60"], env={MARK: "run-1", "PATH": os.environ["PATH"]}, start_new_session=True)
    yield child
    child.kill()
    child.wait()


def process(pid: int, resident: int = 0, cpu: float = 0.0) -> Process:
    return Process(pid, 1, pid, pid, 1.0, resident, cpu)


def test_processors_go_to_runs_in_turn_and_come_back(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    cores = Cores()
    with cores.taken(1) as first, cores.taken(1) as second, cores.taken(2) as third:
        assert first is not None
        assert second is not None
        assert third is not None
        assert sorted(first | second | third) == [0, 1, 2, 3]
        with cores.taken(0.5) as part:
            assert part is not None
            assert len(part) == 1
    with cores.taken(4) as whole, cores.taken(3.5) as most:
        assert (whole, most) == (None, None)


def test_a_process_is_bound_to_the_processors_of_its_run_and_this_thread_is_not():
    before = os.sched_getaffinity(0)
    chosen = frozenset(sorted(before)[:1])
    program = [sys.executable, "-S", "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
    with limits.on_processors(chosen):
        done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sorted(chosen))
    assert os.sched_getaffinity(0) == before


def test_the_processes_of_a_run_are_found_by_mark_session_and_descent(sleeper):
    table = process_table.look()
    assert [found.pid for found in Marks().members(table, "run-1", None)] == [sleeper.pid]
    assert [found.pid for found in Marks().members(table, "another", sleeper.pid)] == [sleeper.pid]
    assert Marks().members(table, "another", None) == []
    child = Process(99_999_999, sleeper.pid, 1, 1, 0.0, 0, 0.0)
    members = Marks().members({**table, child.pid: child}, "run-1", None)
    assert {found.pid for found in members} == {sleeper.pid, child.pid}


def test_a_look_by_psutil_finds_the_same(sleeper, monkeypatch):
    monkeypatch.setattr(process_table, "_HAS_PROC", False)
    found = process_table.look()[sleeper.pid]
    assert (found.session, found.parent) == (sleeper.pid, os.getpid())
    assert found.resident > 0
    assert [member.pid for member in Marks().members(process_table.look(), "run-1", None)] == [sleeper.pid]
    assert process_table.process_at(99_999_999) is None


def test_a_run_is_ended_with_what_left_its_session(sleeper):
    processes.end_run("run-1", None, 5)
    assert sleeper.wait(5) < 0


def test_memory_is_looked_at_more_often_the_less_room_is_left():
    watched = Watched("r", 1, GIB, lambda _: None)
    much, little = (watched.see([process(7, used)], 0.0) for used in (0, GIB - 1024))
    assert 0 < little < much <= 1
    assert watched.most_memory == GIB - 1024


def test_what_is_over_is_told_once_and_not_by_its_shared_part(monkeypatch):
    killed: list[int] = []
    monkeypatch.setattr(processes, "kill", lambda found: killed.extend(one.pid for one in found))
    told: list[int] = []
    watched = Watched("r", 1, 100, told.append)
    monkeypatch.setattr(process_table, "shared_out", lambda one: 40)
    watched.see([process(7, 80), process(8, 80)], 0.0)
    assert (killed, told) == ([], [])
    monkeypatch.setattr(process_table, "shared_out", lambda one: 60)
    for _ in range(2):
        watched.see([process(7, 80), process(8, 80)], 0.0)
    assert (killed, told) == ([7, 8], [120])


def test_the_log_says_what_is_enforced_and_what_is_not():
    held = Limits()
    notes = held.notes(TIER, frozenset({3}))
    assert notes[0].startswith("Cores: 1, enforced: bound to processor 3 of ")
    assert notes[1:] == ["Memory: 512 MiB, enforced: a run that uses more is ended", "GPUs: 2, not enforced"]
    off = Limits(are_enforced=False)
    assert off.notes(TIER, None) == ["The cores and the memory of the tier are not enforced (--limits off)"]
    assert off.memory_of(TIER) is None
    with off.processors(TIER) as processors:
        assert processors is None
