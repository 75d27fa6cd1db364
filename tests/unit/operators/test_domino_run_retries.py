"""One run per generation of a task instance, however often and wherever its attempts die."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest

from airflow_domino import compat
from airflow_domino.compat import AirflowException, AirflowTaskTimeout
from airflow_domino.domino.errors import AuthenticationError, LaunchOutcomeUnknownError, RunFailedError
from airflow_domino.domino.launch import RunMark
from airflow_domino.hooks.identity import LaunchRecord
from airflow_domino.hooks.runs import stop_and_confirm
from airflow_domino.operators.domino import DominoRunOperator

pytestmark = pytest.mark.usefixtures("domino_connection")


class WorkerDied(BaseException):
    """Stands for a worker that is gone: nothing of ours handles it."""


@pytest.fixture
def make():
    def build(**arguments):
        arguments = {"command": "main.py", "deferrable": False} | arguments
        return DominoRunOperator(task_id="forest", poll_interval=0.1, **arguments)

    return build


@pytest.fixture
def die_after(monkeypatch):
    """Make the operator die at one of its steps, as a killed worker does."""

    def arrange(name: str, when: str = "before"):
        real = getattr(DominoRunOperator, name)

        def dies(self, *arguments, **named):
            if when == "after":
                real(self, *arguments, **named)
            monkeypatch.setattr(DominoRunOperator, name, real)
            raise WorkerDied

        monkeypatch.setattr(DominoRunOperator, name, dies)

    return arrange


@pytest.fixture(params=["store", "mark alone"])
def store(request, state_store):
    """What outlives an attempt: Airflow 3.3's store, or (before it, or when it was lost) only the mark."""
    return state_store if request.param == "store" else None


def first_attempt_dies(make, fake_domino, task_context, store, die_after):
    fake_domino.leave_running()
    die_after("_wait_here")
    with pytest.raises(WorkerDied):
        make().execute(task_context(store))


def test_a_retry_goes_on_with_the_run_of_an_attempt_that_died(make, fake_domino, task_context, store, die_after):
    first_attempt_dies(make, fake_domino, task_context, store, die_after)
    fake_domino.end(fake_domino.last["id"], "Succeeded")
    context = task_context(store, try_number=2)
    result = make().execute(context)
    assert len(fake_domino.starts) == 1
    assert result["tier"] == "Small"
    assert result["cost_cents"] == 0.5
    assert context["ti"].xcoms["run_id"] == result["run_id"]


def test_a_crash_between_the_launch_and_its_record_launches_nothing_twice(
    make, fake_domino, task_context, state_store, monkeypatch
):
    fake_domino.leave_running()
    operator, context = make(), task_context(state_store)
    with monkeypatch.context() as patch:
        patch.setattr(LaunchRecord, "save", lambda *_: (_ for _ in ()).throw(WorkerDied))
        with pytest.raises(WorkerDied):
            operator.execute(context)
    assert state_store == {}
    fake_domino.end(fake_domino.last["id"], "Succeeded")
    make().execute(task_context(state_store, try_number=2))
    assert len(fake_domino.starts) == 1


def test_a_lost_answer_to_the_launch_launches_nothing_twice(make, fake_domino, task_context, store):
    fake_domino.lose_answers = 1
    make().execute(task_context(store))
    assert len(fake_domino.starts) == 1


def test_a_launch_that_cannot_be_found_is_looked_for_by_the_retry(make, fake_domino, task_context, store, monkeypatch):
    fake_domino.lose_answers = 1
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    operator, context = make(), task_context(store)
    with monkeypatch.context() as patch:
        patch.setattr("airflow_domino.domino.launch.find_run", lambda *_, **__: None)
        with pytest.raises(LaunchOutcomeUnknownError):
            operator.execute(context)
    make().execute(task_context(store, try_number=2))
    assert len(fake_domino.starts) == 1


def test_a_retry_after_a_failed_run_launches_another_one(make, fake_domino, task_context, store):
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Failed" if len(domino.jobs) < 3 else "Succeeded")
    for attempt in (1, 2):
        with pytest.raises(RunFailedError):
            make().execute(task_context(store, try_number=attempt))
    assert make().execute(task_context(store, try_number=3))["number"] == 3
    titles = [job["title"] for job in fake_domino.jobs.values()]
    assert len(set(titles)) == 3
    assert len({RunMark.parse(title).owner_key for title in titles}) == 1


def test_a_lost_answer_of_a_retry_is_not_taken_for_the_failed_run_before(make, fake_domino, task_context, store):
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Failed")
    with pytest.raises(RunFailedError):
        make().execute(task_context(store))
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded")
    fake_domino.lose_answers = 1
    assert make().execute(task_context(store, try_number=2))["number"] == 2


def test_a_retry_after_success_delivers_without_another_run(make, fake_domino, task_context, store, die_after):
    die_after("_finish")
    with pytest.raises(WorkerDied):
        make().execute(task_context(store))
    assert make().execute(task_context(store, try_number=2))["number"] == 1
    assert len(fake_domino.starts) == 1


