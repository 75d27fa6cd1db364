"""Every text with which something of ours refuses or fails, read off the source, and held to one standard.

A text says what happened, where, and what to do next. So each has to
 - name something of the user's: a value, an argument, an option, a file, a connection, a route (or be about the one
   thing that there is, such as "the command"),
 - tell a next step, or list what there is to choose from, or link the run,
 - be without the words that only blame or hush.

The texts that nobody reads alone are named below, each with where it is read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "airflow_domino"

# What an operation of the local Domino answers is Domino's word and not ours: like it, short, and without advice.
AS_DOMINO_ANSWERS = re.compile(r"^local/")
ANSWERS = {"BadRequest", "NotFound", "Forbidden", "HTTPException"}

# Raised for the code next to it, which catches it, or for whoever changes this package: nobody else reads them.
NOT_FOR_PEOPLE = {
    "AssertionError",
    "AttributeError",
    "KeyError",
    "KeyboardInterrupt",
    "LookupError",
    "NotImplementedError",
    "RuntimeError",
    "Terminated",
}

# Reasons, read as a part of a longer text; by file, and that text.
REASONS = {
    "commands/following.py: {text}": "the text of a RunError, with the run's link",
    "domino/checkup.py": "the line of `airflow-domino check` about the OpenAPI document",
    "domino/run_list.py: a list of runs was due": "The answer to GET … cannot be read: …",
    "domino/described.py": "the line of `airflow-domino check` about the OpenAPI document",
    "domino/diagnosis.py: The name of": "a Step, which brings its advice along",
    "domino/launch.py: {lost}": "begins with the text of the start that was lost, which tells what to do",
    "domino/lenient.py": "The answer to GET … cannot be read: …",
    "luigi/engine/loading.py: Could not import": "ends with where it was looked for, or with the log",
    "operators/_files.py: the run has no commit": "Domino run … succeeded, but left no file …",
    "local/clock.py": "an answer of the control plane",
    "local/commits.py": "an answer like Domino's",
    "local/control.py": "an answer of the control plane",
    "local/environments.py: revision": "an answer of the control plane, and a refusal of --environment",
    "local/people.py": "--user …: …",
    "local/people_settings.py: --user {text}: {error}": "ends with what a user name is made of",
    "local/platform.py": "an answer like Domino's",
    "local/repository.py": "an answer like Domino's",
    "local/run_files.py": "the reason of a failed run",
    "local/setting_files.py": "…: cannot be read: …; correct the file, or its name",
    "local/simulation.py": "an answer of the control plane, or FILE: …",
    "local/tokens.py: the token must be": "says itself what a token is made of",
    "luigi/spec.py: {task.task_id} would not come back": "ends with the text of the problem",
    "luigi/engine/luigid.py": "a warning that luigid cannot be told, which the pipeline outlives",
    "luigi/engine/reporter.py": "a warning that luigid cannot be told, which the pipeline outlives",
    "migrate/": "the line of `airflow-domino migrate` about what it could not convert",
    "testing/asking.py": "shows what the server said",
    "testing/server.py: the process has no pipe": "for whoever changes this package",
}

# An order begins a clause: "run it again" is a next step, and "the run has ended" is none.
NEXT_STEP = re.compile(
    r"(?:^|[;:.,(?]\s|\b(?:and|both|first|it|or|so)\s)"
    r"(?:add|allow|ask|begin|break|change|check|choose|clear|confirm|connect|copy|correct|define|do|end|exchange|fill|give"
    r"|install|leave|let|look|make|move|name|open|pip|point|provide|push|put|record|reload|remove|renew|return|run|say|see"
    r"|send|set|start|stop|take|try|unset|use|wait|write|yield)\b"
    r"|` (?:lists|shows|starts|tells)\b|its log|the log of\b|: force\b",
    re.IGNORECASE,
)
# Where Airflow goes on by itself, there is nothing to do.
NOTHING_TO_DO = re.compile(r"next attempt|Nothing to do here", re.IGNORECASE)
CHOICES = re.compile(
    r"there are\b|\bit has:|must be one of|must return|expected|Its (?:tasks|parameters):|must be an? |such as", re.I
)
LINK = re.compile(r"\{[^}]*url[^}]*\}", re.IGNORECASE)
SOMETHING_NAMED = re.compile(r"\{|--[a-z]|[A-Z]{2,}_[A-Z]|`|'[^']+'|\b\w+_\w+\b|\[\w+\]")
ABOUT_THE_ONE_THING = re.compile(
    r"host|command|token|project|run|trigger|task|header|content type|git repository|fetching|capacity|list"
    r"|local Domino|branch|page|Airflow",
    re.IGNORECASE,
)
BLAME = re.compile(
    r"\b(invalid|illegal|oops|sorry|please|unexpected error|an error occurred|something went wrong)\b|!", re.I
)


@dataclass(frozen=True)
class Text:
    """One text: where it is, the exception's class, and its words with `{…}` for what is filled in."""

    file: str
    line: int
    kind: str
    words: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.kind}: {self.words}"

    @property
    def is_a_reason(self) -> bool:
        """Whether it is read within another text."""
        return any(f"{self.file}: {self.words}".startswith(begin) or self.file == begin for begin in REASONS)


