"""How runs end that do not come to an end of their own."""

from __future__ import annotations

from dataclasses import replace

from airflow_domino.local import statuses
from airflow_domino.local.clock import now_ms
from airflow_domino.local.runs import Run

INTERRUPTED_MESSAGE = "The local Domino ended while this run was executing."


def failed(run: Run, *, reason: str, message: str, status: str = statuses.ERROR) -> Run:
    """Give the value of a run that the platform fails; one that has ended stays as it is.

    :param run: the run.
    :param reason: failure reason, one word.
    :param message: the sentence about it.
    :param status: the status that it ends in.
    """
    if run.is_completed:
        return run
    now = now_ms()
    ended = replace(run, status=status, completed_at=run.completed_at or now, saved_at=now)
    return replace(ended, failure_reason=reason, failure_message=message)


def interrupted(run: Run) -> Run:
    """Give the value of a run that the end of the server cut short; one that was being stopped is stopped by that."""
    if run.status in (*statuses.STOP_WISHES, statuses.STOPPING):
        now = now_ms()
        return replace(run, status=statuses.STOPPED, completed_at=run.completed_at or now, saved_at=now)
    return failed(run, reason="ServerEnded", message=INTERRUPTED_MESSAGE)
