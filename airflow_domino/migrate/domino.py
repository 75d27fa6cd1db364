"""What becomes of the arguments of Domino's own operators (``domino.airflow`` of python-domino 1.0 to 2.2)."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from airflow_domino.migrate.arguments import Argument, Arguments, with_names
from airflow_domino.migrate.text import literal

OPERATORS = {
    f"{module}.{name}": name
    for module in ("domino.airflow", "domino.airflow._operator")
    for name in ("DominoOperator", "DominoSparkOperator")
}

_SHELL = re.compile(r"[|&;<>`$]|^\s*\w+=\S*\s")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CLUSTER_NAMES = {
    "computeEnvironmentId": "computeEnvironmentId",
    "executorCount": "workerCount",
    "executorHardwareTierId": "workerHardwareTierId",
    "masterHardwareTierId": "masterHardwareTierId",
}
_MISSING_IN_CLUSTER = ("computeEnvironmentId", "workerHardwareTierId", "masterHardwareTierId")


class CannotConvertError(Exception):
    """A call has to be rewritten by hand; the text says why, and how."""


@dataclass
class Rewriting:
    """What is found out while the arguments of one call, or of a dict that is handed to calls, are rewritten.

    :param is_direct: whether commands are single texts for a shell: Domino's ``isDirect``
    :param given: names of all arguments, also of those that come from elsewhere
    """

    is_direct: bool = False
    given: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    needs_timedelta: bool = False
    hosts: list[cst.BaseExpression] = field(default_factory=list)
    secrets: list[cst.BaseExpression] = field(default_factory=list)
    token_files: list[cst.BaseExpression] = field(default_factory=list)

    def rewrite(self, arguments: Arguments) -> Any:
        """Return the call or dict with our arguments.

        :raises CannotConvertError: one of them has no counterpart that could be written
        """
        changes = {}
        for argument in arguments.named():
            if rule := RULES.get(argument.name):
                changes[id(argument.node)] = rule(self, argument)
        return arguments.replaced(changes)


Rule = Callable[[Rewriting, Argument], Sequence[Argument]]


def constant(node: cst.BaseExpression) -> Any:
    """Return the value of a literal; the node itself where it is none."""
    try:
        return ast.literal_eval(cst.Module([]).code_for_node(node))
    except (ValueError, SyntaxError):
        return node


def is_direct(arguments: Mapping[str, Argument]) -> bool | None:
    """Read ``isDirect``; None where it is not given.

    :raises CannotConvertError: it is not known before the DAG runs
    """
    if "isDirect" not in arguments:
        return None
    value = constant(arguments["isDirect"].value)
    if isinstance(value, bool) or value is None:
        return bool(value)
    raise CannotConvertError(
        "isDirect is decided elsewhere: where it is true, give command the one text of the list, else the list itself"
    )


def _renamed(name: str) -> Rule:
    def rename(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
        return [Argument(name, argument.value)]

    return rename


def _dropped(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    return []


def _command(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    value = argument.value
    words = _listed(value)
    if not rewriting.is_direct:
        if (
            words is not None
            and len(words) == 1
            and isinstance(text := constant(words[0]), str)
            and " " in text.strip()
        ):
            rewriting.notes.append(
                f"the command {[text]!r} is one word with spaces in it; as a command line it is a text"
            )
        return [argument]
    if isinstance(value, cst.List | cst.Tuple):
        if words is None or len(words) != 1:
            raise CannotConvertError("isDirect=True takes one text in the list: put the words into one")
        _warn_of_shell(rewriting, words[0])
        return [Argument("command", words[0])]
    if isinstance(constant(value), str):
        raise CannotConvertError("isDirect=True takes a list with one text, and here is a text: remove isDirect")
    first = cst.Subscript(value=value, slice=[cst.SubscriptElement(cst.Index(cst.Integer("0")))])
    return [Argument("command", first)]


def _listed(value: cst.BaseExpression) -> list[cst.BaseExpression] | None:
    if not isinstance(value, cst.List | cst.Tuple):
        return None
    if any(isinstance(element, cst.StarredElement) for element in value.elements):
        return None
    return [element.value for element in value.elements]


def _warn_of_shell(rewriting: Rewriting, word: cst.BaseExpression) -> None:
    text = constant(word)
    if isinstance(text, str) and _SHELL.search(text):
        rewriting.notes.append(
            "the command uses a shell (pipes, variables, &&); Domino may take its words apart when a job is "
            "started, so put it into a script of the project and run that"
        )


def _host(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    rewriting.hosts.append(argument.value)
    return []


def _api_key(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    rewriting.secrets.append(argument.value)
    return []


def _token_file(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    if constant(argument.value) is not None:
        rewriting.token_files.append(argument.value)
    return []


def _commit_id(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    value = constant(argument.value)
    if isinstance(value, str) and "{{" not in value and not _COMMIT.fullmatch(value):
        rewriting.left.append(f"commit_id={value!r} is no full SHA (40 characters): write the whole one")
    return [] if value is None else [Argument("commit_id", argument.value)]


def _max_poll_time(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    if constant(argument.value) is None:
        return []
    if "execution_timeout" in rewriting.given:
        rewriting.notes.append("max_poll_time is dropped: execution_timeout is given, and limits the wait too")
        return []
    rewriting.needs_timedelta = True
    rewriting.notes.append(
        "max_poll_time becomes execution_timeout: the run is stopped then, where Domino's operator left it going "
        '(on_kill="leave" does so)'
    )
    seconds = cst.Arg(argument.value, keyword=cst.Name("seconds"), equal=_tight())
    return [Argument("execution_timeout", cst.Call(cst.Name("timedelta"), [seconds]))]


def _tight() -> cst.AssignEqual:
    nothing = cst.SimpleWhitespace("")
    return cst.AssignEqual(whitespace_before=nothing, whitespace_after=nothing)


def _publish(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    if constant(argument.value):
        rewriting.left.append(
            "publishApiEndpoint has no counterpart: Domino's newer releases publish a model in a step of its own"
        )
    return []


def _compute_cluster(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    return [] if constant(argument.value) is None else [Argument("compute_cluster", argument.value)]


def _spark_cluster(rewriting: Rewriting, argument: Argument) -> Sequence[Argument]:
    if constant(argument.value) is None:
        return []
    if "compute_cluster_properties" in rewriting.given:
        rewriting.notes.append(
            "on_demand_spark_cluster_properties is dropped: Domino ignored it beside compute_cluster_properties"
        )
        return []
    value = argument.value
    if not isinstance(value, cst.Dict) or Arguments(value).unnamed():
        raise CannotConvertError(
            "on_demand_spark_cluster_properties is built elsewhere: write compute_cluster={'clusterType': 'Spark', "
            "'computeEnvironmentId': …, 'workerCount': …, 'workerHardwareTierId': …, 'masterHardwareTierId': …}"
        )
    return [Argument("compute_cluster", _as_compute_cluster(rewriting, Arguments(value)))]


def _as_compute_cluster(rewriting: Rewriting, old: Arguments) -> cst.BaseExpression:
    changes: dict[int, Sequence[Argument]] = {}
    quote = old.quote
    known = with_names(old.named())
    for at, argument in enumerate(old.named()):
        instead = _cluster_item(rewriting, argument, quote)
        kind = [Argument("clusterType", literal("Spark", quote))] if at == 0 else []
        changes[id(argument.node)] = [*kind, *instead]
    given = {item.name for items in changes.values() for item in items}
    for name in _MISSING_IN_CLUSTER:
        if name not in given:
            rewriting.left.append(f"compute_cluster lacks {name}: Domino took the last one used, name it now")
    if "executorCount" not in known and (last := next(reversed(old.named()), None)):
        changes[id(last.node)] = [*changes[id(last.node)], Argument("workerCount", cst.Integer("1"))]
    rewritten: cst.BaseExpression = old.replaced(changes)
    return rewritten


def _cluster_item(rewriting: Rewriting, argument: Argument, quote: str) -> list[Argument]:
    if argument.name == "executorStorageMB":
        size = cst.ensure_type(cst.parse_expression('{"value": 0, "unit": "MB"}'.replace('"', quote)), cst.Dict)
        first = size.elements[0].with_changes(value=argument.value)
        return [Argument("workerStorage", size.with_changes(elements=[first, *size.elements[1:]]))]
    if name := _CLUSTER_NAMES.get(argument.name):
        return [Argument(name, argument.value)]
    rewriting.left.append(f"Domino knows no {argument.name} in compute_cluster; it is dropped")
    return []


RULES: Mapping[str, Rule] = {
    "command": _command,
    "host": _host,
    "api_key": _api_key,
    "domino_token_file": _token_file,
    "isDirect": _dropped,
    "commitId": _commit_id,
    "commit_id": _commit_id,
    "publishApiEndpoint": _publish,
    "poll_freq": _renamed("poll_interval"),
    "max_poll_time": _max_poll_time,
    "startup_delay": _dropped,
    "include_setup_log": _dropped,
    "hardware_tier_name": _renamed("tier"),
    "environment_id": _renamed("environment"),
    "compute_cluster_properties": _compute_cluster,
    "on_demand_spark_cluster_properties": _spark_cluster,
    # Names that Airflow itself has changed since Domino's operators were made.
    "task_concurrency": _renamed("max_active_tis_per_dag"),
    "provide_context": _dropped,
}
