"""What the sub-commands print: tables on a terminal, plain lines for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime


def say(text: str) -> None:
    """Print a line of the result."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def remark(text: str) -> None:
    """Print a line for the person who watches, apart from the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows: a table on a terminal, else one line a row with tabs between the cells and no heading."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in texts:
            say("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in texts:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def seconds(value: float | None) -> str:
    """Write a duration."""
    return "" if value is None else f"{value:.1f} s"


def cents(value: float | None) -> str:
    """Write a price in dollars; a run of a few seconds costs fractions of a cent."""
    return "" if value is None else f"${value / 100:.5f}"


def local_time(moment: datetime | None) -> str:
    """Write a moment in the time zone of the reader."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
