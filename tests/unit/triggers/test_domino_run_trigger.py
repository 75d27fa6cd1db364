"""DominoRunTrigger: waiting in the triggerer, and what a kill does and does not do."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.models.trigger import Trigger

from airflow_domino.compat import AirflowException, TaskSuccessEvent
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.triggers import _kill
from airflow_domino.triggers import domino as module
from airflow_domino.triggers.domino import DominoRunTrigger

pytestmark = pytest.mark.usefixtures("domino_connection", "supervisor")


@pytest.fixture
def trigger(fake_domino):
    """Make a trigger for a run that goes on."""
    fake_domino.leave_running()

    def make(run_id=None, **arguments):
        if run_id is None:
            run_id = fake_domino.start({"commandToRun": "main.py", "overrideHardwareTierId": "xlarge-k8s"})["id"]
        handle = RunHandle(run_id, f"{fake_domino.url}/r/{run_id}", "domino/quick-start", "p1", "X-Large", "x", 12.0)
        made = DominoRunTrigger(
            **{"domino_conn_id": "domino_default", "run": handle.to_dict(), "poll_interval": 0.2} | arguments
        )
        made.task_instance = SimpleNamespace(
            dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, queue="default"
        )
        return made

    return make


async def first_event(trigger):
    """Run a trigger as the triggerer does: to its first event, and with its cleanup whatever happens."""
    try:
        async for event in trigger.run():
            return event
        return None
    finally:
        await trigger.cleanup()


def in_triggerer(*triggers, then=lambda: None):
    """Run triggers side by side in one loop; `then` is called shortly after they have begun."""

    async def main():
        waits = [asyncio.create_task(first_event(trigger)) for trigger in triggers]
        await asyncio.sleep(0.3)
        then()
        return await asyncio.wait_for(asyncio.gather(*waits), 30)

    return asyncio.run(main())


def test_a_success_that_needs_no_worker_ends_the_task_with_the_result(trigger, fake_domino, supervisor):
    waiting = trigger(ends_task=True)
    (event,) = in_triggerer(waiting, then=lambda: fake_domino.end(fake_domino.last["id"], "Succeeded"))
    assert isinstance(event, TaskSuccessEvent)
    result = supervisor.pushed["return_value"]
    assert (result["status"], result["tier"], result["cost_cents"]) == ("Succeeded", "X-Large", 6.0)
    assert supervisor.pushed["output_commit"] == result["output_commit"]


def test_a_task_that_pushes_no_xcom_gets_none(trigger, fake_domino, supervisor):
    waiting = trigger(ends_task=True, push_result=False)
    in_triggerer(waiting, then=lambda: fake_domino.end(fake_domino.last["id"], "Succeeded"))
    assert supervisor.pushed.keys() == {"run_id", "domino_run_link", "domino_log_cursor"}


@pytest.mark.parametrize(("status", "ends_task"), [("Succeeded", False), ("Failed", True), ("Stopped", True)])
def test_everything_else_is_handed_back_to_a_worker(trigger, fake_domino, status, ends_task):
    waiting = trigger(ends_task=ends_task)
    (event,) = in_triggerer(waiting, then=lambda: fake_domino.end(fake_domino.last["id"], status))
    assert not isinstance(event, TaskSuccessEvent)
    assert (event.payload["outcome"], event.payload["run_id"]) == ("ended", fake_domino.last["id"])
    assert event.payload["log_cursor"] == "2"


def test_a_token_that_is_renewed_in_the_connection_is_seen_by_a_task_that_waits(
    trigger, fake_domino, domino_connection
):
    def renew():
        fake_domino.token = "renewed-token-1"
        domino_connection(password="renewed-token-1")
        fake_domino.end(fake_domino.last["id"], "Succeeded")

    (event,) = in_triggerer(trigger(ends_task=True), then=renew)
    assert isinstance(event, TaskSuccessEvent)


def test_the_runs_log_lines_appear_while_the_task_is_deferred(trigger, fake_domino, capsys):
    in_triggerer(trigger(), then=lambda: fake_domino.end(fake_domino.last["id"], "Succeeded"))
    printed = capsys.readouterr().out
    assert "line 1 of run 1" in printed
    assert "line 2 of run 1" in printed


def test_a_log_that_only_the_older_route_has_is_copied_at_the_end(trigger, fake_domino, capsys):
    waiting = trigger()
    run_id = fake_domino.last["id"]
    fake_domino.logs[run_id], fake_domino.v1_logs[run_id] = [], "from the older route"
    in_triggerer(waiting, then=lambda: fake_domino.end(run_id, "Succeeded"))
    assert "from the older route" in capsys.readouterr().out


def test_each_line_is_logged_in_the_context_of_the_trigger_whose_run_it_is(trigger, fake_domino):
    from structlog.contextvars import bind_contextvars, get_contextvars

    seen = []

    class Log:
        def info(self, message, *arguments):
            seen.append((get_contextvars().get("trigger_id"), message % arguments))

        warning = info

    async def one(trigger_id, waiting):
        bind_contextvars(trigger_id=trigger_id)
        waiting._log = Log()
        return await first_event(waiting)

    async def main():
        waits = [asyncio.create_task(one(number, trigger())) for number in (1, 2)]
        await asyncio.sleep(0.5)
        for run_id in fake_domino.jobs:
            fake_domino.end(run_id, "Succeeded")
        await asyncio.gather(*waits)

    asyncio.run(main())
    assert {line for line in seen if "line 1 of run" in line[1]} == {(1, "line 1 of run 1"), (2, "line 1 of run 2")}


def test_many_triggers_share_one_poll(trigger, fake_domino):
    waiting = [trigger(log_run=False, ends_task=True) for _ in range(20)]
    fake_domino.requests.clear()

    def end_all():
        for run_id in fake_domino.jobs:
            fake_domino.end(run_id, "Succeeded")

    events = in_triggerer(*waiting, then=end_all)
    assert all(isinstance(event, TaskSuccessEvent) for event in events)
    lists = [request for request in fake_domino.requests if request == "GET /v4/jobs"]
    singles = [request for request in fake_domino.requests if request.startswith("GET /v4/jobs/")]
    assert len(lists) < 20
    assert len(singles) <= 40


def test_a_passed_deadline_stops_the_run(trigger, fake_domino):
    deadline = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
    (event,) = in_triggerer(trigger(deadline=deadline))
    assert event.payload["outcome"] == "deadline"
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_connection_that_is_broken_by_the_deadline_still_lets_the_task_time_out(
    trigger, fake_domino, domino_connection
):
    deadline = (datetime.now(UTC) + timedelta(seconds=0.8)).isoformat()
    broken = {"extra": {"credential": "magic"}}
    (event,) = in_triggerer(trigger(deadline=deadline), then=lambda: domino_connection(**broken))
    assert event.payload["outcome"] == "deadline"


def test_a_passed_deadline_leaves_the_run_alone_where_kills_do(trigger, fake_domino):
    deadline = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    (event,) = in_triggerer(trigger(deadline=deadline, stop_on_kill=False))
    assert event.payload["outcome"] == "deadline"
    assert fake_domino.stops == []


def test_a_run_that_domino_does_not_know_is_told_to_the_worker(trigger):
    (event,) = in_triggerer(trigger(run_id="f" * 24))
    assert (event.payload["outcome"], event.payload["error"]) == ("error", "NotFoundError")


def test_an_outage_longer_than_the_budget_is_told_to_the_worker(trigger, fake_domino, monkeypatch):
    waiting = trigger(outage_budget=0.0)
    fake_domino.broken = True
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    (event,) = in_triggerer(waiting)
    assert (event.payload["outcome"], event.payload["error"]) == ("error", "DominoUnavailableError")


def test_a_broken_connection_is_told_to_the_worker(trigger, domino_connection):
    waiting = trigger()
    domino_connection(extra={"credential": "magic"})
    (event,) = in_triggerer(waiting)
    assert event.payload["error"] == "ConfigurationError"


def test_a_worker_is_not_called_back_before_the_deferral_has_settled(trigger, fake_domino, monkeypatch):
    waited = []

    async def record(seconds):
        waited.append(seconds)

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=record, to_thread=asyncio.to_thread))
    deferred_at = datetime.now(UTC)
    asyncio.run(module.settle(deferred_at.isoformat()))
    asyncio.run(module.settle((deferred_at - timedelta(minutes=1)).isoformat()))
    asyncio.run(module.settle((deferred_at + timedelta(hours=1)).isoformat()))
    assert waited[0] == pytest.approx(module.RESUME_AFTER_SECONDS, abs=1)
    assert waited[1:] == [0.0, module.RESUME_AFTER_SECONDS]


def test_the_arguments_survive_airflows_database(trigger):
    waiting = trigger(deadline="2026-03-01T00:00:00+00:00", ends_task=True)
    path, arguments = waiting.serialize()
    assert path == "airflow_domino.triggers.domino.DominoRunTrigger"
    again = DominoRunTrigger(**Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(arguments)))
    assert again.serialize() == waiting.serialize()


def test_a_connection_that_is_not_there_is_told_to_the_worker(trigger, monkeypatch):
    waiting = trigger()
    monkeypatch.delenv("AIRFLOW_CONN_DOMINO_DEFAULT")

    async def missing(conn_id):
        raise AirflowException(f"The conn_id `{conn_id}` isn't defined")

    monkeypatch.setattr("airflow.sdk.BaseHook.aget_connection", missing)
    (event,) = in_triggerer(waiting)
    assert "domino_default" in event.payload["message"]


@pytest.fixture
def task_state(monkeypatch):
    """Decide what Airflow says about the task's state, and which version it is."""

    def decide(state, *, kill_is_only_for_users=False):
        async def answer(task_instance):
            return state

        monkeypatch.setattr(_kill, "task_state_seen_by_trigger", answer)
        monkeypatch.setattr(_kill, "kill_is_only_for_users", lambda: kill_is_only_for_users)

    return decide


