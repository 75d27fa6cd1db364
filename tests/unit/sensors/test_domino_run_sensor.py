"""DominoRunSensor: waiting for a run that somebody else launched."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.trigger import Trigger

from airflow_domino.compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
    TaskSuccessEvent,
)
from airflow_domino.domino.errors import RunError, RunFailedError
from airflow_domino.sensors.domino import DominoRunSensor
from airflow_domino.triggers.domino_sensor import DominoRunSensorTrigger

pytestmark = pytest.mark.usefixtures("domino_connection", "supervisor")


@pytest.fixture
def launch(fake_domino):
    """Launch a run as somebody else does."""
    fake_domino.leave_running()

    def start(command="etl.py", title=None, status=None):
        run_id = fake_domino.start({"commandToRun": command, "title": title, "overrideHardwareTierId": "gpu-1"})["id"]
        if status:
            fake_domino.end(run_id, status)
        return run_id

    return start


@pytest.fixture
def sensor():
    def make(**arguments):
        return DominoRunSensor(**{"task_id": "wait", "poke_interval": 0.1, "deferrable": False} | arguments)

    return make


@pytest.fixture
def event_of(task_context):
    """Defer a sensor and run its trigger to the first event."""

    def run(sensor, then=lambda: None, **task_instance):
        with pytest.raises(TaskDeferred) as deferral:
            sensor.execute(task_context())
        _, arguments = deferral.value.trigger.serialize()
        trigger = DominoRunSensorTrigger(**Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(arguments)))
        trigger.deferred_at = None
        trigger.task_instance = task_context(**task_instance)["ti"]

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

    return run


def test_a_run_that_has_succeeded_is_told_of_as_the_operator_does(sensor, launch, task_context, fake_domino):
    run_id = launch(status="Succeeded")
    context = task_context()
    result = sensor(run_id=run_id).execute(context)
    assert (result["run_id"], result["status"], result["tier"], result["cost_cents"]) == (
        run_id,
        "Succeeded",
        "GPU",
        15.0,
    )
    assert context["ti"].xcoms["domino_run_link"] == result["url"]
    assert context["ti"].xcoms["output_commit"] == result["output_commit"]
    assert context["ti"].xcoms["run_id"] == run_id


def test_a_run_that_goes_on_is_waited_for(sensor, launch, task_context, fake_domino):
    run_id = launch()
    waiting = sensor(run_id=run_id)
    assert not waiting.poke(task_context()).is_done
    fake_domino.end(run_id, "Succeeded")
    assert waiting.poke(task_context()).is_done


@pytest.mark.parametrize("deferrable", [True, False])
def test_an_outage_is_waited_out(sensor, launch, task_context, fake_domino, monkeypatch, deferrable):
    monkeypatch.setattr("airflow_domino.domino.transport.RetryPolicy.wait", lambda *_: 0.0)
    waiting = sensor(run_id=launch(status="Succeeded"), deferrable=deferrable, mode="poke")
    fake_domino.broken = True
    if deferrable:
        with pytest.raises(TaskDeferred):
            waiting.execute(task_context())
        return
    assert not waiting.poke(task_context()).is_done
    fake_domino.broken = False
    assert waiting.execute(task_context())["status"] == "Succeeded"


def test_the_newest_run_that_fits_is_meant(sensor, launch, task_context):
    launch("etl.py --day 1", status="Failed")
    wanted = launch("etl.py --day 2", title="Nightly load", status="Succeeded")
    launch("train.py", title="Nightly training", status="Failed")
    assert sensor(command=r"^etl\.py", title="(?i)nightly").execute(task_context())["run_id"] == wanted


def test_runs_from_before_do_not_count(sensor, launch, task_context):
    launch(status="Succeeded")
    waiting = sensor(command="etl", since=(datetime.now(UTC) + timedelta(seconds=5)).isoformat())
    assert not waiting.poke(task_context()).is_done


def test_a_run_that_is_not_there_yet_is_waited_for(sensor, launch, task_context):
    waiting = sensor(title="tomorrow's run")
    assert not waiting.poke(task_context()).is_done
    launch(title="tomorrow's run", status="Succeeded")
    assert waiting.poke(task_context()).is_done


def test_a_run_that_ended_badly_fails_the_task(sensor, launch, task_context):
    with pytest.raises(RunFailedError, match="line 2 of run 1"):
        sensor(run_id=launch(status="Failed")).execute(task_context())


def test_a_run_that_ended_badly_can_skip_the_task(sensor, launch, task_context):
    with pytest.raises(AirflowSkipException, match="status Failed"):
        sensor(run_id=launch(status="Failed"), on_failure="skip").execute(task_context())


def test_what_counts_as_success_can_be_chosen(sensor, launch, task_context):
    statuses = ["Stopped", "Failed"]
    assert (
        sensor(run_id=launch(status="Stopped"), success_statuses=statuses).execute(task_context())["status"]
        == "Stopped"
    )
    with pytest.raises(RunError, match="ended badly"):
        sensor(run_id=launch(status="Succeeded"), success_statuses=statuses).execute(task_context())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "either run_id"),
        ({"run_id": "1", "title": "x"}, "either run_id"),
        ({"title": "("}, "not a regular expression"),
        ({"title": "x", "since": "yesterday"}, "not a time"),
        ({"title": "x", "since": "2026-01-01T00:00:00"}, "no time zone"),
        ({"run_id": "f" * 24}, "f" * 24),
        ({"title": "x", "project": "domino/nowhere"}, "domino/nowhere"),
    ],
)
def test_a_wrong_request_fails_at_once_with_what_to_change(sensor, task_context, arguments, words):
    with pytest.raises(AirflowFailException) as failure:
        sensor(**arguments).execute(task_context())
    assert words in str(failure.value)


def test_an_unknown_way_to_fail_is_refused_where_the_dag_is_written(sensor):
    with pytest.raises(ValueError, match="on_failure='panic'"):
        sensor(run_id="1", on_failure="panic")


def test_a_success_ends_in_the_triggerer(sensor, launch, event_of, fake_domino, supervisor):
    run_id = launch()
    event = event_of(sensor(run_id=run_id, deferrable=True), lambda: fake_domino.end(run_id, "Succeeded"))
    assert isinstance(event, TaskSuccessEvent)
    assert supervisor.pushed["return_value"]["cost_cents"] == 15.0
    assert (supervisor.pushed["run_id"], supervisor.pushed["output_commit"]) == (run_id, "a" * 40)


def test_a_success_whose_xcoms_the_triggerer_cannot_push_is_handed_to_a_worker(
    sensor, launch, event_of, fake_domino, supervisor, task_context
):
    supervisor.refuses = "return_value"
    run_id, context = launch(), task_context()
    waiting = sensor(run_id=run_id, deferrable=True)
    event = event_of(waiting, lambda: fake_domino.end(run_id, "Succeeded"))
    result = waiting.execute_complete(context, event=event.payload)
    assert result["cost_cents"] == 15.0
    assert (context["ti"].xcoms["run_id"], context["ti"].xcoms["output_commit"]) == (run_id, "a" * 40)


def test_a_sensor_that_pushes_no_xcom_shows_its_link_alone(sensor, launch, task_context):
    context = task_context()
    sensor(run_id=launch(status="Succeeded"), do_xcom_push=False).execute(context)
    assert context["ti"].xcoms.keys() == {"domino_run_link"}


def test_a_sensor_whose_ids_airflow_garbles_in_the_triggerer_is_begun_by_a_worker(sensor, event_of, supervisor):
    waiting = sensor(title="late", deferrable=True)
    event = event_of(waiting, task_id="žlu")
    assert event.payload["outcome"] == "look"
    assert supervisor.asked == []


def test_a_run_that_is_launched_while_the_sensor_is_deferred_is_found(sensor, launch, event_of):
    event = event_of(sensor(title="late", deferrable=True), lambda: launch(title="late", status="Succeeded"))
    assert isinstance(event, TaskSuccessEvent)


def test_a_bad_end_goes_back_to_a_worker_which_fails(sensor, launch, event_of, fake_domino, task_context):
    run_id = launch(title="load")
    waiting = sensor(title="load", deferrable=True)
    event = event_of(waiting, lambda: fake_domino.end(run_id, "Failed"))
    launch(title="load", status="Succeeded")
    with pytest.raises(RunFailedError):
        waiting.execute_complete(task_context(), event=event.payload)


def test_a_passed_timeout_gives_up_and_leaves_the_run_alone(sensor, launch, event_of, fake_domino, task_context):
    waiting = sensor(run_id=launch(), deferrable=True, timeout=0.5)
    event = event_of(waiting)
    with pytest.raises(AirflowSensorTimeout, match="Gave up waiting for Domino run"):
        waiting.execute_complete(task_context(), event=event.payload)
    assert fake_domino.stops == []


def test_a_passed_timeout_while_no_run_fits_gives_up_too(sensor, event_of, task_context):
    waiting = sensor(title="never", deferrable=True, timeout=0.5, soft_fail=True)
    event = event_of(waiting)
    with pytest.raises(AirflowSkipException, match="whose title matches 'never'"):
        waiting.execute_complete(task_context(), event=event.payload)


def test_killing_the_sensor_leaves_the_run_alone(sensor, launch, fake_domino, task_context):
    waiting = sensor(run_id=launch())
    waiting.poke(task_context())
    waiting.on_kill()
    assert fake_domino.stops == []


@pytest.mark.parametrize("event", [None, {}, "nonsense", {"outcome": "party"}])
def test_an_event_that_is_not_ours_fails_loudly(sensor, task_context, event):
    with pytest.raises(AirflowException, match="Not an event of a Domino run"):
        sensor(run_id="1").execute_complete(task_context(), event=event)
