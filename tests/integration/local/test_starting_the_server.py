"""The command `serve`: its one line, and clear words for what is wrong with its settings."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

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
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


def test_a_busy_port_is_told(tmp_path: Path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        ended = serve(f"--root={tmp_path / 'root'}", f"--port={busy.getsockname()[1]}")
    assert ended.returncode == 1
    assert "in use" in ended.stderr


def test_two_servers_do_not_share_a_folder(start_local_domino):
    domino = start_local_domino()
    ended = serve(f"--root={domino.root}")
    assert ended.returncode == 1
    assert str(domino.root) in ended.stderr


def test_a_missing_package_of_the_extra_is_named(tmp_path: Path):
    (tmp_path / "pygit2.py").write_text("raise ImportError('No module named pygit2')\n")
    ended = serve(f"--root={tmp_path / 'root'}", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 1
    assert "airflow-domino[local]" in ended.stderr


def test_the_server_says_one_line_and_then_answers(tmp_path: Path, start_local_domino):
    domino = start_local_domino()
    assert domino.request("GET", "/version").ok
    assert domino.stop() == 0
