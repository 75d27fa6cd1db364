"""Runs are held to the cores and the memory of their tier, and can lose their machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

EAT = """\
# eat.py MIB WHERE: takes so much memory, here or in others, and waits to be ended.
import subprocess, sys, time
mib, where = int(sys.argv[1]), sys.argv[2]
print("eating", flush=True)
open("partial.txt", "w").write("what was there")
take = "import time\\nheld = bytearray({} << 20)\\nheld[::4096] = b'x' * len(held[::4096])\\ntime.sleep(60)"
if where == "here":
    exec(take.format(mib))
elif where == "children":
    children = [subprocess.Popen([sys.executable, "-c", take.format(mib // 3)]) for _ in range(3)]
    [child.wait() for child in children]
else:
    subprocess.Popen([sys.executable, "-c", take.format(mib)], start_new_session=True)
    time.sleep(60)
"""
CORES = "import os\nprint(len(os.sched_getaffinity(0)))\n"
COMMON = {"cores": 1, "cents_per_minute": 60}
TIERS = [
    {"id": "tiny", "name": "Tiny", "memory_gib": 0.125, "capacity": 4, "default": True},
    {"id": "huge", "name": "Huge", "memory_gib": 100_000, "capacity": 4, "cores": 100_000},
]


@pytest.fixture(scope="module")
def domino(serve_domino: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("tiers-bite")
    files = folder / "files"
    files.mkdir()
    (files / "eat.py").write_text(EAT)
    (files / "cores.py").write_text(CORES)
    (files / "sleep.sh").write_text("echo sleeping\nsleep 600\n")
    (folder / "tiers.json").write_text(json.dumps([COMMON | tier for tier in TIERS]))
    domino = serve_domino(folder / "root", {"domino/quick-start": files}, [f"--tiers={folder / 'tiers.json'}"])
    yield domino
    domino.stop()


def processes_of(run_id: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            is_of_run = process.environ().get("AIRFLOW_DOMINO_LOCAL_RUN") == run_id
            if is_of_run and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("where", ["here", "children", "elsewhere"])
def test_a_run_over_the_memory_of_its_tier_is_killed_with_all_that_it_started(domino, where):
    job = domino.run(f"eat.py 600 {where}")
    assert job["statuses"]["executionStatus"] == "Failed"
    assert job["abnormalStatus"]["runFailureReason"] == "OutOfMemory"
    message = job["abnormalStatus"]["runFailureMessage"]
    assert message.startswith("Out of memory: the run used ")
    assert message.endswith("more than the 128 MiB of hardware tier Tiny, and was killed (exit code 137)")
    assert domino.log(job["id"]) == ["eating", message]
    assert processes_of(job["id"]) == []
    assert job["usage"]["memory"] > 0.125
    commit = job["commitDetails"].get("outputCommitId") or job["commitDetails"]["inputCommitId"]
    assert domino.content(commit, "partial.txt") == b"what was there"
    assert domino.get("/health") == {"status": "ok"}


def test_a_tier_with_more_than_the_machine_has_still_runs_and_says_what_is_not_enforced(domino):
    job = domino.run("cores.py", overrideHardwareTierId="huge")
    assert job["statuses"]["executionStatus"] == "Succeeded"
    assert domino.log(job["id"]) == [str(len(os.sched_getaffinity(0)))]
    notes = domino.log(job["id"], "prepareoutput")
    assert any("Cores: 100000, not enforced" in note for note in notes)
    assert any("this machine has only" in note for note in notes)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is nothing to be held back from")
def test_a_run_sees_only_as_many_processors_as_its_tier_has_cores(domino):
    job = domino.run("cores.py")
    assert domino.log(job["id"]) == ["1"]
    assert any("Cores: 1, enforced" in note for note in domino.log(job["id"], "prepareoutput"))
    assert job["usage"]["cpu"] > 0


def test_a_run_whose_machine_is_lost_ends_in_error_with_all_that_it_started(domino):
    run_id = domino.start("sleep.sh")["id"]
    domino.wait(run_id, lambda _: domino.log(run_id) == ["sleeping"])
    domino.post(f"/_local/runs/{run_id}/lose", reason="NodeLost", message="The node went away")
    job = domino.wait(run_id)
    assert job["statuses"]["executionStatus"] == "Error"
    assert job["abnormalStatus"] == {"runFailureReason": "NodeLost", "runFailureMessage": "The node went away"}
    assert domino.log(run_id)[-1] == "The node went away"
    assert processes_of(run_id) == []


def test_a_tier_can_be_taken_away_with_its_spot_machines_and_be_brought_back(domino):
    spot = domino.start("sleep.sh", capacityType="spot")["id"]
    domino.wait_for_status(spot, "Running")
    changed = domino.post("/_local/tiers/tiny", away=True)
    assert (changed["isAway"], changed["isFull"], changed["lost"]) == (True, True, [spot])
    lost = domino.wait(spot)
    assert lost["statuses"]["executionStatus"] == "Error"
    assert lost["abnormalStatus"]["runFailureReason"] == "SpotInstanceLost"
    listed = domino.get(f"/v4/projects/{domino.project_id}/hardwareTiers")
    assert listed[0]["capacity"]["capacityLevel"] == "FULL"
    waiting = domino.start("cores.py")
    assert "no machines at present" in waiting["queuedJobHistoryDetails"]["explanation"]
    domino.post("/_local/tiers/tiny", away=False)
    assert domino.wait(waiting["id"])["statuses"]["executionStatus"] == "Succeeded"


def test_an_unknown_sort_of_machine_is_refused(domino):
    body = {"projectId": domino.project_id, "commandToRun": "cores.py", "capacityType": "reserved"}
    assert domino.request("POST", "/v4/jobs/start", json=body).status_code == 400
