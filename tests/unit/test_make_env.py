"""The secrets of the compose deployment are made on the spot, each different, for their owner's eyes."""

from __future__ import annotations

import json
import runpy
import stat
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE_ENV = runpy.run_path(str(ROOT / "docker" / "make_env.py"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".env.example").write_text((ROOT / ".env.example").read_text())
    return tmp_path


def values(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_empty_value_gets_a_secret_of_its_own(folder):
    assert MAKE_ENV["main"](folder) == 0

    secrets = [value for name, value in values(folder).items() if name.endswith(("PASSWORD", "KEY", "SECRET", "TOKEN"))]
    assert len(set(secrets)) == len(secrets) >= 6
    assert all(len(secret) > 30 for secret in secrets)


def test_the_connection_gets_the_token_of_the_local_domino(folder):
    MAKE_ENV["main"](folder)

    written = values(folder)
    connection = json.loads(written["AIRFLOW_CONN_DOMINO_DEFAULT"].strip("'"))
    assert connection["password"] == written["LOCAL_DOMINO_TOKEN"]


def test_the_file_is_for_its_owner_alone(folder):
    MAKE_ENV["main"](folder)

    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600


def test_a_file_that_is_there_is_left_as_it_is(folder, capsys):
    (folder / ".env").write_text("POSTGRES_PASSWORD=mine\n")

    assert MAKE_ENV["main"](folder) == 1
    assert (folder / ".env").read_text() == "POSTGRES_PASSWORD=mine\n"
    assert "delete it" in capsys.readouterr().err
