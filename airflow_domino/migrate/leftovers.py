"""What is still to be done by hand in a file, beside the calls that were looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import libcst as cst
from libcst.metadata import GlobalScope, MetadataWrapper, ScopeProvider

from airflow_domino.migrate.domino import OPERATORS
from airflow_domino.migrate.facts import Facts
from airflow_domino.migrate.findings import Finding, Kind
from airflow_domino.migrate.luigi_line import UnreadableLineError, is_luigi
from airflow_domino.migrate.text import Text

_BUILDS = frozenset({"luigi.build", "luigi.run", "luigi.interface.build", "luigi.interface.run"})


def strays(facts: Facts) -> Iterable[Finding]:
    """Places that name something of python-domino and are no call of an operator."""
    for node, name in facts.strays:
        if name.endswith(".*"):
            text = f"{name} hides which of its names are used: import them one by one"
        elif name in OPERATORS:
            text = f"{OPERATORS[name]} is named here and not called: write DominoRunOperator, and its arguments' names"
        else:
            text = (
                f"{name} is of Domino's own package, which cannot be installed beside Airflow 3.1 or later: "
                "launch runs with DominoRunOperator, and ask Domino by DominoHook().client()"
            )
        yield Finding(facts.line(node), Kind.LEFT, text)


def other_luigi(facts: Facts) -> Iterable[Finding]:
    """Places that run Luigi, and no BashOperator does."""
    found = _LuigiElsewhere(facts)
    facts.wrapper.visit(found)
    return found.findings


class _LuigiElsewhere(cst.CSTVisitor):
    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self._facts = facts
        self.findings: list[Finding] = []

    def visit_Expr(self, node: cst.Expr) -> bool:
        return not isinstance(node.value, cst.SimpleString | cst.ConcatenatedString)  # a docstring

    def visit_Assign(self, node: cst.Assign) -> bool:
        return not any(value is node.value for value in self._facts.constants.values())  # told where it is used

    def visit_Call(self, node: cst.Call) -> bool:
        if _BUILDS & self._facts.names(node.func):
            self._tell(node, "Luigi runs in this process: a LuigiTaskOperator runs it in a fresh one, with this task")
        return id(node) not in self._facts.bash

    def visit_List(self, node: cst.List) -> bool:
        words = [Text().read(element.value) or "…" for element in node.elements]
        return not self._look(node, " ".join(words))

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._look(node, node.evaluated_value)

    def visit_FormattedString(self, node: cst.FormattedString) -> None:
        try:
            self._look(node, Text().read(node))
        except UnreadableLineError:
            return

    def _look(self, node: cst.CSTNode, text: str | bytes | None) -> bool:
        is_line = isinstance(text, str) and "--" in text and is_luigi(text)
        if is_line:
            self._tell(node, "this line runs Luigi without a BashOperator: a LuigiTaskOperator can take its place")
        return is_line

    def _tell(self, node: cst.CSTNode, text: str) -> None:
        self.findings.append(Finding(self._facts.line(node), Kind.LEFT, text))


def several_hosts(hosts: Mapping[str, int]) -> Iterable[Finding]:
    """Say where a file speaks to another Domino than before."""
    first, *others = hosts or [""]
    for host in others:
        yield Finding(
            hosts[host],
            Kind.LEFT,
            f"this speaks to {host}, and what comes before to {first}: make a connection for each, and name "
            "this one by domino_conn_id=",
        )


def unused(before: cst.Module, after: cst.Module, source: str) -> Iterable[Finding]:
    """Names of the file that only what has gone has used."""
    was, now = _references(before), _references(after)
    for name, times in now.items():
        if times == 0 and was.get(name, 0) > 0:
            line = next((at for at, text in enumerate(source.splitlines(), 1) if name in text), 1)
            yield Finding(line, Kind.NOTE, f"{name} is not used any more")


def _references(module: cst.Module) -> dict[str, int]:
    scopes = set(MetadataWrapper(module).resolve(ScopeProvider).values())
    return {
        assignment.name: len(assignment.references)
        for scope in scopes
        if isinstance(scope, GlobalScope)
        for assignment in scope.assignments
    }


def gone_from_airflow(names: Iterable[str], source: str) -> Iterable[Finding]:
    """Imports of what Airflow 3 has not."""
    lines = source.splitlines()
    for name in names:
        module = name.rpartition(".")[0]
        line = next((at for at, text in enumerate(lines, 1) if module in text), 1)
        yield Finding(
            line, Kind.LEFT, f"Airflow 3 has no {name}; `ruff check --select AIR3 --fix` knows what it is called now"
        )
