"""Every snippet of README.md, llms.txt and docs/ is run, every link leads somewhere, and the site asks nobody outside.

The snippets of a page are run in order, as one reader would: Python in one program, `bash` in one folder beside a local
Domino. A Python snippet whose first line is a comment with a file name is saved there too. `shell` is for commands that
change the reader's machine: they are not carried out, but each must be one that its program understands. A snippet
behind `<!-- run by FILE -->` is run by that test instead; `<!-- not run: REASON -->` is for what can be tried nowhere.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from airflow_domino.cli import COMMANDS
from airflow_domino.provider_info import get_provider_info

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "llms.txt", *sorted(DOCS.glob("**/*.md"))]
RUNNER = Path(__file__).with_name("documentation_runner.py")
FENCE = re.compile(r"\s*(?P<fence>`{3,}|~{3,})(?P<kind>.*)")
RUN_ELSEWHERE = re.compile(r"<!-- run by (\S+) -->")
NOT_RUN = re.compile(r"<!-- not run: .{10,} -->")
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#{1,4} (.+)$", re.MULTILINE)
SITE_DIRECTIVES = {"{toctree}", "{eval-rst}"}
# A `text` is what somebody reads, not what somebody types.
TYPED = {"pip", "airflow", "airflow-domino", "docker", "helm", "kubectl", "make", "python", "python3", "pytest", "git"}
TYPED |= {"export", "source", "cd", "curl", "luigi", "uv", "$", "apt-get"}


def read_text(code: str) -> None:
    typed = [line for line in code.splitlines() if line.split(" ")[0] in TYPED]
    assert not typed, f"this is typed, so its kind is bash or shell: {typed}"


READ: dict[str, Callable[[str], Any]] = {
    "text": read_text,
    "json": json.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "ini": lambda text: configparser.ConfigParser().read_string(text),
    "toml": tomllib.loads,
}


@dataclass(frozen=True)
class Snippet:
    """A fenced piece of a page.

    :param mark: the line before it.
    """

    kind: str
    code: str
    mark: str

    @property
    def is_run_here(self) -> bool:
        return not (RUN_ELSEWHERE.fullmatch(self.mark) or NOT_RUN.fullmatch(self.mark))


def snippets(page: Path) -> Iterator[Snippet]:
    """Read the fenced pieces of a page in order; whatever looks like a fence is one."""
    lines = page.read_text().splitlines()
    opened: re.Match[str] | None = None
    first = 0
    for number, line in enumerate(lines):
        found = FENCE.fullmatch(line)
        if opened is None:
            opened, first = found, number
        elif found and found["fence"].startswith(opened["fence"]) and not found["kind"].strip():
            code = dedent("".join(f"{one}\n" for one in lines[first + 1 : number]))
            yield Snippet(opened["kind"].strip(), code, lines[first - 1].strip() if first else "")
            opened = None
    assert opened is None, f"{page.name}: the fence in line {first + 1} has no end"


def identity(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def reader(local_domino, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of somebody who reads the docs beside a local Domino."""
    owner, name = local_domino.project.split("/")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "DOMINO_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "DOMINO_API_HOST": local_domino.url,
        "DOMINO_USER_API_KEY": local_domino.token,
        "DOMINO_PROJECT_OWNER": owner,
        "DOMINO_PROJECT_NAME": name,
        "REPOSITORY": str(ROOT),
    }


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, f"{command[-1]}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"


@pytest.fixture(scope="module")
def order(reader: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., None]]:
    """Has something done by `documentation_runner.py`, and fails unless it goes well."""
    output = tmp_path_factory.mktemp("order") / "output.txt"
    errors = (output.parent / "runner.txt").open("w+")
    with subprocess.Popen(
        [sys.executable, str(RUNNER)],
        env=reader,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    ) as runner:
        assert runner.stdin
        assert runner.stdout

        def give(folder: Path, **what: str | Sequence[str]) -> None:
            runner.stdin.write(json.dumps({"folder": str(folder), "output": str(output), **what}) + "\n")
            runner.stdin.flush()
            answer = runner.stdout.readline()
            assert answer, f"the runner has ended\n{Path(errors.name).read_text()}"
            assert int(answer) == 0, f"{what}\n{output.read_text()}"

        yield give
        runner.stdin.close()
    errors.close()


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_the_snippets_of_the_page_run(
    page: Path, reader: dict[str, str], order: Callable[..., None], tmp_path: Path
) -> None:
    python = []
    for snippet in snippets(page):
        if not snippet.is_run_here:
            continue
        if snippet.kind == "python":
            keep(snippet.code, tmp_path)
            python.append(snippet.code)
        elif snippet.kind == "bash":
            run(["bash", "-euo", "pipefail", "-c", snippet.code], tmp_path, reader)
        elif snippet.kind == "shell":
            for command in commands(snippet.code):
                check_command(command, lambda words: order(tmp_path, command=words))
        elif snippet.kind in READ:
            READ[snippet.kind](snippet.code)
        else:
            assert snippet.kind in SITE_DIRECTIVES, f"nobody runs a snippet of the kind {snippet.kind!r}"
    if python:
        (tmp_path / "page.py").write_text("\n".join(python))
        order(tmp_path, program="page.py")