def test_a_record_of_a_run_that_domino_no_longer_knows_is_no_obstacle(make, fake_domino, task_context, state_store):
    make().execute(task_context(state_store))
    fake_domino.jobs.clear()
    assert make().execute(task_context(state_store, try_number=2))["status"] == "Succeeded"
    assert len(fake_domino.starts) == 2


def test_clearing_a_task_that_succeeded_runs_it_again(make, fake_domino, task_context, store):
    make().execute(task_context(store, try_number=1, max_tries=2))
    assert make().execute(task_context(store, try_number=2, max_tries=3))["number"] == 2


def test_clearing_a_task_whose_run_still_goes_on_stops_that_run_first(
    make, fake_domino, task_context, store, die_after
):
    first_attempt_dies(make, fake_domino, task_context, store, die_after)
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded")
    result = make().execute(task_context(store, try_number=2, max_tries=3))
    assert result["number"] == 2
    assert fake_domino.stops == [f"{1:024x}"]


@pytest.mark.parametrize("word", ["StopRequested", "StopAndDiscardRequested", "Stopping"])
def test_a_run_that_is_being_stopped_is_not_taken_up(make, fake_domino, task_context, store, die_after, word):
    first_attempt_dies(make, fake_domino, task_context, store, die_after)
    fake_domino.last["statuses"]["executionStatus"] = word
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded")
    assert make().execute(task_context(store, try_number=2))["number"] == 2


@pytest.mark.parametrize(
    ("retries", "new_max_tries"), [(1, 2), (0, 1), (5, 6)], ids=["one less", "none left", "more than before"]
)
def test_clearing_a_task_runs_it_again_however_its_retries_were_edited_before(
    make, fake_domino, task_context, store, retries, new_max_tries
):
    first = task_context(store, try_number=1, max_tries=2)
    make(retries=2).execute(first | {"task": SimpleNamespace(retries=2)})
    cleared = task_context(store, try_number=2, max_tries=new_max_tries)
    assert make(retries=retries).execute(cleared | {"task": SimpleNamespace(retries=retries)})["number"] == 2


@pytest.mark.parametrize("retries", [1, 5])
def test_a_run_that_still_goes_on_is_stopped_however_retries_were_edited_meanwhile(
    make, fake_domino, task_context, store, die_after, retries
):
    first_attempt_dies(make, fake_domino, task_context, store, die_after)
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded")
    context = task_context(store, try_number=2) | {"task": SimpleNamespace(retries=retries)}
    assert make().execute(context)["number"] == 2
    assert fake_domino.stops == [f"{1:024x}"]


def test_the_retry_of_a_cleared_dag_run_finds_its_run_although_the_dag_run_has_begun_again(
    make, fake_domino, task_context
):
    make().execute(task_context())
    now = datetime.now(UTC)
    begun_again = SimpleNamespace(run_after=now, start_date=now + timedelta(hours=1), clear_number=1)
    for attempt in (2, 3):
        cleared = task_context(try_number=attempt, max_tries=3) | {"dag_run": begun_again}
        assert make().execute(cleared)["number"] == 2


def test_a_task_that_leaves_its_runs_alone_also_does_so_when_it_is_cleared(
    make, fake_domino, task_context, store, die_after
):
    first_attempt_dies(make, fake_domino, task_context, store, die_after)
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded")
    make(on_clear="leave").execute(task_context(store, try_number=2, max_tries=3))
    assert fake_domino.stops == []


def test_mapped_instances_and_other_tasks_have_runs_of_their_own(make, fake_domino, task_context):
    for index in (0, 1):
        make().execute(task_context(None, map_index=index, try_number=2))
    make().execute(task_context(None, task_id="net", try_number=2))
    assert len(fake_domino.starts) == 3


@pytest.fixture
def waiting(make, fake_domino, task_context, monkeypatch):
    """Give an operator that is waiting for its run, and the state that Airflow says its task is in."""

    def arrange(state: str | None, *, try_number: int = 1, **arguments):
        monkeypatch.setattr(compat, "task_state_of", lambda task_instance: state)
        fake_domino.leave_running()
        operator = make(**arguments)
        monkeypatch.setattr(operator, "_wait_here", lambda run: (_ for _ in ()).throw(WorkerDied))
        with pytest.raises(WorkerDied):
            operator.execute(task_context(try_number=try_number))
        return operator

    return arrange


@pytest.mark.parametrize("state", ["failed", "success", "restarting", "removed", "skipped"])
def test_a_user_who_ends_the_task_stops_the_run(waiting, fake_domino, state):
    waiting(state).on_kill()
    assert fake_domino.stops == [fake_domino.last["id"]]
    assert fake_domino.last["statuses"]["isCompleted"]


