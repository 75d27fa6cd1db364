"""Reading what Domino says, in all three of its dialects, whatever is missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_domino.domino.lenient import parse_time
from airflow_domino.domino.models import (
    Commit,
    Environment,
    Project,
    ProjectFile,
    Run,
    RunDetails,
    RunStatus,
    User,
    Version,
)
from airflow_domino.domino.tiers import HardwareTier

MOMENT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [1_700_000_000_000, "1700000000000", 1_700_000_000_000.0, "2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00"],
)
def test_moments_are_read_as_epoch_milliseconds_and_as_iso(value: object) -> None:
    assert parse_time(value) == MOMENT


@pytest.mark.parametrize("value", [None, "", "soon", True, 0, -1, 10**30, [], {}, "9" * 40])
def test_an_unreadable_moment_is_none(value: object) -> None:
    assert parse_time(value) is None


def test_a_v4_job_is_read() -> None:
    run = Run.from_api(
        {
            "id": "5f",
            "number": 12,
            "title": "t",
            "projectId": "p",
            "jobRunCommand": "train.py",
            "statuses": {"isCompleted": True, "executionStatus": "Failed"},
            "stageTime": {
                "submissionTime": 1_700_000_000_000,
                "runStartTime": 1_700_000_060_000,
                "completedTime": 1_700_000_180_000,
            },
            "commitDetails": {"inputCommitId": "in", "outputCommitId": "out"},
            "startedBy": {"id": "u", "username": "ada"},
            "abnormalStatus": {"runFailureReason": "UserCode", "runFailureMessage": "exit 1"},
            "dominoStats": [{"name": "score", "value": "0.9"}],
            "queuedJobHistoryDetails": {"expectedWait": "1m", "explanation": "all machines are busy", "helpText": ""},
        }
    )

    assert (run.id, run.number, run.title, run.command, run.project_id) == ("5f", 12, "t", "train.py", "p")
    assert run.status == RunStatus("Failed", True)
    assert (run.queued_seconds, run.run_seconds) == (60.0, 120.0)
    assert (run.input_commit, run.output_commit, run.results_commit) == ("in", "out", "out")
    assert (run.started_by, run.failure_reason, run.failure_message) == ("ada", "UserCode", "exit 1")
    assert run.stats == {"score": "0.9"}
    assert run.queue_explanation == "all machines are busy"


def test_a_v1_run_is_read() -> None:
    run = Run.from_api(
        {
            "id": "5f",
            "number": 3,
            "status": "Succeeded",
            "isCompleted": True,
            "queued": 1_700_000_000_000,
            "started": 1_700_000_001_000,
            "completed": 1_700_000_003_000,
            "commitId": "in",
            "outputCommitId": "out",
            "startingUserId": "u1",
            "diagnosticStatistics": {"isError": False, "data": [{"key": "score", "value": "1"}]},
        }
    )

    assert run.status.succeeded
    assert (run.queued_seconds, run.run_seconds) == (1.0, 2.0)
    assert (run.input_commit, run.output_commit, run.started_by, run.stats) == ("in", "out", "u1", {"score": "1"})


def test_a_public_job_in_its_envelope_is_read() -> None:
    run = Run.from_api(
        {
            "job": {
                "id": "5f",
                "number": 3,
                "runCommand": "x",
                "status": {"executionStatus": "Running", "isCompleted": False},
                "stageTimes": {"submissionTime": "2023-11-14T22:13:20Z", "startTime": "2023-11-14T22:13:25Z"},
            },
            "metadata": {"requestId": "r"},
        }
    )

    assert (run.command, run.submitted_at, run.queued_seconds) == ("x", MOMENT, 5.0)
    assert run.status.is_running


def test_the_answer_of_a_v1_start_is_read_by_its_run_id() -> None:
    assert Run.from_api({"runId": "5f", "message": "started"}).id == "5f"


def test_a_run_needs_nothing_but_its_id() -> None:
    run = Run.from_api({"id": "5f", "stageTime": None, "commitDetails": [], "dominoStats": "?", "number": "many"})

    assert (run.number, run.title, run.results_commit, run.run_seconds, run.stats) == (0, None, None, None, {})
    assert not run.status.is_completed


def test_an_answer_without_an_id_is_no_run() -> None:
    with pytest.raises(ValueError, match="id"):
        Run.from_api({"status": "Running"})


def test_the_output_commit_is_never_taken_for_the_sign_that_a_run_is_over() -> None:
    over_without = Run.from_api({"id": "a", "statuses": {"isCompleted": True, "executionStatus": "Error"}})
    going_with = Run.from_api(
        {"id": "a", "statuses": {"isCompleted": False, "executionStatus": "Finishing"}, "outputCommitId": "out"}
    )

    assert over_without.status.is_completed
    assert not going_with.status.is_completed


def test_a_run_that_wrote_nothing_has_its_results_in_its_input_commit() -> None:
    run = Run.from_api({"id": "a", "commitDetails": {"inputCommitId": "in", "outputCommitId": ""}})

    assert (run.output_commit, run.results_commit) == (None, "in")


@pytest.mark.parametrize("word", ["Failed", "Error", "Stopped", "Faulty", "Canceled", "Skipped"])
def test_succeeded_alone_is_success(word: str) -> None:
    assert not RunStatus(word, True).succeeded


def test_a_status_word_that_nobody_knows_goes_by_is_completed() -> None:
    status = RunStatus.from_api({"statuses": {"executionStatus": "Levitating", "isCompleted": False}})

    assert (str(status), status.is_running, status.is_completed) == ("Levitating", True, False)


@pytest.mark.parametrize("word", ["Queued", "Scheduled", "Pending", "Preparing", "Building", "Pulling"])
def test_a_run_whose_command_has_not_begun_is_queued(word: str) -> None:
    assert RunStatus(word, False).is_queued


@pytest.mark.parametrize("word", ["StopRequested", "StopAndDiscardRequested", "Stopping", "Finishing", "Serving"])
def test_a_run_that_is_being_stopped_or_saved_is_still_going(word: str) -> None:
    assert RunStatus(word, False).is_running


def test_without_is_completed_a_final_word_ends_the_run() -> None:
    assert RunStatus.from_api({"status": "Stopped"}).is_completed
    assert not RunStatus.from_api({"status": "Running"}).is_completed


def test_a_v4_tier_is_read_with_its_price_and_its_size() -> None:
    tier = HardwareTier.from_api(
        {
            "hardwareTier": {
                "id": "gpu-k8s",
                "name": "GPU",
                "centsPerMinute": 6.0,
                "hwtResources": {"cores": 8, "memory": {"value": 16, "unit": "GiB"}},
                "hwtFlags": {"isDefault": True, "isArchived": False},
                "gpuConfiguration": {"numberOfGpus": 2, "gpuKey": "nvidia.com/gpu"},
            },
            "capacity": {"capacityLevel": "FULL"},
        }
    )

    assert tier == HardwareTier("gpu-k8s", "GPU", 6.0, 8.0, 16.0, 2, True, False, "FULL")


@pytest.mark.parametrize(
    ("memory", "gib"),
    [
        ({"value": 2048, "unit": "MiB"}, 2.0),
        ({"value": 4, "units": "GiB"}, 4.0),
        ({"value": 1.073741824, "unit": "GB"}, 1.0),
        (7, 7.0),
        (None, 0.0),
    ],
)
def test_memory_is_read_in_any_unit(memory: object, gib: float) -> None:
    assert HardwareTier.from_api({"id": "a", "memory": memory}).memory_gib == pytest.approx(gib)


def test_a_public_tier_and_the_old_flat_shape_are_read() -> None:
    public = HardwareTier.from_api({"id": "a", "flags": {"isDefault": True}, "resources": {"cores": 2}})
    flat = HardwareTier.from_api({"hardwareTier": {"id": "b", "cores": 4, "isDefault": True}})

    assert (public.is_default, public.cores, public.gpus) == (True, 2.0, 0)
    assert (flat.is_default, flat.cores, flat.name) == (True, 4.0, "b")


def test_the_price_of_a_run_is_cents_per_minute_times_its_minutes() -> None:
    assert HardwareTier("a", "A", cents_per_minute=6.0).cost_cents(90) == pytest.approx(9.0)


def test_a_project_is_read_and_a_repository_makes_it_git_based(project_data: dict[str, Any]) -> None:
    plain = Project.from_api(project_data)
    git = Project.from_api({**project_data, "mainRepository": {"id": "r", "uri": "https://git"}})

    assert (plain.full_name, plain.default_tier_id, plain.role, plain.is_git_based) == (
        "ada/quick-start",
        "small-k8s",
        "Owner",
        False,
    )
    assert git.is_git_based


def test_small_things_are_read() -> None:
    assert Commit.from_api("abc") == Commit("abc")
    assert Commit.from_api({"id": "abc", "commitTime": 1_700_000_000_000}) == Commit("abc", MOMENT)
    assert ProjectFile.from_api({"path": "/a/b", "size": 3, "key": "k"}) == ProjectFile("a/b", 3, "k")
    assert User.from_api({"id": "u", "userName": "ada"}) == User("u", "ada")
    assert Version.from_api({"version": "6.3.0"}) == Version("6.3.0")
    assert Environment.from_api({"id": "e", "name": "E", "archived": True}, default_id="e").is_default


def test_the_details_of_a_run_name_its_tier_and_its_environment() -> None:
    details = RunDetails.from_api(
        {
            "hardwareTier": {"id": "t", "name": "T", "isArchived": False},
            "environment": {"environmentId": "e", "environmentName": "E", "revisionNumber": 3},
        }
    )

    assert details == RunDetails("t", "T", "e", "E", "3")
    assert RunDetails.from_api({}) == RunDetails(None, None)


def test_a_frozen_run_can_be_put_into_a_set(job: Callable[..., dict[str, Any]]) -> None:
    assert len({Run.from_api(job()), Run.from_api(job())}) == 1