class _Reader:
    """Reads the texts of one file; names and calls in them are followed within the file."""

    def __init__(self, path: Path) -> None:
        self.file = path.relative_to(PACKAGE).as_posix()
        self.tree = ast.parse(path.read_text("utf-8"))
        self.functions = {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}
        self.values: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self.values.setdefault(node.targets[0].id, []).append(node.value)

    def texts(self) -> Iterator[Text]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                yield from self._of_call(node.exc)
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Call) and _is_error(node.value):
                yield from self._of_call(node.value)

    def _of_call(self, call: ast.Call) -> Iterator[Text]:
        kind = ast.unparse(call.func).rpartition(".")[2]
        if kind.startswith("_"):  # what it returns is read where it is made
            return
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            for words in self._words(argument, 0):
                if " " in re.sub(r"\{[^}]*\}", "", words).strip():
                    yield Text(self.file, call.lineno, kind, " ".join(words.split()))

    def _words(self, node: ast.expr, depth: int) -> list[str]:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return [node.value]
        if isinstance(node, ast.JoinedStr):
            return ["".join(self._part(part, depth) for part in node.values)]
        if isinstance(node, ast.Name) and depth < 3:
            return [words for value in self.values.get(node.id, ()) for words in self._words(value, depth + 1)]
        if isinstance(node, ast.IfExp):
            return [*self._words(node.body, depth), *self._words(node.orelse, depth)]
        if isinstance(node, ast.Call) and depth < 3:
            return self._of_function(node, depth)
        return []

    def _of_function(self, call: ast.Call, depth: int) -> list[str]:
        function = self.functions.get(ast.unparse(call.func).removeprefix("self."))
        returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)] if function else []
        return [words for value in returned if value is not None for words in self._words(value, depth + 1)]

    def _part(self, part: ast.expr, depth: int) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        if not isinstance(part, ast.FormattedValue):
            return ""
        if isinstance(part.value, ast.Name) and part.value.id.lstrip("_").isupper() and depth < 3:
            return " ".join(self._words(part.value, depth + 1)) or f"{{{part.value.id}}}"
        if isinstance(part.value, ast.Name):
            alone = [self._words(value, depth + 1) for value in self.values.get(part.value.id, ()) if depth < 3]
            if alone and alone[0]:
                return alone[0][0]
        return f"{{{ast.unparse(part.value)}}}"


def _is_error(call: ast.Call) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    return name in ("Problem", "CommandError") or (name.endswith("Error") and name[0].isupper())


@cache
def all_texts() -> tuple[Text, ...]:
    """All texts of the package, in their order."""
    found = {text for path in sorted(PACKAGE.rglob("*.py")) for text in _Reader(path).texts()}
    return tuple(sorted(found, key=lambda text: (text.file, text.line, text.words)))


def for_people() -> list[Text]:
    """The texts that a person reads as they are."""
    return [
        text
        for text in all_texts()
        if text.kind not in NOT_FOR_PEOPLE
        and not text.is_a_reason
        and not (AS_DOMINO_ANSWERS.match(text.file) and text.kind in ANSWERS)
    ]


def told(texts: list[Text]) -> str:
    return "\n" + "\n".join(map(str, texts))


def test_the_list_of_texts_is_whole() -> None:
    rooms = {text.file.partition("/")[0] for text in for_people()}
    assert {"domino", "hooks", "operators", "sensors", "triggers", "luigi", "commands", "local", "plugin"} <= rooms
    assert len(for_people()) > 200


def test_each_tells_what_to_do_next() -> None:
    lost = [
        text
        for text in for_people()
        if not any(way.search(text.words) for way in (NEXT_STEP, NOTHING_TO_DO, CHOICES, LINK))
    ]
    assert not lost, told(lost)


def test_each_says_where() -> None:
    nowhere = [
        text
        for text in for_people()
        if not (SOMETHING_NAMED.search(text.words) or ABOUT_THE_ONE_THING.search(text.words))
    ]
    assert not nowhere, told(nowhere)


def test_each_says_what_happened_in_a_sentence() -> None:
    short = [text for text in for_people() if len(re.findall(r"\{[^}]*\}|\w+", text.words)) < 5]
    assert not short, told(short)


def test_none_blames_or_hushes() -> None:
    blaming = [text for text in all_texts() if BLAME.search(re.sub(r"\{[^}]*\}|'[^']*'", "", text.words))]
    assert not blaming, told(blaming)


def test_a_text_about_a_run_that_has_ended_links_it() -> None:
    about_runs = [text for text in for_people() if re.match(r"Domino run #?\{", text.words)]
    assert about_runs
    without = [text for text in about_runs if not LINK.search(text.words)]
    assert not without, told(without)


@pytest.mark.parametrize("begin", sorted(REASONS))
def test_what_is_left_out_is_still_there(begin: str) -> None:
    assert any(f"{text.file}: {text.words}".startswith(begin) or text.file == begin for text in all_texts())
