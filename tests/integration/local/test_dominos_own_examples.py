"""What Domino's own examples do comes to its end on the local Domino, by Domino's own client."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(600)
# What a run of version 1 has, whatever has become of it.
KEYS = {
    "id",
    "number",
    "projectId",
    "startingUserId",
    "status",
    "isCompleted",
    "isArchived",
    "queued",
    "started",
    "completed",
    "postProcessedTimestamp",
    "commitId",
    "outputCommitId",
    "executor",
    "title",
    "hardwareTierId",
    "diagnosticStatistics",
}


@pytest.fixture
def examples(dominos_client):
    return dominos_client.drive("examples")


def test_two_equal_runs_one_after_the_other_are_both_awaited(examples):
    for run in (*examples["equal"], *examples["direct"], examples["silent"]):
        assert run["status"] == "Succeeded"
        assert run["outputCommitId"] in examples["commits"]


def test_a_run_that_changes_nothing_has_its_input_commit_as_its_output(examples):
    second = examples["equal"][1]
    assert second["outputCommitId"] == second["commitId"] == examples["equal"][0]["outputCommitId"]


def test_who_waits_for_the_end_of_a_run_finds_its_results_then(examples):
    assert examples["copied"]["status"] == "Succeeded"
    assert examples["content"] == "uploaded"


def test_what_a_run_does_not_have_yet_is_null_and_not_left_out(examples):
    first, last = examples["first"], examples["copied"]
    assert set(first) == set(last) == KEYS
    assert (first["completed"], first["outputCommitId"], first["postProcessedTimestamp"]) == (None, None, None)
    assert last["startingUserId"] == examples["user"]
    assert last["executor"]


def test_the_times_of_all_runs_can_be_exported(examples):
    for queued, started, completed, statistics in examples["exported"]:
        assert queued <= started <= completed
        assert statistics == {"isError": False, "data": []}
