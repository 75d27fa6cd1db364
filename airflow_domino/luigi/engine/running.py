"""Running one task, with what it requires, by Luigi's own worker, and telling the truth about how it went."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import luigi
from luigi.configuration import get_config
from luigi.execution_summary import _partition_tasks

from .completion import dependencies, is_complete, is_external, missing_outputs, outputs
from .force import Aside, forced_tasks
from .lineage import made
from .outcome import (
    COMPLETE,
    DEPENDENCY_INCOMPLETE,
    DONE,
    EXTERNAL_MISSING,
    NOT_RUN,
    RUN_FAILED,
    SCHEDULING_FAILED,
    TARGET_MISSING,
    Problem,
)

_MOST_NAMED = 10
# How Luigi says it where [worker] check_complete_on_run is set (luigi.worker.TaskProcess.run).
_STILL_FALSE = "complete() is still returning false"


class Journal:
    """Notes which tasks ended well or badly. Luigi's forked workers write into the same file.

    :param path: the file, one JSON object per line
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def listen(self) -> None:
        """Note every task's end from now on."""
        luigi.Task.event_handler(luigi.Event.SUCCESS)(self._succeeded)
        luigi.Task.event_handler(luigi.Event.FAILURE)(self._failed)

    def _succeeded(self, task: luigi.Task) -> None:
        self._note({"task_id": task.task_id, "ended": "well"})

    def _failed(self, task: luigi.Task, error: BaseException) -> None:
        self._note({"task_id": task.task_id, "ended": "badly", "error": f"{type(error).__name__}: {error}"})

    def _note(self, entry: dict[str, str]) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, (json.dumps(entry) + "\n").encode())
        finally:
            os.close(descriptor)

    def read(self) -> list[dict[str, str]]:
        """What was noted, oldest first."""
        noted = Path(self._path)
        return [json.loads(line) for line in noted.read_text("utf-8").splitlines()] if noted.exists() else []


def run(
    root: luigi.Task,
    journal: Journal,
    *,
    workers: int = 1,
    force: Any = False,
    force_downstream: bool = False,
    only_self: bool = False,
) -> dict[str, Any]:
    """Make the task unless it is complete, and answer how it went.

    :param root: the task
    :param journal: where the ends of tasks are noted
    :param workers: how many processes Luigi may use
    :param force: True to make the task again although complete; a list of families to make those again
    :param force_downstream: with families: also all that requires them
    :param only_self: fail when a requirement is incomplete, instead of making it
    :raises Problem: whatever kept the task from being complete afterwards
    """
    forced = forced_tasks(root, force, downstream=force_downstream)
    root_is_due = root in forced or not is_complete(root)
    if not root_is_due and not forced:
        return {"outcome": COMPLETE, "message": f"{root} is already complete: nothing run", "already_complete": True}
    if root_is_due and only_self:
        _check_requirements(root)
    due = [*forced, root] if root_is_due and root not in forced else forced
    journal.listen()
    with Aside(forced):
        result = luigi.build(due, local_scheduler=True, detailed_summary=True, workers=workers, log_level=_log_level())
        return _verdict(due, result, journal)


def _log_level() -> str:
    return str(get_config().get("core", "log_level", "INFO"))


def _check_requirements(root: luigi.Task) -> None:
    if is_external(root):
        raise Problem(EXTERNAL_MISSING, _missing_externals([root]))
    incomplete = [task for task in dependencies(root) if not is_complete(task)]
    if incomplete:
        raise Problem(
            DEPENDENCY_INCOMPLETE,
            f"{root} cannot run: what it requires is not complete: {_names(incomplete, with_outputs=True)}",
        )


def _verdict(due: list[luigi.Task], result: Any, journal: Journal) -> dict[str, Any]:
    groups = _partition_tasks(result.worker)
    entries = journal.read()
    ended_well = list(dict.fromkeys(entry["task_id"] for entry in entries if entry["ended"] == "well"))
    ran = {task.task_id: task for task in groups["completed"]}
    facts = {
        "already_complete": False,
        "ran": ended_well,
        "made": made([ran[key] for key in ended_well if key in ran]),
        "summary": result.summary_text,
    }
    incomplete = [task for task in due if not _is_done(task, groups["completed"])]
    if not incomplete:
        but = f" (although {len(groups['failed'])} Luigi task(s) failed; see the log)" if groups["failed"] else ""
        return {"outcome": DONE, "message": f"Made, and complete now: {_names(due)}{but}", **facts}
    outcome, message = _explain(incomplete, groups, {e["task_id"]: e["error"] for e in entries if "error" in e})
    raise Problem(outcome, message, failed=sorted(task.task_id for task in groups["failed"]), **facts)


def _is_done(task: luigi.Task, completed: set[luigi.Task]) -> bool:
    if task in completed and type(task).complete is luigi.Task.complete and not outputs(task):
        return True  # nothing to look at: Luigi runs such a task each time, and its success is all there is
    return is_complete(task)


def _explain(
    incomplete: list[luigi.Task], groups: dict[str, set[luigi.Task]], errors: dict[str, str]
) -> tuple[str, str]:
    ran = groups["completed"] | {task for task in groups["failed"] if _STILL_FALSE in errors.get(task.task_id, "")}
    without_target = _sorted(task for task in ran if not _is_done(task, groups["completed"]))
    if without_target:
        return TARGET_MISSING, " ".join(map(_without_target, without_target[:_MOST_NAMED]))
    if groups["failed"]:
        named = [
            f"{task}: {errors.get(task.task_id, 'its process ended before it could tell why; see the log')}"
            for task in _sorted(groups["failed"])[:_MOST_NAMED]
        ]
        return RUN_FAILED, f"{len(groups['failed'])} Luigi task(s) failed: " + "; ".join(named)
    if groups["scheduling_error"]:
        return (
            SCHEDULING_FAILED,
            "complete() or requires() raised, or complete() did not answer True or False (traceback in the log): "
            + _names(groups["scheduling_error"]),
        )
    external = [task for task in groups["still_pending_ext"] if is_external(task)]
    if external:
        return EXTERNAL_MISSING, _missing_externals(external)
    return NOT_RUN, f"Luigi's scheduler did not get to run {_names(incomplete)}; its summary in the log says why"


def _without_target(task: luigi.Task) -> str:
    missing = missing_outputs(task)
    if missing:
        return f"{task} ran without an error, but its target is missing: {', '.join(missing)}."
    if outputs(task):
        return f"{task} ran without an error and its targets exist, but its complete() still says False."
    return f"{task} ran without an error, but it has no target, so what requires it can never run."


def _missing_externals(tasks: Any) -> str:
    return f"External data is missing: {_names(tasks, with_outputs=True)}"


def _sorted(tasks: Any) -> list[luigi.Task]:
    return sorted(tasks, key=lambda task: str(task.task_id))


def _names(tasks: Any, *, with_outputs: bool = False) -> str:
    ordered = _sorted(tasks)
    names = [
        f"{task} ({', '.join(missing_outputs(task)) or 'no target missing'})" if with_outputs else str(task)
        for task in ordered[:_MOST_NAMED]
    ]
    more = len(ordered) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
