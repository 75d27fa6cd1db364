"""The listener that stops the run of a task which was marked where no trigger saw it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from airflow.plugins_manager import AirflowPlugin

from airflow_domino import listener
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.plugin.domino import DominoPlugin

pytestmark = pytest.mark.usefixtures("domino_connection")


@pytest.fixture
def deferred(fake_domino):
    """A task instance as the api-server holds it, waiting for a run that goes on."""
    fake_domino.leave_running()
    run_id = fake_domino.start({"commandToRun": "main.py"})["id"]
    run = RunHandle(run_id, "https://domino/run", "domino/quick-start", "p1").to_dict()
    waiting = {"run": run, "stop_with": "domino_default"}
    return SimpleNamespace(next_method="execute_complete", next_kwargs=waiting)


@pytest.fixture(autouse=True)
def stops(monkeypatch):
    """Carry a stop out at once."""
    monkeypatch.setattr(listener, "_submit", asyncio.run)
    monkeypatch.setattr(listener, "TRIGGER_SECONDS", 0.0)


def fail(task_instance):
    listener.on_task_instance_failed(previous_state=None, task_instance=task_instance, error="set manually")


def test_a_waiting_task_that_is_marked_failed_stops_its_run(deferred, fake_domino):
    fail(deferred)
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_waiting_task_that_is_marked_successful_stops_its_run(deferred, fake_domino):
    listener.on_task_instance_success(previous_state=None, task_instance=deferred)
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_run_that_is_over_keeps_its_end(deferred, fake_domino):
    fake_domino.end(fake_domino.last["id"], "Succeeded")
    fail(deferred)
    assert fake_domino.last["statuses"]["executionStatus"] == "Succeeded"


def test_a_task_that_leaves_its_run_alone_when_killed_is_respected(deferred, fake_domino):
    deferred.next_kwargs["stop_with"] = None
    fail(deferred)
    assert fake_domino.stops == []


@pytest.mark.parametrize(("told", "keeps"), [({}, True), ({"keep_results": False}, False)])
def test_what_a_stopped_run_wrote_is_kept_or_not_as_its_task_wants_it(deferred, fake_domino, told, keeps):
    deferred.next_kwargs |= told
    fail(deferred)
    assert fake_domino.kept == [keeps]


@pytest.mark.parametrize(
    "task_instance",
    [
        SimpleNamespace(task_id="a worker's own"),
        SimpleNamespace(next_method=None, next_kwargs=None),
        SimpleNamespace(next_method="execute_complete", next_kwargs=None),
        SimpleNamespace(next_method="execute_complete", next_kwargs={"trigger_timeout": 3}),
        SimpleNamespace(next_method="execute_complete", next_kwargs={"run": "r1", "stop_with": "domino_default"}),
        SimpleNamespace(next_method="resume", next_kwargs={"run": {"run_id": "1"}, "stop_with": "domino_default"}),
    ],
)
def test_tasks_that_are_not_ours_are_not_looked_at(task_instance, fake_domino):
    fail(task_instance)
    assert fake_domino.requests == []


def test_a_domino_that_cannot_be_asked_does_not_disturb_airflow(deferred, domino_connection, caplog):
    domino_connection(extra={"credential": "magic"})
    fail(deferred)
    assert "may still be going" in caplog.text


def test_airflow_is_told_of_it_by_the_plugin():
    assert issubclass(DominoPlugin, AirflowPlugin)
    assert listener in DominoPlugin.listeners
