"""The day of a DAG run is its logical date, or `run_after` where it has none: written so wherever a day is taken."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_domino.operators.domino import DominoRunOperator

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = (".md", ".txt", ".py", ".html", ".yml", ".yaml")
#: A day, or a time, that is made of `run_after` alone, which is now where a DAG is triggered for another day.
BARE = re.compile(
    r"(?<!logical_date or dag_run\.)(?<!data_interval_end or dag_run\.)(?<!logical_date or )\brun_after"
    r"(?:\s*\\?\|\s*(?:ds|ts)|:%|\.(?:date|strftime|isoformat|format|to_\w+|year|month|day)\b)"
)
DAY = "{{ (dag_run.logical_date or dag_run.run_after) | ds }}"


def files() -> list[Path]:
    roots = ("docs", "dags", "airflow_domino", "docker", "tests/e2e/dags", "tests/e2e/life_cycle_dags", "tests/compose")
    found = [path for root in roots for path in (ROOT / root).rglob("*") if path.suffix in WRITTEN]
    return [*found, ROOT / "README.md", ROOT / "llms.txt", ROOT / "AGENTS.md"]


@pytest.mark.parametrize(
    "text",
    [
        "{{ dag_run.run_after | ds }}",
        "{{ dag_run.run_after|ts_nodash }}",
        'f"{dag_run.run_after:%Y-%m-%d}"',
        "dag_run.run_after.date()",
        r"| `{{ dag_run.run_after \| ds }}` |",
    ],
)
def test_a_day_of_run_after_alone_is_recognized(text: str) -> None:
    assert BARE.search(text)


def test_no_day_is_taken_from_run_after_alone() -> None:
    bare = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in files()
        for line in path.read_text().splitlines()
        if BARE.search(line)
    ]
    assert bare == []


NOW, PAST = datetime(2026, 11, 21, 9, tzinfo=UTC), datetime(2026, 11, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("logical_date", "day"), [(PAST, "2026-11-10"), (NOW, "2026-11-21"), (None, "2026-11-21")], ids=str
)
def test_the_day_is_the_logical_date_or_else_that_of_run_after(logical_date: datetime | None, day: str) -> None:
    with DAG("d", schedule=None):
        task = DominoRunOperator(task_id="t", command=["a.py", DAY])
    task.render_template_fields({"dag_run": SimpleNamespace(logical_date=logical_date, run_after=NOW)})
    assert task.command == ["a.py", day]
