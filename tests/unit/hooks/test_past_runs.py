"""What is remembered of a task instance's runs over its attempts."""

from __future__ import annotations

import logging

import pytest

from airflow_domino.domino.errors import RunFailedError
from airflow_domino.hooks.past_runs import MOST_REMEMBERED, PAST_RUNS_KEY, note_launch
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.operators.domino import DominoRunOperator

log = logging.getLogger(__name__)


@pytest.fixture
def forest(domino_connection):
    return lambda **arguments: DominoRunOperator(
        task_id="forest", command="main.py", deferrable=False, poll_interval=0.1, **arguments
    )


@pytest.fixture
def fail_once(fake_domino):
    """Let the first run fail, and all that come after it succeed."""
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Failed" if len(domino.jobs) == 1 else "Succeeded")


def kept(store):
    return [(each["number"], each["status"], each["tier"], each["cost_cents"]) for each in store[PAST_RUNS_KEY]]


@pytest.mark.usefixtures("fail_once")
def test_a_retry_leaves_the_run_of_the_attempt_before_it_with_its_cost(forest, task_context, state_store):
    with pytest.raises(RunFailedError):
        forest(tier=["Small", "X-Large"]).execute(task_context(state_store))
    forest(tier=["Small", "X-Large"]).execute(task_context(state_store, try_number=2))

    assert kept(state_store) == [(1, "Failed", "Small", 0.5), (2, "Succeeded", "Small", 0.5)]
    assert [each["try_number"] for each in state_store[PAST_RUNS_KEY]] == [1, 2]


@pytest.mark.usefixtures("fail_once")
def test_a_run_that_no_worker_saw_end_is_noted_by_the_next_attempt(forest, task_context, state_store):
    with pytest.raises(RunFailedError):
        forest(tier="X-Large").execute(task_context(None))  # as a triggerer does it: with no store

    forest(tier="X-Large").execute(task_context(state_store, try_number=2))

    assert kept(state_store) == [(1, "Failed", "X-Large", 6.0), (2, "Succeeded", "X-Large", 6.0)]
    assert all(each["started_at"] and each["completed_at"] for each in state_store[PAST_RUNS_KEY])


def test_a_clear_does_not_make_forget_what_was_run_before(forest, task_context, state_store):
    forest().execute(task_context(state_store))
    forest().execute(task_context(state_store, try_number=2, max_tries=3))

    assert [(number, status) for number, status, *_ in kept(state_store)] == [(1, "Succeeded"), (2, "Succeeded")]


def test_a_run_that_a_retry_goes_on_with_is_noted_once_as_of_the_attempt_that_launched_it(
    forest, task_context, state_store, fake_domino
):
    fake_domino.leave_running()
    task = forest()
    task.log_run = False
    context = task_context(state_store)
    task._launch_or_take_up(context)
    fake_domino.end(next(iter(fake_domino.jobs)), "Succeeded")
    forest().execute(task_context(state_store, try_number=2))

    (run,) = state_store[PAST_RUNS_KEY]
    assert (run["number"], run["try_number"], run["status"]) == (1, 1, "Succeeded")


def test_nothing_is_asked_of_domino_for_the_sake_of_the_past_on_a_first_try(
    forest, task_context, state_store, fake_domino
):
    forest().execute(task_context(state_store))

    assert not [route for route in fake_domino.requests if "runtimeExecutionDetails" in route]


class Broken(dict):
    def get(self, key, default=None):
        raise ConnectionError("the store is down")

    set = get


def test_a_store_that_does_not_answer_fails_no_task(task_context, caplog):
    handle = RunHandle("a" * 24, "http://domino/1", "ann/churn", "p1")

    note_launch({"task_state_store": Broken()}, FirstTry(), handle, log)

    assert "does not keep" in caplog.text


class FirstTry:
    try_number = 1


def test_only_so_many_runs_are_remembered_the_newest(state_store):
    for number in range(MOST_REMEMBERED + 5):
        submitted = f"2026-03-01T{number // 60:02d}:{number % 60:02d}:00+00:00"
        handle = RunHandle(
            f"{number:024x}", "http://domino/1", "ann/churn", "p1", number=number, submitted_at=submitted
        )
        note_launch({"task_state_store": state_store}, FirstTry(), handle, log)

    numbers = [each["number"] for each in state_store[PAST_RUNS_KEY]]
    assert numbers == list(range(5, MOST_REMEMBERED + 5))
    assert len(str(state_store[PAST_RUNS_KEY])) < 65_535


def test_without_a_store_nothing_is_kept_and_nothing_goes_wrong():
    handle = RunHandle("a" * 24, "http://domino/1", "ann/churn", "p1")

    note_launch({}, FirstTry(), handle, log)
