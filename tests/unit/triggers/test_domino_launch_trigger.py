"""DominoLaunchTrigger: a run that is launched in the triggerer, exactly once."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time import comms, task_runner

from airflow_domino.compat import TaskDeferred, TaskSuccessEvent
from airflow_domino.domino.launch import RunMark
from airflow_domino.hooks.identity import TaskIdentity
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.triggers import _kill, launch
from airflow_domino.triggers.domino import DominoRunTrigger
from airflow_domino.triggers.launch import DominoLaunchTrigger

pytestmark = pytest.mark.usefixtures("domino_connection", "supervisor")


@pytest.fixture
def trigger(task_context):
    """Make a trigger as the scheduler starts it: for the first try of a task, with its context."""

    def make(try_number=1, **arguments):
        made = DominoLaunchTrigger(
            **{"command": ["train.py", "--trees", "3"], "domino_conn_id": "domino_default", "poll_interval": 0.2}
            | arguments
        )
        context = task_context(try_number=try_number)
        made.task_instance = context["ti"]
        made.task_instance.get_template_context = lambda: context
        return made

    return make


def run(*triggers, until=None, seconds=20):
    """Run triggers side by side to their events; or until something is so, as in a triggerer that is then shut down."""

    async def first(each):
        try:
            async for event in each.run():
                return event
        finally:
            await each.cleanup()

    async def main():
        tasks = [asyncio.create_task(first(each)) for each in triggers]
        if until is None:
            return await asyncio.wait_for(asyncio.gather(*tasks), seconds)
        async with asyncio.timeout(seconds):
            while not until():  # noqa: ASYNC110  nobody tells of it
                await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
        return None

    return asyncio.run(main())


def test_it_launches_waits_and_ends_the_task_with_all_xcoms(trigger, fake_domino, supervisor):
    (event,) = run(trigger(tier="X-Large", title="The forest", ends_task=True))
    assert isinstance(event, TaskSuccessEvent)
    (start,) = fake_domino.starts
    assert (start["commandToRun"], start["overrideHardwareTierId"]) == ("train.py --trees 3", "xlarge-k8s")
    assert start["title"].startswith("The forest [airflow ")
    result = supervisor.pushed["return_value"]
    assert (result["run_id"], result["tier"], result["status"]) == (fake_domino.last["id"], "X-Large", "Succeeded")
    assert supervisor.pushed["run_id"] == result["run_id"]
    assert supervisor.pushed["output_commit"] == result["output_commit"]
    assert supervisor.pushed["domino_run_link"] == result["url"]


@pytest.mark.parametrize("refused", ["domino_run", "domino_run_link"])
def test_a_run_that_it_cannot_show_is_shown_and_waited_for_by_a_worker(
    trigger, fake_domino, supervisor, task_context, refused
):
    fake_domino.leave_running()
    supervisor.refuses = refused
    (event,) = run(trigger(ends_task=True))
    assert event.payload["outcome"] == "ended"

    task, context = DominoRunOperator(task_id="forest", command="train.py"), task_context()
    with pytest.raises(TaskDeferred) as deferral:
        task.execute_complete(context, event=event.payload, run=None)
    assert isinstance(deferral.value.trigger, DominoRunTrigger)
    assert context["ti"].xcoms["run_id"] == fake_domino.last["id"]
    assert fake_domino.last["id"] in context["ti"].xcoms["domino_run_link"]
    assert len(fake_domino.starts) == 1


def test_a_result_that_it_cannot_push_is_pushed_by_a_worker(trigger, fake_domino, supervisor, task_context):
    supervisor.refuses = "return_value"
    (event,) = run(trigger(ends_task=True, tier="X-Large"))
    assert event.payload["outcome"] == "ended"

    task, context = DominoRunOperator(task_id="forest", command="train.py"), task_context()
    result = task.execute_complete(context, event=event.payload, run=None)
    assert (result["status"], result["tier"]) == ("Succeeded", "X-Large")
    assert context["ti"].xcoms["output_commit"] == result["output_commit"]


@pytest.mark.parametrize("name", ["run_id", "dag_id", "task_id"])
def test_a_task_whose_ids_airflow_garbles_in_the_triggerer_is_launched_by_a_worker(
    trigger, fake_domino, supervisor, name
):
    waiting = trigger(ends_task=True)
    setattr(waiting.task_instance, name, "manual__ü")
    (event,) = run(waiting)
    assert event.payload["outcome"] == "launch"
    assert fake_domino.starts == []
    assert supervisor.xcoms == {}


def test_a_second_triggerer_takes_the_run_up_instead_of_launching(trigger, fake_domino):
    fake_domino.leave_running()
    run(trigger(), until=lambda: fake_domino.starts)
    second = trigger()
    run(second, until=lambda: second.run_handle is not None)
    assert len(fake_domino.starts) == 1
    assert second.run_handle.run_id == fake_domino.last["id"]


def test_a_run_that_ended_while_no_triggerer_was_there_is_delivered(trigger, fake_domino, supervisor):
    run(trigger(), until=lambda: fake_domino.starts)
    run(trigger(ends_task=True))
    assert supervisor.pushed["return_value"]["number"] == 1
    assert len(fake_domino.starts) == 1


def test_an_answer_that_was_lost_costs_no_second_run(trigger, fake_domino, supervisor):
    fake_domino.lose_answers = 1
    run(trigger(ends_task=True))
    assert supervisor.pushed["return_value"]["number"] == 1
    assert len(fake_domino.starts) == 1


def test_later_tries_are_left_to_a_worker_which_knows_whether_the_task_was_cleared(trigger, fake_domino):
    (event,) = run(trigger(try_number=2))
    assert event.payload["outcome"] == "launch"
    assert fake_domino.starts == []


NOW = datetime.now(UTC)


def dag_run_of(trigger, *, run_after=NOW, start_date=NOW):
    """Let a trigger's DAG run have these times; a triggerer is told of no clear, whether there was one or not."""
    times = {"run_after": run_after, "start_date": start_date}
    context = trigger.task_instance.get_template_context()
    context["dag_run"] = SimpleNamespace(run_id="manual__1", state="running", clear_number=0, **times)
    return trigger


