"""A DAG run that was deleted and is created again under its id has runs of its own, in each way of waiting."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_domino.domino.errors import RunFailedError
from airflow_domino.domino.launch import RunMark
from airflow_domino.hooks.identity import creation_key
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.triggers.launch import DominoLaunchTrigger

pytestmark = pytest.mark.usefixtures("domino_connection")

NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO = NOW - timedelta(days=30)
# What a DAG run and the one that follows it under the same id are: run_after, start_date.
KINDS = {
    "triggered": [(NOW, NOW), (NOW + timedelta(seconds=1), NOW + timedelta(seconds=1))],
    "triggered within one second": [(NOW, NOW), (NOW + timedelta(milliseconds=8), NOW + timedelta(milliseconds=9))],
    "scheduled, or of a backfill": [(LONG_AGO, NOW), (LONG_AGO, NOW + timedelta(seconds=30))],
    "of dag.test() for a date": [(NOW, LONG_AGO), (NOW + timedelta(seconds=1), LONG_AGO)],
}


def dag_run(run_after, start_date, clear_number=0):
    return SimpleNamespace(
        run_id="manual__1", run_after=run_after, start_date=start_date, clear_number=clear_number, state="running"
    )


@pytest.fixture(params=KINDS)
def dag_runs(request):
    """A DAG run, and the one that is created under its id when it was deleted."""
    return [dag_run(*times) for times in KINDS[request.param]]


@pytest.fixture
def way(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def worker(task_context):
    """Make one attempt at the task on a worker; the number of the run that it delivers."""

    def attempt(dag_run, on_clear="stop", **task_instance):
        context = task_context(None, **{"max_tries": 0} | task_instance) | {"dag_run": dag_run}
        task = DominoRunOperator(
            task_id="forest", command="main.py", deferrable=False, poll_interval=0.1, on_clear=on_clear
        )
        return task.execute(context)["number"]

    return attempt


@pytest.fixture
def triggerer(task_context, supervisor):
    """Make the first attempt at the task in the triggerer; the number of the run that it delivers."""

    known = []

    def attempt(dag_run, on_clear="stop", *, is_shut_down=False, **task_instance):
        if dag_run not in known:
            known.append(dag_run)
            supervisor.xcoms.clear()  # Airflow deletes them with a DAG run
        context = task_context(None, **{"max_tries": 0} | task_instance) | {"dag_run": dag_run}
        trigger = DominoLaunchTrigger(
            command="main.py", domino_conn_id="domino_default", poll_interval=0.1, ends_task=True, on_clear=on_clear
        )
        trigger.task_instance = context["ti"]
        trigger.task_instance.get_template_context = lambda: context

        async def first_event():
            try:
                async for event in trigger.run():
                    return event
            finally:
                await trigger.cleanup()

        async def until_launched():
            task = asyncio.create_task(first_event())
            while trigger.run_handle is None:  # noqa: ASYNC110  nobody tells of it
                await asyncio.sleep(0.02)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            return trigger.run_handle.number

        if is_shut_down:
            return asyncio.run(until_launched())
        asyncio.run(asyncio.wait_for(first_event(), 20))
        return supervisor.pushed["return_value"]["number"]

    return attempt


def in_each_way(test):
    return pytest.mark.parametrize("way", ["triggerer", "worker"], indirect=True)(test)


@in_each_way
@pytest.mark.parametrize("map_index", [-1, 3])
def test_it_launches_again_and_delivers_its_own_result(way, dag_runs, map_index, fake_domino):
    first, second = dag_runs
    assert way(first, map_index=map_index) == 1
    assert way(second, map_index=map_index) == 2
    assert len(fake_domino.starts) == 2


@in_each_way
@pytest.mark.parametrize("minutes", [-20, 20])
def test_it_launches_again_whatever_the_time_is_on_domino(way, dag_runs, minutes, fake_domino):
    def end_elsewhen(domino, run_id):
        domino.jobs[run_id]["stageTime"]["submissionTime"] += minutes * 60_000
        domino.end(run_id, "Succeeded")

    fake_domino.on_start = end_elsewhen
    assert [way(dag_run) for dag_run in dag_runs] == [1, 2]


@in_each_way
def test_a_run_whose_answer_is_lost_is_not_mistaken_for_the_one_before(way, dag_runs, fake_domino):
    first, second = dag_runs
    way(first)
    fake_domino.lose_answers = 1
    assert way(second) == 2


@in_each_way
def test_a_retry_after_a_failed_run_does_not_deliver_the_result_of_the_one_before(way, dag_runs, worker, fake_domino):
    first, second = dag_runs
    way(first)
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Failed")
    with pytest.raises(RunFailedError):
        worker(second)
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded")
    assert worker(second, try_number=2) == 3


def test_another_triggerer_and_a_retry_find_its_own_run(dag_runs, triggerer, worker, fake_domino):
    first, second = dag_runs
    triggerer(first)
    fake_domino.leave_running()
    assert triggerer(second, is_shut_down=True) == 2
    assert triggerer(second, is_shut_down=True) == 2
    fake_domino.end(fake_domino.last["id"], "Succeeded")
    assert triggerer(second) == 2
    assert worker(second, try_number=2) == 2
    assert len(fake_domino.starts) == 2


@pytest.mark.parametrize("on_clear", ["stop", "reattach", "leave"])
def test_a_run_of_the_one_before_that_goes_on_is_neither_taken_nor_stopped(
    dag_runs, triggerer, worker, fake_domino, on_clear
):
    first, second = dag_runs
    fake_domino.leave_running()
    triggerer(first, on_clear, is_shut_down=True)
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded")
    assert triggerer(second, on_clear) == 2
    assert worker(second, on_clear, try_number=2) == 2
    assert fake_domino.stops == []


@pytest.mark.parametrize(("on_clear", "stopped"), [("stop", ["1"]), ("leave", [])])
def test_a_clear_finds_the_run_from_before_by_its_mark_though_the_dag_run_starts_anew(
    triggerer, worker, fake_domino, on_clear, stopped
):
    fake_domino.leave_running()
    triggerer(dag_run(NOW, NOW), on_clear, is_shut_down=True)
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded")
    cleared = dag_run(NOW, NOW + timedelta(hours=1), clear_number=1)
    assert worker(cleared, on_clear, try_number=2, max_tries=1) == 2
    assert [run.lstrip("0") for run in fake_domino.stops] == stopped


def test_of_a_dag_run_that_was_queued_again_only_the_name_is_known_since_airflow_makes_up_its_start():
    queued = dag_run(NOW, NOW)
    assert creation_key(queued) != ""
    queued.state = "queued"
    assert creation_key(queued) == ""


@in_each_way
def test_a_run_that_a_version_before_has_launched_is_still_found(way, worker, fake_domino, dag_runs):
    dag_run, _ = dag_runs
    way(dag_run)
    job = fake_domino.last
    job["title"] = job["title"].partition(" [created ")[0]
    assert RunMark.parse(job["title"]).creation_key == ""
    assert worker(dag_run, try_number=2) == 1
    assert len(fake_domino.starts) == 1
