"""Many ``complete()`` as one question, where a task class has ``bulk_complete``."""

from __future__ import annotations

import traceback
from typing import Any

import luigi
from luigi.task import BulkCompleteNotImplementedError, MixinNaiveBulkComplete

_FEWEST = 2


def complete_in_bulk(tasks: list[luigi.Task]) -> dict[str, bool]:
    """Ask the classes that answer for many tasks at once.

    :param tasks: tasks of any classes
    :returns: the answers by task id; tasks that are not in it have to be asked singly
    """
    by_class: dict[type, list[luigi.Task]] = {}
    for task in tasks:
        by_class.setdefault(type(task), []).append(task)
    answers: dict[str, bool] = {}
    for cls, same in by_class.items():
        if len(same) >= _FEWEST and _has_own_bulk_complete(cls):
            answers.update(_ask(cls, same))
    return answers


def _has_own_bulk_complete(cls: Any) -> bool:
    method = getattr(cls.bulk_complete, "__func__", None)
    return method not in (luigi.Task.bulk_complete.__func__, MixinNaiveBulkComplete.bulk_complete.__func__)  # type: ignore[attr-defined]


def _ask(cls: Any, tasks: list[luigi.Task]) -> dict[str, bool]:
    names = [name for name, parameter in cls.get_params() if parameter.positional]
    if not names or len(names) < len(cls.get_params()):
        return {}
    single = len(names) == 1
    asked = {task.task_id: _positional(task, names) for task in tasks}
    try:
        complete = list(cls.bulk_complete([values[0] if single else values for values in asked.values()]))
        known = {(one,) if single else tuple(one) for one in complete if single or isinstance(one, tuple | list)}
    except BulkCompleteNotImplementedError:
        return {}
    except Exception:
        traceback.print_exc()
        print(f"bulk_complete() of {cls.get_task_family()} raised: its tasks are asked singly", flush=True)  # noqa: T201
        return {}
    answers = {key: values in known for key, values in asked.items()}
    # Written for Range, which knows one parameter, it may not understand several: then only what it calls complete is.
    return answers if single else {key: True for key, is_there in answers.items() if is_there}


def _positional(task: luigi.Task, names: list[str]) -> tuple[Any, ...]:
    return tuple(getattr(task, name) for name in names)
