"""A run's log: pages of it, its v1 form in HTML, and lines that no terminal or database will choke on."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

from airflow_domino.domino.lenient import first, items, mapping, parse_time, text
from airflow_domino.domino.models import LogLine, LogPage, Run

END_OF_V1_LOG = "end-of-v1-log"
LONGEST_LINE = 16_384
MOST_PAGES = 10_000

# Asking for the end of a long log begins this long before the run's end.
NEAR_END = timedelta(minutes=1)

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")
_HINTS_OF_SECRETS = ("eyJ", "Bearer ", "omino-", "API_KEY=")
_SECRETS = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?<=Bearer )[\w.~+/=-]{8,}"
    r"|(?<=[Xx]-[Dd]omino-[Aa][Pp][Ii]-[Kk]ey: )[^\s'\"]+"
    r"|(?<=DOMINO_USER_API_KEY=)[^\s;]+"
)


def clean(line: str) -> str:
    """Make a line safe to print and keep: no control characters, no half characters, no secrets, not endless."""
    line = line.rstrip("\r").rpartition("\r")[2]  # what a terminal shows of a progress bar
    if len(line) > LONGEST_LINE:
        line = f"{line[:LONGEST_LINE]}… [{len(line) - LONGEST_LINE} more characters cut]"
    if not (line.isascii() and line.isprintable()):
        line = _UNPRINTABLE.sub("\ufffd", line).encode("utf-8", "replace").decode("utf-8")
    if any(hint in line for hint in _HINTS_OF_SECRETS):
        line = _SECRETS.sub("***", line)
    return line


def read_page(data: Mapping[str, Any]) -> LogPage:
    """Read v4 `logsWithProblemSuggestions` or the public API's `logs`."""
    logset = mapping(data.get("logset")) or mapping(data.get("logs")) or data
    pagination = mapping(first(logset.get("pagination"), data.get("pagination")))
    lines = [
        LogLine(parse_time(entry.get("timestamp")), text(entry.get("logType")) or "stdout", clean(piece))
        for entry in items(logset.get("logContent"))
        for piece in str(first(entry.get("log"), "")).removesuffix("\n").split("\n")
    ]
    cursor = text(pagination.get("latestTimeNano")) or _cursor_after(lines)
    return LogPage(tuple(lines), cursor, logset.get("isComplete") is True)


def _cursor_after(lines: Sequence[LogLine]) -> str:
    """Where an older release names no cursor: the nanosecond before the millisecond after the last line."""
    last = lines[-1].timestamp if lines else None
    return str(int(last.timestamp() * 1000) * 1_000_000 + 999_999) if last else ""


def read_v1(data: Mapping[str, Any]) -> LogPage:
    """Read v1 `/run/{id}/stdout`: HTML in which errors have the class `text-danger`."""
    lines = [
        LogLine(None, stream, clean(piece))
        for name, stream in (("setup", "prepareoutput"), ("stdout", "stdout"))
        for piece in "".join(_TextOf(str(data.get(name) or "")).pieces).splitlines()
    ]
    return LogPage(tuple(lines), END_OF_V1_LOG, is_complete=True)


class _TextOf(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.feed(html)
        self.close()

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def tail(page_of: Callable[[str, str], LogPage], run: Run, count: int) -> list[str]:
    """The last lines that a run printed, or those of its setup when it printed none.

    A long log is read from shortly before the run's end; from its beginning only if that gives too few lines.

    :param page_of: such as `DominoClient.log_page`.
    :param count: how many lines at most.
    """
    beginnings = ["0"]
    if run.completed_at and (run.run_seconds or 0.0) > 2 * NEAR_END.total_seconds():
        beginnings.insert(0, str(int((run.completed_at - NEAR_END).timestamp() * 1e9)))
    printed: deque[str] = deque(maxlen=count)
    setup: deque[str] = deque(maxlen=count)
    for cursor in beginnings:
        printed.clear()
        setup.clear()
        for line in _drain(page_of, run.id, cursor):
            (setup if line.stream == "prepareoutput" else printed).append(line.text)
        if len(printed) == count:
            break
    return list(printed or setup)


def _drain(page_of: Callable[[str, str], LogPage], run_id: str, cursor: str) -> Iterator[LogLine]:
    """All lines after a cursor, page after page, until one brings nothing new."""
    for _ in range(MOST_PAGES):
        page = page_of(run_id, cursor)
        if not page.lines or page.cursor == cursor:
            return
        yield from page.lines
        cursor = page.cursor