def kill(waiting, *, again_after=None):
    """Kill a waiting trigger as Airflow does; 3.3 cancels `on_kill` again after a second."""

    async def main():
        wait = asyncio.create_task(first_event(waiting))
        await asyncio.sleep(0.2)
        killing = asyncio.create_task(waiting.on_kill())
        if again_after is not None:
            await asyncio.sleep(again_after)
            killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        await asyncio.gather(*_kill._stopping)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)

    asyncio.run(main())


@pytest.mark.parametrize("state", ["failed", "success", None, "up_for_retry"])
def test_a_user_who_ends_the_waiting_task_stops_the_run(trigger, fake_domino, task_state, state):
    task_state(state)
    kill(trigger())
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_stop_that_takes_longer_than_airflow_grants_is_carried_through(trigger, fake_domino, task_state):
    task_state("failed")
    waiting, may_go_on = trigger(), threading.Event()
    real_stop = fake_domino.stop

    def slow(run_id):
        may_go_on.wait(5)
        return real_stop(run_id)

    fake_domino.stop = slow
    threading.Timer(0.6, may_go_on.set).start()
    kill(waiting, again_after=0.1)
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_trigger_that_merely_moved_to_another_triggerer_leaves_the_run_alone(trigger, fake_domino, task_state):
    task_state("deferred")
    kill(trigger())
    assert fake_domino.stops == []


