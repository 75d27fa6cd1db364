"""Shows in the log what running tasks say about themselves: where to follow them, how they are doing, how far they are.

Luigi lends a running task ``set_tracking_url``, ``set_status_message`` and ``set_progress_percentage``, and shows what
they are told on luigid's page alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .journal import PENDING, PROGRESS, STATUS, TRACKING_URL

# A task may count its rows aloud.
_SECONDS_BETWEEN_LINES = 1.0


class Said:
    """Prints a line for what a task says, unless it has just said something of the kind. Subscribes to a journal."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}
        self._last: dict[tuple[str, str], tuple[float, str]] = {}

    def note(self, entry: Mapping[str, Any]) -> None:
        """Take one entry of the journal (:class:`.journal.Journal`)."""
        if entry["event"] == PENDING:
            self._names[entry["task_id"]] = entry.get("task")
        elif entry["event"] in (TRACKING_URL, STATUS, PROGRESS) and (text := _text(entry)) is not None:
            self._show(entry["task_id"], entry["event"], text)

    def _show(self, task_id: str, event: str, text: str) -> None:
        shown_at, shown = self._last.get((task_id, event), (0.0, ""))
        now = time.monotonic()
        is_worth_it = event == TRACKING_URL or text == "100 %" or now - shown_at >= _SECONDS_BETWEEN_LINES
        if text != shown and is_worth_it:
            self._last[task_id, event] = (now, text)
            print(f"Luigi: {self._names.get(task_id) or task_id}: {text}", flush=True)  # noqa: T201


def _text(entry: Mapping[str, Any]) -> str | None:
    if entry["event"] == PROGRESS:
        return f"{entry['percentage']} %"
    if entry["event"] == STATUS:
        return None if entry["message"] is None else str(entry["message"])
    return f"follow it at {entry['url']}"
