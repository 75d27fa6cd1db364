"""What the exit code of Luigi's command line says of a run that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_domino.domino.models import Run

# See HONEST_EXIT_CODES for the numbers, and luigi.retcodes for what they stand for.
MEANINGS = {
    10: "another Luigi process was making a task at the same time",
    20: "external data is missing there: what the task rests on was neither in the project nor where the run looks",
    25: "Luigi's scheduler did not get to run a task",
    30: "a Luigi task failed there",
    35: "complete() or requires() of a task raised there",
    40: "Luigi met an exception that nobody handled, such as a module that cannot be imported there",
}
_TOLD = re.compile(r"exit(?:ed)?(?: with)?[ _-]?(?:code|status)[\"']?\s*[:=]?\s*(\d+)\b", re.IGNORECASE)


def exit_code(run: Run, log_tail: Sequence[str] = ()) -> int | None:
    """The exit code of a run's command, as Domino's failure message or the end of the log tells it; None if neither.

    :param log_tail: last lines of the run's log, oldest first
    """
    said = [run.failure_message or "", run.failure_reason or "", *reversed(log_tail)]
    found = next((match for text in said if (match := _TOLD.search(text))), None)
    return int(found.group(1)) if found else None


def meaning(run: Run, log_tail: Sequence[str] = ()) -> str:
    """What Luigi meant by the exit code of a run, as a sentence; empty where that is not known.

    :param log_tail: last lines of the run's log, oldest first
    """
    code = exit_code(run, log_tail)
    return f"Luigi ended with exit code {code}: {MEANINGS[code]}." if code in MEANINGS else ""
