"""What is looked up in a whole file before any of it is changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import libcst as cst
import libcst.matchers as m
from libcst.helpers import get_full_name_for_node
from libcst.metadata import (
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameProvider,
    QualifiedNameSource,
    ScopeProvider,
)

from airflow_domino.migrate.airflow_two import DAG_NAMES
from airflow_domino.migrate.arguments import Arguments
from airflow_domino.migrate.domino import OPERATORS
from airflow_domino.migrate.luigi import BASH_OPERATORS
from airflow_domino.migrate.schedules import Days, begins_after_its_day, names_a_date

_CALLABLE = m.Arg(keyword=m.Name("python_callable"))


@dataclass
class Facts:
    """What a file says beside its calls.

    :param wrapper: the file with its metadata
    :param constants: what is assigned to names once, at the top level
    :param operators: calls of Domino's operators, by the id of the call: the operator's name
    :param bash: ids of the calls of BashOperator
    :param shared: dicts that are handed to Domino's operators, as ``**NAME`` or as default_args: by the id of the dict
        (or of its dict() call)
    :param by_call: those of a call, by the call's id
    :param annotations: ids of places that name an operator as the type of something
    :param strays: places that name something of Domino's package and are no such call
    :param dags: the calls of DAG
    """

    wrapper: MetadataWrapper
    constants: dict[str, cst.BaseExpression] = field(default_factory=dict)
    operators: dict[int, str] = field(default_factory=dict)
    bash: set[int] = field(default_factory=set)
    shared: set[int] = field(default_factory=set)
    by_call: dict[int, list[cst.Call | cst.Dict]] = field(default_factory=dict)
    defaults: list[cst.Call | cst.Dict] = field(default_factory=list)
    annotations: set[int] = field(default_factory=set)
    strays: list[tuple[cst.CSTNode, str]] = field(default_factory=list)
    dags: list[cst.Call] = field(default_factory=list)
    days: Days = field(default_factory=Days)

    def line(self, node: cst.CSTNode) -> int:
        """Number of the line that a node begins in."""
        return int(self.wrapper.resolve(PositionProvider)[node].start.line)

    def names(self, node: cst.CSTNode) -> set[str]:
        """Full names of what a node may mean that is imported."""
        found: Any = self.wrapper.resolve(QualifiedNameProvider).get(node, set())
        imported = QualifiedNameSource.IMPORT
        return {one.name for one in (found() if callable(found) else found) if one.source == imported}

    def runs_after_its_day(self, call: cst.Call) -> bool:
        """Say whether the DAG around a call runs on another day than the one that it is for."""
        around = self.days.around.get(id(call))
        dags = self.dags if around is None else [around]
        return any(self.days.matter_to(dag) and begins_after_its_day(dag, self.constants) for dag in dags)


def look_up(module: cst.Module) -> Facts:
    """Read a file."""
    facts = Facts(MetadataWrapper(module, unsafe_skip_copy=True))
    facts.constants = _constants(facts.wrapper)
    facts.wrapper.visit(_Calls(facts))
    facts.wrapper.visit(_Dates(facts))
    _share(facts)
    return facts


def _constants(wrapper: MetadataWrapper) -> dict[str, cst.BaseExpression]:
    found: dict[str, cst.BaseExpression] = {}
    times: dict[str, int] = {}
    for scope in set(wrapper.resolve(ScopeProvider).values()):
        for assignment in scope.assignments if scope else ():  # also an argument or a local variable of the name
            times[assignment.name] = times.get(assignment.name, 0) + 1
    for statement in wrapper.module.body:
        for name, value in _assigned(statement):
            if times.get(name) == 1:
                found[name] = value
    return found


def _assigned(statement: cst.CSTNode) -> Iterable[tuple[str, cst.BaseExpression]]:
    for small in getattr(statement, "body", ()) if isinstance(statement, cst.SimpleStatementLine) else ():
        if isinstance(small, cst.Assign) and len(small.targets) == 1:
            target = small.targets[0].target
            if isinstance(target, cst.Name):
                yield target.value, small.value
        elif isinstance(small, cst.AnnAssign) and isinstance(small.target, cst.Name) and small.value is not None:
            yield small.target.value, small.value


class _Calls(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (ParentNodeProvider, QualifiedNameProvider, PositionProvider, ScopeProvider)

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self._facts = facts

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        module = get_full_name_for_node(node.module) if node.module else None
        if isinstance(node.names, cst.ImportStar) and (module or "").startswith("domino"):
            self._facts.strays.append((node, f"{module}.*"))
        return False

    def visit_Call(self, node: cst.Call) -> None:
        names = self._facts.names(node.func)
        if BASH_OPERATORS & names:
            self._facts.bash.add(id(node))
        for name in names:
            if kind := OPERATORS.get(name.removesuffix(".partial")):
                self._facts.operators[id(node)] = kind
                self._facts.by_call[id(node)] = []
        if any(name.startswith("airflow") and name.rpartition(".")[2] in ("DAG", "dag") for name in names):
            for argument in Arguments(node).named():
                if argument.name == "default_args" and (shared := as_dict(argument.value, self._facts.constants)):
                    self._facts.defaults.append(shared)

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        return not self._stray(node)

    def visit_Name(self, node: cst.Name) -> None:
        self._stray(node)

    def _stray(self, node: cst.Name | cst.Attribute) -> bool:
        """Note a name of Domino's package that is no call of an operator; say whether it is one."""
        if get_full_name_for_node(node) is None or m.findall(node, m.Call()):
            return False
        found = [name for name in self._facts.names(node) if name == "domino" or name.startswith("domino.")]
        if not found:
            return False
        parent = self.get_metadata(ParentNodeProvider, node)
        if isinstance(parent, cst.Attribute) and parent.value is node:
            return False  # part of a longer name, which is looked at itself, unless it is an attribute of what is meant
        name = found[0].removesuffix(".partial")
        called = isinstance(parent, cst.Call) and parent.func is node
        if name in OPERATORS and self._is_annotation(node):
            self._facts.annotations.add(id(node))
        elif not (called and name in OPERATORS):
            self._facts.strays.append((node, found[0]))
        return True

    def _is_annotation(self, node: cst.CSTNode) -> bool:
        parent: Any = node
        while not isinstance(parent, cst.Annotation | cst.BaseStatement | cst.BaseSmallStatement | cst.Call):
            parent = self.get_metadata(ParentNodeProvider, parent)
        return isinstance(parent, cst.Annotation)


