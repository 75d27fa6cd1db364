"""A credential that soon expires is told of in the log of a task that launches a run, wherever it does so."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from unittest.mock import MagicMock

import pytest

from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.triggers.launch import DominoLaunchTrigger


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


@pytest.fixture
def noted(domino_connection):
    """Notes in the connection when its credential expires."""

    def note(days):
        domino_connection(extra={"project": "domino/quick-start", "expires_on": in_days(days)})

    return note


def warnings(log: MagicMock) -> list[str]:
    said = (call.args[0] % call.args[1:] for call in log.warning.call_args_list)
    return [sentence for sentence in said if "credential" in sentence]


def on_a_worker(monkeypatch, task_context) -> list[str]:
    log = MagicMock()
    monkeypatch.setattr(DominoRunOperator, "log", log)
    task = DominoRunOperator(task_id="forest", command="main.py", deferrable=False, poll_interval=0.1, log_run=False)
    task.execute(task_context())
    return warnings(log)


def in_a_triggerer(monkeypatch, task_context) -> list[str]:
    log = MagicMock()
    monkeypatch.setattr(DominoLaunchTrigger, "log", log)
    trigger = DominoLaunchTrigger(
        command="main.py", domino_conn_id="domino_default", poll_interval=0.1, log_run=False, ends_task=True
    )
    context = task_context()
    trigger.task_instance = context["ti"]
    trigger.task_instance.get_template_context = lambda: context

    async def to_its_event():
        async with asyncio.timeout(20):
            async for _ in trigger.run():
                break
        await trigger.cleanup()

    asyncio.run(to_its_event())
    return warnings(log)


@pytest.mark.parametrize("launch", [on_a_worker, in_a_triggerer])
def test_it_is_told_once_at_the_launch(launch, noted, fake_domino, monkeypatch, task_context):
    noted(5)
    (warning,) = launch(monkeypatch, task_context)
    assert warning.startswith(f"The credential of the connection 'domino_default' expires on {in_days(5)}")
    assert "make a new one in Domino before that" in warning


@pytest.mark.parametrize("launch", [on_a_worker, in_a_triggerer])
def test_one_that_lives_long_is_not_spoken_of(launch, noted, fake_domino, monkeypatch, task_context):
    noted(50)
    assert launch(monkeypatch, task_context) == []


def test_how_long_before_is_a_setting(noted, fake_domino, monkeypatch, task_context):
    noted(50)
    monkeypatch.setenv("AIRFLOW__DOMINO__EXPIRY_WARNING_DAYS", "60")
    assert len(on_a_worker(monkeypatch, task_context)) == 1
