"""``airflow-domino wait``, and files on their way, against the local Domino: what is printed where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_domino import cli, progress

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(
    local_domino, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Runs one sub-command: its exit code, its standard output, its standard error."""
    owner, name = local_domino.project.split("/")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOMINO_API_HOST", local_domino.url)
    monkeypatch.setenv("DOMINO_USER_API_KEY", local_domino.token)
    monkeypatch.setenv("DOMINO_PROJECT_OWNER", owner)
    monkeypatch.setenv("DOMINO_PROJECT_NAME", name)

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = cli.main(arguments)
        said = capfd.readouterr()
        return code, said.out, said.err

    return call


def launch(command: Command, *words: str) -> str:
    return command("run", "--detach", "--tier", "Small", "--", *words)[1].strip()


def test_runs_are_waited_for_and_told_in_a_line_each(command: Command) -> None:
    numbers = [launch(command, "sleep.py", "1"), launch(command, "hello.py")]
    code, out, err = command("wait", *numbers)
    assert code == 0, err
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[:2] for row in rows] == [[number, "Succeeded"] for number in numbers]
    assert all(row[2].endswith(" s") for row in rows)


def test_a_run_that_failed_fails_the_wait_after_all_are_over(command: Command) -> None:
    numbers = [launch(command, "fail.py"), launch(command, "hello.py")]
    code, out, err = command("wait", *numbers)
    assert code == 1
    assert [line.split("\t")[1] for line in out.splitlines()] == ["Failed", "Succeeded"]
    assert f"run {numbers[0]} " in err


def test_a_wait_that_takes_too_long_leaves_the_run_alone(command: Command) -> None:
    number = launch(command, "sleep.py", "60")
    code, out, err = command("wait", number, "--timeout", "0.5")
    assert (code, out) == (1, "")
    assert "http" in err
    command("stop", number)


def test_a_transfer_tells_how_far_it_is_and_prints_what_it_did(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FIRST_LINE", 0.0)
    monkeypatch.setattr(progress, "NEXT_LINE", 0.0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.bin").write_bytes(bytes(600_000))
    (tmp_path / "out" / "b.bin").write_bytes(bytes(400_000))
    code, out, err = command("files", "put", "out", "moved")
    assert (code, len(out.splitlines())) == (0, 2), err
    assert "moved/b.bin: 1.0 of 1.0 MB (100 %)" in err
    code, out, err = command("files", "get", "moved/a.bin", "back.bin")
    assert out == "moved/a.bin -> back.bin (600000 bytes)\n"
    assert "moved/a.bin: 600.0 of 600.0 kB (100 %)" in err
    assert (tmp_path / "back.bin").read_bytes() == bytes(600_000)


def test_a_graph_that_takes_long_to_draw_tells_how_far_it_is(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FIRST_LINE", 0.0)
    (tmp_path / "slow.py").write_text(
        "import time, luigi\n"
        "class Slow(luigi.Task):\n"
        "    n = luigi.IntParameter()\n"
        "    def requires(self):\n"
        "        time.sleep(0.5)\n"
        "        return [Slow(n=self.n - 1)] if self.n else []\n"
    )
    code, out, err = command("luigi", "plan", "slow:Slow", "--param", "n=3", "--output", "plan.json")
    assert (code, out) == (0, "")
    assert "drawing slow:Slow: " in err
    assert "drawn" not in (tmp_path / "plan.json").read_text()
