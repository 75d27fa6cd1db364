"""A Luigi task frozen to plain values, and verified to come back the same somewhere else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import luigi

_DAG_FILE_PREFIX = "unusual_prefix_"  # how Airflow names the module of a DAG file (airflow.utils.file)


class CannotFreezeError(ValueError):
    """A Luigi task that would not come back the same on another machine; the message says why."""


def parse_reference(reference: str) -> tuple[str | None, str]:
    """Split ``module:Family``; without a colon there is a family only.

    :raises ValueError: nothing names a family
    """
    module, _, family = reference.rpartition(":")
    if not family:
        raise ValueError(f"{reference!r} names no Luigi task: write it as 'module:Family'")
    return module or None, family


@dataclass(frozen=True)
class TaskSpec:
    """One Luigi task as plain values.

    :param module: where its class is imported from
    :param family: Luigi's name of the class, with its namespace
    :param params: each parameter as its own type writes it; None for a value that is None
    """

    module: str
    family: str
    params: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The task as ``module:Family``."""
        return f"{self.module}:{self.family}"

    @classmethod
    def freeze(cls, task: luigi.Task) -> TaskSpec:
        """Freeze a live task, and rebuild it from what was frozen to see that nothing got lost.

        :param task: the task
        :raises CannotFreezeError: it would not come back the same; names the parameter or the module, and the way out
        """
        module = type(task).__module__
        _check_module(task, module)
        spec = cls(module, task.task_family, _freeze_params(task))
        spec._verify(task)
        return spec

    def rebuild(self) -> luigi.Task:
        """The live task again.

        :raises Problem: the class or its parameters are not what they were
        """
        from airflow_domino.luigi.engine.loading import load_task

        return load_task(self.reference, dict(self.params))

    def _verify(self, task: luigi.Task) -> None:
        from airflow_domino.luigi.engine.loading import build_task
        from airflow_domino.luigi.engine.outcome import Problem

        module = sys.modules.get(self.module)
        if module is None or not any(value is type(task) for value in vars(module).values()):
            raise CannotFreezeError(
                f"{task.task_family} cannot be found in its module {self.module!r}, so another process could not import"
                " it: define the class at the top level of the module"
            )
        try:
            again = build_task(type(task), dict(self.params))
        except Problem as problem:
            raise CannotFreezeError(f"{task.task_id} would not come back in another process: {problem}") from problem
        for name, _ in task.get_params():
            if not is_same(getattr(again, name), getattr(task, name)):
                raise CannotFreezeError(_lost(task, name))
        if again.task_id != task.task_id:
            raise CannotFreezeError(
                f"{task.task_id} would come back as {again.task_id} in another process: give it parameters "
                "that say all of it"
            )


def is_same(one: Any, other: Any) -> bool:
    """Whether two parameter values are equal and of one type (1 is not 1.0, and None is not "None")."""
    return type(one) is type(other) and bool(one == other)


def _check_module(task: luigi.Task, module: str) -> None:
    if module == "__main__" or module.startswith(_DAG_FILE_PREFIX):
        where = "the program that was started" if module == "__main__" else "a DAG file"
        raise CannotFreezeError(
            f"{task.task_family} is defined in {where}, which another process cannot import: move the class into a"
            " module of its own, and name its folder as project_path"
        )


def _freeze_params(task: luigi.Task) -> dict[str, str | None]:
    from airflow_domino.luigi.engine.loading import is_private

    frozen: dict[str, str | None] = {}
    for name, parameter in task.get_params():
        value = getattr(task, name)
        if is_private(parameter):
            if not _is_default(task, name, parameter, value):
                raise CannotFreezeError(
                    f"{task.task_family}.{name} is private: its value would have to be written down to reach another"
                    " process. Let the task read it from its configuration or environment"
                )
        elif _comes_back(parameter, value):
            frozen[name] = parameter.serialize(value)
        elif value is None:
            frozen[name] = None
        elif not _is_default(task, name, parameter, value):
            raise CannotFreezeError(_lost(task, name))
    return frozen


def _comes_back(parameter: Any, value: Any) -> bool:
    try:
        return is_same(parameter.normalize(parameter.parse(parameter.serialize(value))), value)
    except Exception:
        return False


def _is_default(task: luigi.Task, name: str, parameter: Any, value: Any) -> bool:
    return parameter.has_task_value(task.task_family, name) and is_same(
        parameter.normalize(parameter.task_value(task.task_family, name)), value
    )


def _lost(task: luigi.Task, name: str) -> str:
    parameter = dict(task.get_params())[name]
    value = getattr(task, name)
    return (
        f"{task.task_family}.{name} is a {type(parameter).__name__} and holds {value!r} ({type(value).__name__}), which"
        " does not come back the same from its written form: give it a value of the parameter's own type"
    )
