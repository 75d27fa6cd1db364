"""What a demo shows while it runs and when it is over."""

from __future__ import annotations

import io

from rich.console import Console

from airflow_domino.demo.rows import TaskRow
from airflow_domino.demo.screen import (
    LineProgress,
    LiveProgress,
    describe_state,
    progress_on,
    show_results,
)

WAITING = TaskRow("ensemble", "train_rforest", "waiting")
RUNNING = TaskRow("ensemble", "train_rforest", "deferred", seconds=3.2, tier="X-Large", number=4, run_status="Running")
TRAINED = TaskRow(
    "ensemble",
    "train_rforest",
    "success",
    seconds=9.8,
    tier="X-Large",
    number=4,
    run_status="Succeeded",
    queued_seconds=0.4,
    run_seconds=7.1,
    cost_cents=1.42,
)
COMPLETE = TaskRow("ensemble", "train_nnet", "success", seconds=1.1, already_complete=True)
REPORT = TaskRow("ensemble", "score_report", "success", seconds=2.5)
SKIPPED = TaskRow("ensemble", "train_nnet", "skipped", seconds=0.0)


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=60, color_system=None)


def said(where: Console) -> str:
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue()


def test_a_state_names_the_run_behind_the_task() -> None:
    assert describe_state(RUNNING) == "deferred: run 4 Running"
    assert describe_state(REPORT) == "success"


def test_a_task_whose_targets_were_there_is_shown_as_already_complete() -> None:
    assert describe_state(COMPLETE) == "success: already complete, not run"


def test_a_task_on_the_worker_and_one_that_never_began_are_told_apart() -> None:
    assert REPORT.place == "worker"
    assert WAITING.place == SKIPPED.place == ""
    assert RUNNING.place == "X-Large"


def test_away_from_a_terminal_each_change_is_one_plain_line() -> None:
    where = console()
    with LineProgress(where) as progress:
        for rows in ([WAITING], [RUNNING], [RUNNING], [TRAINED]):
            progress.show(rows)
    lines = said(where).splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("ensemble.train_rforest       X-Large  deferred: run 4 Running")
    assert lines[1].endswith("ensemble.train_rforest       X-Large  success: run 4 Succeeded")
    assert "\x1b" not in said(where)


def test_on_a_terminal_the_table_has_task_tier_state_and_seconds() -> None:
    where = console(terminal=True)
    with LiveProgress(where) as progress:
        progress.show([RUNNING])
    assert "Seconds" in said(where)
    assert "X-Large" in said(where)
    assert "3.2" in said(where)


def test_the_display_fits_the_console() -> None:
    assert isinstance(progress_on(console()), LineProgress)
    assert isinstance(progress_on(console(terminal=True)), LiveProgress)


def test_the_final_table_has_a_row_a_task_whatever_the_width_of_the_console() -> None:
    where = console()
    show_results(where, [TRAINED, COMPLETE, REPORT])
    heading, trained, complete, report = (line.split("  ") for line in said(where).splitlines())
    assert [cell.strip() for cell in heading if cell.strip()] == [
        "Task",
        "Tier",
        "Run",
        "Status",
        "Queued",
        "Ran",
        "Cost",
    ]
    assert [cell.strip() for cell in trained if cell.strip()] == [
        "ensemble.train_rforest",
        "X-Large",
        "4",
        "Succeeded",
        "0.4 s",
        "7.1 s",
        "$0.01420",
    ]
    assert [cell.strip() for cell in complete if cell.strip()] == [
        "ensemble.train_nnet",
        "worker",
        "already complete",
        "1.1 s",
    ]
    assert [cell.strip() for cell in report if cell.strip()] == ["ensemble.score_report", "worker", "success", "2.5 s"]
