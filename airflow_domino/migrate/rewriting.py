"""Changing one file: each call where it stands, with all that surrounds it left as it is."""

from __future__ import annotations

import re
from typing import Any, cast

import libcst as cst

from airflow_domino.migrate import airflow_two
from airflow_domino.migrate.arguments import Argument, Arguments, with_names
from airflow_domino.migrate.domino import CannotConvertError, Rewriting, constant, is_direct
from airflow_domino.migrate.facts import Facts, starred
from airflow_domino.migrate.findings import Finding, Kind
from airflow_domino.migrate.luigi import as_luigi_task
from airflow_domino.migrate.luigi_line import NotLuigiError
from airflow_domino.migrate.schedules import TIMETABLES, Schedule
from airflow_domino.migrate.text import DAY, DAY_AFTER_INTERVAL, literal

DOMINO_RUN = ("airflow_domino.operators.domino", "DominoRunOperator")
LUIGI_TASK = ("airflow_domino.operators.luigi", "LuigiTaskOperator")
LONGEST_LINE = 110

_RESULT = re.compile(
    r"""(xcom_pull\(\s*(?:task_ids\s*=\s*)?(?P<q>\\?['"])(?P<task>[\w.-]+)(?P=q)\s*\)\s*\[\s*\\?['"])runId(\\?['"]\s*\])"""
)
_NEW_RESULTS = {"runId": "run_id", "outputCommitId": "output_commit"}


