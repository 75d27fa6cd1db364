"""``airflow-domino migrate``: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_domino import cli

OLD = """\
from domino.airflow import DominoOperator

DominoOperator(task_id="t", project="a/b", command=["a.py"], host="https://d", api_key="0123-4567")
"""
NEW = """\
from airflow_domino.operators.domino import DominoRunOperator

DominoRunOperator(task_id="t", project="a/b", command=["a.py"])
"""
LEFT = 'from domino.airflow import DominoOperator\n\nDominoOperator("t", command=["a.py"])\n'


@pytest.fixture
def dag(tmp_path: Path) -> Path:
    path = tmp_path / "dag.py"
    path.write_text(OLD)
    return path


def test_the_difference_is_shown_and_nothing_is_written(dag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["migrate", str(dag)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"--- {dag}\n+++ {dag}\n@@ ")
    assert "+DominoRunOperator(" in shown.out
    assert "0123" not in shown.out + shown.err
    assert "1 of 1 files would be changed; --write does it" in shown.err
    assert "connection domino_default" in shown.err
    assert "https://d " in shown.err
    assert dag.read_text() == OLD


def test_the_example_in_the_docs_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "migrate.md").read_text()
    monkeypatch.chdir(tmp_path)
    Path("nightly.py").write_text(page.partition("<<'EOF'\n")[2].partition("EOF\n")[0])
    cli.main(["migrate", "nightly.py"])
    shown = capsys.readouterr()
    assert shown.out + shown.err == page.partition("```text\n")[2].partition("```")[0]


@pytest.mark.skipif(shutil.which("patch") is None, reason="there is no patch on this machine")
def test_the_difference_is_one_that_patch_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dag = tmp_path / "dag.py"
    dag.write_text(OLD.replace('"0123-4567"', "KEY"))
    cli.main(["migrate", str(dag)])
    subprocess.run(["patch", "-p0", "-s", str(dag)], input=capsys.readouterr().out.encode(), check=True)
    assert dag.read_text() == NEW


def test_written_files_keep_their_mode_and_their_links(dag: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dag.chmod(0o640)
    link = dag.with_name("link.py")
    link.symlink_to(dag)
    assert cli.main(["migrate", "--write", str(link)]) == 0
    assert capsys.readouterr().out == f"{link}\n"
    assert dag.read_text() == NEW
    assert link.is_symlink()
    assert dag.stat().st_mode & 0o777 == 0o640
    assert cli.main(["migrate", "--check", str(link)]) == 0


def test_line_ends_and_encodings_stay(tmp_path: Path) -> None:
    dag = tmp_path / "dag.py"
    dag.write_bytes(("# coding: latin-1\n# Grüße\n" + OLD).replace("\n", "\r\n").encode("latin-1"))
    assert cli.main(["migrate", "--write", str(dag)]) == 0
    assert dag.read_bytes() == ("# coding: latin-1\n# Grüße\n" + NEW).replace("\n", "\r\n").encode("latin-1")


def test_a_check_fails_where_a_file_would_be_changed(dag: Path) -> None:
    assert cli.main(["migrate", "--check", str(dag)]) == 1
    assert dag.read_text() == OLD


def test_what_is_left_is_named_line_by_line_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dag = tmp_path / "dag.py"
    dag.write_text(LEFT)
    assert cli.main(["migrate", "--write", str(dag)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"{dag}:3: by hand: DominoOperator stays: it has arguments without names" in shown.err
    assert "1 place left to be done by hand" in shown.err


def test_a_folder_is_converted_file_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.py", "more/b.py", ".venv/c.py", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(OLD)
    (tmp_path / "old.py").write_text("print 'Python 2'\n")
    assert cli.main(["migrate", "--write", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [str(tmp_path / "a.py"), str(tmp_path / "more" / "b.py")]
    assert f"{tmp_path / 'old.py'}:1: by hand: this is not Python 3" in shown.err
    assert (tmp_path / ".venv" / "c.py").read_text() == OLD


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["migrate", str(tmp_path / "gone.py")]) == 2
    assert f"there is no file {tmp_path / 'gone.py'}" in capsys.readouterr().err


def test_without_libcst_the_extra_is_named(
    dag: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "libcst", None)
    for name in [name for name in sys.modules if name.startswith("airflow_domino.migrate")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("airflow_domino.migrate", raising=False)
    assert cli.main(["migrate", str(dag)]) == 2
    assert "pip install 'airflow-domino[migrate]'" in capsys.readouterr().err
