"""The days of a DAG: a DAG run is for the interval before it began on Airflow 2, and for that moment on Airflow 3.

Airflow 3 takes a cron text as one for ``CronTriggerTimetable`` (unless ``create_cron_data_intervals`` is set). There
the logical date, and with it ``{{ ds }}``, is a whole interval later than on Airflow 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import libcst as cst

from airflow_domino.migrate.arguments import Argument, Arguments, with_names
from airflow_domino.migrate.domino import constant
from airflow_domino.migrate.text import literal

TIMETABLES = "airflow.timetables.interval"

_DATES = frozenset(
    {"execution_date", "logical_date", "data_interval_start", "data_interval_end", "ts_nodash_with_tz"}
    | {"execution_delta", "execution_date_fn", "ExternalTaskSensor", "ExternalTaskMarker"}
    | {"prev_execution_date", "next_execution_date", "prev_execution_date_success"}
    | {"prev_data_interval_start_success", "prev_data_interval_end_success"}
    | {f"{one}{form}" for one in ("ds", "ts", "prev_ds", "next_ds") for form in ("", "_nodash")}
    | {f"{one}_ds{form}" for one in ("yesterday", "tomorrow") for form in ("", "_nodash")}
    | {"get_current_context", "get_template_context"}
)
_DATE = re.compile(rf"\b(?:{'|'.join(sorted(_DATES))})\b")
# Files that operators render.
_TEMPLATE_FILE = re.compile(r"\S+\.(?:sql|hql|sh|bash|j2|jinja2?|ya?ml|json|html)")
_WITHOUT_INTERVAL = ("@once", "@continuous")
_UTC = frozenset({"UTC", "utc", "timezone.utc", "datetime.timezone.utc", "datetime.UTC", "pendulum.UTC", "pytz.utc"})

_KEPT = (
    "the schedule has intervals{zone}, so that {{{{ ds }}}} stays their start, as on Airflow 2; where the DAG ran on "
    "Airflow 3 before, take its old schedule"
)
_ZONE = " in the time zone of start_date ({zone})"
# Of a start date that has no time zone: Airflow takes it in the one of its configuration.
_DEFAULT_ZONE = "UTC, unless [core] default_timezone is another one"
# How many arguments of a date by position come before its time zone.
_DATE_AND_TIME = 7
_RECEIVES_ZONE = frozenset({"in_timezone", "in_tz", "astimezone", "today", "now"})
_KEEPS_ZONE = frozenset({"add", "subtract", "replace", "start_of", "end_of", "set"})
_CATCHUP = (
    "Airflow 3 makes the DAG runs of missed days only where catchup=True is given; Airflow 2 made them by default"
)
_DECIDED_ELSEWHERE = (
    "its schedule is decided elsewhere: where that is a cron text or a timedelta, the days shift, since {{ ds }} is "
    "the start of the interval on Airflow 2, and its end on Airflow 3; CronDataIntervalTimetable and "
    f"DeltaDataIntervalTimetable of {TIMETABLES} keep them"
)
_OF_ASSETS = (
    "a DAG run that an asset starts has no logical date on Airflow 3, and {{ ds }} fails its tasks: write "
    "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"
)
_WITHOUT = (
    "it names no schedule, which is daily on Airflow 2 and none on Airflow 3: give schedule=None, or "
    f"DeltaDataIntervalTimetable(timedelta(days=1)) of {TIMETABLES}"
)
_UNKNOWN_ZONE = (
    "the time zone of its start_date is decided elsewhere: give it as timezone= of CronDataIntervalTimetable"
)


class DecidedElsewhereError(Exception):
    """What a schedule is cannot be seen in the file; the text says what to do."""


@dataclass
class Days:
    """Which DAGs of a file name a date of their DAG run.

    :param around: calls of DAG by the ids of the calls in their blocks; None where there is no block
    :param dated: ids of the calls of DAG in whose blocks a date is named; None where one is named outside of all
    :param is_for_airflow_3: the file imports what Airflow 2 lacks
    """

    around: dict[int, cst.Call | None] = field(default_factory=dict)
    dated: set[int | None] = field(default_factory=set)
    is_for_airflow_3: bool = False

    def matter_to(self, dag: cst.Call) -> bool:
        """Say whether a DAG may name a date, and had its days from Airflow 2."""
        is_dated = bool({id(dag), None} & self.dated) or (bool(self.dated) and not self._has_block(dag))
        return is_dated and not self.is_for_airflow_3

    def _has_block(self, dag: cst.Call) -> bool:
        return any(one is dag for one in self.around.values())


def names_a_date(node: cst.Name | cst.SimpleString | cst.FormattedStringText) -> bool:
    """Say whether a name, or a text with templates, is or has the date of a DAG run."""
    if isinstance(node, cst.Name):
        return node.value in _DATES
    if ("{{" in node.value or "{%" in node.value) and _DATE.search(node.value):
        return True
    text = constant(node) if isinstance(node, cst.SimpleString) else ""
    return isinstance(text, str) and (text in _DATES or _TEMPLATE_FILE.fullmatch(text) is not None)


@dataclass
class Schedule:
    """The schedule of a DAG with the days of Airflow 2.

    :param constants: values of names that are assigned once in the file
    :param dag: the call, with the names of arguments that Airflow 3 has
    :ivar needed: names of timetables that it takes
    """

    dag: cst.Call
    constants: Mapping[str, cst.BaseExpression]
    needed: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def with_days(self) -> cst.Call:
        """Return the call whose schedule keeps the days; it is the same where there is nothing to keep."""
        arguments = Arguments(self.dag)
        given = with_names(arguments.named())
        if "schedule" not in given:
            self.left.append(_DECIDED_ELSEWHERE if _is_open(arguments) else _WITHOUT)
            return self.dag
        schedule = given["schedule"]
        try:
            value = self._kept(schedule.value, given)
        except DecidedElsewhereError as error:
            self.needed, self.notes, self.left = set(), [], [str(error)]
            return self.dag
        if not self.needed:
            return self.dag
        if "catchup" not in given and not _is_open(arguments):
            self.notes.append(_CATCHUP)
        return arguments.replaced({id(schedule.node): [Argument("schedule", value)]})  # type: ignore[no-any-return]

    def _kept(self, value: cst.BaseExpression, given: Mapping[str, Argument]) -> cst.BaseExpression:
        if isinstance(value, cst.IfExp):
            return value.with_changes(body=self._kept(value.body, given), orelse=self._kept(value.orelse, given))
        match _kind(self._resolved(value)):
            case "cron":
                zone = self._zone(given)
                if zone is None:
                    self.left.append(_UNKNOWN_ZONE)
                where = "" if zone is None else _ZONE.format(zone=zone or _DEFAULT_ZONE)
                return self._timetable("CronDataIntervalTimetable", value, where, zone or "UTC")
            case "delta":
                return self._timetable("DeltaDataIntervalTimetable", value)
            case "asset":
                raise DecidedElsewhereError(_OF_ASSETS)
            case "unknown":
                raise DecidedElsewhereError(_DECIDED_ELSEWHERE)
        return value

    def _timetable(self, name: str, value: cst.BaseExpression, where: str = "", zone: str | None = None) -> cst.Call:
        self.needed.add(name)
        note = _KEPT.format(zone=where)
        if note not in self.notes:
            self.notes.append(note)
        made = cst.Call(cst.Name(name), [cst.Arg(value)])
        if zone is None:
            return made
        equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
        comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        zone_of_cron = cst.Arg(literal(zone), keyword=cst.Name("timezone"), equal=equal)
        return made.with_changes(args=[cst.Arg(value, comma=comma), zone_of_cron])

    def _zone(self, given: Mapping[str, Argument]) -> str | None:
        """The time zone that Airflow takes a cron text in, that of the DAG's start_date (:func:`_zone_of`)."""
        if "start_date" in given:
            return _zone_of(given["start_date"].value, self.constants)
        if "default_args" in given:
            return self._zone_of_defaults(self._resolved(given["default_args"].value))
        return None if _is_open(Arguments(self.dag)) else ""

    def _zone_of_defaults(self, shared: cst.BaseExpression) -> str | None:
        if not isinstance(shared, cst.Dict) and _called(shared) != "dict":
            return None
        arguments = Arguments(shared)  # type: ignore[arg-type]
        start = with_names(arguments.named()).get("start_date")
        if start is not None:
            return _zone_of(start.value, self.constants)
        return None if arguments.unnamed() else ""

    def _resolved(self, value: cst.BaseExpression) -> cst.BaseExpression:
        return self.constants.get(value.value, value) if isinstance(value, cst.Name) else value


