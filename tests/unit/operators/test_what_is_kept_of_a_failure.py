"""What the page shows of a run that ended badly is kept in Airflow, within bounds."""

from __future__ import annotations

from types import SimpleNamespace

from airflow.sdk.log import mask_secret

from airflow_domino.operators._rules import LONGEST_LINE, why_it_failed


def run(reason=None, message=None):
    return SimpleNamespace(failure_reason=reason, failure_message=message)


def test_dominos_reason_and_the_last_log_lines_are_kept():
    kept = why_it_failed(run("UserCodeFailed", "exit code 1"), ["a = 1", "ValueError: x"])

    assert kept == {"reason": "UserCodeFailed: exit code 1", "log_tail": ["a = 1", "ValueError: x"]}


def test_a_line_without_end_is_cut():
    kept = why_it_failed(run(message="x" * 10_000), ["y" * 10_000])

    assert len(kept["reason"]) == len(kept["log_tail"][0]) == LONGEST_LINE


def test_what_airflow_masks_is_not_kept():
    mask_secret("kept-secret-8")
    kept = why_it_failed(run(message="with kept-secret-8"), ["printed kept-secret-8"])

    assert kept == {"reason": "with ***", "log_tail": ["printed ***"]}


def test_where_domino_gives_no_reason_there_is_none():
    assert why_it_failed(run(), []) == {"reason": None, "log_tail": []}
