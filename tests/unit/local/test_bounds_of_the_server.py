"""Only so many runs may wait, and the server's own log shows no token."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from airflow_domino.local import start
from airflow_domino.local.bounds import QueueBound
from airflow_domino.local.errors import BadRequest


class Waiting:
    """Runs of which so many wait; `asked` counts how often that was asked for."""

    def __init__(self) -> None:
        self.amount = 0
        self.asked = 0

    def counts_by_tier(self, words: object) -> dict[str, int]:
        self.asked += 1
        return {"small": self.amount}


def test_a_full_queue_takes_no_run_until_there_is_room_again() -> None:
    waiting = Waiting()
    bound = QueueBound(3, waiting)
    for amount in (1, 2, 3):
        bound.check()
        waiting.amount = amount
    with pytest.raises(BadRequest, match="3 runs wait already"):
        bound.check()
    waiting.amount = 1
    bound.check()


def test_waiting_runs_are_counted_only_when_the_queue_may_be_full() -> None:
    waiting = Waiting()
    bound = QueueBound(1000, waiting)
    for _ in range(900):
        bound.check()
    assert waiting.asked == 1


def test_the_servers_log_shows_no_token_not_even_in_the_trace_of_an_error() -> None:
    handler = logging.StreamHandler()
    logger = logging.getLogger()
    logger.addHandler(handler)
    platform = SimpleNamespace(secret="the-server-token", runner=SimpleNamespace(keys=lambda: ["the-key-of-a-run"]))
    try:
        start._keep_secrets_from_logs(platform)
        try:
            raise ValueError("with the-key-of-a-run in it")
        except ValueError:
            record = logging.LogRecord("x", logging.ERROR, "", 0, "token %s", ("the-server-token",), None)
            import sys

            record.exc_info = sys.exc_info()
        shown = handler.format(record)
    finally:
        logger.removeHandler(handler)
    assert "ValueError" in shown
    assert "the-server-token" not in shown
    assert "the-key-of-a-run" not in shown
    made = "dl_" + "a" * 88
    assert made not in handler.format(logging.LogRecord("x", logging.ERROR, "", 0, made, (), None))