def test_from_airflow_3_4_on_a_task_that_is_deferred_again_was_cleared(trigger, fake_domino, task_state):
    task_state("deferred", kill_is_only_for_users=True)
    kill(trigger())
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_run_that_the_next_attempt_has_taken_up_is_left_alone(trigger, fake_domino, task_state):
    task_state("deferred", kill_is_only_for_users=True)
    waiting = trigger()
    newer = trigger(run_id=waiting.run_handle.run_id)
    _kill.register(newer)
    kill(waiting)
    _kill.forget(newer)
    assert fake_domino.stops == []
    assert _kill._live == {}


def test_stop_on_kill_can_be_switched_off(trigger, fake_domino, task_state):
    task_state("failed")
    kill(trigger(stop_on_kill=False))
    assert fake_domino.stops == []


def test_a_triggerer_that_shuts_down_leaves_the_run_alone(trigger, fake_domino):
    waiting = trigger()

    async def main():
        wait = asyncio.create_task(first_event(waiting))
        await asyncio.sleep(0.2)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)

    asyncio.run(main())
    assert fake_domino.stops == []
    assert _kill._live == {}


def test_a_hundred_kills_at_once_are_all_carried_out(trigger, fake_domino, task_state):
    task_state("failed")
    waiting = [trigger(log_run=False) for _ in range(100)]

    async def main():
        await asyncio.gather(*(each.on_kill() for each in waiting))

    asyncio.run(main())
    assert sorted(fake_domino.stops) == sorted(fake_domino.jobs)


def test_all_stops_are_requested_before_any_run_has_ended(trigger, fake_domino, task_state):
    task_state("failed")
    waiting = [trigger(log_run=False) for _ in range(40)]

    def last_one_ends_all(run_id):
        fake_domino.stops.append(run_id)
        if len(fake_domino.stops) == len(waiting):
            for each in fake_domino.jobs:
                fake_domino.end(each, "Stopped")
        return fake_domino.jobs[run_id]

    fake_domino.stop = last_one_ends_all

    async def main():
        await asyncio.wait_for(asyncio.gather(*(each.on_kill() for each in waiting)), 30)

    asyncio.run(main())
    assert sorted(fake_domino.stops) == sorted(fake_domino.jobs)


def test_a_stop_survives_an_outage_of_domino(trigger, fake_domino, task_state, monkeypatch):
    task_state("failed")
    monkeypatch.setattr("airflow_domino.hooks.stopping.PAUSE_SECONDS", 0.1)
    waiting, fake_domino.broken = trigger(), True
    threading.Timer(0.5, lambda: setattr(fake_domino, "broken", False)).start()
    asyncio.run(waiting.on_kill())
    assert fake_domino.last["statuses"]["executionStatus"] == "Stopped"


@pytest.fixture
def silent_airflow(monkeypatch):
    """Let Airflow not say in which state the task is, the first so many times."""
    monkeypatch.setattr(_kill, "STATE_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(_kill, "kill_is_only_for_users", lambda: False)

    def decide(times, state=None):
        left = iter(range(times))

        async def answer(task_instance):
            if next(left, None) is not None:
                raise ConnectionError("the supervisor is busy")
            return state

        monkeypatch.setattr(_kill, "task_state_seen_by_trigger", answer)

    return decide


def test_airflow_is_asked_again_for_the_tasks_state(trigger, fake_domino, silent_airflow):
    silent_airflow(2, "deferred")
    kill(trigger())
    assert fake_domino.stops == []


def test_a_kill_is_a_kill_where_airflow_does_not_say_the_tasks_state(trigger, fake_domino, silent_airflow):
    silent_airflow(100)
    kill(trigger())
    assert fake_domino.stops == [fake_domino.last["id"]]
