"""Stopping a run from a worker: the request goes out first, and passing trouble does not end it."""

from __future__ import annotations

import threading

import pytest

from airflow_domino.domino.auth import ApiKey
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import DominoUnavailableError, RunWaitTimeoutError
from airflow_domino.hooks.runs import RunHandle, stop_and_confirm


@pytest.fixture
def going(fake_domino):
    """A run that goes on, and a client that asks once."""
    fake_domino.leave_running()
    run_id = fake_domino.start({"commandToRun": "main.py"})["id"]
    with DominoClient(fake_domino.url, ApiKey(fake_domino.token), retries=0) as client:
        yield client, RunHandle(run_id, "https://domino/run", "domino/quick-start", "p1")


def test_the_request_is_the_first_thing_that_domino_hears(going, fake_domino):
    assert stop_and_confirm(*going).status.word == "Stopped"
    assert fake_domino.requests == ["POST /v4/jobs/stop"]


def test_a_passing_outage_does_not_end_the_stop(going, fake_domino):
    fake_domino.broken = True
    threading.Timer(0.3, lambda: setattr(fake_domino, "broken", False)).start()
    assert stop_and_confirm(*going, interval=0.05).status.word == "Stopped"


def test_an_outage_that_does_not_pass_is_told(going, fake_domino):
    fake_domino.broken = True
    with pytest.raises(DominoUnavailableError):
        stop_and_confirm(*going, patience=0.2, interval=0.05)


def test_a_run_that_does_not_end_is_told(going, fake_domino):
    fake_domino.stop = lambda run_id: fake_domino.jobs[run_id]
    with pytest.raises(RunWaitTimeoutError):
        stop_and_confirm(*going, patience=0.2, interval=0.05)
