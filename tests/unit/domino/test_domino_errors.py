"""The error tree: what a text says, and that errors survive pickling."""

from __future__ import annotations

import inspect
import pickle

import pytest

from airflow_domino.domino import errors
from airflow_domino.domino.errors import (
    AuthenticationError,
    DominoError,
    DominoUnavailableError,
    LaunchOutcomeUnknownError,
    NotFoundError,
    ReloginRequiredError,
    RequestError,
    RunError,
    RunFailedError,
    RunPlatformError,
    RunStoppedError,
    RunWaitTimeoutError,
    UnsafePathError,
    run_error,
)
from airflow_domino.domino.models import Run, RunStatus


def ended(word: str, **more: str) -> Run:
    return Run("id1", 42, "a title", "python x.py", "p1", RunStatus(word, True), **more)


SAMPLES = [
    DominoUnavailableError("busy", retry_after=3.0, status=503),
    LaunchOutcomeUnknownError("lost", status=504),
    RequestError("wrong", status=400),
    ReloginRequiredError("again", login_url="https://d/relogin"),
    UnsafePathError("outside"),
    RunFailedError(ended("Failed"), "https://d/run", ["last line"]),
    RunWaitTimeoutError(ended("Running"), "https://d/run"),
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


def test_the_text_of_a_failed_run_holds_number_status_reason_page_and_last_lines() -> None:
    run = ended("Failed", failure_reason="OOM", failure_message="out of memory")

    text = str(run_error(run, "https://d/jobs/run", ["loading", "Killed"]))

    for part in ("42", "Failed", "OOM", "out of memory", "https://d/jobs/run", "loading", "Killed"):
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

    assert len(kinds) >= 17
    assert [name for name in kinds if name not in tree] == []
