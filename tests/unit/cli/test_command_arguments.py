"""What the sub-commands make of their arguments."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_domino.cli import build_parser
from airflow_domino.commands import connection, following, luigi, output, run
from airflow_domino.commands.failures import CommandError
from airflow_domino.domino import HardwareTier, Run
from airflow_domino.domino.models import RunStatus


def options(**given: Any) -> argparse.Namespace:
    names = ("conn", "host", "token_file", "api_proxy", "ca_file", "insecure", "project")
    return argparse.Namespace(**(dict.fromkeys(names) | given))


def test_an_argument_wins_over_its_environment_variable() -> None:
    environ = {"DOMINO_API_HOST": "https://old", "DOMINO_USER_HOST": "https://old", "DOMINO_API_PROXY": "localhost:1"}
    chosen = connection.settings(options(host="https://new", token_file="token"), environ)
    assert chosen == {"DOMINO_API_HOST": "https://new", "DOMINO_TOKEN_FILE": "token"}


def test_the_project_comes_from_the_environment_of_a_domino_run() -> None:
    environ = {"DOMINO_PROJECT_OWNER": "domino", "DOMINO_PROJECT_NAME": "luigi-multi-run"}
    assert connection.project_name(options(), environ) == "domino/luigi-multi-run"
    assert connection.project_name(options(project="me/mine"), environ) == "me/mine"


def test_without_a_project_the_message_says_how_to_name_one() -> None:
    with pytest.raises(CommandError, match="--project owner/name"):
        connection.project_name(options(), {"DOMINO_PROJECT_OWNER": "domino"})


class Runs:
    """A client that knows three runs."""

    known = tuple(SimpleNamespace(number=number, id=f"{number:024x}") for number in (3, 2, 1))

    def runs(self, project_id: str) -> Any:
        return iter(self.known)

    def run(self, run_id: str) -> Any:
        return next(known for known in self.known if known.id == run_id)


PROJECT = SimpleNamespace(id="project", full_name="me/mine")


@pytest.mark.parametrize("reference", ["2", "#2", f"{2:024x}"])
def test_a_run_is_found_by_its_number_or_its_id(reference: str) -> None:
    assert connection.run_by_reference(Runs(), PROJECT, reference).number == 2  # type: ignore[arg-type]


def test_a_number_that_no_run_has_is_refused_with_the_project() -> None:
    with pytest.raises(CommandError, match="me/mine has no run 17") as refused:
        connection.run_by_reference(Runs(), PROJECT, "17")  # type: ignore[arg-type]
    assert refused.value.exit_code == 4


def test_an_output_goes_to_the_same_place_or_to_the_one_named() -> None:
    assert run.Output.parse("models/a.zip") == run.Output("models/a.zip", Path("models/a.zip"))
    assert run.Output.parse("models/a.zip=/tmp/b.zip") == run.Output("models/a.zip", Path("/tmp/b.zip"))


@pytest.mark.parametrize("text", ["", "=", "=local", "file="])
def test_an_output_with_half_of_it_missing_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="FILE=LOCAL"):
        run.Output.parse(text)


def test_parameters_keep_everything_after_the_first_equals_sign() -> None:
    assert luigi.parameters(["n=5", "query=a=b", "empty="]) == {"n": "5", "query": "a=b", "empty": ""}


@pytest.mark.parametrize(
    ("texts", "complaint"), [(["n"], "NAME=VALUE"), (["=5"], "NAME=VALUE"), (["n=1", "n=2"], "twice")]
)
def test_malformed_parameters_are_refused(texts: list[str], complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        luigi.parameters(texts)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (None, False),
        ([True], True),
        (["TrainRForest"], ["TrainRForest"]),
        (["TrainRForest,TrainNNet", "ScoreReport"], ["TrainRForest", "TrainNNet", "ScoreReport"]),
    ],
)
def test_force_means_the_task_itself_or_the_families_named(given: Any, meant: Any) -> None:
    assert luigi.families(given) == meant


def test_a_table_for_a_program_is_one_line_a_row_with_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(("Run", "Command"), [(1, "a\tb"), (2, "two\nlines"), (3, None)])
    assert capsys.readouterr().out == "1\ta b\n2\ttwo lines\n3\t\n"


def test_a_table_for_a_person_has_headings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output.show_table(("Run", "Command"), [(1, "[bold]not markup[/bold]")])
    said = capsys.readouterr().out
    assert "Command" in said
    assert "[bold]not markup[/bold]" in said


def test_what_is_unknown_is_left_empty() -> None:
    assert (output.seconds(None), output.cents(None), output.local_time(None)) == ("", "", "")
    assert (output.seconds(1.25), output.cents(1.25)) == ("1.2 s", "$0.01250")


def test_a_connection_that_airflow_does_not_have_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a look into Airflow's database.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "test")
    with pytest.raises(CommandError, match="Airflow has no connection 'domino_nowhere'"):
        connection.make_client(options(conn="domino_nowhere"))


def test_a_connection_cannot_be_mixed_with_other_settings() -> None:
    with pytest.raises(CommandError, match="--conn and --token-file exclude each other"):
        connection.make_client(options(conn="domino_default", token_file="token"))


def test_the_project_of_a_connection_is_used_unless_another_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"conn_type": "domino", "host": "https://domino.invalid", "password": "x", "extra": {"project": "me/mine"}}
    monkeypatch.setenv("AIRFLOW_CONN_DOMINO_MINE", json.dumps(found))
    assert connection.project_name(options(conn="domino_mine"), {}) == "me/mine"
    assert connection.project_name(options(conn="domino_mine", project="me/other"), {}) == "me/other"


@pytest.mark.parametrize(
    ("given", "words", "tier"),
    [
        (["a.py", "--tier", "Small"], ["a.py"], "Small"),
        (["a.py", "x", "--tier=Small"], ["a.py", "x"], "Small"),
        (["--tier", "GPU", "a.py", "--tier", "Small"], ["a.py", "--tier", "Small"], "GPU"),
        (["--", "a.py", "--tier", "Small"], ["a.py", "--tier", "Small"], None),
        (["--title", "t", "a.py", "--workers", "3"], ["a.py", "--workers", "3"], None),
        (["a.py", "--tier"], ["a.py", "--tier"], None),
    ],
)
def test_whose_an_option_is_goes_by_its_place(given: list[str], words: list[str], tier: str | None) -> None:
    parsed = build_parser("run").parse_args(["run", *given], argparse.Namespace(given=["run", *given]))
    assert run.words_and_tier(parsed) == (words, tier)


def test_how_a_run_is_doing_is_told_in_a_line() -> None:
    queued = Run.from_api(
        {
            "id": "1",
            "number": 7,
            "statuses": {"executionStatus": "Queued", "isCompleted": False},
            "stageTime": {"submissionTime": 1_000_000},
            "queuedJobHistoryDetails": {"explanation": "No room."},
        }
    )
    assert following.progress(queued, None, now=1012.5) == "Run 7 · Queued · 12.5 s · No room."
    running = replace(
        queued, status=RunStatus("Running", False), started_at=queued.submitted_at, queue_explanation=None
    )
    tier = HardwareTier("s", "Small", cents_per_minute=6)
    assert following.progress(running, tier, now=1010) == "Run 7 · Running · 10.0 s · $0.01000"
