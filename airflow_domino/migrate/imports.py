"""The imports of a file whose calls are converted: those that nothing needs any more give way to ours."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Any

import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import MetadataWrapper, ParentNodeProvider, ScopeProvider

from airflow_domino.migrate.airflow_two import MOVED, is_gone

_DELTA = ("datetime", "timedelta")
_BASH = (
    "airflow.operators.bash",
    "airflow.operators.bash_operator",
    "airflow.providers.standard.operators.bash",
)
# What takes the place of an import.
_OURS = {
    "domino": "airflow_domino.operators.domino",
    **dict.fromkeys(_BASH, "airflow_domino.operators.luigi"),
    "airflow.utils.dates": "pendulum",
}


def rewrite_imports(module: cst.Module, needed: Collection[tuple[str, str]]) -> tuple[cst.Module, list[str]]:
    """Return the file with the imports that it needs, and the names in Airflow that are still imported and gone.

    :param needed: modules and names in them; an empty name for the module itself
    """
    imports = _Imports(set(needed))
    changed = MetadataWrapper(module).visit(imports)
    return _with_first(changed, sorted(imports.needed)), sorted(imports.gone)


def _with_first(module: cst.Module, needed: Sequence[tuple[str, str]]) -> cst.Module:
    """Put what has found no place among the imports before the first of them."""
    body = list(module.body)
    at = next((at for at, statement in enumerate(body) if _is_import(statement)), 0)
    for name, what in needed:
        line = _import_line(name, what)
        if body and isinstance(body[at], cst.SimpleStatementLine):
            line = line.with_changes(leading_lines=body[at].leading_lines)
            apart = name in sys.stdlib_module_names and not _is_import_of(body[at], sys.stdlib_module_names)
            body[at] = body[at].with_changes(leading_lines=[cst.EmptyLine(indent=False)] if apart else [])
        body.insert(at, line)
    return module.with_changes(body=body)


def _is_import_of(statement: cst.CSTNode, modules: Collection[str]) -> bool:
    """Say whether a line imports one of these, or something in them."""
    node = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    return isinstance(node, cst.Import | cst.ImportFrom) and _module(node).partition(".")[0] in modules


def _is_import(statement: cst.CSTNode) -> bool:
    if not isinstance(statement, cst.SimpleStatementLine) or not isinstance(
        node := statement.body[0], cst.Import | cst.ImportFrom
    ):
        return False
    return _module(node) != "__future__"


def _import_line(module: str, name: str) -> cst.SimpleStatementLine:
    text = f"from {module} import {name}" if name else f"import {module}"
    return cst.ensure_type(cst.parse_statement(text), cst.SimpleStatementLine)


class _Imports(cst.CSTTransformer):
    METADATA_DEPENDENCIES = (ScopeProvider, ParentNodeProvider)

    def __init__(self, needed: set[tuple[str, str]]) -> None:
        super().__init__()
        self.needed = needed
        self._all = frozenset(needed)
        self._where: set[tuple[Any, tuple[str, str]]] = set()
        self.gone: set[str] = set()

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> Any:
        """Rewrite the imports of a line."""
        if not any(isinstance(node, cst.Import | cst.ImportFrom) for node in original_node.body):
            return updated_node
        pieces = [piece for node in original_node.body for piece in self._rewritten(node)]
        if not pieces:
            return cst.RemoveFromParent()
        if len(original_node.body) == 1:
            return _lines(updated_node, pieces)
        return updated_node.with_changes(body=[one.with_changes(semicolon=cst.MaybeSentinel.DEFAULT) for one in pieces])

    def _rewritten(self, node: cst.BaseSmallStatement) -> list[Any]:
        """What stands in the place of one statement: what is left of it, and ours."""
        if not isinstance(node, cst.Import | cst.ImportFrom) or isinstance(node.names, cst.ImportStar):
            return [node]
        module = _module(node)
        if _DELTA in self.needed and module == "datetime" and isinstance(node, cst.ImportFrom):
            self.needed.remove(_DELTA)
            return [_with_timedelta(node)]
        wanted = _OURS.get("domino" if module.startswith("domino.") else module)
        ours = [one for one in sorted(self._all) if one[0] == wanted]
        kept = [alias for alias in node.names if not (_may_go(module, alias, ours) and self._is_unused(node, alias))]
        moved = [self._moved(node.with_changes(names=_ended(kept, node.names[-1].comma)))] if kept else []
        return [*moved, *self._placed(node, ours, is_smaller=len(kept) < len(node.names))]

    def _placed(self, node: cst.CSTNode, ours: Sequence[tuple[str, str]], *, is_smaller: bool) -> list[Any]:
        """Our imports, where an old one has lost names: once in each scope."""
        scope = self.get_metadata(ScopeProvider, node)
        placed = []
        for one in ours:
            if (scope, one) not in self._where and (is_smaller or one in self.needed):
                self._where.add((scope, one))
                self.needed.discard(one)
                placed.append(_import_line(*one).body[0])
        return placed

    def _is_unused(self, node: cst.Import | cst.ImportFrom, alias: cst.ImportAlias) -> bool:
        scope = self.get_metadata(ScopeProvider, node)
        if scope is None:
            return False
        name = alias.evaluated_alias or alias.evaluated_name.partition(".")[0]
        return not any(assignment.references for assignment in scope.assignments if assignment.name == name)

    def _moved(self, node: cst.Import | cst.ImportFrom) -> cst.Import | cst.ImportFrom:
        """Name the module as Airflow 3 does."""
        if isinstance(node, cst.Import) or isinstance(node.names, cst.ImportStar):
            return node
        module = _module(node)
        if module in MOVED:
            aliases = [_renamed(alias) for alias in node.names]
            return node.with_changes(module=cst.parse_expression(MOVED[module]), names=aliases)
        names = [f"{module}.{alias.evaluated_name}" for alias in node.names]
        self.gone |= {name for name in names if is_gone(name)}
        return node


def _renamed(alias: cst.ImportAlias) -> cst.ImportAlias:
    return alias.with_changes(name=cst.Name("EmptyOperator")) if alias.evaluated_name == "DummyOperator" else alias


def _module(node: cst.Import | cst.ImportFrom) -> str:
    if isinstance(node, cst.ImportFrom):
        return ("." * len(node.relative)) + (get_full_name_for_node(node.module) or "" if node.module else "")
    return node.names[0].evaluated_name


def _may_go(module: str, alias: cst.ImportAlias, ours: Collection[Any]) -> bool:
    if module == "airflow.utils.dates":
        return alias.evaluated_name == "days_ago"
    if module in _BASH:
        return bool(ours) and alias.evaluated_name == "BashOperator"
    return module == "domino" or module.startswith("domino.")


def _ended(names: Sequence[cst.ImportAlias], comma: Any) -> list[cst.ImportAlias]:
    """Let the last name end as the last one did before."""
    return [*names[:-1], names[-1].with_changes(comma=comma)]


def _with_timedelta(node: cst.ImportFrom) -> cst.ImportFrom:
    names = [] if isinstance(node.names, cst.ImportStar) else list(node.names)
    if any(alias.evaluated_name == "timedelta" and alias.asname is None for alias in names):
        return node
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    last = names[-1] if isinstance(names[-1].comma, cst.Comma) else names[-1].with_changes(comma=comma)
    return node.with_changes(names=[*names[:-1], last, cst.ImportAlias(cst.Name("timedelta"))])


def _lines(line: cst.SimpleStatementLine, pieces: Sequence[Any]) -> Any:
    """Each statement in a line of its own; what stood above and beside the old one stays there."""
    first = line.with_changes(body=[pieces[0]])
    return cst.FlattenSentinel([first, *(cst.SimpleStatementLine([piece]) for piece in pieces[1:])])
