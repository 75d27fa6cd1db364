"""What Airflow 3 calls otherwise, of what a DAG file for Domino's operators holds: they ran on Airflow 2 alone.

Only what such files have in nearly every case; `ruff check --select AIR3 --fix` knows the rest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import libcst as cst

from airflow_domino.migrate.arguments import Argument, Arguments

DAG_NAMES = frozenset(
    f"airflow.{name}"
    for name in ("DAG", "models.DAG", "models.dag.DAG", "sdk.DAG", "decorators.dag", "sdk.dag", "decorators.base.dag")
)
DAYS_AGO = "airflow.utils.dates.days_ago"
DUMMY_OPERATORS = frozenset({"airflow.operators.dummy_operator.DummyOperator", "airflow.operators.dummy.DummyOperator"})

#: What a module or a name in it is called now.
MOVED = {
    "airflow.operators.bash_operator": "airflow.providers.standard.operators.bash",
    "airflow.operators.python_operator": "airflow.providers.standard.operators.python",
    "airflow.operators.dummy_operator": "airflow.providers.standard.operators.empty",
    "airflow.operators.dummy": "airflow.providers.standard.operators.empty",
    "airflow.sensors.external_task_sensor": "airflow.providers.standard.sensors.external_task",
    "airflow.operators.dagrun_operator": "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.operators.email_operator": "airflow.providers.smtp.operators.smtp",
}
_GONE = re.compile(
    r"airflow\.(contrib\b.*|(operators|sensors|hooks)\.\w+_(operator|sensor|hook)\b.*|operators\.(dummy|subdag)\b.*"
    r"|utils\.dates\b.*|utils\.helpers\.(chain|cross_downstream)|utils\.decorators\.apply_defaults)"
)
_DAG_ARGUMENTS = {
    "schedule_interval": "schedule",
    "timetable": "schedule",
    "concurrency": "max_active_tasks",
    "default_view": None,
    "orientation": None,
}
_IN_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_SAME = (
    (re.compile(r"\bexecution_date\b"), "logical_date"),
    (re.compile(r"\byesterday_ds\b"), "macros.ds_add(ds, -1)"),
    (re.compile(r"\btomorrow_ds\b"), "macros.ds_add(ds, 1)"),
)
_OTHER = re.compile(r"\b(next|prev)_(ds(_nodash)?|execution_date)\b|\b(yesterday|tomorrow)_ds_nodash\b")


def renamed_dag(call: cst.Call) -> cst.Call:
    """Return the call of DAG with the names that its arguments have now."""
    arguments = Arguments(call)
    changes: dict[int, Sequence[Argument]] = {}
    for argument in arguments.named():
        if argument.name in _DAG_ARGUMENTS:
            name = _DAG_ARGUMENTS[argument.name]
            changes[id(argument.node)] = [Argument(name, argument.value)] if name else []
    return arguments.replaced(changes) if changes else call


def days_ago(call: cst.Call) -> cst.BaseExpression | None:
    """Return ``days_ago(n)`` in pendulum's words; None where it is asked for more than days."""
    if len(call.args) != 1 or call.args[0].keyword is not None:
        return None
    days = cst.Module([]).code_for_node(call.args[0].value)
    return cst.parse_expression(f'pendulum.today("UTC").add(days=-{days})' if days.isalnum() else "None")


def is_gone(name: str) -> bool:
    """Say whether Airflow 3 has no such module or name."""
    return _GONE.fullmatch(name) is not None


def renamed_in_templates(source: str) -> str:
    """Return a string's source with the names that its templates' variables have now."""

    def rename(template: re.Match[str]) -> str:
        text = template[0]
        for old, new in _SAME:
            text = old.sub(new, text)
        return text

    return _IN_TEMPLATE.sub(rename, source)


def lost_in_templates(source: str) -> list[str]:
    """Variables of templates that Airflow 3 has not, and that have no equal."""
    return sorted({found[0] for template in _IN_TEMPLATE.findall(source) for found in _OTHER.finditer(template)})
