"""DAGs in place of a crontab, or of a shell script, that runs Luigi."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

import libcst as cst

from airflow_domino.migrate.arguments import Argument
from airflow_domino.migrate.file import Migration
from airflow_domino.migrate.findings import Finding, Kind
from airflow_domino.migrate.luigi import operator_arguments, tell_of_place
from airflow_domino.migrate.luigi_line import LuigiLine, NotLuigiError, UnreadableLineError, is_luigi, read_line
from airflow_domino.migrate.text import Text, literal

_TIME = r"[\d*/,\-A-Za-z]+"
_ENTRY = re.compile(rf"\s*(?P<schedule>@\w+|{_TIME}(?:[ \t]+{_TIME}){{4}})[ \t]+(?P<command>\S.*)")
_VARIABLE = re.compile(r"\s*(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*)")
_OF_CRON = frozenset({"PATH", "MAILTO", "MAILFROM", "SHELL", "HOME", "LOGNAME", "USER", "CRON_TZ", "TZ", "BASH_ENV"})
_HEAD = '''\
"""{what} of {name} that ran Luigi."""

from airflow.sdk import DAG

from airflow_domino.operators.luigi import LuigiTaskOperator
'''


@dataclass
class _Line:
    number: int
    schedule: str | None
    command: str


@dataclass
class _Dags:
    """The DAGs that are made, and what is told about them."""

    sources: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    knows_zone: bool = False

    def add(self, line: _Line) -> None:
        """Make the DAG of one line, or say why there is none."""
        text = Text()
        try:
            found = read_line(text.read(literal(line.command)) or "")
        except NotLuigiError:
            return
        except UnreadableLineError as error:
            self._tell(line, Kind.LEFT, f"this Luigi line stays: {text.plain(str(error))}")
            return
        tell_of_place(found, text)
        for note in found.notes:
            self._tell(line, Kind.NOTE, note)
        for left in found.left:
            self._tell(line, Kind.LEFT, left)
        self.sources.append(self._source(line, found, text))

    def _tell(self, line: _Line, kind: Kind, text: str) -> None:
        self.findings.append(Finding(line.number, kind, text))

    def _source(self, line: _Line, found: LuigiLine, text: Text) -> str:
        family = re.sub(r"\W", "_", text.plain(found.task.rpartition(":")[2]))
        name, number = family, 1
        while name in self.names:
            number += 1
            name = f"{family}_{number}"
        self.names.add(name)
        code = cst.Module([]).code_for_node
        arguments = [Argument("task_id", literal(family)), *operator_arguments(found, {}, text)]
        written = "".join(f"        {one.name}={code(one.value)},\n" for one in arguments)
        schedule = code(literal(line.schedule)) if line.schedule else "None"
        return f'with DAG("{name}", schedule={schedule}):\n    LuigiTaskOperator(\n{written}    )\n'


def migrate_lines(source: str, name: str) -> Migration:
    """Make DAGs of the lines of a crontab, or one of a shell script.

    :param source: what is in the file
    :param name: the file's
    """
    dags = _Dags()
    is_crontab = any(_ENTRY.match(line) and is_luigi(line) for line in source.splitlines())
    for line in _entries(source, dags) if is_crontab else [_script(source)]:
        dags.add(line)
    path = PurePath(name)
    adds = str(path.with_name(f"{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}_dags.py"))
    if not dags.sources:
        return Migration("", "", tuple(dags.findings))
    head = _HEAD.format(what="Lines" if is_crontab else "The line", name=path.name)
    return Migration("", "\n".join([head, *dags.sources]), tuple(dags.findings), adds=adds)


def _without_user(command: str) -> str:
    """Take off the name of a user, which stands before the commands of /etc/crontab."""
    user, _, rest = command.partition(" ")
    rest = rest.lstrip()
    is_name = re.fullmatch(r"[a-z_][a-z0-9_-]*", user) is not None
    return rest if is_name and not _is_readable(command) and _is_readable(rest) else command


def _is_readable(command: str) -> bool:
    try:
        read_line(Text().read(literal(command)) or "")
    except (NotLuigiError, UnreadableLineError):
        return False
    return True


def _entries(source: str, dags: _Dags) -> Iterator[_Line]:
    variables = ""
    for number, line in enumerate(source.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if variable := _VARIABLE.fullmatch(line):
            if variable["name"] in ("CRON_TZ", "TZ"):
                dags.findings.append(Finding(number, Kind.LEFT, _OF_ZONES.format(zone=variable["value"])))
                dags.knows_zone = True
            elif variable["name"] not in _OF_CRON:
                variables += f"{variable['name']}={variable['value']} "
        elif (entry := _ENTRY.fullmatch(line)) and is_luigi(entry["command"]):
            if entry["schedule"] == "@reboot":
                dags.findings.append(Finding(number, Kind.LEFT, "this Luigi line stays: Airflow has no @reboot"))
            else:
                if not dags.knows_zone:
                    dags.findings.append(Finding(number, Kind.NOTE, _UTC))
                    dags.knows_zone = True
                command = _without_user(entry["command"].replace("\\%", "%"))
                schedule = entry["schedule"].replace("@annually", "@yearly").replace("@midnight", "@daily")
                yield _Line(number, schedule, f"export {variables}; {command}" if variables else command)


_UTC = "the times of a crontab are those of its machine, and Airflow's are UTC"
_OF_ZONES = (
    'the times are of {zone}, and Airflow\'s are UTC: give schedule=CronTriggerTimetable("…", timezone="{zone}")'
)


def _script(source: str) -> _Line:
    lines = source.splitlines()
    number = next((at for at, line in enumerate(lines, 1) if is_luigi(line) and not line.lstrip().startswith("#")), 1)
    return _Line(number, None, "\n".join(line for line in lines if not line.lstrip().startswith("#")))