@pytest.mark.parametrize("state", ["running", None])
def test_a_worker_that_shuts_down_leaves_the_run_for_the_next_attempt(waiting, fake_domino, state):
    with pytest.raises(AirflowException, match="goes on for the next attempt"):
        waiting(state).on_kill()
    assert fake_domino.stops == []


@pytest.mark.parametrize("state", ["scheduled", "queued", "deferred", "up_for_retry", "up_for_reschedule"])
def test_a_worker_that_airflow_has_given_up_leaves_the_run_to_the_attempt_after_it(waiting, fake_domino, state):
    with pytest.raises(AirflowException, match="goes on for its next attempt"):
        waiting(state, try_number=3).on_kill()
    assert fake_domino.stops == []


@pytest.mark.parametrize("state", ["queued", "deferred"])
def test_a_launch_that_was_overtaken_by_another_attempt_leaves_its_run_alone(
    make, fake_domino, task_context, monkeypatch, state
):
    monkeypatch.setattr(compat, "task_state_of", lambda task_instance: state)
    fake_domino.leave_running()
    with pytest.raises(AirflowException, match="its next attempt takes the Domino run up"):
        make(deferrable=True).execute(task_context())
    assert fake_domino.stops == []


def test_a_worker_that_shuts_down_stops_the_run_when_no_attempt_is_left(waiting, fake_domino):
    waiting("running", try_number=3).on_kill()
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_task_that_takes_too_long_stops_its_run(waiting, fake_domino):
    operator = waiting("running")
    try:
        raise AirflowTaskTimeout
    except AirflowTaskTimeout:
        operator.on_kill()
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_task_can_leave_its_run_going_when_it_is_killed(waiting, fake_domino):
    waiting("failed", on_kill="leave").on_kill()
    assert fake_domino.stops == []


def test_a_kill_before_the_launch_has_answered_stops_the_run_right_after_it(
    make, fake_domino, task_context, monkeypatch
):
    monkeypatch.setattr(compat, "task_state_of", lambda task_instance: "failed")
    operator = make()

    def kill_meanwhile(domino, run_id):
        operator.on_kill()

    fake_domino.on_start = kill_meanwhile
    with pytest.raises(Exception, match="was stopped"):
        operator.execute(task_context())
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_kill_before_the_launch_prevents_it(make, fake_domino, task_context, monkeypatch):
    monkeypatch.setattr(compat, "task_state_of", lambda task_instance: "failed")
    operator = make(on_kill="leave")
    monkeypatch.setattr(operator, "stage_inputs", lambda client, project, commit: operator.on_kill())
    with pytest.raises(AirflowException, match="No Domino run is launched: the task is failed"):
        operator.execute(task_context())
    assert fake_domino.starts == []


def test_an_expired_token_on_a_retry_is_no_reason_to_give_the_run_up(
    make, fake_domino, task_context, state_store, die_after, domino_connection, capsys
):
    first_attempt_dies(make, fake_domino, task_context, state_store, die_after)
    domino_connection(password="expired")
    with pytest.raises(AuthenticationError):
        make().execute(task_context(state_store, try_number=2))
    assert "The Domino run may go on, and the next attempt takes it up" in capsys.readouterr().out
    domino_connection()
    fake_domino.end(fake_domino.last["id"], "Succeeded")
    assert make().execute(task_context(state_store, try_number=3))["number"] == 1


def test_a_token_that_is_renewed_in_the_connection_is_seen_by_a_task_that_waits(
    make, fake_domino, task_context, domino_connection
):
    def expire(domino, run_id):
        domino.token = "renewed-token-1"
        domino_connection(password="renewed-token-1")
        domino.end(run_id, "Succeeded")

    fake_domino.on_start = expire
    assert make().execute(task_context())["status"] == "Succeeded"


def test_a_stop_that_domino_does_not_hear_is_told_and_does_not_hide_the_kill(waiting, fake_domino, capsys, monkeypatch):
    operator = waiting("failed")
    fake_domino.broken = True
    monkeypatch.setattr("airflow_domino.hooks.runs.stop_and_confirm", partial(stop_and_confirm, patience=0.0))
    operator.on_kill()
    assert "may still be going" in capsys.readouterr().out


def test_the_own_state_is_asked_for_by_task_run_and_map_index(monkeypatch):
    from airflow.sdk.execution_time import task_runner

    asked = []

    class Supervisor:
        def send(self, message):
            asked.append(message)
            return SimpleNamespace(task_states={"r1": {"forest_3": "failed"}})

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)
    task_instance = SimpleNamespace(dag_id="d", run_id="r1", task_id="forest", map_index=3)
    assert compat.task_state_of(task_instance) == "failed"
    assert (asked[0].task_ids, asked[0].run_ids, asked[0].map_index) == (["forest"], ["r1"], 3)


def test_no_answer_about_the_own_state_is_no_state(monkeypatch):
    from airflow.sdk.execution_time import task_runner

    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)
    task_instance = SimpleNamespace(dag_id="d", run_id="r1", task_id="forest", map_index=-1)
    assert compat.task_state_of(task_instance) is None
