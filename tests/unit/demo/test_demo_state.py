"""The folder of a demo."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.configuration import retrieve_configuration_description

from airflow_domino.demo.airflow_stack import AirflowStack
from airflow_domino.demo.state import StateFolder, StateInUseError

ROOT = Path(__file__).parents[3]
HOLD = "import sys; from pathlib import Path; from airflow_domino.demo.state import StateFolder\n"
HOLD += "with StateFolder(Path(sys.argv[1])): print('taken', flush=True); sys.stdin.read()"


def test_a_second_demo_on_the_same_folder_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "taken\n"
        with pytest.raises(StateInUseError, match=f"process {first.pid}") as refused, StateFolder(tmp_path):
            pass
        assert "--state" in str(refused.value)
        first.kill()


def test_a_folder_is_free_again_when_its_demo_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.kill()
    with StateFolder(tmp_path):
        assert (tmp_path / "demo.lock").read_text() == str(os.getpid())


def test_the_token_is_kept_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as state:
        token = state.token()
        assert state.token() == token
        assert len(token) > 20
        assert stat.S_IMODE(state.token_file.stat().st_mode) == 0o600


def test_an_interrupted_first_start_leaves_no_secret_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> str:
        raise KeyboardInterrupt

    with StateFolder(tmp_path) as state, monkeypatch.context() as patch:
        patch.setattr("secrets.token_hex", interrupted)
        patch.setattr("secrets.token_urlsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            state.token()
        with pytest.raises(KeyboardInterrupt):
            AirflowStack(tmp_path / "home", tmp_path).environment  # noqa: B018
    with StateFolder(tmp_path) as state:
        assert state.token()
        environment = AirflowStack(tmp_path / "home", tmp_path).environment
        assert environment["AIRFLOW__API__SECRET_KEY"]


def test_nobody_else_can_look_into_the_folder(tmp_path: Path) -> None:
    with StateFolder(tmp_path / "state"):
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_no_part_of_airflow_has_only_five_seconds_for_an_answer_on_a_busy_machine(tmp_path: Path) -> None:
    sections = retrieve_configuration_description(include_providers=False)
    options = {(name, key): option for name, section in sections.items() for key, option in section["options"].items()}
    short = [
        names
        for names, option in options.items()
        if "timeout" in names[1] and option["type"] in ("integer", "float") and 0 < _number(option["default"]) <= 5
    ]

    environment = AirflowStack(tmp_path / "home", tmp_path).environment

    assert ("workers", "execution_api_timeout") in short
    given = {(section, key): environment.get(f"AIRFLOW__{section}__{key}".upper(), "") for section, key in short}
    assert given == dict.fromkeys(short, "30")
    assert 'AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT: "30"' in (ROOT / "docker-compose.yml").read_text()


def _number(default: str | None) -> float:
    try:
        return float(default or 0)
    except ValueError:  # a template of Airflow's
        return 0