class _Dates(cst.CSTVisitor):
    """Finds the blocks of DAGs, and in which of them a date of a DAG run is named, or may be out of sight."""

    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self._facts = facts
        self._blocks: list[cst.Call | None] = [None]
        self._contexts: list[str | None] = []

    def visit_Import(self, node: cst.Import) -> bool:
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        module = get_full_name_for_node(node.module) if node.module else ""
        self._facts.days.is_for_airflow_3 |= (module or "").startswith("airflow.sdk")
        return False

    def visit_With(self, node: cst.With) -> None:
        self._enter([item.item for item in node.items])

    def leave_With(self, original_node: cst.With) -> None:
        self._blocks.pop()

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self._enter([decorator.decorator for decorator in node.decorators])
        self._enter_function(node.params)

    def leave_FunctionDef(self, original_node: cst.FunctionDef) -> None:
        self._contexts.pop()
        self._blocks.pop()

    def visit_Lambda(self, node: cst.Lambda) -> None:
        self._enter_function(node.params)

    def leave_Lambda(self, original_node: cst.Lambda) -> None:
        self._contexts.pop()

    def _enter_function(self, parameters: cst.Parameters) -> None:
        self._contexts.append(parameters.star_kwarg.name.value if parameters.star_kwarg else None)

    def _enter(self, heads: Iterable[cst.BaseExpression]) -> None:
        """Begin a block: a DAG's own, or a part of the one around it."""
        dag = next((head for head in heads if isinstance(head, cst.Call) and self._is_dag(head)), self._blocks[-1])
        self._blocks.append(dag)

    def _is_dag(self, call: cst.Call) -> bool:
        return bool(DAG_NAMES & self._facts.names(call.func))

    def visit_Call(self, node: cst.Call) -> None:
        if self._is_dag(node):
            self._facts.dags.append(node)
        self._facts.days.around[id(node)] = self._blocks[-1]
        if self._hands_dates_on(node):
            self._note_a_date()

    def _hands_dates_on(self, call: cst.Call) -> bool:
        """Say whether code that the file does not show is given the dates of a DAG run, or may be."""
        names = self._facts.names
        function = names(call.func)
        if any(name.startswith(("airflow.", "airflow_domino.", "domino")) for name in function):
            return any(m.matches(arg, _CALLABLE) and names(arg.value) for arg in call.args)
        if any(name.endswith(("Operator", "Sensor")) for name in function):
            return True
        return any(isinstance(arg.value, cst.Name) and arg.value.value in self._contexts for arg in call.args)

    def visit_Name(self, node: cst.Name) -> None:
        self._look_at(node)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._look_at(node)

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        self._look_at(node)

    def _look_at(self, node: cst.Name | cst.SimpleString | cst.FormattedStringText) -> None:
        if names_a_date(node):
            self._note_a_date()

    def _note_a_date(self) -> None:
        block = self._blocks[-1]
        self._facts.days.dated.add(None if block is None else id(block))


def as_dict(value: cst.BaseExpression, constants: Mapping[str, cst.BaseExpression]) -> cst.Call | cst.Dict | None:
    """Return the dict that an expression means, where it is written in this file."""
    if isinstance(value, cst.Name):
        value = constants.get(value.value, value)
    if isinstance(value, cst.Dict):
        return value
    if isinstance(value, cst.Call) and isinstance(value.func, cst.Name) and value.func.value == "dict":
        return value
    return None


def starred(call: cst.Call) -> Sequence[cst.BaseExpression]:
    """What is handed over as ``**mapping``."""
    return [argument.value for argument in call.args if argument.star == "**"]


def _share(facts: Facts) -> None:
    """Find the dicts that only Domino's operators are given."""
    uses: dict[int, int] = {}
    calls = _CollectCalls(facts)
    facts.wrapper.visit(calls)
    for call in calls.found:
        for value in starred(call):
            if (shared := as_dict(value, facts.constants)) is not None and isinstance(value, cst.Name):
                facts.by_call[id(call)].append(shared)
                facts.shared.add(id(shared))
                uses[id(shared)] = uses.get(id(shared), 0) + 1
    for name, value in facts.constants.items():
        if id(value) in facts.shared and calls.uses.get(name, 0) != uses[id(value)]:
            facts.shared.discard(id(value))
    if facts.operators:
        facts.shared |= {id(one) for one in facts.defaults}


class _CollectCalls(cst.CSTVisitor):
    def __init__(self, facts: Facts) -> None:
        super().__init__()
        self._facts = facts
        self.found: list[cst.Call] = []
        self.uses: dict[str, int] = {}

    def visit_Call(self, node: cst.Call) -> None:
        if id(node) in self._facts.operators:
            self.found.append(node)

    def visit_Assign(self, node: cst.Assign) -> bool:
        node.value.visit(self)
        return False

    def visit_Name(self, node: cst.Name) -> None:
        self.uses[node.value] = self.uses.get(node.value, 0) + 1
