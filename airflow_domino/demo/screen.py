"""What the person who watches a demo sees: a table that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from airflow_domino.demo.rows import TaskRow

COLOURS = {"success": "green", "failed": "red", "upstream_failed": "red", "skipped": "bright_black"}
RESULT_COLUMNS = ("Task", "Tier", "Run", "Status", "Queued", "Ran", "Cost")


class Progress(Protocol):
    """Shows how far the tasks are."""

    def show(self, rows: Sequence[TaskRow]) -> None:
        """Show the rows as they are now."""
        ...

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def progress_on(console: Console) -> Progress:
    """Choose the display that the console can do."""
    return LiveProgress(console) if console.is_terminal else LineProgress(console)


class LiveProgress:
    """A table that is drawn again in its place.

    :param console: a terminal
    """

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def show(self, rows: Sequence[TaskRow]) -> None:
        """Draw the rows."""
        self._live.update(progress_table(rows), refresh=True)

    def __enter__(self) -> LiveProgress:
        """Take the place below the cursor."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the place back."""
        self._live.stop()


class LineProgress:
    """One line whenever a task, or its run, changes state.

    :param console: where to
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._seen: dict[str, str] = {}

    def show(self, rows: Sequence[TaskRow]) -> None:
        """Write what is new."""
        for row in rows:
            state = describe_state(row)
            if self._seen.get(row.name, "waiting") != state:
                self._seen[row.name] = state
                passed = time.monotonic() - self._began
                write(self._console, f"{passed:6.1f} s  {row.name:28} {row.place:8} {state}")

    def __enter__(self) -> LineProgress:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""


def write(console: Console, text: str) -> None:
    """Write lines as they are: nothing in them is markup, and none is broken or coloured."""
    console.print(Text(text), soft_wrap=True, highlight=False)


def describe_state(row: TaskRow) -> str:
    """Write the state of a task and, where it has one, of its Domino run."""
    if row.already_complete:
        return f"{row.state}: already complete, not run"
    if row.number is None:
        return row.state
    return f"{row.state}: run {row.number} {row.run_status}"


def progress_table(rows: Iterable[TaskRow]) -> Table:
    """Make the table of a moment: task, tier, state, seconds."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("Task", "Tier", "State"):
        table.add_column(column)
    table.add_column("Seconds", justify="right")
    for row in rows:
        state = Text(describe_state(row), style=COLOURS.get(row.state, "yellow" if row.seconds else ""))
        table.add_row(row.name, row.place, state, _number(row.seconds, "{:.1f}"))
    return table


def result_cells(row: TaskRow) -> tuple[str, ...]:
    """Write the cells of a row of the final table."""
    return (
        row.name,
        row.place,
        _number(row.number, "{}"),
        "already complete" if row.already_complete else row.run_status or row.state,
        _number(row.queued_seconds, "{:.1f} s"),
        _number(row.run_seconds if row.number is not None else row.seconds, "{:.1f} s"),
        _number(None if row.cost_cents is None else row.cost_cents / 100, "${:.5f}"),
    )


def show_results(console: Console, rows: Sequence[TaskRow]) -> None:
    """Write the final table."""
    cells = [RESULT_COLUMNS, *(result_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(RESULT_COLUMNS))]
    for number, line in enumerate(cells):
        padded = [
            cell.rjust(width) if column in (2, 4, 5, 6) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        style = "bold" if number == 0 else COLOURS.get(rows[number - 1].state, "")
        console.print(Text("  ".join(padded).rstrip(), style=style), soft_wrap=True, highlight=False)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