def begins_after_its_day(dag: cst.Call, constants: Mapping[str, cst.BaseExpression]) -> bool:
    """Say whether a DAG whose days are those of Airflow 2 runs on another day than its logical date."""
    given = with_names(Arguments(dag).named())
    value = next((given[name].value for name in ("schedule", "schedule_interval", "timetable") if name in given), None)
    if isinstance(value, cst.Name):
        value = constants.get(value.value, value)
    if isinstance(value, cst.IfExp):
        value = value.body
    return value is not None and _kind(value) in ("cron", "delta", "unknown", "interval")


def _is_open(arguments: Arguments) -> bool:
    """Say whether there may be more arguments than one sees: from a mapping, or by position after the DAG's id."""
    return any(argument.star for argument in arguments.unnamed()) or len(arguments.unnamed()) > 1


def _kind(value: cst.BaseExpression) -> str:
    """Say what a schedule is: cron, delta, asset, interval (a timetable of intervals), other or unknown."""
    text = constant(value)
    if text is None:
        return "other"
    if isinstance(text, str):
        return "other" if text in _WITHOUT_INTERVAL else "cron"
    if isinstance(value, cst.FormattedString | cst.ConcatenatedString):
        return "cron"
    name = _called(value)
    if name in ("timedelta", "relativedelta"):
        return "delta"
    if name.endswith("Timetable"):
        return "interval" if "DataInterval" in name else "other"
    is_asset = isinstance(value, cst.List | cst.Tuple) or re.match("Dataset|Asset", name)
    return "asset" if is_asset else "unknown"


