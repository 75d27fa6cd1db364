"""A shell line that runs Luigi, read into what a LuigiTaskOperator is asked.

Knows nothing of Python source: what a shell does not see of a line (templates, expressions of an f-string) stands in it
as single characters of Unicode's private use area, and comes out in the values where it went in.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

DEFAULT_PORT = "8082"

# The program of a command, a module of Python, or options that Luigi alone has.
_IS_LUIGI = re.compile(
    r"(?:^|[;&|(\n'\"]|\b(?:exec|nohup|time|env)\s|\w=\S*\s)\s*(?:\S*/)?luigi(?=\s|$)"
    r"|-m\s+luigi\b|--(?:local-scheduler|scheduler-(?:host|url))\b"
)
_OPERATORS = frozenset({"&&", "||", "|", ";", "&", ">", ">>", "<", ">&", "&>", "(", ")", "|&", "<<"})
_REDIRECTIONS = frozenset({">", ">>", ">&", "&>"})
_PREFIXES = frozenset({"exec", "nohup", "env", "time"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PYTHON = re.compile(r"python(\d(\.\d+)?)?")
# Without a meaning where Airflow schedules, logs and counts failures.
_POINTLESS = frozenset(
    {
        *("local-scheduler", "no-lock", "lock-size", "lock-pid-dir", "take-lock", "log-level"),
        *("parallel-scheduling", "parallel-scheduling-processes", "logging-conf-file", "no-configure-logging"),
    }
)
_FLAGS = frozenset(
    {"local-scheduler", "no-lock", "take-lock", "parallel-scheduling", "assistant", "help", "help-all"}
    | {"no-configure-logging"}
)
_SCHEDULER = frozenset({"scheduler-host", "scheduler-port", "scheduler-url"})
_SECTIONS = ("worker-", "scheduler-", "core-", "execution-summary-", "logging-", "email-", "batch-notifier-", "smtp-")


class NotLuigiError(Exception):
    """The line does not run Luigi at all."""


class UnreadableLineError(Exception):
    """The line runs Luigi in a way that has no counterpart; the text says which, and what to do."""


@dataclass
class LuigiLine:
    """What a line asks of Luigi.

    :param task: ``module:Family``
    :param params: values of its parameters, in Luigi's own text form
    :param python: interpreter, where the line names one by its path
    :param notes: what is different afterwards
    :param left: what has to be done by hand beside
    """

    task: str = ""
    params: dict[str, str] = field(default_factory=dict)
    workers: str | None = None
    scheduler_url: str | None = None
    project_path: str | None = None
    working_dir: str | None = None
    python: str | None = None
    config: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def is_luigi(text: str) -> bool:
    """Say whether a line seems to run Luigi."""
    return _IS_LUIGI.search(text) is not None


def read_line(text: str, working_dir: str | None = None) -> LuigiLine:
    """Read a line of shell.

    :param working_dir: where the shell begins
    :raises NotLuigiError: it does not run Luigi
    :raises UnreadableLineError: it does, in a way that cannot be written as a LuigiTaskOperator
    """
    if not is_luigi(text):
        raise NotLuigiError
    found = LuigiLine(working_dir=working_dir)
    *before, words = _commands(_one_line(text), found)
    for command in before:
        _prepare(command, found)
    arguments, module = _program(_without_prefix(words, found), found)
    _Arguments(found, module).read(arguments)
    _place(found)
    return found


def _one_line(text: str) -> str:
    """Join continued lines, part the others by ``;``, and refuse what only a shell can fill in."""
    joined = text.strip().replace("\\\n", " ")
    written: list[str] = []
    quote = ""
    for at, character in enumerate(joined):
        if character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif quote != "'" and character in "$`" and joined[at - 1 : at] != "\\":
            raise UnreadableLineError(
                f"the shell fills in {_word_at(joined, at)!r}; write the value itself, a template such as {{{{ ds }}}} "
                "or an f-string"
            )
        if character == ">" and not quote and "".join(written[-2:]) in (" 1", " 2"):
            written.pop()  # the number of what is sent elsewhere, and no word
        written.append(" ; " if character == "\n" and not quote else character)
    return "".join(written)


def _word_at(text: str, at: int) -> str:
    found = re.match(r"\$\([^)]*\)|\$\{[^}]*\}|`[^`]*`|\$\w+|.", text[at:])
    return found[0] if found else text[at]


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise UnreadableLineError(f"a shell would not read it either ({error})") from None


def _commands(text: str, found: LuigiLine) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    rest = iter(_unwrapped(_words(text)))
    for word in rest:
        if word in ("&&", ";"):
            commands.append([])
        elif word in _REDIRECTIONS:
            _redirect(next(rest, ""), found)
        elif word == "|" and (copy := _copied_to(rest)) is not None:
            _redirect(copy, found)
        elif word in _OPERATORS:
            raise UnreadableLineError(
                f"it does something with {word!r} beside running Luigi; make that a task of its own"
            )
        else:
            commands[-1].append(word)
    return _with_luigi_last([command for command in commands if command])


def _copied_to(rest: Iterator[str]) -> str | None:
    """Read ``tee FILE``, the last words of a line; None where something else follows."""
    words = [word for word in rest if word != "-a"]
    return words[1] if len(words) == 2 and words[0] == "tee" else None


def _unwrapped(words: list[str]) -> list[str]:
    """Take the line out of ``bash -c 'line'``."""
    if len(words) == 3 and words[0] in ("bash", "sh", "/bin/bash", "/bin/sh") and re.fullmatch(r"-[a-z]*c", words[1]):
        return _words(_one_line(words[2]))
    return words


def _redirect(target: str, found: LuigiLine) -> None:
    if not target.isdigit():
        found.notes.append(f"what Luigi prints is in the task's log, no longer in {target}")


def _with_luigi_last(commands: list[list[str]]) -> list[list[str]]:
    running = [at for at, command in enumerate(commands) if _runs_luigi(command)]
    if not running:
        raise NotLuigiError
    if len(running) > 1:
        raise UnreadableLineError(f"it runs Luigi {len(running)} times; make each a task of its own")
    after = commands[running[0] + 1 :]
    if after:
        raise UnreadableLineError(f"it goes on with `{shlex.join(after[0])}`; make that a task of its own")
    return commands


def _runs_luigi(command: list[str]) -> bool:
    words = [word for word in command if not _VARIABLE.match(word) and word not in _PREFIXES]
    return bool(words) and (PurePosixPath(words[0]).name == "luigi" or is_luigi(" ".join(words[1:])))


def _prepare(command: list[str], found: LuigiLine) -> None:
    """Take in what is done before Luigi is run."""
    if command[0] == "cd" and len(command) == 2:
        _go_to(command[1], found)
    elif command[0] in ("source", ".") and len(command) == 2 and command[1].endswith("/bin/activate"):
        found.python = f"{command[1].removesuffix('activate')}python"
    elif command[0] == "export" and all(_VARIABLE.match(word) for word in command[1:]):
        for word in command[1:]:
            _set_variable(word, found)
    elif all(_VARIABLE.match(word) for word in command):
        for word in command:
            _set_variable(word, found)
    elif command[0] != "set":
        raise UnreadableLineError(f"it begins with `{shlex.join(command)}`; make that a task of its own")


def _go_to(folder: str, found: LuigiLine) -> None:
    if not _is_absolute(folder) and found.working_dir is None:
        raise UnreadableLineError(f"it goes to the relative folder {folder!r}; write its absolute path")
    found.working_dir = _below(found.working_dir, folder)


def _set_variable(assignment: str, found: LuigiLine) -> None:
    name, _, value = assignment.partition("=")
    if name == "LUIGI_CONFIG_PATH":
        found.config = value
    elif name == "PYTHONPATH" and ":" not in value.strip(":"):
        found.project_path = value.strip(":")
    else:
        found.env[name] = value


def _without_prefix(words: list[str], found: LuigiLine) -> list[str]:
    while words and (words[0] in _PREFIXES or _VARIABLE.match(words[0])):
        if _VARIABLE.match(words[0]):
            _set_variable(words[0], found)
        words = words[1:]
    if not words:
        raise UnreadableLineError("it sets variables and runs nothing")
    return words


def _program(words: list[str], found: LuigiLine) -> tuple[list[str], str | None]:
    """Part the program from its arguments; also say which module a script is."""
    program, rest = words[0], words[1:]
    name = PurePosixPath(program).name
    if name == "luigi":
        if "/" in program:
            found.python = f"{program.removesuffix('luigi')}python"
        return rest, None
    if not _PYTHON.fullmatch(name):
        raise UnreadableLineError(
            f"Luigi is run by `{name}`; name the interpreter that has the pipeline's packages with python="
        )
    if "/" in program:
        found.python = program
    rest = [word for at, word in enumerate(rest) if not (word in ("-u", "-O", "-B") and at == 0)]
    if rest[:2] == ["-m", "luigi"]:
        if found.project_path is None:
            found.project_path = found.working_dir  # `python -m` puts the working directory on the import path
        return rest[2:], None
    if rest[:1] == ["-m"] and len(rest) > 1:
        return rest[2:], rest[1]
    if rest and rest[0].endswith(".py"):
        return rest[1:], _script(rest[0], found)
    raise UnreadableLineError(f"it is not clear which task `{shlex.join(words)}` runs")


def _script(path: str, found: LuigiLine) -> str:
    script = PurePosixPath(path)
    folder = str(script.parent)
    if _is_absolute(folder):
        found.project_path = folder
    elif found.working_dir is not None:
        found.project_path = _below(found.working_dir, folder)
    elif folder != ".":
        raise UnreadableLineError(f"it runs the relative path {path!r}; write its absolute path")
    if not script.stem.isidentifier():
        raise UnreadableLineError(f"{script.name} cannot be imported under this name; rename it to a Python identifier")
    return script.stem


def _below(folder: str | None, path: str) -> str:
    return str(PurePosixPath(path if _is_absolute(path) else f"{folder}/{path}"))


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or _is_hole(path[:1])


def _is_hole(character: str) -> bool:
    return "\ue000" <= character <= "\uf8ff"


def _place(found: LuigiLine) -> None:
    """Decide where the pipeline's modules and its relative targets are; one folder for both is the project's."""
    if found.project_path is not None and not _is_absolute(found.project_path):
        base = found.working_dir
        found.project_path = None if base is None else _below(base, found.project_path)
    if found.project_path in (None, found.working_dir):
        found.project_path, found.working_dir = found.working_dir, None


class _Arguments:
    """Reads what follows the program.

    :param found: what is filled in
    :param module: that of a script which runs Luigi itself
    """

    def __init__(self, found: LuigiLine, module: str | None) -> None:
        self._found = found
        self._module = module
        self._family: str | None = None
        self._parameters: list[tuple[str, str]] = []
        self._scheduler: dict[str, str] = {}

    def read(self, words: Sequence[str]) -> None:
        """Read all arguments."""
        waiting = list(words)
        while waiting:
            word = waiting.pop(0)
            if not word.startswith("--"):
                self._positional(word)
                continue
            name, equals, value = word.removeprefix("--").partition("=")
            name = name.replace("_", "-") if name.islower() else name
            is_bare = not equals and (name in _FLAGS or not waiting or waiting[0].startswith("--"))
            if not equals and not is_bare:
                value = waiting.pop(0)
            self._option(name, "true" if is_bare else value)
        self._finish()

    def _positional(self, word: str) -> None:
        if word.startswith("-"):
            raise UnreadableLineError(f"Luigi knows no option {word}")
        if self._family is not None:
            raise UnreadableLineError(f"it names two tasks, {self._family} and {word}; make each a task of its own")
        self._family = word

    def _option(self, name: str, value: str) -> None:
        if name == "module":
            self._module = value
        elif name == "workers":
            self._found.workers = value
        elif name in _SCHEDULER:
            self._scheduler[name] = value
        elif name in ("help", "help-all", "assistant"):
            raise UnreadableLineError(f"--{name} makes no task")
        elif name.startswith(_SECTIONS):
            self._setting(name, value)
        elif name not in _POINTLESS and not name.startswith("retcode-"):
            self._parameters.append((name, value))

    def _setting(self, name: str, value: str) -> None:
        section = next(one for one in _SECTIONS if name.startswith(one))
        setting = name.removeprefix(section).replace("-", "_")
        self._found.left.append(
            f"--{name} is a setting of Luigi itself: write `{setting} = {value}` below "
            f"[{section[:-1].replace('-', '_')}] in the luigi.cfg that config= names"
        )

    def _finish(self) -> None:
        if self._family is None or self._module is None:
            missing = "no task" if self._family is None else "no --module"
            raise UnreadableLineError(f"it names {missing}; a LuigiTaskOperator needs task='module:Family'")
        self._found.task = f"{self._module}:{self._family}"
        for name, value in self._parameters:
            self._found.params[self._own_name(name).replace("-", "_")] = value
        if url := self._scheduler.get("scheduler-url"):
            self._found.scheduler_url = url
        elif host := self._scheduler.get("scheduler-host"):
            self._found.scheduler_url = f"http://{host}:{self._scheduler.get('scheduler-port', DEFAULT_PORT)}"

    def _own_name(self, option: str) -> str:
        """Take the family off ``--Family-parameter``."""
        family, dash, name = option.partition("-")
        if not dash or family.islower():
            return option
        if family != self._family:
            raise UnreadableLineError(
                f"--{option} sets a parameter of another task than the one that is run; write it into the luigi.cfg "
                f"that config= names: {name.replace('-', '_')} below [{family}]"
            )
        return name
