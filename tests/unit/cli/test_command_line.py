"""The command line as a whole: what it imports, what it says, how it ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_domino import cli
from airflow_domino.commands.failures import CommandError, explain
from airflow_domino.domino import errors


def test_starting_the_command_imports_none_of_the_heavy_libraries() -> None:
    heavy = ["airflow", "luigi", "requests", "rich", "fastapi", "pygit2"]
    script = (
        f"import sys, airflow_domino.cli as cli; cli.build_parser(); print([m for m in {heavy} if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_help_names_every_sub_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(name in said for name in cli.COMMANDS)
    assert "130  interrupted" in said


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_sub_command_has_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert f"airflow-domino {name}" in capsys.readouterr().out


def test_an_unknown_sub_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["lauch"])
    assert ended.value.code == 2
    assert "invalid choice: 'lauch'" in capsys.readouterr().err


def test_no_sub_command_takes_a_secret_as_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("run", "runs", "logs", "stop", "check"):
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        said = capsys.readouterr().out
        assert "--token-file" in said
        assert "--token " not in said
        assert "--api-key" not in said


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (CommandError("no such thing"), 2),
        (CommandError("it went wrong", 1), 1),
        (errors.ConfigurationError("no host"), 2),
        (errors.DominoUnavailableError("no answer"), 3),
        (errors.LaunchOutcomeUnknownError("answer lost"), 3),
        (errors.UnknownTierError("no tier Huge"), 4),
        (errors.AuthenticationError("who are you"), 4),
        (ModuleNotFoundError("No module named 'pygit2'", name="pygit2"), 2),
        (FileNotFoundError(2, "No such file or directory", "missing.txt"), 2),
    ],
)
def test_an_error_is_explained_with_an_exit_code_of_its_kind(error: Exception, exit_code: int) -> None:
    explanation = explain(error)
    assert explanation is not None
    assert explanation.exit_code == exit_code
    assert explanation.message


def test_a_fault_of_the_program_is_not_explained_away() -> None:
    assert explain(ZeroDivisionError("division by zero")) is None
    assert explain(KeyError("status")) is None
    assert explain(ModuleNotFoundError("No module named 'oops'", name="oops")) is None


def test_a_command_without_a_host_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DOMINO_API_HOST", "DOMINO_USER_HOST", "DOMINO_API_PROXY", "DOMINO_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOMINO_USER_API_KEY", "a-key-to-keep-quiet-about")
    assert cli.main(["runs", "--project", "domino/quick-start"]) == 2
    said = capsys.readouterr()
    assert "DOMINO_API_HOST" in said.err
    assert "Traceback" not in said.err
    assert "a-key-to-keep-quiet-about" not in said.err + said.out