def _called(value: cst.BaseExpression) -> str:
    """The last part of the name that is called; nothing where nothing is."""
    return cst.Module([]).code_for_node(value.func).rpartition(".")[2] if isinstance(value, cst.Call) else ""


def _zone_of(start: cst.BaseExpression, constants: Mapping[str, cst.BaseExpression]) -> str | None:
    """The time zone of a start date: empty where it has none of its own; None where it cannot be seen."""
    if isinstance(start, cst.Name):
        start = constants.get(start.value, start)
    if isinstance(start, cst.BinaryOperation):  # a date and a timedelta
        return _zone_of(start.left, constants)
    text = constant(start)
    if isinstance(text, str):  # of default_args
        return "" if re.fullmatch(r"[\d\-T :.]+", text) else "UTC" if re.search(r"(Z|\+00:?00)$", text) else None
    return _zone_of_call(start, constants) if isinstance(start, cst.Call) else None


def _zone_of_call(start: cst.Call, constants: Mapping[str, cst.BaseExpression]) -> str | None:
    name = _called(start)
    named = {argument.keyword.value: argument.value for argument in start.args if argument.keyword is not None}
    unnamed = [argument.value for argument in start.args if argument.keyword is None]
    on = start.func.value if isinstance(start.func, cst.Attribute) else None
    if zone := named.get("tz") or named.get("tzinfo"):
        return _name_of_zone(zone, constants)
    if name == "localize" and on is not None:
        return _name_of_zone(on, constants)
    if name in _RECEIVES_ZONE:
        return _name_of_zone(unnamed[0], constants) if unnamed else None
    if name in _KEEPS_ZONE and on is not None:
        return _zone_of(on, constants)
    if name == "datetime" and len(unnamed) > _DATE_AND_TIME:
        return _name_of_zone(unnamed[_DATE_AND_TIME], constants)
    return _zone_of_date(start)


def _zone_of_date(start: cst.Call) -> str | None:
    """The time zone of a call that gives a date without naming one."""
    name, code = _called(start), cst.Module([]).code_for_node(start)
    if name == "days_ago" or code.startswith("pendulum.datetime("):
        return "UTC"
    is_without_zone = name in ("datetime", "utcnow") or (name == "strptime" and not re.search("%[zZ]", code))
    return "" if is_without_zone and not any(argument.star for argument in start.args) else None


def _name_of_zone(zone: cst.BaseExpression, constants: Mapping[str, cst.BaseExpression]) -> str | None:
    if isinstance(zone, cst.Name):
        zone = constants.get(zone.value, zone)
    if isinstance(text := constant(zone), str):
        return text
    if cst.Module([]).code_for_node(zone) in _UTC:
        return "UTC"
    if _called(zone) in ("timezone", "ZoneInfo", "gettz", "Timezone") and isinstance(zone, cst.Call) and zone.args:
        name = constant(zone.args[0].value)
        return name if isinstance(name, str) else None
    return None
