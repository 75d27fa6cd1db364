"""The error tree: what a text says, and that errors survive pickling."""

from __future__ import annotations

import inspect
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_domino.domino import errors
from airflow_domino.domino.errors import (
    AuthenticationError,
    DominoError,
    DominoUnavailableError,
    LaunchOutcomeUnknownError,
    NotFoundError,
    QueueWaitTimeoutError,
    ReloginRequiredError,
    RequestError,
    RunError,
    RunFailedError,
    RunOutOfMemoryError,
    RunPlatformError,
    RunQueueTimeoutError,
    RunStoppedError,
    RunWaitTimeoutError,
    UnsafePathError,
    run_error,
)
from airflow_domino.domino.models import Run, RunStatus

SUBMITTED = datetime(2026, 3, 1, tzinfo=UTC)


def ended(word: str, **more: Any) -> Run:
    return Run("id1", 42, "a title", "python x.py", "p1", RunStatus(word, True), **more)


SAMPLES = [
    DominoUnavailableError("busy", retry_after=3.0, status=503),
    LaunchOutcomeUnknownError("lost", status=504),
    RequestError("wrong", status=400),
    ReloginRequiredError("again", login_url="https://d/relogin"),
    UnsafePathError("outside"),
    RunFailedError(ended("Failed"), "https://d/run", ["last line"]),
    RunOutOfMemoryError(ended("Failed"), "https://d/run", ["MemoryError"], next_tier="Large"),
    RunQueueTimeoutError(ended("Stopped"), "https://d/run", next_tier="Large"),
    RunWaitTimeoutError(ended("Running"), "https://d/run"),
    QueueWaitTimeoutError(ended("Queued"), "https://d/run"),
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_from_pickling_with_its_text_and_its_details(error: DominoError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Failed", RunFailedError),
        ("Stopped", RunStoppedError),
        ("Error", RunPlatformError),
        ("Faulty", RunPlatformError),
        ("SomethingNew", RunPlatformError),
    ],
)
def test_the_users_code_the_platform_and_a_stop_are_told_apart(word: str, kind: type[RunError]) -> None:
    assert type(run_error(ended(word), "https://d/run")) is kind


def test_a_death_for_want_of_memory_is_a_failure_of_its_own_kind_that_names_the_next_tier() -> None:
    error = run_error(ended("Failed", failure_message="OOMKilled"), "https://d/run", next_tier="Large")

    assert type(error) is RunOutOfMemoryError
    assert isinstance(error, RunFailedError)
    assert error.next_tier == "Large"
    assert "Another attempt uses tier 'Large'." in str(error)


def test_a_death_for_want_of_memory_is_also_read_from_the_last_line_of_the_log() -> None:
    error = run_error(ended("Failed"), "https://d/run", ["Traceback (most recent call last):", "MemoryError"])

    assert type(error) is RunOutOfMemoryError


def queued_for(seconds: float) -> Run:
    return ended("Stopped", submitted_at=SUBMITTED, completed_at=SUBMITTED + timedelta(seconds=seconds))


def test_a_run_that_never_started_in_time_is_told_from_one_that_somebody_stopped() -> None:
    assert type(run_error(queued_for(601), "https://d/run", queue_timeout=600)) is RunQueueTimeoutError
    assert type(run_error(queued_for(30), "https://d/run", queue_timeout=600)) is RunStoppedError
    assert type(run_error(queued_for(601), "https://d/run")) is RunStoppedError


@pytest.mark.parametrize("word", ["Failed", "Error", "Stopped"])
def test_no_tier_is_promised_to_a_run_that_another_tier_cannot_help(word: str) -> None:
    error = run_error(ended(word), "https://d/run", next_tier="Large")

    assert error.next_tier is None
    assert "Large" not in str(error)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        (RunFailedError, "Correct the command"),
        (RunOutOfMemoryError, "Use a tier with more memory, or give a list of tiers to climb."),
        (RunPlatformError, "Try again"),
        (RunStoppedError, "Run the task again"),
        (RunQueueTimeoutError, "Use a tier with room"),
    ],
)
def test_the_text_of_every_bad_end_says_what_to_do(kind: type[RunError], advice: str) -> None:
    assert advice in str(kind(ended("Failed"), "https://d/run"))


def test_the_text_of_a_failed_run_holds_number_status_reason_page_and_last_lines() -> None:
    run = ended("Failed", failure_reason="UserCodeFailed", failure_message="exit code 3")

    text = str(run_error(run, "https://d/jobs/run", ["loading", "Killed"]))

    for part in ("42", "Failed", "UserCodeFailed", "exit code 3", "https://d/jobs/run", "loading", "Killed"):
        assert part in text


def test_a_passed_deadline_says_that_the_run_goes_on() -> None:
    assert "has not been stopped" in str(RunWaitTimeoutError(ended("Running"), "https://d/run"))


def test_an_unsafe_path_can_be_caught_as_a_value_error() -> None:
    with pytest.raises(ValueError, match="outside"):
        raise UnsafePathError("outside")


def test_a_lost_start_counts_as_trouble_in_asking_but_a_refusal_does_not() -> None:
    assert issubclass(LaunchOutcomeUnknownError, DominoUnavailableError)
    assert issubclass(AuthenticationError, RequestError)
    assert not issubclass(NotFoundError, DominoUnavailableError)


def test_every_error_of_the_module_is_drawn_in_its_tree() -> None:
    tree = errors.__doc__ or ""
    kinds = [name for name, member in inspect.getmembers(errors, inspect.isclass) if issubclass(member, DominoError)]

    assert len(kinds) >= 20
    assert [name for name in kinds if name not in tree] == []
