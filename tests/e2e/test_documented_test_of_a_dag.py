"""The example of docs/how-to/testing.md that tests a DAG is run as it stands there: its files, and its tests."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "testing.md"
MARK = "<!-- run by tests/e2e/test_documented_test_of_a_dag.py -->\n"
SNIPPET = re.compile(rf"{re.escape(MARK)}```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_documented_test_of_a_dag_passes(airflow, tmp_path: Path) -> None:
    program = ""
    for kind, code in SNIPPET.findall(PAGE.read_text()):
        if kind == "bash":
            program = code
            continue
        name = re.match(r"# (\S+)\n", code)[1]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    assert "airflow db migrate\n" in program
    # The database of the session's Airflow is one that was migrated already, which saves a quarter of a minute.
    (tmp_path / ".airflow").mkdir()
    with (
        closing(sqlite3.connect(airflow.home / "airflow.db")) as there,
        closing(sqlite3.connect(tmp_path / ".airflow" / "airflow.db")) as here,
    ):
        there.backup(here)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DOMINO_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", program.replace("airflow db migrate\n", "")],
        cwd=tmp_path,
        env=kept | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "2 passed" in done.stdout
