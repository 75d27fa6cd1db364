"""DominoRunSensor: the run's log in the task's log, and a search that lives in the triggerer."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time import comms, task_runner

from airflow_domino.compat import TaskSuccessEvent
from airflow_domino.sensors.domino import DominoRunSensor
from airflow_domino.triggers.domino_sensor import DominoRunSensorTrigger

pytestmark = pytest.mark.usefixtures("domino_connection", "supervisor")


class Log(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())

    @property
    def of_run(self):
        return [line for line in self.lines if line.startswith(("line ", "more "))]


class Supervisor:
    def __init__(self):
        self.pushed = {}

    async def asend(self, message):
        if isinstance(message, comms.SetXCom):
            self.pushed[message.key] = message.value
            return None
        return comms.XComResult(key=message.key, value=self.pushed.get(message.key))


@pytest.fixture
def run_id(fake_domino):
    fake_domino.leave_running()
    return fake_domino.start({"commandToRun": "etl.py", "title": "load", "overrideHardwareTierId": "gpu-1"})["id"]


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def sensor(log):
    """Make a sensor as each look of reschedule mode, or the only process of poke mode, does."""

    def make(**arguments):
        defaults = {"task_id": "wait", "poke_interval": 0.1, "deferrable": False, "log_run": True}
        made = DominoRunSensor(**defaults | arguments)
        logger = logging.Logger("sensor")
        logger.addHandler(log)
        made._cached_logger = logger
        made._log = logger
        return made

    return make


@pytest.fixture
def trigger():
    def make(**arguments):
        defaults = {"domino_conn_id": "domino_default", "poll_interval": 0.1, "ends_task": True}
        made = DominoRunSensorTrigger(**defaults | arguments)
        made.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
        return made

    return make


def first_event(trigger, then=lambda: None):
    async def first():
        async for event in trigger.run():
            return event
        return None

    async def main():
        wait = asyncio.create_task(first())
        await asyncio.sleep(0.3)
        then()
        return await asyncio.wait_for(wait, 30)

    return asyncio.run(main())


def test_poke_mode_copies_each_line_once(sensor, run_id, fake_domino, task_context, log):
    waiting, context = sensor(run_id=run_id), task_context()
    waiting.poke(context)
    waiting.poke(context)
    assert log.of_run == ["line 1 of run 1", "line 2 of run 1"]
    fake_domino.logs[run_id].append("more lines")
    fake_domino.logs[run_id].append("more still")
    fake_domino.end(run_id, "Succeeded")
    waiting.poke(context)
    assert log.of_run == fake_domino.logs[run_id]


def test_reschedule_mode_goes_on_where_the_last_look_was(sensor, run_id, fake_domino, task_context, state_store, log):
    for _ in range(3):
        sensor(run_id=run_id, mode="reschedule").poke(task_context(state_store))
    assert log.of_run == ["line 1 of run 1", "line 2 of run 1"]
    fake_domino.logs[run_id].append("more still")
    fake_domino.end(run_id, "Succeeded")
    sensor(run_id=run_id, mode="reschedule").poke(task_context(state_store))
    assert log.of_run == fake_domino.logs[run_id]


def test_reschedule_mode_without_a_store_copies_the_log_at_the_end(sensor, run_id, fake_domino, task_context, log):
    for _ in range(3):
        sensor(run_id=run_id, mode="reschedule").poke(task_context())
    assert log.of_run == []
    fake_domino.end(run_id, "Succeeded")
    sensor(run_id=run_id, mode="reschedule").poke(task_context())
    assert log.of_run == fake_domino.logs[run_id]


def test_a_new_attempt_copies_the_log_into_its_own(sensor, run_id, fake_domino, task_context, state_store, log):
    for try_number in (1, 2):
        sensor(run_id=run_id, mode="reschedule").poke(task_context(state_store, try_number=try_number))
    assert log.of_run == fake_domino.logs[run_id] * 2


def test_the_log_of_a_run_is_not_asked_for_unless_it_is_wanted(sensor, run_id, fake_domino, task_context):
    sensor(run_id=run_id, log_run=False).poke(task_context())
    fake_domino.end(run_id, "Succeeded")
    sensor(run_id=run_id, log_run=False).poke(task_context())
    assert not [request for request in fake_domino.requests if "logs" in request]


@pytest.mark.parametrize("nothing", [None, "", "None"])
def test_arguments_that_rendered_to_nothing_mean_the_default(trigger, run_id, fake_domino, nothing, monkeypatch):
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    waiting = trigger(project=nothing, run_id=nothing, command=nothing, since=nothing, title="load")
    event = first_event(waiting, lambda: fake_domino.end(run_id, "Succeeded"))
    assert isinstance(event, TaskSuccessEvent)
    assert supervisor.pushed["return_value"]["run_id"] == run_id
    assert supervisor.pushed["domino_run_link"] == supervisor.pushed["return_value"]["url"]


def test_a_sensor_that_no_worker_has_deferred_keeps_airflows_deadline(trigger, run_id):
    waiting = trigger(title="never")
    waiting.timeout_after = datetime.now(UTC) + timedelta(seconds=0.3)
    assert first_event(waiting).payload["outcome"] == "deadline"


def test_a_failed_run_goes_to_a_worker_with_the_place_in_its_log(trigger, run_id, fake_domino):
    event = first_event(trigger(run_id=run_id, log_run=True), lambda: fake_domino.end(run_id, "Failed"))
    assert (event.payload["outcome"], event.payload["run_id"]) == ("ended", run_id)
    assert event.payload["log_cursor"] != "0"


def test_a_search_goes_on_with_credentials_that_were_renewed(trigger, run_id, fake_domino, domino_connection):
    async def main():
        waiting = trigger(title="late")
        search = asyncio.create_task(anext(waiting.run()))
        await asyncio.sleep(0.3)
        fake_domino.token = "renewed-token-1"
        await asyncio.sleep(0.4)
        assert not search.done()
        domino_connection(password="renewed-token-1")
        late = fake_domino.start({"commandToRun": "etl.py", "title": "late", "overrideHardwareTierId": "gpu-1"})
        fake_domino.end(late["id"], "Succeeded")
        return await asyncio.wait_for(search, 30)

    assert isinstance(asyncio.run(main()), TaskSuccessEvent)


def test_credentials_that_were_never_accepted_are_told_to_the_worker_at_once(trigger, run_id, fake_domino):
    fake_domino.token = "another-token"
    event = first_event(trigger(title="load"))
    assert (event.payload["outcome"], event.payload["error"]) == ("error", "AuthenticationError")
