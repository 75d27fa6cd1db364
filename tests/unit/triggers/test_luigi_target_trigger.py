"""Waiting in the triggerer for what a Luigi task stands for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_domino.compat import AirflowSensorTimeout, AirflowSkipException, TaskSuccessEvent
from airflow_domino.sensors.luigi import LuigiTargetSensor
from airflow_domino.triggers.luigi import LuigiTargetTrigger

PIPELINE = """
import luigi

class Delivered(luigi.ExternalTask):
    day = luigi.DateParameter()
    pin = luigi.Parameter(default="", visibility=luigi.parameter.ParameterVisibility.PRIVATE)
    def output(self):
        return luigi.LocalTarget(f"{self.day}.csv")

class Unsure(luigi.ExternalTask):
    def complete(self):
        raise OSError("the disk is away")
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "deliveries.py").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def trigger(project):
    def make(family="Delivered", **arguments):
        params = {"day": "2026-01-02"} if family == "Delivered" else {}
        return LuigiTargetTrigger(
            luigi_task=f"deliveries:{family}",
            luigi_params=params,
            project_path=str(project),
            poll_interval=0.05,
            **arguments,
        )

    return make


async def first_event(trigger):
    return await anext(trigger.run())


@pytest.fixture
def sensor(project):
    def make(**arguments):
        params = {"day": "2026-01-02", **arguments.pop("params", {})}
        arguments = {"deferrable": True, "project_path": project, "params": params, **arguments}
        return LuigiTargetSensor(task_id="wait", task="deliveries:Delivered", **arguments)

    return make


def test_it_waits_until_the_target_is_there_and_ends_the_task(trigger, project, supervisor, task_context):
    async def deliver_late():
        made = trigger(ends_task=True)
        made.task_instance = task_context()["ti"]
        waiting = asyncio.create_task(first_event(made))
        await asyncio.sleep(1)
        assert not waiting.done()
        (project / "2026-01-02.csv").touch()
        return await waiting

    event = asyncio.run(deliver_late())
    assert isinstance(event, TaskSuccessEvent)
    assert supervisor.pushed["return_value"]["outputs"] == ["2026-01-02.csv"]


def test_a_result_that_it_cannot_push_is_handed_to_a_worker(trigger, project, supervisor, task_context):
    (project / "2026-01-02.csv").touch()
    supervisor.refuses = True
    made = trigger(ends_task=True)
    made.task_instance = task_context()["ti"]
    assert asyncio.run(first_event(made)).payload["outcome"] == "look"


def test_what_a_worker_has_to_say_is_handed_to_a_worker(trigger):
    assert asyncio.run(first_event(trigger("Unsure"))).payload["outcome"] == "look"


def test_it_gives_up_at_its_deadline(trigger):
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert asyncio.run(first_event(trigger(deadline=past))).payload["outcome"] == "deadline"


def test_a_cancelled_wait_ends_its_process(trigger, project):
    (project / "deliveries.py").write_text(
        "import luigi, os, time\n"
        "class Delivered(luigi.ExternalTask):\n"
        "    day = luigi.DateParameter()\n"
        "    def complete(self):\n"
        "        open('asked', 'w').write(str(os.getpid()))\n"
        "        time.sleep(600)\n"
    )

    async def cancel():
        waiting = asyncio.create_task(first_event(trigger(working_dir=str(project))))
        await _until(lambda: (project / "asked").exists() and (project / "asked").read_text())
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        pid = int((project / "asked").read_text())
        await _until(lambda: not _is_alive(pid))

    asyncio.run(cancel())


async def _until(condition):
    while not condition():  # noqa: ASYNC110  (another process makes it so)
        await asyncio.sleep(0.05)


def _is_alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_deferrable_sensor_looks_once_and_then_waits_in_the_triggerer(sensor, task_context):
    with pytest.raises(TaskDeferred) as deferred:
        sensor().execute(task_context())
    arguments = deferred.value.trigger.serialize()[1]
    assert (arguments["luigi_task"], arguments["luigi_params"]) == ("deliveries:Delivered", {"day": "2026-01-02"})


@pytest.mark.parametrize("secret", [{"env": {"TOKEN": "hunter2"}}, {"params": {"pin": "hunter2"}}])
def test_a_sensor_that_may_know_secrets_writes_none_into_a_trigger(sensor, task_context, secret, project):
    (project / "2026-01-02.csv").touch()
    waiting = sensor(mode="poke", timeout=30, **secret)
    assert waiting.execute(task_context()).get("already_complete", True)
    (project / "2026-01-02.csv").unlink()
    with pytest.raises(AirflowSensorTimeout):
        sensor(mode="poke", timeout=0.1, poke_interval=0.1, **secret).execute(task_context())


@pytest.mark.parametrize(("soft_fail", "raised"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)])
def test_after_its_timeout_it_fails_or_skips(sensor, task_context, soft_fail, raised):
    with pytest.raises(raised, match="Gave up waiting for deliveries:Delivered after 5 seconds"):
        sensor(timeout=5, soft_fail=soft_fail).execute_complete(task_context(), {"outcome": "deadline", "task": None})


def test_after_the_target_has_come_it_tells_its_outputs(sensor, task_context, project):
    (project / "2026-01-02.csv").touch()
    assert sensor().execute_complete(task_context(), {"outcome": "look"})["outputs"] == ["2026-01-02.csv"]
