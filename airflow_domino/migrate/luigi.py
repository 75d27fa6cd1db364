"""A BashOperator that runs Luigi as a LuigiTaskOperator."""

from __future__ import annotations

from collections.abc import Mapping

import libcst as cst

from airflow_domino.migrate.arguments import Argument, Arguments, with_names
from airflow_domino.migrate.domino import CannotConvertError, constant
from airflow_domino.migrate.luigi_line import LuigiLine, NotLuigiError, UnreadableLineError, is_luigi, read_line
from airflow_domino.migrate.text import Text, literal

BASH_OPERATORS = frozenset(
    f"airflow.{module}.BashOperator"
    for module in ("operators.bash", "operators.bash_operator", "providers.standard.operators.bash")
)
_WITHOUT_A_SHELL = ("append_env", "output_encoding", "output_processor")
_EXIT_CODES = ("skip_on_exit_code", "skip_exit_code")


def as_luigi_task(call: cst.Call, constants: Mapping[str, cst.BaseExpression], day: str) -> tuple[cst.Call, LuigiLine]:
    """Return the arguments of a LuigiTaskOperator in place of those of a BashOperator, and what is to be told.

    :param constants: values of names that are assigned a text once in the file
    :param day: what a template has for the day that the shell asks the clock for
    :raises NotLuigiError: the command is another one
    :raises CannotConvertError: it runs Luigi in a way that has to be rewritten by hand
    """
    arguments = Arguments(call)
    given = with_names(arguments.named())
    text = Text(constants, arguments.quote, day)
    try:
        line = _line_of(given, text)
        if arguments.unnamed():
            raise CannotConvertError("some of its arguments come from elsewhere (** or by position): write them out")
        if used := [name for name in _EXIT_CODES if name in given]:
            raise CannotConvertError(f"{used[0]} has no counterpart: a Luigi task fails, or it does not")
        cwd = text.read(given["cwd"].value) if "cwd" in given else None
        found = read_line(line, cwd or (None if "cwd" not in given else text.hole(given["cwd"].value)))
    except UnreadableLineError as error:
        raise CannotConvertError(str(error)) from None
    tell_of_place(found, text)
    changes = {id(given["bash_command"].node): operator_arguments(found, given, text)}
    for name in (*_WITHOUT_A_SHELL, "cwd", "env"):
        if name in given:
            changes[id(given[name].node)] = []
    return arguments.replaced(changes), found


def tell_of_place(found: LuigiLine, text: Text) -> None:
    """Put what is told of a line into words for people, and add what it leaves open."""
    found.notes = [text.plain(note) for note in found.notes]
    found.left = [text.plain(left) for left in found.left]
    if found.working_dir is None and found.project_path is None:
        found.notes.append("it names no folder: give project_path=, where the module is and relative targets begin")
    if text.has_dates:
        found.notes.append("the date is the day (UTC) for which the DAG run is, no longer that of the machine's clock")


def _line_of(given: Mapping[str, Argument], text: Text) -> str:
    if "bash_command" not in given:
        raise NotLuigiError
    command = given["bash_command"].value
    line = text.read(command)
    if line is None:
        # Text that is filled in by % or format(): Luigi may be seen in it all the same.
        if is_luigi(str(constant(_format_string(command)))):
            raise UnreadableLineError("its line is filled in by % or format(); write an f-string or a template")
        raise NotLuigiError
    if not is_luigi(line):
        raise NotLuigiError
    return line


def _format_string(value: cst.BaseExpression) -> cst.BaseExpression:
    if isinstance(value, cst.BinaryOperation):
        return value.left
    if isinstance(value, cst.Call) and isinstance(value.func, cst.Attribute):
        return value.func.value
    return value


def operator_arguments(found: LuigiLine, given: Mapping[str, Argument], text: Text) -> list[Argument]:
    """Return the arguments of the LuigiTaskOperator that does what a line did.

    :param given: those of the BashOperator that it stood in
    """
    instead = [Argument("task", text.write(found.task))]
    if found.params:
        instead.append(Argument("params", _mapping(found.params, text)))
    if found.workers not in (None, "1"):
        number = found.workers or ""
        instead.append(Argument("workers", cst.Integer(number) if number.isdigit() else text.write(number)))
    for name, value in (
        ("project_path", found.project_path),
        ("working_dir", found.working_dir),
        ("python", found.python),
        ("config", found.config),
        ("luigi_scheduler_url", found.scheduler_url),
    ):
        if value is not None:
            instead.append(Argument(name, text.write(value)))
    if (env := _environment(found, given.get("env"), text)) is not None:
        instead.append(Argument("env", env))
    return instead


def _environment(found: LuigiLine, given: Argument | None, text: Text) -> cst.BaseExpression | None:
    if given is None:
        return _mapping(found.env, text) if found.env else None
    if not found.env:
        return given.value
    own = _mapping(found.env, text)
    if not isinstance(given.value, cst.Dict):
        return own.with_changes(elements=[cst.StarredDictElement(given.value), *own.elements])
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    before = [*given.value.elements[:-1], *(last.with_changes(comma=comma) for last in given.value.elements[-1:])]
    return given.value.with_changes(elements=[*before, *own.elements])


def _mapping(values: Mapping[str, str], text: Text) -> cst.Dict:
    return cst.Dict([cst.DictElement(literal(name, text.quote), text.write(value)) for name, value in values.items()])
