"""Projects, runs, files and the queue are there again after the server was ended or killed."""

from __future__ import annotations

import psutil
import pytest

ONE = [{"id": "one", "name": "One", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "capacity": 1, "default": True}]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_runs_of_before_are_known_and_what_ran_is_in_error_and_what_waited_runs(start_local_domino, end):
    domino = start_local_domino(tiers=ONE)
    done = domino.run("hello.py", title="done")
    running = domino.start("sleep.py 600")["id"]
    domino.wait_for_status(running, "Running")
    queued = domino.start("hello.py")["id"]
    getattr(domino, end)()
    again = start_local_domino(tiers=ONE)
    assert again.projects == domino.projects
    assert again.token == domino.token
    assert again.job(done["id"]) == done
    assert again.log(done["id"]) == ["hello"]
    assert again.content(done["commitDetails"]["outputCommitId"], "hello.txt") == b"hello\nworld\n"
    job = again.job(running)
    assert job["statuses"] == {
        "isCompleted": True,
        "isArchived": False,
        "isScheduled": False,
        "executionStatus": "Error",
    }
    assert "local Domino ended" in job["abnormalStatus"]["runFailureMessage"]
    assert again.wait(queued)["statuses"]["executionStatus"] == "Succeeded"
    assert again.start("hello.py")["number"] == 4


def test_processes_that_outlived_a_killed_server_are_ended_by_the_next(start_local_domino):
    domino = start_local_domino({"tell.py": "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"})
    run_id = domino.start("tell.py")["id"]
    domino.wait(run_id, lambda job: domino.log(run_id))
    process = psutil.Process(int(domino.log(run_id)[0]))
    domino.kill()
    assert process.is_running()
    start_local_domino()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_changed_folder_is_imported_again_and_what_runs_wrote_stays(start_local_domino, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("changed.txt", "removed.txt", "same.txt"):
        (folder / name).write_text("1")
    domino = start_local_domino(projects={"a/b": folder})
    domino.run("sh -c 'echo run > written.txt; echo run > same.txt'")
    domino.stop()
    (folder / "changed.txt").write_text("2")
    (folder / "added.txt").write_text("2")
    (folder / "removed.txt").unlink()
    again = start_local_domino(projects={"a/b": folder})
    head = again.head()
    assert set(again.files(head)) == {"changed.txt", "same.txt", "added.txt", "written.txt"}
    assert again.content(head, "changed.txt") == b"2"
    assert again.content(head, "same.txt") == b"run\n"


def test_an_unchanged_folder_makes_no_new_commit(start_local_domino):
    domino = start_local_domino()
    head = domino.head()
    domino.stop()
    assert start_local_domino().head() == head


def test_a_queued_run_of_a_tier_that_is_gone_ends_in_error(start_local_domino):
    domino = start_local_domino(tiers=ONE)
    running = domino.start("sleep.py 600")["id"]
    domino.wait_for_status(running, "Running")
    queued = domino.start("hello.py")["id"]
    domino.stop()
    again = start_local_domino(tiers=[{**ONE[0], "id": "other"}])
    job = again.job(queued)
    assert job["statuses"]["executionStatus"] == "Error"
    assert "hardware tier one" in job["abnormalStatus"]["runFailureMessage"]
    details = again.get(f"/v4/jobs/{queued}/runtimeExecutionDetails")
    assert details["hardwareTier"] == {"id": "one", "name": "one", "isArchived": True}
