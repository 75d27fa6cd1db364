"""Runs of the local Domino really execute."""

from __future__ import annotations


def test_a_run_executes_its_command_and_its_files_are_in_its_output_commit(local_domino):
    job = local_domino.run("hello.py")
    assert job["statuses"] | {"isArchived": False} == {
        "isCompleted": True,
        "isArchived": False,
        "isScheduled": False,
        "executionStatus": "Succeeded",
    }
    assert local_domino.log(job["id"]) == ["hello"]
    output = job["commitDetails"]["outputCommitId"]
    assert local_domino.content(output, "hello.txt") == b"hello\nworld\n"
    assert local_domino.content(output, "results%2Fstdout.txt") == b"hello\n"
