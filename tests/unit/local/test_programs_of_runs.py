"""Which program a command means, what it inherits, and how its output becomes lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_domino.local.processes import ProgramNotFoundError, base_environment, program_of, pump

PYTHON = Path("/opt/environment/bin/python")


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["a.py", "x"], [str(PYTHON), "a.py", "x"]),
        (["folder/a.py"], [str(PYTHON), "folder/a.py"]),
        (["a.sh", "x"], ["bash", "a.sh", "x"]),
        (["tool", "x"], ["{path}/tool", "x"]),
        (["./here"], ["{folder}/here"]),
    ],
)
def test_the_program_follows_from_the_first_word(tmp_path, words, arguments):
    path, folder = tmp_path / "path", tmp_path / "folder"
    for file in (path / "tool", folder / "here"):
        file.parent.mkdir()
        file.touch(mode=0o755)
    expected = [argument.format(path=path, folder=folder) for argument in arguments]
    found = program_of(words, PYTHON, folder, str(path))
    assert [os.path.normpath(found[0]) if "/" in found[0] else found[0], *found[1:]] == expected


@pytest.mark.parametrize("word", ["nonsense", "./nonsense", "VARIABLE=1", "here", ""])
def test_a_word_that_is_no_program_is_named(tmp_path, word):
    (tmp_path / "here").touch(mode=0o755)
    with pytest.raises(ProgramNotFoundError, match="no such program"):
        program_of([word], PYTHON, tmp_path, "/nowhere")


def test_a_run_inherits_what_programs_need_and_nothing_secret():
    environ = {
        "PATH": "/usr/bin",
        "HOME": "/home/ada",
        "LC_ALL": "C.UTF-8",
        "AIRFLOW__CORE__FERNET_KEY": "secret",
        "DOMINO_LOCAL_TOKEN": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "PYTHONPATH": "/somewhere",
        "NO_PROXY": "example.org",
    }
    environment = base_environment(PYTHON, environ)
    assert environment["PATH"] == "/opt/environment/bin:/usr/bin"
    assert environment["HOME"] == "/home/ada"
    assert environment["LC_ALL"] == "C.UTF-8"
    assert environment["no_proxy"] == "example.org,127.0.0.1,localhost,::1"
    assert "secret" not in environment.values()
    assert "PYTHONPATH" not in environment


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"", []),
        (b"a\nb\n", [b"a\n", b"b\n"]),
        (b"a\nrest", [b"a\n", b"rest"]),
        (b"\n\n", [b"\n", b"\n"]),
        (b"a\rb\r\nc\x0b\n", [b"a\rb\r\n", b"c\x0b\n"]),
        (b"\xff\xfe\n\x00", [b"\xff\xfe\n", b"\x00"]),
    ],
)
def test_output_becomes_lines_without_losing_a_byte(written, lines):
    found: list[bytes] = []
    program = f"import sys; sys.stdout.buffer.write({written!r})"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        pump({"stdout": process.stdout}, lambda name, more: found.extend(more))
    assert found == lines


def test_a_line_without_an_end_is_passed_on_in_pieces():
    found: list[bytes] = []
    program = "import sys; sys.stdout.write('x' * 1_000_000)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        pump({"stdout": process.stdout}, lambda name, more: found.extend(more))
    assert b"".join(found) == b"x" * 1_000_000
    assert max(map(len, found)) <= 1 << 17
