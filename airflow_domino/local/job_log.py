"""Pages of a run's log, as the incremental log routes give them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from airflow_domino.local.disguises import ShownLog
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.logs import PREPARE, STDERR, STDOUT, Line
from airflow_domino.local.platform import Platform
from airflow_domino.local.runs import Run

LARGEST_PAGE = 10_000
# An answer is built in memory, so it is bounded in bytes too; the rest comes with the next page.
_LARGEST_ANSWER = 4 << 20

LOG_TYPES: dict[str, tuple[str, ...]] = {
    "console": (STDOUT, STDERR),
    "stdoutstderr": (STDOUT, STDERR),
    "stdout": (STDOUT,),
    "stderr": (STDERR,),
    "prepareoutput": (PREPARE,),
    "complete": (STDOUT, STDERR, PREPARE),
}


@dataclass(frozen=True)
class LogPage:
    """Some lines of a log, the cursor behind the last of them, and whether nothing will ever follow."""

    lines: list[Line]
    cursor: str
    is_complete: bool


def read_page(
    platform: Platform, run: Run, streams: Collection[str], *, cursor: str, limit: int, offset: int = 0
) -> LogPage:
    """Read the lines that are younger than a cursor.

    :param platform: where the run is.
    :param run: the run, as it was before its log is looked at: a completed one writes nothing more.
    :param streams: streams of interest.
    :param cursor: ``latestTimeNano`` of the page before, ``0`` for the beginning.
    :param limit: how many lines at most.
    :param offset: how many lines to leave out first.
    :raises BadRequest: when the cursor is no number, or the limit or offset is negative.
    """
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 19:
        raise BadRequest(f"latestTimeNano must be a number of nanoseconds, not {cursor!r}")
    if limit < 0 or offset < 0:
        raise BadRequest("limit and offset must not be negative")
    wanted = min(limit, LARGEST_PAGE)
    found: list[Line] = []
    size = 0
    log = platform.log(run)
    is_complete = run.is_completed and not (isinstance(log, ShownLog) and log.is_held_back)
    younger = log.lines(streams, after_ns=int(cursor))
    for line in islice(younger, offset, None):
        if len(found) == wanted or size > _LARGEST_ANSWER:
            is_complete = False
            break
        found.append(line)
        size += len(line.content)
    return LogPage(found, str(found[-1].time_ns) if found else cursor, is_complete)
