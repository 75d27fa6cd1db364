"""What a project requires: which files say it, and how the installing is carried out, stopped and shown."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_domino.local.processes import base_environment
from airflow_domino.local.requirements import Installation, Layers, RequirementsError

PYTHON = Path("/nowhere/python")


class Said:
    """An installation, and everything that it said."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.wake = threading.Event()

    def installation(self) -> Installation:
        environ = base_environment(PYTHON)
        return Installation("r" * 24, environ, lambda _: None, self.lines.extend, self.wake)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def layer(project: Path, said: Said) -> object:
    return Layers(project.parent / "layers").layer(PYTHON, project, project.parent / "own", said.installation())


@pytest.mark.parametrize("text", ["", "\n\n", "# numpy\n  # pandas\n"])
def test_a_file_that_names_nothing_needs_no_layer(project, said, text):
    (project / "requirements.txt").write_text(text)
    assert layer(project, said) is None


def test_a_file_that_leads_to_one_that_is_not_there_is_told(project, said):
    (project / "requirements.txt").write_text("-r more/base.txt\n")
    (project / "more").mkdir()
    (project / "more" / "base.txt").write_text("-c ../gone.txt\n-r ../requirements.txt\n")
    with pytest.raises(RequirementsError, match=r"gone\.txt, which requirements\.txt leads to"):
        layer(project, said)


def test_an_interpreter_that_does_not_work_is_told(project, said):
    (project / "requirements.txt").write_text("numpy\n")
    with pytest.raises(RequirementsError, match="/nowhere/python does not work"):
        layer(project, said)


def test_the_words_of_the_installer_are_shown_without_logins(project, said):
    said.installation().carry_out(["echo", "Looking in https://ada:s3cret@index.example/simple"], project)
    assert said.lines == [b"Looking in https://****@index.example/simple\n"]


def test_an_installer_that_fails_is_told_with_its_exit_code(project, said):
    with pytest.raises(RequirementsError, match="exit code 3"):
        said.installation().carry_out(["sh", "-c", "exit 3"], project)


def test_an_installer_is_ended_when_the_run_is_stopped(project, said):
    threading.Timer(0.1, said.wake.set).start()
    with pytest.raises(RequirementsError, match="was stopped"):
        said.installation().carry_out(["sh", "-c", "sleep 60"], project)
