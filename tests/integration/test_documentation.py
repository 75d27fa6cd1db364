"""Every snippet in README.md and docs/ is run, and every link leads somewhere.

The snippets of a page are run in order, as one reader would: Python in one program, shell commands in one folder beside
a local Domino. A Python snippet whose first line is a comment with a file name is saved there too. A snippet behind
`<!-- run by FILE -->` is not run here, because the test named there does just that.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(
    r"(?:<!-- run by (?P<test>\S+) -->\n)?^```(?P<kind>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
NOT_PROGRAMS = {"text"}


@dataclass(frozen=True)
class Snippet:
    """A fenced piece of a page."""

    kind: str
    code: str
    test: str | None


def snippets(page: Path) -> list[Snippet]:
    """Read the fenced pieces of a page in order."""
    return [Snippet(found["kind"], found["code"], found["test"]) for found in FENCE.finditer(page.read_text())]


def identity(page: Path) -> str:
    return page.name


@pytest.fixture
def reader(local_domino, tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who reads the docs beside a local Domino."""
    owner, name = local_domino.project.split("/")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "DOMINO_"))}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
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


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_the_snippets_of_the_page_run(page: Path, reader: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()
    python = []
    for snippet in snippets(page):
        if snippet.test is not None:
            continue
        if snippet.kind == "python":
            if named := re.match(r"# (\S+\.py)\n", snippet.code):
                (folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
                (folder / named[1]).write_text(snippet.code)
            python.append(snippet.code)
        elif snippet.kind == "bash":
            run(["bash", "-euo", "pipefail", "-c", snippet.code], folder, reader)
        elif snippet.kind == "json":
            json.loads(snippet.code)
        elif snippet.kind == "yaml":
            yaml.safe_load(snippet.code)
        elif snippet.kind == "ini":
            configparser.ConfigParser().read_string(snippet.code)
        else:
            assert snippet.kind in NOT_PROGRAMS, f"nobody runs a snippet of the kind {snippet.kind}"
    if python:
        (folder / "page.py").write_text("\n".join(python))
        run([sys.executable, "page.py"], folder, reader)


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_what_runs_a_snippet_elsewhere_exists(page: Path) -> None:
    for snippet in snippets(page):
        assert snippet.test is None or (ROOT / snippet.test).exists(), snippet.test


@pytest.mark.parametrize("page", PAGES, ids=identity)
def test_the_links_of_the_page_lead_to_files(page: Path) -> None:
    missing = [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()]
    assert not missing


def test_the_pages_build_without_a_warning(reader: dict[str, str], tmp_path: Path) -> None:
    run([sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", str(ROOT / "docs"), str(tmp_path)], tmp_path, reader)
    assert "DominoRunOperator" in (tmp_path / "reference.html").read_text()


@pytest.mark.parametrize("page", ["life-cycle.md", "luigi.md"])
def test_each_promise_names_tests_that_there_are(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text()))
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE)
    }
    assert len(named) > 30
    assert named <= there, sorted(named - there)
