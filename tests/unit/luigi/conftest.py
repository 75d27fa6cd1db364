"""Luigi projects in a temporary folder, and the engine asked about them in real processes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.luigi.execute import EngineAnswer, EngineProcess, EngineRequest


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder where relative targets are."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def write_module(project: Path) -> Callable[[str, str], Path]:
    """Write a module into the project; ``luigi`` is imported for it."""

    def write(name: str, source: str) -> Path:
        path = project / f"{name}.py"
        path.write_text("import luigi\n" + textwrap.dedent(source))
        return path

    return write


@pytest.fixture
def ask(project: Path, work: Path) -> Callable[..., EngineAnswer]:
    """Ask the engine; the lines that it wrote are in ``ask.lines``."""
    lines: list[str] = []

    def ask_engine(action: Any, task: str, params: dict[str, Any] | None = None, **more: Any) -> EngineAnswer:
        python = more.pop("python", None)
        env = more.pop("env", None)
        request = EngineRequest(action=action, task=task, params=params or {}, project_path=str(project), **more)
        return EngineProcess(request, python=python, working_dir=work, env=env, grace=10).run(lines.append)

    ask_engine.lines = lines  # type: ignore[attr-defined]
    return ask_engine


MADE = """
class Made(luigi.Task):
    def output(self):
        return luigi.LocalTarget(f"{self.task_id}.txt")
    def run(self):
        self.make()
    def make(self):
        with open("ran.txt", "a") as ran:
            ran.write(f"{self.task_family}\\n")
        with self.output().open("w") as file:
            file.write(" ".join(f"{name}={value}" for name, value in self.param_kwargs.items()))
"""


@pytest.fixture
def pipeline(write_module: Callable[[str, str], Path]) -> Callable[[str, str], None]:
    """Write a module whose tasks note in ``ran.txt`` that they ran, and write their parameters into their targets."""

    def write(name: str, source: str) -> None:
        write_module(name, MADE + textwrap.dedent(source))

    return write


@pytest.fixture
def ran(work: Path) -> Callable[[], list[str]]:
    """The families that ran, in this order."""

    def read() -> list[str]:
        path = work / "ran.txt"
        return path.read_text().split() if path.exists() else []

    return read
