"""XComs of a task that its trigger ends: as they were meant, whichever way Airflow takes them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_domino.triggers._xcoms import ended_well

TASK_INSTANCE = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=None)
XCOMS = {"return_value": {"run_id": "5f"}}


class Supervisor:
    """Takes what is pushed, or refuses it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.taken: dict[str, Any] = {}

    async def asend(self, message: Any) -> None:
        if self.error is not None:
            raise self.error
        self.taken[message.key] = message.value


def test_they_are_pushed_as_they_are_and_not_with_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    event = asyncio.run(ended_well(TASK_INSTANCE, XCOMS))
    assert supervisor.taken == XCOMS
    assert not event.xcoms


def test_they_come_with_the_event_where_airflow_takes_none_from_the_triggerer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(RuntimeError("no")), raising=False)
    assert asyncio.run(ended_well(TASK_INSTANCE, XCOMS)).xcoms == XCOMS
