"""The command `serve`: its one line, and clear words for what is wrong with its settings."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def serve(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A server that cannot start, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "airflow_domino.local", "--port=0", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environment,
    )


def ready_line(*arguments: str, **environment: str) -> dict[str, Any]:
    """What a server says when it is ready; it is ended again."""
    command = [sys.executable, "-m", "airflow_domino.local", "--port=0", *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOMINO_")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=kept | environment) as process:
        assert process.stdout is not None
        try:
            line: dict[str, Any] = json.loads(process.stdout.readline())
        finally:
            process.terminate()
    return line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--project=nonsense"], "owner/name"),
        (["--project=a/b/c"], "owner/name"),
        (["--project=a/b=/no/such/folder"], "/no/such/folder is not a folder"),
        (["--project=a/b", "--results=somewhere"], "main, isolated"),
        (["--project=a/b", "--results=a/c=isolated"], "there is no project a/c"),
        (["--tiers=/no/such/file.json"], "/no/such/file.json"),
        (["--python=/no/such/python"], "/no/such/python"),
        (["--environment=Other"], "NAME=PYTHON"),
        (["--token=", "--project=a/b"], "the token must be"),
        (["--token=a", "--token-file=b"], "exclude each other"),
        (["--host=203.0.113.7"], "cannot start"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(tmp_path: Path, arguments, reason):
    ended = serve(f"--root={tmp_path / 'root'}", *arguments)
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


def test_a_busy_port_is_told(tmp_path: Path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        ended = serve(f"--root={tmp_path / 'root'}", f"--port={busy.getsockname()[1]}")
    assert ended.returncode == 2
    assert "in use" in ended.stderr


def test_two_servers_do_not_share_a_folder(start_local_domino):
    domino = start_local_domino()
    ended = serve(f"--root={domino.root}")
    assert ended.returncode == 2
    assert str(domino.root) in ended.stderr


def test_an_empty_token_file_is_told(tmp_path: Path):
    (tmp_path / "token").touch()
    ended = serve(f"--root={tmp_path / 'root'}", f"--token-file={tmp_path / 'token'}")
    assert ended.returncode == 2
    assert f"{tmp_path / 'token'} is empty" in ended.stderr


def test_a_missing_package_of_the_extra_is_named(tmp_path: Path):
    (tmp_path / "pygit2.py").write_text("raise ImportError('No module named pygit2')\n")
    ended = serve(f"--root={tmp_path / 'root'}", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 2
    assert "airflow-domino[local]" in ended.stderr


def test_a_token_that_was_given_in_confidence_is_not_said(tmp_path: Path):
    (tmp_path / "secret").write_text("from-a-file\n")
    lines = [
        ready_line(f"--root={tmp_path / 'one'}", f"--token-file={tmp_path / 'secret'}"),
        ready_line(f"--root={tmp_path / 'two'}", DOMINO_LOCAL_TOKEN="from-the-environment"),
    ]
    assert [line.get("token_file") for line in lines] == [str(tmp_path / "secret"), None]
    assert "from-" not in json.dumps(lines)


def test_a_token_of_the_servers_own_is_said(tmp_path: Path):
    line = ready_line(f"--root={tmp_path / 'root'}")
    assert line["token"] == (tmp_path / "root" / "token").read_text().strip()


def test_a_token_on_the_command_line_is_warned_of(tmp_path: Path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        ended = serve(f"--root={tmp_path / 'root'}", f"--port={busy.getsockname()[1]}", "--token=on-the-command-line")
    assert "list of processes" in ended.stderr
    assert "on-the-command-line" not in ended.stderr


def test_what_is_kept_in_an_open_folder_is_closed_to_others(tmp_path: Path):
    root = tmp_path / "open"
    (root / "logs").mkdir(parents=True, mode=0o755)
    root.chmod(0o755)
    ready_line(f"--root={root}", "--project=a/b")
    secret = [path for path in root.iterdir() if path.name != "lock"]
    assert {path.name for path in secret} >= {"state.sqlite", "token", "projects", "logs"}
    assert [path.name for path in secret if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_the_server_says_one_line_and_then_answers(tmp_path: Path, start_local_domino):
    domino = start_local_domino()
    assert domino.request("GET", "/version").ok
    assert domino.stop() == 0
