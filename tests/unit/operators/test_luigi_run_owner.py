"""For whom the Luigi tasks of an Airflow task launch Domino runs: the same over its retries, another after a clear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import set_current_context

from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.luigi.run_owner import OWNER_VARIABLE, RunOwner
from airflow_domino.operators._luigi_run_owner import owner_variables

BEGAN = datetime(2026, 1, 2, tzinfo=UTC)


def context(try_number: int = 1, max_tries: int = 2, began: datetime = BEGAN, **more: Any) -> dict[str, Any]:
    ids = {"dag_id": "report", "run_id": "r1", "task_id": "all", "map_index": -1, **more}
    instance = SimpleNamespace(try_number=try_number, max_tries=max_tries, **ids)
    dag_run = SimpleNamespace(start_date=began, run_after=BEGAN, queued_at=BEGAN, logical_date=BEGAN, clear_number=0)
    return {"ti": instance, "task": SimpleNamespace(retries=2), "dag_run": dag_run}


def told(**about: Any) -> str:
    with set_current_context(context(**about)):
        return owner_variables()[OWNER_VARIABLE]


def test_all_tries_of_a_task_instance_have_one_owner():
    assert told(try_number=1) == told(try_number=2)


@pytest.mark.parametrize("other", [{"max_tries": 3}, {"task_id": "one"}, {"run_id": "r2"}, {"map_index": 4}])
def test_a_cleared_task_and_any_other_task_instance_have_another(other):
    assert told() != told(**other)


def test_the_runs_of_a_deleted_dag_run_of_the_same_name_are_not_taken_up(monkeypatch):
    owners = []
    for began in (BEGAN, BEGAN + timedelta(seconds=1)):
        monkeypatch.setenv(OWNER_VARIABLE, told(began=began))
        owners.append(RunOwner.of_process())
    first, second = owners
    assert first.name == second.name, "the page finds runs by the owner's name"
    assert first.creation_key != second.creation_key


def test_an_engine_that_a_version_before_has_told_its_owner_can_read_it(monkeypatch):
    monkeypatch.setenv(OWNER_VARIABLE, '{"name": "a", "since": "2026-01-02T00:00:00+00:00"}')
    assert RunOwner.of_process().creation_key == ""


def test_nothing_is_told_outside_of_airflows_tasks():
    assert owner_variables() == {}


def test_an_engine_reads_what_it_is_told(monkeypatch):
    monkeypatch.setenv(OWNER_VARIABLE, told())
    owner = RunOwner.of_process()
    assert owner.since is not None
    assert owner.since <= BEGAN
    assert owner.variables() == {OWNER_VARIABLE: told()}


def test_a_process_that_is_told_nothing_is_an_owner_of_its_own(monkeypatch):
    monkeypatch.delenv(OWNER_VARIABLE, raising=False)
    assert RunOwner.of_process().name != RunOwner.of_process().name
    assert RunOwner.of_process().variables() == {}


@pytest.mark.parametrize("text", ["x", "[]", "{}", '{"name": "a", "since": "yesterday"}', '{"name": "a", "since": 1}'])
def test_what_cannot_be_read_is_said(monkeypatch, text):
    monkeypatch.setenv(OWNER_VARIABLE, text)
    with pytest.raises(ConfigurationError, match=OWNER_VARIABLE):
        RunOwner.of_process()
