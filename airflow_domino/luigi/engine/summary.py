"""What became of the tasks, in a few lines: how many of each kind, and the first names."""

from __future__ import annotations

from collections.abc import Iterable

from .graph import (
    COMPLETE,
    DISABLED,
    DONE,
    EXTERNAL_MISSING,
    FAILED,
    NOT_RUN,
    SCHEDULING_FAILED,
    UPSTREAM_FAILED,
    Node,
)

_BANNER = "===== Luigi Execution Summary ====="
_MOST_FAMILIES = 5
_MOST_NAMES = 3
_LONGEST_NAME = 200

_GROUPS = {
    COMPLETE: "were complete already",
    DONE: "ran successfully",
    FAILED: "failed",
    SCHEDULING_FAILED: "could not be scheduled, since complete() or requires() failed",
    EXTERNAL_MISSING: "are external data that is not there",
    DISABLED: "are disabled",
    UPSTREAM_FAILED: "were not run, since they wait for tasks that failed or are disabled",
    NOT_RUN: "were not run",
}


def summarize(nodes: Iterable[Node]) -> str:
    """The summary that ends the log, between the two lines by which people find Luigi's own."""
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(node.state, []).append(node)
    lines = [f"{sum(map(len, groups.values()))} tasks were looked at, of which:"]
    for state, human in _GROUPS.items():
        if state in groups:
            lines += [f"* {len(groups[state])} {human}:", *_families(groups[state])]
    return "\n".join(["", _BANNER, "", *lines, "", _in_short(groups), "", _BANNER, ""])


def _families(nodes: list[Node]) -> list[str]:
    by_family: dict[str, list[Node]] = {}
    for node in nodes:
        by_family.setdefault(node.task.task_family, []).append(node)
    lines = [f"    - {_some(by_family[family])}" for family in sorted(by_family)[:_MOST_FAMILIES]]
    more = len(by_family) - len(lines)
    return [*lines, f"    - and {more} more families"] if more else lines


def _some(nodes: list[Node]) -> str:
    names = [_short(str(node.task)) for node in nodes[:_MOST_NAMES]]
    more = len(nodes) - len(names)
    return f"{len(nodes)} {', '.join(names)}" + (f" and {more} more" if more else "")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"


def _in_short(groups: dict[str, list[Node]]) -> str:
    bad = [(FAILED, "tasks failed"), (SCHEDULING_FAILED, "tasks could not be scheduled"), (DISABLED, "disabled tasks")]
    for state, human in bad:
        if state in groups:
            return f"This does not look good: {len(groups[state])} {human}"
    if EXTERNAL_MISSING in groups:
        return f"Waiting for external data: {len(groups[EXTERNAL_MISSING])} missing"
    if NOT_RUN in groups:
        return f"This does not look good: {len(groups[NOT_RUN])} tasks could not be run"
    return "All is well: nothing failed and nothing is missing"
