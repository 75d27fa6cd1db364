"""Environment variables that runs get, and how their values stay out of logs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_domino.local.database import Database
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.logs import STDOUT, RunLog
from airflow_domino.local.variables import Variables, secret_values


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[Variables]:
    database = Database(tmp_path / "variables.sqlite")
    yield Variables(database)
    database.close()


def test_the_users_variables_win_over_the_projects(variables):
    variables.set("project", {"A": "project", "B": "project"})
    variables.set("user", {"B": "user", "C": "user"})
    assert variables.of_run("project", "user") == {"A": "project", "B": "user", "C": "user"}
    assert variables.of_run("other", "user") == {"B": "user", "C": "user"}


def test_one_variable_or_all_are_deleted(variables):
    variables.set("user", {"A": "1", "B": "2", "C": "3"})
    variables.delete("user", "B")
    assert list(variables.of("user")) == ["A", "C"]
    variables.delete("user")
    assert variables.of("user") == {}


@pytest.mark.parametrize(
    ("name", "value"), [("", "x"), ("1A", "x"), ("A=B", "x"), ("Ä", "x"), ("DOMINO_RUN_ID", "x"), ("A", "a\0b")]
)
def test_what_no_program_could_have_is_refused_without_the_value_in_the_message(variables, name, value):
    with pytest.raises(BadRequest) as refusal:
        variables.set("user", {"GOOD": "1", name: value})
    assert value == "x" or value not in refusal.value.message
    assert variables.of("user") == {}


def test_long_values_are_secrets_and_short_ones_whose_name_says_so():
    values = {
        "PLACE": "Amsterdam",
        "MODE": "fast",
        "API_TOKEN": "1234",
        "KEY": "first line\nsecond line",
        "EMPTY_KEY": "",
    }
    assert secret_values(values) == ["Amsterdam", "1234", "first line", "second line"]


def test_secrets_are_stars_in_the_log_and_in_the_results(tmp_path):
    log = RunLog(tmp_path / "log")
    log.hide(["hunter2", "hunter2-and-more", "a.b"])
    log.write(STDOUT, [b"it is hunter2-and-more, hunter2 and a.b, not axb\n"])
    log.say(STDOUT, "hunter2")
    assert [line.text for line in log.lines()] == ["it is ********, ******** and ********, not axb", "********"]
    assert b"hunter2" not in log.output.read_bytes()


def test_without_secrets_lines_stay_as_they_are(tmp_path):
    log = RunLog(tmp_path / "log")
    log.hide([])
    log.write(STDOUT, [b"plain\n"])
    assert [line.text for line in log.lines()] == ["plain"]