def test_tasks_of_a_dag_run_that_a_triggerer_starts_begin_with_one_commit(trigger, fake_domino):
    run(dag_run_of(trigger(commit_id="dag_run", ends_task=True)))
    second = dag_run_of(trigger(commit_id="dag_run", ends_task=True))
    second.task_instance.task_id = "net"
    run(second)
    first, other = fake_domino.starts
    assert first["commitId"] == other["commitId"] == "a" * 40


def test_a_pinned_commit_is_left_to_a_worker_where_a_clear_may_have_let_the_dag_run_begin_again(trigger, fake_domino):
    run(dag_run_of(trigger(commit_id="dag_run", ends_task=True)))
    begun_again = NOW + timedelta(minutes=2)
    second = dag_run_of(trigger(commit_id="dag_run", ends_task=True), start_date=begun_again)
    second.task_instance.task_id = "net"
    (event,) = run(second)
    assert event.payload["outcome"] == "launch"
    assert len(fake_domino.starts) == 1


def test_a_pinned_commit_of_a_dag_run_that_began_long_after_it_was_due_is_left_to_a_worker(trigger, fake_domino):
    late = {"run_after": NOW - timedelta(minutes=6)}
    (event,) = run(dag_run_of(trigger(commit_id="dag_run"), **late))
    assert event.payload["outcome"] == "launch"
    run(dag_run_of(trigger(ends_task=True), **late))
    assert len(fake_domino.starts) == 1


