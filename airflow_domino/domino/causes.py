"""Why a run ended badly, where Domino does not say it in its status: for want of memory, or of room on its tier."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_domino.domino.models import Run

# In what Domino says itself; 137 is how a shell counts an end by SIGKILL, the signal of who watches over memory.
MEMORY_REASON = re.compile(
    r"""out[\s_-]*of[\s_-]*memory
      | (?<![a-z]) oom (?![a-z]) | oom[\s_-]?kill
      | memory\ limit | low\ on\ resource:\ memory
      | exit (?:ed)? (?:\ with)? [\s_-]? (?:code|status) ["']? \s* [:=]? \s* 137 \b""",
    re.IGNORECASE | re.VERBOSE,
)

# In the log, which is the program's, only whole lines count that are written at a death of this kind and hardly else.
MEMORY_LINE = re.compile(
    r"""[\w.]* MemoryError (?: :.* )?                                # Python, NumPy, PyArrow, PyTorch, Java
      | RuntimeError:\ CUDA\ (?: error:\ )? out\ of\ memory \b .*
      | Exception\ in\ thread\ .* \b java\.lang\.OutOfMemoryError \b .*
      | Error (?: \ in\ .* )? :\ cannot\ allocate\ vector\ of\ size\ .*   # R
      | what\(\): \s+ std::bad_alloc
      | \S+:\ line\ \d+: \s+ \d+\ Killed \b .*                        # bash, of a program that it waited for
      | .* \b CalledProcessError:\ Command\ .* \ died\ with\ <Signals\.SIGKILL:\ 9>\.
      | (?: .* \b Failed\ with\ )? exit\ code:?\ 137""",
    re.VERBOSE,
)
OTHER_ERROR_LINE = re.compile(r"[\w.]*(?:Error|Exception)\b.*")
# What follows a program's own last words: Domino's launcher and Rscript.
CLOSING_LINE = re.compile(r"(?:.*\b)?Failed with exit code:? (?!137\b)\d+|Execution halted")
LAST_LINES = 3

# The times of a run are by Domino's clock, and it is stopped by ours.
CLOCK_SHARE = 0.1
MOST_CLOCK_SECONDS = 60.0


def died_of_memory(run: Run, log_tail: Sequence[str] = ()) -> bool:
    """Say whether a run ended because it needed more memory than its tier has.

    :param run: a run that is over.
    :param log_tail: last lines of its log. What a program says of memory earlier on is its own affair.
    """
    if run.status.word not in ("Failed", "Error"):
        return False
    if any(MEMORY_REASON.search(text) for text in (run.failure_reason, run.failure_message) if text):
        return True
    return run.status.word == "Failed" and _tells_of_memory(log_tail)


def _tells_of_memory(log_tail: Sequence[str]) -> bool:
    lines = [line for text in log_tail if (line := text.strip()) and not CLOSING_LINE.fullmatch(line)]
    for line in reversed(lines[-LAST_LINES:]):
        if MEMORY_LINE.fullmatch(line):
            return True
        if OTHER_ERROR_LINE.fullmatch(line):
            return False
    return False


def stayed_queued(run: Run, queue_timeout: float | None) -> bool:
    """Say whether a run was stopped since it had not started in time.

    :param queue_timeout: seconds, which clocks that differ may shorten by a tenth, and a minute at most; None for no
        limit.
    """
    if queue_timeout is None or run.status.word != "Stopped" or run.started_at is not None:
        return False
    least = queue_timeout - min(MOST_CLOCK_SECONDS, CLOCK_SHARE * queue_timeout)
    return run.queued_seconds is not None and run.queued_seconds >= least
