"""How far long work is: plain lines for a file, a bar for a terminal, nothing on the standard output."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from airflow_domino import progress
from airflow_domino.progress import Count, LineCount, StateLines


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Log:
    """The lines of a log, with the clock that they are written by."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.clock = Clock()

    def count(self, unit: progress.Unit, total: int | None = None) -> LineCount:
        return LineCount("model.bin", unit, total, line=self.lines.append, now=self.clock)


@pytest.fixture
def log() -> Log:
    return Log()


def test_work_that_is_soon_over_says_nothing(log: Log) -> None:
    count = log.count("bytes", 1000)
    log.clock.now = 4.9
    count.reach(1000)
    assert log.lines == []


def test_long_work_says_every_few_seconds_how_far_it_is_and_how_long_it_will_take(log: Log) -> None:
    count = log.count("bytes", 4_000_000_000)
    for log.clock.now in range(0, 31):
        count.reach(log.clock.now * 100_000_000)
    assert log.lines == [
        "model.bin: 0.5 of 4.0 GB (12 %), about 35 s left",
        "model.bin: 1.5 of 4.0 GB (37 %), about 25 s left",
        "model.bin: 2.5 of 4.0 GB (62 %), about 15 s left",
    ]


def test_a_total_may_become_known_later_and_the_text_may_change(log: Log) -> None:
    count = log.count("tasks")
    log.clock.now = 5
    count.reach(1234)
    log.clock.now = 600
    count.reach(1300, 2600, text="drawing once more")
    assert log.lines == ["model.bin: 1,234 tasks", "drawing once more: 1,300 of 2,600 tasks (50 %), about 10 min left"]


@pytest.mark.parametrize(
    ("done", "total", "text"),
    [
        (0, 999, "0 of 999 bytes (0 %)"),
        (1500, None, "1.5 kB"),
        (999, 2_000_000, "0.0 of 2.0 MB (0 %)"),
        (0, 0, "0 of 0 bytes"),
        (3, None, "3 bytes"),
    ],
)
def test_bytes_are_written_in_the_unit_of_the_whole(done: int, total: int | None, text: str) -> None:
    count = Count("file", "bytes", total)
    count.reach(done)
    assert str(count) == text


def test_a_state_is_told_when_it_changes_and_again_when_it_lasts() -> None:
    lines: list[str] = []
    clock = Clock()
    state = StateLines("Run 7 Queued", line=lines.append, now=clock)
    for clock.now, text, word in (
        (1, "Run 7 · Queued · 1 s", "Run 7 Queued"),
        (2, "Run 7 · Running · 1 s", "Run 7 Running"),
        (30, "Run 7 · Running · 29 s", "Run 7 Running"),
        (62, "Run 7 · Running · 61 s", "Run 7 Running"),
        (63, "Run 7 · Running · 62 s", "Run 7 Running"),
    ):
        state(text, word)
    assert lines == ["Run 7 Running", "Run 7 · Running · 61 s"]


def test_away_from_a_terminal_states_are_lines_on_the_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.changing("starting") as state:
        state("starting")
        state("waiting")
    assert capsys.readouterr() == ("", "starting\nwaiting\n")


PROGRAM = """
import sys
from airflow_domino import progress
with progress.counting("[model].bin", "bytes", 2000) as count:
    count.reach(1000)
    sys.stdout.write("result\\n")
    count.reach(2000)
with progress.changing("waiting [here]") as state:
    state("still waiting")
"""


def on_terminal(**variables: str) -> tuple[str, str]:
    """What a program draws whose standard error is a terminal, and what its standard output gets."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", **variables}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=theirs, env=environment, check=True, timeout=60
    )
    os.close(theirs)
    drawn = b""
    try:
        while piece := os.read(ours, 65536):
            drawn += piece
    except OSError:  # the terminal's other side is closed
        os.close(ours)
    return drawn.decode(), done.stdout.decode()


def test_on_a_terminal_a_bar_is_drawn_and_the_output_for_programs_is_untouched() -> None:
    drawn, printed = on_terminal()
    assert "[model].bin" in drawn
    assert "1.0 of 2.0 kB (50 %)" in drawn or "2.0 of 2.0 kB (100 %)" in drawn
    assert "waiting [here]" in drawn
    assert printed == "result\n"


def test_a_terminal_that_cannot_draw_gets_lines() -> None:
    drawn, printed = on_terminal(TERM="dumb")
    assert drawn == "waiting [here]\r\nstill waiting\r\n"
    assert printed == "result\n"