def test_a_pinned_commit_that_a_worker_has_left_to_the_triggerer_is_launched_there(trigger, fake_domino):
    late = dag_run_of(trigger(commit_id="dag_run", ends_task=True), run_after=NOW - timedelta(hours=1))
    late.identity = TaskIdentity.of(late.task_instance.get_template_context()).to_dict()
    run(late)
    assert len(fake_domino.starts) == 1


@pytest.fixture
def xcoms(monkeypatch):
    """The XComs that triggers push, by key, as their supervisor keeps them."""

    class Supervisor:
        async def asend(self, message):
            if isinstance(message, comms.SetXCom):
                kept[message.key] = message.value
            return comms.XComResult(key=message.key, value=kept.get(message.key))

    kept = {}
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)
    return kept


BEGUN_AGAIN = {"start_date": NOW + timedelta(minutes=2)}


def test_the_run_of_a_dag_run_that_was_set_back_to_queued_is_watched_on(trigger, fake_domino, xcoms):
    fake_domino.leave_running()
    run(dag_run_of(trigger()), until=lambda: "run_id" in xcoms)
    second = dag_run_of(trigger(), **BEGUN_AGAIN)
    run(second, until=lambda: second.run_handle is not None)
    assert second.run_handle.run_id == fake_domino.last["id"]
    assert len(fake_domino.starts) == 1


def test_a_kill_stops_the_run_of_a_dag_run_that_was_set_back_to_queued(trigger, fake_domino, xcoms):
    fake_domino.leave_running()
    run(dag_run_of(trigger()), until=lambda: "run_id" in xcoms)
    handle = asyncio.run(dag_run_of(trigger(), **BEGUN_AGAIN).run_to_stop())
    assert handle.run_id == fake_domino.last["id"]


def test_a_run_that_airflow_has_not_noted_is_of_a_deleted_dag_run(trigger, fake_domino, xcoms):
    fake_domino.leave_running()
    run(dag_run_of(trigger()), until=lambda: "run_id" in xcoms)
    xcoms.clear()  # with the DAG run
    assert asyncio.run(dag_run_of(trigger(), **BEGUN_AGAIN).run_to_stop()) is None
    second = dag_run_of(trigger(), **BEGUN_AGAIN)
    run(second, until=lambda: second.run_handle is not None)
    assert len(fake_domino.starts) == 2


def test_a_template_that_cannot_be_rendered_is_left_to_a_worker(trigger, fake_domino):
    waiting = trigger(command="train.py {{ ds }}")
    waiting.template_fields = ("command",)
    waiting.render_template_fields({"run_id": "manual__1"})
    (event,) = run(waiting)
    assert event.payload["outcome"] == "launch"
    assert fake_domino.starts == []


def test_a_task_of_a_worker_brings_its_identity(trigger, fake_domino, task_context):
    identity = TaskIdentity.of(task_context(try_number=3, max_tries=4))
    run(trigger(try_number=3, identity=identity.to_dict()))
    assert RunMark.parse(fake_domino.last["title"]) == identity.mark(0)


def test_a_wrong_request_is_told_to_the_worker(trigger, fake_domino):
    (event,) = run(trigger(tier="Enormous"))
    assert (event.payload["outcome"], event.payload["error"]) == ("error", "UnknownTierError")
    assert "X-Large" in event.payload["message"]
    assert fake_domino.starts == []


def test_a_task_that_others_have_ended_meanwhile_is_not_ended_again(trigger, fake_domino, monkeypatch):
    async def now_ended(task_instance):
        return "success"

    monkeypatch.setattr(_kill, "task_state_seen_by_trigger", now_ended)
    (event,) = run(trigger(ends_task=True))
    assert event.payload["outcome"] == "ended"
    assert event.payload["task"] == ["train", "manual__1", "forest", -1]


def test_a_failed_run_is_handed_to_a_worker_with_the_number_of_its_launch(trigger, fake_domino):
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Failed")
    (event,) = run(trigger(ends_task=True))
    assert (event.payload["outcome"], event.payload["launch"]) == ("ended", 0)
    assert event.payload["run"]["run_id"] == fake_domino.last["id"]


