"""Why a run ended badly, where Domino does not say it in its status: for want of memory, or of room on its tier."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_domino.domino.models import Run

MEMORY_REASON = re.compile(
    r"out[\s_-]?of[\s_-]?memory|\boom(?:[\s_-]?killed)?\b|memory limit|exit(?:ed with)? (?:code|status):? 137\b",
    re.IGNORECASE,
)
# Domino's launcher names the exit code on the last line but for 137, so only whole lines like these are a sign.
MEMORY_LOG_LINE = re.compile(
    r"(?:\w+\.)*MemoryError(?::.*)?|(?:.*\bFailed with )?exit code:? 137|(?:.*: )?Killed|.*\b[Oo]ut of memory\b.*"
)
LAST_LINES = 3


def died_of_memory(run: Run, log_tail: Sequence[str] = ()) -> bool:
    """Say whether a run ended because it needed more memory than its tier has.

    :param run: a run that is over.
    :param log_tail: last lines of its log. What a program says of memory earlier on is its own affair.
    """
    if run.status.word not in ("Failed", "Error"):
        return False
    if any(MEMORY_REASON.search(text) for text in (run.failure_reason, run.failure_message) if text):
        return True
    last = [line.strip() for line in log_tail if line.strip()][-LAST_LINES:]
    return run.status.word == "Failed" and any(MEMORY_LOG_LINE.fullmatch(line) for line in last)


def stayed_queued(run: Run, queue_timeout: float | None) -> bool:
    """Say whether a run was stopped since it had not started in time.

    :param queue_timeout: seconds; None for no limit.
    """
    if queue_timeout is None or run.status.word != "Stopped" or run.started_at is not None:
        return False
    return run.queued_seconds is not None and run.queued_seconds >= queue_timeout
