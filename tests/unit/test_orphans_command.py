"""`airflow domino orphans`: what it says to a mistake, and how Airflow comes to know of it."""

from __future__ import annotations

import argparse

import pytest
from airflow.cli.cli_config import GroupCommand

from airflow_domino.airflow_cli import get_cli_commands
from airflow_domino.commands.orphans import orphans
from airflow_domino.provider_info import get_provider_info


@pytest.fixture
def parse():
    """Parse arguments as Airflow's own parser does."""
    (group,) = get_cli_commands()
    assert isinstance(group, GroupCommand)
    (command,) = group.subcommands
    parser = argparse.ArgumentParser()
    for argument in command.args:
        argument.add_to_parser(parser)
    return parser.parse_args


def test_airflow_finds_the_command():
    assert get_provider_info()["cli"] == ["airflow_domino.airflow_cli.get_cli_commands"]
    assert [command.name for command in get_cli_commands()] == ["domino"]


def test_an_unknown_connection_is_one_clear_line(parse):
    with pytest.raises(SystemExit, match=r"airflow domino orphans: .*nowhere"):
        orphans(parse(["--conn-id", "nowhere"]))


@pytest.mark.usefixtures("domino_connection")
def test_an_unknown_project_is_one_clear_line(parse):
    with pytest.raises(SystemExit, match=r"airflow domino orphans: Domino has no project nobody/nothing"):
        orphans(parse(["--project", "nobody/nothing"]))


@pytest.mark.usefixtures("domino_connection")
def test_domino_out_of_reach_is_one_clear_line(parse, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_DOMINO_DEFAULT", "domino://:token@127.0.0.1:9/?project=me%2Fx")
    with pytest.raises(SystemExit, match=r"airflow domino orphans: .*127\.0\.0\.1"):
        orphans(parse(["--project", "me/x"]))