class Rewriter(cst.CSTTransformer):
    """Converts the calls of a file.

    :param facts: what was looked up in it
    :param source: the file
    :param conn_id: connection of the converted tasks, where it is not the default one
    """

    def __init__(self, facts: Facts, source: str, conn_id: str | None) -> None:
        super().__init__()
        self._facts = facts
        self._lines = source.splitlines()
        self._conn_id = conn_id
        self.findings: list[Finding] = []
        #: What matters only where something is converted.
        self.asides: list[Finding] = []
        self.needed: set[tuple[str, str]] = set()
        self.hosts: dict[str, int] = {}
        self.secrets: set[str] = set()
        self._done: set[int] = set()

    @property
    def has_changed(self) -> bool:
        """Whether anything of Domino's or Luigi's was converted."""
        return bool({DOMINO_RUN, LUIGI_TASK} & self.needed)

    # ---- calls -------------------------------------------------------------------------------------------------------

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.BaseExpression:
        """Convert a call, if it is one of those."""
        if kind := self._facts.operators.get(id(original_node)):
            return self._domino(original_node, updated_node, kind)
        if id(original_node) in self._facts.bash:
            return self._luigi(original_node, updated_node)
        if id(original_node) in self._facts.shared:
            return cast(cst.Call, self._shared(original_node, updated_node))
        return self._expanded(original_node, updated_node)

    def leave_Dict(self, original_node: cst.Dict, updated_node: cst.Dict) -> cst.BaseExpression:
        """Convert a dict whose values become arguments of Domino's operators."""
        if id(original_node) in self._facts.shared:
            return cast(cst.Dict, self._shared(original_node, updated_node))
        return updated_node

    def _domino(self, original: cst.Call, call: cst.Call, kind: str) -> cst.Call:
        try:
            rewriting, converted = self._converted(original, call)
        except CannotConvertError as error:
            self._left(original, f"{kind} stays: {error}")
            return call
        self._take(original, rewriting)
        self._done.add(id(original))
        self.needed.add(DOMINO_RUN)
        func: cst.BaseExpression = cst.Name(DOMINO_RUN[1])
        if isinstance(call.func, cst.Attribute) and call.func.attr.value == "partial":
            func = call.func.with_changes(value=func)
        line = self._lines[self._facts.line(original) - 1]
        return self._in_width(original, converted.with_changes(func=func), longest=len(line))

    def _converted(self, original: cst.Call, call: cst.Call) -> tuple[Rewriting, cst.Call]:
        arguments = Arguments(call)
        known = with_names(arguments.named())
        for shared in (*self._facts.defaults, *self._facts.by_call[id(original)]):
            known = with_names(Arguments(shared).named()) | known
        self._refuse_unknown(original, arguments)
        rewriting = Rewriting(is_direct=bool(is_direct(known)), given=frozenset(known))
        converted = cast(cst.Call, rewriting.rewrite(arguments))
        if self._conn_id and "domino_conn_id" not in known:
            converted = _with_argument(converted, Argument("domino_conn_id", literal(self._conn_id)))
        return rewriting, converted

    def _refuse_unknown(self, original: cst.Call, arguments: Arguments) -> None:
        if any(not argument.star for argument in arguments.unnamed()):
            raise CannotConvertError("it has arguments without names, which Airflow never took: name them")
        shared = self._facts.by_call[id(original)]
        if len(shared) < len(starred(original)) or len(starred(original)) < len(arguments.unnamed()):
            raise CannotConvertError("its ** is no dict that is written in this file: write its arguments out")
        for one in shared:
            if id(one) not in self._facts.shared:
                raise CannotConvertError("its ** dict is used for other things too: write its arguments out")
            if with_names(Arguments(one).named()).keys() & {"command", "on_demand_spark_cluster_properties"}:
                raise CannotConvertError("its ** dict holds the command or the cluster: write those out")

    def _shared(self, original: cst.Call | cst.Dict, node: cst.Call | cst.Dict) -> Any:
        arguments = Arguments(node)
        rewriting = Rewriting(given=frozenset(with_names(arguments.named())))
        try:
            converted = rewriting.rewrite(arguments)
        except CannotConvertError as error:
            self._left(original, f"these arguments stay: {error}")
            return node
        self._take(original, rewriting)
        return converted

    def _expanded(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression:
        """Convert ``.expand(…)`` of a mapped operator, and what has other names in Airflow 3."""
        func = original.func
        if isinstance(func, cst.Attribute) and isinstance(func.value, cst.Call) and id(func.value) in self._done:
            if func.attr.value == "expand":
                return self._expand(original, call)
            self._left(original, f"{func.attr.value}() names arguments elsewhere: there they have new names too")
        names = self._facts.names(func)
        if airflow_two.DAYS_AGO in names and (days := airflow_two.days_ago(call)) is not None:
            self.needed.add(("pendulum", ""))
            return days
        return self._dag(original, call) if airflow_two.DAG_NAMES & names else call

    def _dag(self, original: cst.Call, call: cst.Call) -> cst.Call:
        """Rename the arguments of a DAG, and keep its days."""
        renamed = airflow_two.renamed_dag(call)
        if not self._facts.days.matter_to(original):
            return renamed
        schedule = Schedule(renamed, self._facts.constants)
        kept = schedule.with_days()
        for note in schedule.notes:
            self._aside(original, note, Kind.NOTE)
        for left in schedule.left:
            self._aside(original, left)
        self.needed |= {(TIMETABLES, name) for name in schedule.needed}
        return self._in_width(original, kept)

    def _expand(self, original: cst.Call, call: cst.Call) -> cst.BaseExpression:
        rewriting = Rewriting()
        arguments = Arguments(call)
        if "isDirect" in with_names(arguments.named()):
            self._left(original, "isDirect is mapped: give command texts where it is true, lists where it is not")
        try:
            converted = rewriting.rewrite(arguments)
        except CannotConvertError as error:
            self._left(original, f"expand() stays: {error}")
            return call
        if rewriting.needs_timedelta:
            self._left(original, "max_poll_time is mapped: map execution_timeout over timedeltas instead")
        self._take(original, rewriting)
        return cast(cst.Call, converted)

    def _luigi(self, original: cst.Call, call: cst.Call) -> cst.Call:
        try:
            day = DAY_AFTER_INTERVAL if self._facts.runs_after_its_day(original) else DAY
            converted, line = as_luigi_task(call, self._facts.constants, day)
        except NotLuigiError:
            return call
        except CannotConvertError as error:
            self._left(original, f"this Luigi line stays: {error}")
            return call
        for note in line.notes:
            self._note(original, note)
        for left in line.left:
            self._left(original, left)
        self._done.add(id(original))
        self.needed.add(LUIGI_TASK)
        return self._in_width(original, converted.with_changes(func=cst.Name(LUIGI_TASK[1])))

    def _take(self, original: cst.CSTNode, rewriting: Rewriting) -> None:
        """Keep what was found out about a call."""
        for note in rewriting.notes:
            self._note(original, note)
        for left in rewriting.left:
            self._left(original, left)
        if rewriting.needs_timedelta:
            self.needed.add(("datetime", "timedelta"))
        code = cst.Module([]).code_for_node
        for host in rewriting.hosts:
            self.hosts.setdefault(self._text(host) or code(host), self._facts.line(original))
        self.secrets |= {text for one in rewriting.secrets if (text := self._text(one))}
        for file in rewriting.token_files:
            where = self._text(file) or code(file)
            self._note(
                original, f"the connection has the token file now: its credential is token_file, its path {where}"
            )

    def _text(self, node: cst.BaseExpression) -> str:
        """The text that an expression is in this file; an empty one where it is decided elsewhere."""
        if isinstance(node, cst.Name):
            node = self._facts.constants.get(node.value, node)
        value = constant(node)
        return value if isinstance(value, str) else ""

    def _in_width(self, original: cst.Call, call: cst.Call, longest: int = 0) -> cst.Call:
        """Break a call that stood in one line and has become too long for it."""
        code = cst.Module([]).code_for_node
        line = self._lines[self._facts.line(original) - 1]
        length = len(line) - len(code(original)) + len(code(call))
        if "\n" in code(call) or length <= max(LONGEST_LINE, longest):
            return call
        indent = line[: len(line) - len(line.lstrip())]
        return cast(cst.Call, Arguments(call).exploded(indent, "\t" if indent.startswith("\t") else "    "))

    # ---- names and texts ---------------------------------------------------------------------------------------------

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> cst.BaseExpression:
        """Rename the type of something."""
        return self._annotation() if id(original_node) in self._facts.annotations else updated_node

    def _annotation(self) -> cst.Name:
        self.needed.add(DOMINO_RUN)
        return cst.Name(DOMINO_RUN[1])

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:
        """Rename the type of something, and DummyOperator; their imports follow."""
        if id(original_node) in self._facts.annotations:
            return self._annotation()
        if airflow_two.DUMMY_OPERATORS & self._facts.names(original_node) and original_node.value == "DummyOperator":
            return updated_node.with_changes(value="EmptyOperator")
        return updated_node

    def leave_SimpleString(self, original_node: cst.SimpleString, updated_node: cst.SimpleString) -> cst.SimpleString:
        """Rename what templates name."""
        source = airflow_two.renamed_in_templates(updated_node.value)
        if self._facts.operators:
            source = _RESULT.sub(lambda found: f"{found[1]}run_id{found[4]}", source)
            for old, new in _NEW_RESULTS.items():
                if re.search(rf"\b{old}\b", source):
                    self._aside(original_node, f"{old} of a run's result is {new} now")
        self._report_lost(original_node, source)
        return updated_node.with_changes(value=source)

    def leave_FormattedStringText(
        self, original_node: cst.FormattedStringText, updated_node: cst.FormattedStringText
    ) -> cst.FormattedStringText:
        """Rename what templates name, in an f-string."""
        self._report_lost(original_node, updated_node.value)
        return updated_node.with_changes(value=airflow_two.renamed_in_templates(updated_node.value))

    def _report_lost(self, node: cst.CSTNode, source: str) -> None:
        for name in airflow_two.lost_in_templates(source):
            self._aside(node, f"Airflow 3 has no {{{{ {name} }}}}: write it with data_interval_end or macros.ds_add")

    # ---- what is told ------------------------------------------------------------------------------------------------

    def _note(self, node: cst.CSTNode, text: str) -> None:
        self.findings.append(Finding(self._facts.line(node), Kind.NOTE, text))

    def _left(self, node: cst.CSTNode, text: str) -> None:
        self.findings.append(Finding(self._facts.line(node), Kind.LEFT, text))

    def _aside(self, node: cst.CSTNode, text: str, kind: Kind = Kind.LEFT) -> None:
        self.asides.append(Finding(self._facts.line(node), kind, text))


def _with_argument(call: cst.Call, argument: Argument) -> cst.Call:
    last = Arguments(call).named()[-1]
    return cast(cst.Call, Arguments(call).replaced({id(last.node): [last, argument]}))