def keep(code: str, folder: Path) -> None:
    """Save a snippet that begins with the name of a file."""
    if named := re.match(r"# (\S+\.py)\n", code):
        (folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
        (folder / named[1]).write_text(code)


def commands(code: str) -> Iterator[list[str]]:
    """Read the command lines of a snippet, without comments and without variables that are set before a command."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"\w+=.*", words[0], re.DOTALL):
            words.pop(0)
        if words:
            yield words


def check_command(words: list[str], let_parse: Callable[[list[str]], None]) -> None:
    """See whether the program of a command line understands it."""
    match words:
        case ["airflow" | "airflow-domino", *_]:
            let_parse(words)
        case ["pip", "install", *packages]:
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            for package in packages:
                found = re.fullmatch(r"(?:airflow-domino|\.)(?:\[([\w,]+)\])?", package)
                assert found, f"not our package: {package}"
                assert set((found[1] or "local").split(",")) <= set(extras), package
        case ["make", target, *_]:
            assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
        case ["docker", "compose", *choices]:
            profiles = re.findall(r"profiles: \[(\w+)\]", (ROOT / "docker-compose.yml").read_text())
            assert {choices[at + 1] for at, word in enumerate(choices) if word == "--profile"} <= set(profiles)
            assert {"up", "down", "ps", "logs", "exec", "build"} & set(choices), words
        case ["source" | "export" | "cd", _, *_]:
            pass
        case _:
            pytest.fail(f"nothing knows whether this works: {shlex.join(words)}")


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_what_runs_a_snippet_elsewhere_exists(page: Path) -> None:
    text = page.read_text()
    marks = [line for line in text.splitlines() if re.match(r"\s*<!-- (run by|not run)", line)]
    before = [snippet.mark for snippet in snippets(page) if not snippet.is_run_here]
    assert [mark.strip() for mark in marks] == before, "a mark stands right before the snippet that it is for"
    named = {found[1] for mark in before if (found := RUN_ELSEWHERE.fullmatch(mark))}
    assert [name for name in named if not (ROOT / name).exists()] == []


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and the site give the headings of a page."""
    prose = re.sub(r"^(```+).*?^\1$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", title) for title in HEADING.findall(prose)]
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_the_links_of_the_page_lead_to_files_and_headings(page: Path) -> None:
    missing = []
    for path, anchor in LINK.findall(page.read_text()):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            missing.append(f"{path}#{anchor}")
    assert not missing


@pytest.fixture(scope="module")
def site(reader: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as a site, built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    run([sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(DOCS), str(folder)], folder, reader)
    return folder


def test_the_pages_build_without_a_warning(site: Path) -> None:
    assert "DominoRunOperator" in (site / "reference.html").read_text()


def test_the_site_asks_nobody_outside(site: Path) -> None:
    loads = re.compile(
        r"""<(?:script|img|iframe|source|link(?![^>]*rel="(?:canonical|search|index|next|prev)"))[^>]*"""
        r"""(?:src|href)="(?:https?:)?//[^"]*"|url\(["']?(?:https?:)?//[^)]*|@import[^;]*//[^;]*"""
    )
    asked = {
        found[0]
        for path in site.rglob("*")
        if path.suffix in (".html", ".css")
        for found in loads.finditer(path.read_text())
    }
    assert not asked


def test_the_reference_names_each_option_and_each_command() -> None:
    text = (DOCS / "reference.md").read_text()
    options = get_provider_info()["config"]["domino"]["options"]
    assert [name for name in options if f"| `{name}` |" not in text] == []
    assert [name for name in COMMANDS if not re.search(rf"^\|.*`{name}\b", text, re.MULTILINE)] == []


@pytest.mark.parametrize("page", ["life-cycle.md", "luigi.md"])
def test_each_promise_names_tests_that_there_are(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / page).read_text()))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }
    assert len(named) > 30
    assert named <= there, sorted(named - there)
