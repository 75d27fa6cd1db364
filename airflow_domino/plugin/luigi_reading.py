"""One Airflow task's account of its Luigi tasks, read with care, and what Airflow's own state makes of it.

Whoever wrote a record may have been anybody: nothing in it is believed before it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_domino.plugin.luigi_values import BUSY, STILL_TO_COME, AirflowTask, LuigiTask, Source, Target
from airflow_domino.plugin.stored import mapping, number, text, web_address, whole_number

MOST_TASKS = 20_000
_OF_ENGINE = {
    "pending": "waiting",
    "running": "running",
    "complete": "complete",
    "done": "done",
    "failed": "failed",
    "scheduling_failed": "failed",
    "external_missing": "missing",
    "upstream_failed": "blocked",
    "not_run": "blocked",
    "not_needed": "unneeded",
    "disabled": "skipped",
}
_WHY_LEFT_OUT = {
    "left_out": "Left out of this DAG run",
    "absent": "Not in the pipeline with these parameters",
    "disabled": "Disabled by its author",
    "missing": "It waits for external data that is missing",
}
_PLAIN_STATES = {"failed": "failed", **dict.fromkeys(BUSY, "running")}
_TURNING = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"), "\ufffd")
_SKIPPED = "Skipped by Airflow"
_UNNEEDED = "What requires it is complete, so nobody asked"
_ENDED_EARLY = "The process that ran it ended before it did"


class Reading:
    """One graph as it is kept, read with care: whoever wrote it may have been anybody.

    :param by_id: the Airflow tasks of the DAG run
    :param reasons: why a task is not due, by the id of its Airflow task
    """

    def __init__(
        self,
        task: AirflowTask,
        graph: Mapping[str, Any],
        asked: str,
        by_id: Mapping[str, AirflowTask],
        reasons: Mapping[str, str],
    ) -> None:
        self._source = Source(task, _folders(graph.get("folders")))
        self._asked = asked
        self._root = graph.get("root")
        self._by_id = by_id
        self._reasons = reasons
        rows = [row if isinstance(row, dict) else {} for row in graph["tasks"][:MOST_TASKS]]
        self._keys = [_key(row) for row in rows]
        #: Keys of the Airflow tasks of which this tells.
        self.spoken: set[str] = {task.key}
        self.more = whole_number(graph.get("more")) or 0
        self.tasks = [self._task(key, row) for key, row in zip(self._keys, rows, strict=True) if key]

    def _task(self, key: str, row: Mapping[str, Any]) -> LuigiTask:
        drawn = self._by_id.get(words(row.get("airflow_task")))
        source = self._source if drawn is None else Source(drawn, self._source.folders)
        state, message = self._state(row, drawn)
        if drawn is not None:
            self.spoken.add(drawn.key)
        places = (place for place in items(row.get("requires")) if isinstance(place, int))
        requires = (self._keys[place] for place in places if 0 <= place < len(self._keys))
        return LuigiTask(
            key=key,
            luigi_id=words(row.get("id")),
            module=words(row.get("module")),
            family=words(row.get("family")) or words(row.get("id")),
            state=state,
            source=source,
            params={words(name): words(value) for name, value in mapping(row.get("params")).items()},
            targets=tuple(_target(one) for one in items(row.get("targets")) if isinstance(one, dict)),
            requires=tuple(dict.fromkeys(one for one in requires if one and one != key)),
            message=message,
            seconds=number(row.get("seconds")),
            url=web_address(row.get("url")),
            tier=words(row.get("tier")) or None,
            progress=whole_number(row.get("progress")),
            is_external=bool(row.get("is_external")),
            is_wrapper=bool(row.get("is_wrapper")),
            is_drawn=drawn is not None,
        )

    def _state(self, row: Mapping[str, Any], drawn: AirflowTask | None) -> tuple[str, str]:
        """The state now, and what there is to say about it."""
        state = _OF_ENGINE.get(words(row.get("state")), "unknown")
        message = words(row.get("message"))
        if self._asked == "survey":
            return self._surveyed(state, message, drawn)
        if state == "skipped":
            return state, message or _WHY_LEFT_OUT["disabled"]
        if self._asked == "check":
            return self._made_elsewhere(state, is_root=row.get("id") == self._root), message
        return self._settled(state, message)

    def _surveyed(self, state: str, message: str, drawn: AirflowTask | None) -> tuple[str, str]:
        if drawn is None:
            return state, message
        now, why = state_by_airflow(drawn, self._reasons.get(drawn.task_id, ""), was=state)
        return now, why or message

    def _settled(self, state: str, message: str) -> tuple[str, str]:
        """What is left of a state when the Airflow task whose process told it is over."""
        now = self._source.task.state
        if now in BUSY or state not in ("running", "waiting"):
            return state, message
        if now in STILL_TO_COME:
            return "waiting", message
        if now == "success":
            return "unknown", message
        return ("failed", message or _ENDED_EARLY) if state == "running" else ("blocked", message)

    def _made_elsewhere(self, state: str, *, is_root: bool) -> str:
        """A task of a Domino run, as it was before the run; Airflow's task is the run."""
        task = self._source.task
        if state != "waiting":
            return state
        if task.state == "success":
            return "complete" if task.result.get("already_complete") is True and is_root else "done"
        if task.state in BUSY:
            return "running" if is_root else "waiting"
        if task.state in STILL_TO_COME:
            return "waiting"
        return "failed" if is_root else "unknown"


def state_by_airflow(task: AirflowTask, reason: str = "", *, was: str = "waiting") -> tuple[str, str]:
    """The state of a Luigi task that has an Airflow task of its own, and what there is to say about it.

    :param reason: why it is not due, in the words of the pipeline's first task
    :param was: what that one found
    """
    is_awaited = was == "missing" or task.operator == "LuigiTargetSensor"
    if task.state == "success":
        made = task.operator != "LuigiTargetSensor" and task.result.get("already_complete") is not True
        return ("done" if made else "complete"), ""
    if task.state in ("skipped", "removed") or (reason and task.state in STILL_TO_COME):
        return _left_out(reason, was)
    if task.state == "upstream_failed":
        return "blocked", ""
    if is_awaited and (task.state in BUSY or task.state in ("failed", "up_for_reschedule") or was == "missing"):
        return "missing", ""
    return _PLAIN_STATES.get(str(task.state), "waiting"), ""


def _left_out(reason: str, was: str) -> tuple[str, str]:
    if reason == "complete" or reason == was == "missing":
        return reason, ""
    return ("unneeded", _UNNEEDED) if reason == "not_needed" else ("skipped", _WHY_LEFT_OUT.get(reason, _SKIPPED))


def _key(row: Mapping[str, Any]) -> str:
    """Luigi's id is only told apart within a pipeline: two modules may have one family with the same parameters."""
    luigi_id = words(row.get("id"))
    return f"{words(row.get('module'))}:{luigi_id}" if luigi_id else ""


def _target(row: Mapping[str, Any]) -> Target:
    return Target(words(row.get("path")), words(row.get("kind")))


def _folders(value: Any) -> dict[str, tuple[int, int]]:
    return {
        str(folder): (marks[0], marks[1])
        for folder, marks in mapping(value).items()
        if isinstance(marks, list) and len(marks) == 2 and all(isinstance(one, int) for one in marks)
    }


def items(value: Any) -> Sequence[Any]:
    """Return a stored list; an empty one where it is something else."""
    return value if isinstance(value, list) else ()


def words(value: Any) -> str:
    """Return a stored text, empty where it is something else; without signs that turn the text around them about."""
    return (text(value) or "").translate(_TURNING)