def test_an_outage_before_the_launch_is_waited_out(trigger, fake_domino, monkeypatch):
    monkeypatch.setattr(launch, "SHORTEST_PAUSE", 0.05)
    fake_domino.broken = True
    waiting = trigger(ends_task=True)

    def mend():
        if sum(request.startswith("GET") for request in fake_domino.requests) > 8:
            fake_domino.broken = False
        return len(fake_domino.starts) == 1

    run(waiting, until=mend)
    assert len(fake_domino.starts) == 1


def test_an_outage_that_outlasts_the_budget_is_told(trigger, fake_domino):
    fake_domino.broken = True
    (event,) = run(trigger(outage_budget=0.0))
    assert (event.payload["outcome"], event.payload["error"]) == ("error", "DominoUnavailableError")


def test_a_kill_in_the_middle_of_the_launch_stops_what_comes_of_it(trigger, fake_domino, monkeypatch):
    async def now_failed(task_instance):
        return "failed"

    monkeypatch.setattr(_kill, "task_state_seen_by_trigger", now_failed)
    waiting = trigger()

    def kill_meanwhile(domino, run_id):
        loop.call_soon_threadsafe(lambda: kills.append(asyncio.ensure_future(kill())))

    async def kill():
        task.cancel()
        await waiting.on_kill()

    async def main():
        nonlocal loop, task
        loop = asyncio.get_running_loop()

        async def events():
            return [event async for event in waiting.run()]

        task = asyncio.create_task(events())
        with suppress(asyncio.CancelledError):
            await task
        await asyncio.gather(*kills)
        await waiting.cleanup()

    loop = task = None
    kills = []
    fake_domino.on_start = kill_meanwhile
    asyncio.run(main())
    assert len(fake_domino.starts) == 1
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_kill_finds_the_run_that_a_triggerer_before_has_launched(trigger, fake_domino, monkeypatch):
    async def now_failed(task_instance):
        return "failed"

    monkeypatch.setattr(_kill, "task_state_seen_by_trigger", now_failed)
    fake_domino.leave_running()
    run(trigger(), until=lambda: fake_domino.starts)
    asyncio.run(trigger().on_kill())
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_deadline_that_passes_while_there_is_no_place_launches_nothing(trigger, fake_domino, domino_connection):
    domino_connection(extra={"project": "domino/quick-start", "max_active_runs": 1})
    fake_domino.leave_running()
    fake_domino.start({"commandToRun": "other.py", "title": f"x {RunMark.for_task('a', 'b', 'c').text}"})
    deadline = datetime.now(UTC) + timedelta(seconds=1)
    (event,) = run(trigger(deadline=deadline.isoformat()))
    assert event.payload["outcome"] == "deadline"
    assert len(fake_domino.starts) == 1


def test_runs_wait_for_a_place_one_after_the_other(trigger, fake_domino, domino_connection, task_context):
    domino_connection(extra=json.dumps({"project": "domino/quick-start", "max_active_runs": 1}))
    most = []

    def note(domino, run_id):
        most.append(sum(not job["statuses"]["isCompleted"] for job in domino.jobs.values()))

    fake_domino.on_start = note
    triggers = []
    for number in range(3):
        waiting = trigger(ends_task=True)
        context = task_context(task_id=f"t{number}")
        waiting.task_instance = context["ti"]
        waiting.task_instance.get_template_context = lambda context=context: context
        triggers.append(waiting)

    def end_them():
        for run_id, job in list(fake_domino.jobs.items()):
            if not job["statuses"]["isCompleted"]:
                fake_domino.end(run_id, "Succeeded")
        return len(fake_domino.starts) == 3

    run(*triggers, until=end_them)
    assert most == [1, 1, 1]
