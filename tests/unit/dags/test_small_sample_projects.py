"""The sample pipelines `run-anyway` and `time-gate` as their author runs them: plain Luigi, no Airflow."""

from __future__ import annotations

import datetime
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECTS = Path(__file__).parents[3] / "dags" / "projects"
UTC = datetime.UTC


def luigi(project: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Luigi's own command in a folder, with a project's modules and a folder for temporary files of its own."""
    environment = os.environ | {"PYTHONPATH": str(PROJECTS / project), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "luigi", *arguments, "--local-scheduler", "--no-lock", "--retcode-missing-data=20"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_run_anyway_runs_each_task_once_in_each_run(tmp_path: Path) -> None:
    for runs in (1, 2):
        ended = luigi("run-anyway", tmp_path, "--module=run_anyway_pipeline", "AnnounceNews")
        assert ended.returncode == 0, ended.stderr
        names = [line.split()[-1] for line in (tmp_path / "run_anyway.txt").read_text().splitlines()]
        assert sorted(names) == sorted(["AnnounceNews", "EmptyCaches", "WarmImages", "WarmSearch"] * runs)
    assert (names[0], names[3]) == ("EmptyCaches", "AnnounceNews")


def moment(hours: int, *, offset: int | None = 0) -> str:
    """A moment so many hours from now, written in the time zone of an offset, or with none."""
    found = datetime.datetime.now(UTC) + datetime.timedelta(hours=hours)
    if offset is None:
        return found.replace(tzinfo=None).isoformat()
    return found.astimezone(datetime.timezone(datetime.timedelta(hours=offset))).isoformat()


@pytest.mark.parametrize("offset", [None, 0, 5, -5])
@pytest.mark.parametrize(("hours", "is_open"), [(-1, True), (1, False)])
def test_the_gate_opens_when_the_clock_is_past_its_moment_in_any_time_zone(
    monkeypatch: pytest.MonkeyPatch, hours: int, offset: int | None, is_open: bool
) -> None:
    monkeypatch.syspath_prepend(PROJECTS / "time-gate")
    gate = importlib.import_module("time_gate_pipeline").ClosingTime(moment(hours, offset=offset))
    assert gate.complete() == is_open


@pytest.mark.parametrize(("hours", "code"), [(-1, 0), (1, 20)])
def test_the_report_is_made_behind_an_open_gate_only(tmp_path: Path, hours: int, code: int) -> None:
    arguments = ["--day=2026-11-21", f"--closing-time={moment(hours)}"]
    ended = luigi("time-gate", tmp_path, "--module=time_gate_pipeline", "OrderReport", *arguments)
    assert ended.returncode == code, ended.stderr
    assert (tmp_path / "time_gate" / "orders_2026-11-21.txt").is_file()
    assert (tmp_path / "time_gate" / "report_2026-11-21.txt").is_file() == (code == 0)
