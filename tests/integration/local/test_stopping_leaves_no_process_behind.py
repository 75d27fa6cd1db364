"""A stopped or ended run leaves no process behind, whatever its processes do to hide."""

from __future__ import annotations

import sys
import time

import psutil
import pytest

# Leaves the group, the session and the parent, and ignores the polite signal.
STRAY = """\
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open("new", "w") as file:
            file.write(str(os.getpid()))
        os.rename("new", "stray")
        time.sleep(600)
    os._exit(0)
os.wait()
while not os.path.exists("stray"):
    time.sleep(0.01)
print("stray", open("stray").read(), flush=True)
if len(sys.argv) > 1:
    time.sleep(600)
"""
STUBBORN = """\
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""
POLITE = """\
import signal, sys, time
def leave(number, frame):
    open("goodbye.txt", "w").write("bye")
    print("leaving", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(600)
"""
# Runs with an emptied environment in a session of its own, as a child of the program.
UNMARKED = """\
import subprocess, sys, time
child = subprocess.Popen(["env", "-i", "setsid", "sleep", "600"])
time.sleep(0.2)
print("stray", child.pid, flush=True)
time.sleep(600)
"""


def first_line(domino, run_id: str) -> str:
    deadline = time.monotonic() + 60
    while not (lines := domino.log(run_id)):
        assert time.monotonic() < deadline, domino.job(run_id)
        time.sleep(0.05)
    return lines[0]


def is_alive(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def domino(start_local_domino):
    files = {"stray.py": STRAY, "stubborn.py": STUBBORN, "polite.py": POLITE, "unmarked.py": UNMARKED}
    return start_local_domino(files, arguments=["--stop-grace=1"])


def test_a_stopped_run_ends_politely_and_keeps_its_results(domino):
    run_id = domino.start("polite.py")["id"]
    first_line(domino, run_id)
    answer = domino.post("/v4/jobs/stop", jobId=run_id, commitResults=True)
    assert answer["statuses"]["executionStatus"] == "StopRequested"
    job = domino.wait(run_id)
    assert job["statuses"]["executionStatus"] == "Stopped"
    assert domino.log(run_id) == ["ready", "leaving"]
    assert domino.content(job["commitDetails"]["outputCommitId"], "goodbye.txt") == b"bye"
    entries = [entry for entry in domino.ledger() if entry["runId"] == run_id]
    states = [entry["to"] for entry in entries if entry["event"] == "state"]
    assert states[-4:] == ["Running", "StopRequested", "Stopping", "Stopped"]
    assert [entry["commitResults"] for entry in entries if entry["event"] == "stop"] == [True]


def test_a_run_stopped_without_its_results_leaves_no_commit(domino):
    head = domino.head()
    run_id = domino.start("polite.py")["id"]
    first_line(domino, run_id)
    answer = domino.post("/v4/jobs/stop", jobId=run_id, commitResults=False)
    assert answer["statuses"]["executionStatus"] == "StopAndDiscardRequested"
    job = domino.wait(run_id)
    assert job["statuses"]["executionStatus"] == "Stopped"
    assert "outputCommitId" not in job["commitDetails"]
    assert domino.head() == head


def test_a_program_that_ignores_the_polite_signal_is_killed(domino):
    run_id = domino.start("stubborn.py")["id"]
    first_line(domino, run_id)
    domino.post("/v4/jobs/stop", jobId=run_id, commitResults=True)
    assert domino.wait(run_id)["statuses"]["executionStatus"] == "Stopped"


@pytest.mark.parametrize("command", ["stray.py", "stray.py stay", "unmarked.py"])
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the environments of processes")
def test_processes_that_left_their_group_end_with_the_run(domino, command):
    run_id = domino.start(command)["id"]
    process_id = int(first_line(domino, run_id).split()[1])
    if command != "stray.py":
        assert is_alive(process_id)
        domino.post("/v4/jobs/stop", jobId=run_id, commitResults=False)
    domino.wait(run_id)
    assert not is_alive(process_id)


def test_a_queued_run_is_stopped_without_ever_running(start_local_domino):
    tier = {"id": "one", "name": "One", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "capacity": 1}
    domino = start_local_domino(tiers=[tier | {"default": True}])
    running = domino.start("sleep.py 600")["id"]
    domino.wait_for_status(running, "Running")
    queued = domino.start("hello.py")["id"]
    domino.post("/v4/jobs/stop", jobId=queued, commitResults=True)
    job = domino.wait(queued)
    assert job["statuses"]["executionStatus"] == "Stopped"
    assert "runStartTime" not in job["stageTime"]
    domino.post("/v4/jobs/stop", jobId=running, commitResults=False)


def test_a_stop_after_the_end_changes_nothing(local_domino):
    job = local_domino.run("hello.py")
    assert local_domino.post("/v4/jobs/stop", jobId=job["id"], commitResults=True)["statuses"] == job["statuses"]
    assert local_domino.job(job["id"]) == job


def test_the_end_of_the_server_ends_all_runs_and_is_a_success(start_local_domino):
    domino = start_local_domino({"stray.py": STRAY})
    run_id = domino.start("stray.py stay")["id"]
    process_id = int(first_line(domino, run_id).split()[1])
    assert is_alive(process_id)
    assert domino.stop() == 0
    assert not is_alive(process_id)
