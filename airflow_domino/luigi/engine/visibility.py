"""Which targets another machine cannot see: what a Domino run would neither find nor leave behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import luigi

from .completion import outputs
from .outcome import Problem

# By name, so that asking does not import what a pipeline does not use.
_OF_ONE_PROCESS = {("luigi.mock", "MockTarget")}
_OF_ONE_MACHINE = {("luigi.contrib.simulate", "RunAnywayTarget")}


def invisible_targets(task: luigi.Task, *folders: str) -> list[str]:
    """The task's targets that only this machine can see, each with the reason.

    :param folders: what is below one of them is a file of the Domino project; by default the current folder
    :returns: nothing where ``output()`` cannot tell now; it is asked again when the task runs
    """
    try:
        targets = outputs(task)
    except Problem:
        return []
    reasons = ((target, why_invisible(target, *folders)) for target in targets)
    return [f"{_named(target)} {reason}" for target, reason in reasons if reason]


def why_invisible(target: Any, *folders: str) -> str | None:
    """Why another machine cannot see a target, as the end of a sentence that begins with it; None where it can.

    :param folders: see :func:`invisible_targets`
    """
    known = {(cls.__module__, cls.__name__) for cls in type(target).mro()}
    if known & _OF_ONE_PROCESS:
        return "lives in the memory of one process"
    if known & _OF_ONE_MACHINE:
        return "is remembered on one machine only"
    if not isinstance(target, luigi.LocalTarget):
        return None
    if target.is_tmp:
        return "is a temporary file of one process"
    roots = [*(folder for folder in folders if folder), str(Path.cwd())]
    if any(is_below(str(target.path), root) for root in roots):
        return None
    return f"lies outside the working directory {roots[0]}"


def is_below(path: str, folder: str) -> bool:
    """Whether a path, relative to a folder or absolute, lies in it: as it is written, or where links lead."""
    joined = os.path.normpath(os.path.join(folder, path))  # noqa: PTH118  (as text: nothing is looked up)
    ways = ((joined, os.path.normpath(folder)), (os.path.realpath(joined), os.path.realpath(folder)))
    return any(one == root or one.startswith(root.rstrip("/") + "/") for one, root in ways)


def _named(target: Any) -> str:
    return f"{str(getattr(target, 'path', target))!r} ({type(target).__name__})"
