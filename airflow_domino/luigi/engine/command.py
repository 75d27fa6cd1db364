"""A task as arguments of Luigi's own command line, verified by letting Luigi read them back."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser

from .loading import is_private
from .outcome import COMMAND_IMPOSSIBLE, Problem

_STAY = "Run it with run_on='worker'"
_PRIVATE = "is private, and a command line can be read by others"


def command_facts(task: luigi.Task, reference: str, request: dict[str, Any]) -> dict[str, Any]:
    """The task as it is written for another machine: the facts ``command`` and ``params``, as far as they are asked.

    :param reference: ``module:Family`` by which it is found there
    :param request: asks by ``command``; with ``force``, which Luigi's command line does not know, for parameters in
        text, and for the command too where it is the task itself that is forced, and its outputs alone tell
        whether it is complete
    :raises Problem: a value cannot be written; the message names the parameter
    """
    if not request.get("command"):
        return {}
    if not request.get("force"):
        return {"command": command_arguments(task, reference)}
    facts: dict[str, Any] = {"params": written_params(task)}
    if request["force"] is True and type(task).complete is luigi.Task.complete:
        with contextlib.suppress(Problem):
            facts["command"] = command_arguments(task, reference)
    return facts


def command_arguments(task: luigi.Task, reference: str) -> list[str]:
    """Arguments after ``luigi`` that make the same task elsewhere: same id, same value of every parameter.

    :param reference: ``module:Family`` by which it is found there
    :raises Problem: Luigi's command line cannot express a value; the message names the parameter
    """
    arguments = ["--module", reference.rpartition(":")[0], task.task_family]
    for name, parameter in task.get_params():
        arguments += _argument(task, name, parameter)
    _verify(task, arguments)
    return arguments


def written_params(task: luigi.Task) -> dict[str, str]:
    """The parameters as the texts that make the same task elsewhere; defaults that have no text are left out.

    :raises Problem: a value must not be written down, or would not come back; the message names the parameter
    """
    written = {}
    for name, parameter in task.get_params():
        value = getattr(task, name)
        if not is_private(parameter) and _comes_back(parameter, value):
            written[name] = parameter.serialize(value)
        elif not _is_default(task, name, parameter):
            raise _refusal(task, name, _PRIVATE if is_private(parameter) else "has a value without a written form")
    return written


def _comes_back(parameter: Any, value: Any) -> bool:
    try:
        return _same(parameter.normalize(parameter.parse(parameter.serialize(value))), value)
    except Exception:
        return False


def _is_default(task: luigi.Task, name: str, parameter: Any) -> bool:
    return parameter.has_task_value(task.task_family, name) and _same(
        parameter.normalize(parameter.task_value(task.task_family, name)), getattr(task, name)
    )


def _argument(task: luigi.Task, name: str, parameter: Any) -> list[str]:
    value = getattr(task, name)
    is_default = _is_default(task, name, parameter)
    if is_private(parameter):
        if is_default:
            return []
        raise _refusal(task, name, _PRIVATE)
    if is_default and not _comes_back(parameter, value):
        return []  # such as None, for which no text stands
    flag = f"--{task.task_family}-{name}".replace("_", "-")
    if getattr(parameter, "parsing", None) == luigi.BoolParameter.IMPLICIT_PARSING and isinstance(value, bool):
        return [flag] if value and not is_default else []
    text = parameter.serialize(value)
    if not isinstance(text, str):
        raise _refusal(task, name, f"holds a {type(value).__name__}, not what a {type(parameter).__name__} holds")
    return [f"{flag}={text}"] if text else []


def _verify(task: luigi.Task, arguments: list[str]) -> None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), CmdlineParser.global_instance(arguments) as parser:
            again = parser.get_task_obj()
    except (Exception, SystemExit) as error:
        reason = (said.getvalue().strip().splitlines() or [str(error)])[-1]
        raise Problem(COMMAND_IMPOSSIBLE, f"{task} cannot be written as a luigi command: {reason}. {_STAY}") from error
    if type(again) is not type(task):
        raise Problem(
            COMMAND_IMPOSSIBLE, f"{task} cannot be written as a luigi command: its family names {again!r}. {_STAY}"
        )
    for name, _ in task.get_params():
        if not _same(getattr(again, name), getattr(task, name)):
            raise _refusal(task, name, "has a value that Luigi's command line cannot carry")


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _refusal(task: luigi.Task, name: str, reason: str) -> Problem:
    return Problem(
        COMMAND_IMPOSSIBLE,
        f"{task.task_family} cannot run on Domino: its parameter {name!r} {reason}. {_STAY}",
    )
