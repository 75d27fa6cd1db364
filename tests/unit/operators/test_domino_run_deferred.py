"""DominoRunOperator that gives its worker slot back while its run goes on."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from airflow.sdk import DAG, Asset, TaskGroup, task

from airflow_domino.compat import AirflowException, AirflowTaskTimeout, TaskDeferred
from airflow_domino.domino.errors import (
    AuthenticationError,
    ConfigurationError,
    DominoError,
    DominoUnavailableError,
    NotFoundError,
    RunFailedError,
)
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.operators.domino import DominoRunOperator

pytestmark = pytest.mark.usefixtures("domino_connection")


@pytest.fixture
def make():
    def build(**arguments):
        return DominoRunOperator(**{"task_id": "forest", "command": "main.py", "poll_interval": 0.1} | arguments)

    return build


@pytest.fixture
def defer(make, fake_domino, task_context):
    """Execute an operator whose run goes on; return the deferral."""

    def run(operator=None, context=None, **arguments):
        fake_domino.leave_running()
        with pytest.raises(TaskDeferred) as deferral:
            (operator or make(**arguments)).execute(context or task_context())
        return deferral.value

    return run


def test_waiting_in_the_triggerer_is_the_default(defer, fake_domino):
    deferral = defer()
    assert deferral.method_name == "execute_complete"
    assert deferral.kwargs["run"]["run_id"] == fake_domino.last["id"]
    assert deferral.timeout is None


def test_link_and_run_id_are_there_before_the_task_defers(defer, fake_domino, task_context):
    context = task_context()
    defer(context=context)
    assert context["ti"].xcoms["run_id"] == fake_domino.last["id"]
    assert fake_domino.last["id"] in context["ti"].xcoms["domino_run_link"]


def test_a_run_that_is_already_over_is_not_deferred(make, fake_domino, task_context):
    assert make().execute(task_context())["status"] == "Succeeded"


def test_the_triggers_arguments_hold_no_secret(defer, fake_domino):
    _, arguments = defer().trigger.serialize()
    assert fake_domino.token not in str(arguments)
    assert arguments["domino_conn_id"] == "domino_default"


def test_the_deadline_is_absolute_and_counts_from_the_start_of_the_attempt(defer, task_context):
    context = task_context()
    deferral = defer(context=context, execution_timeout=timedelta(minutes=5))
    assert deferral.trigger.deadline == (context["ti"].start_date + timedelta(minutes=5)).isoformat()


def test_a_plain_success_ends_in_the_triggerer(defer):
    assert defer().trigger.ends_task
    assert defer().trigger.push_result
    assert not defer(do_xcom_push=False).trigger.push_result


@pytest.mark.parametrize(
    "arguments",
    [
        {"outputs": ["model.zip"], "output_dir": "/tmp"},
        {"outlets": [Asset("model")]},
        {"on_success_callback": lambda context: None},
        {"multiple_outputs": True},
        {"post_execute": lambda context, result: None},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_a_success_with_more_to_do_goes_back_to_a_worker(defer, arguments):
    assert not defer(**arguments).trigger.ends_task


def test_a_success_that_others_expand_over_goes_back_to_a_worker(defer, make):
    with DAG("train"), TaskGroup("group"):
        operator = make()

        @task
        def each(value): ...

        each.expand(value=operator.output)
    assert not defer(operator).trigger.ends_task


def resume(make, deferral, task_context, event, **arguments):
    return make(**arguments).execute_complete(task_context(), event=event, **(deferral.kwargs or {}))


def test_the_worker_tells_of_a_success(make, defer, fake_domino, task_context):
    deferral = defer()
    run_id = fake_domino.last["id"]
    fake_domino.end(run_id, "Succeeded")
    result = resume(make, deferral, task_context, {"run_id": run_id, "outcome": "ended"})
    assert (result["run_id"], result["status"], result["cost_cents"]) == (run_id, "Succeeded", 0.5)


def test_a_failed_run_fails_the_task_with_its_last_log_lines(make, defer, fake_domino, task_context):
    deferral = defer()
    run_id = fake_domino.last["id"]
    fake_domino.end(run_id, "Failed")
    with pytest.raises(RunFailedError, match="line 2 of run 1"):
        resume(make, deferral, task_context, {"run_id": run_id, "outcome": "ended"})


def test_the_last_log_lines_of_a_failed_run_are_kept_for_the_page(make, defer, fake_domino, task_context):
    deferral, context = defer(), task_context()
    run_id = fake_domino.last["id"]
    fake_domino.end(run_id, "Failed")
    with pytest.raises(RunFailedError):
        make().execute_complete(context, event={"run_id": run_id, "outcome": "ended"}, **deferral.kwargs)

    kept = context["ti"].xcoms["domino_run"]
    assert (kept["run_id"], kept["status"]) == (run_id, "Failed")
    assert any("line 2 of run 1" in line for line in kept["log_tail"])


def test_the_last_log_lines_may_come_from_domino_s_older_route(make, defer, fake_domino, task_context):
    deferral = defer()
    run_id = fake_domino.last["id"]
    fake_domino.end(run_id, "Failed")
    fake_domino.logs[run_id], fake_domino.v1_logs[run_id] = [], "from the older route"
    with pytest.raises(RunFailedError, match="from the older route"):
        resume(make, deferral, task_context, {"run_id": run_id, "outcome": "ended"})


@pytest.mark.parametrize("outcome", ["ended", "launch", "error", "deadline"])
def test_news_of_another_task_is_stale_and_the_task_begins_by_looking_for_its_own_run(
    make, fake_domino, task_context, outcome
):
    fake_domino.leave_running()
    other = fake_domino.start({"commandToRun": "other.py"})["id"]
    run = RunHandle(other, "u", "domino/quick-start", "p1").to_dict()
    event = {"outcome": outcome, "run_id": other, "run": run, "task": ["train", "manual__1", "another", -1]}
    with pytest.raises(TaskDeferred) as deferral:
        make(deferrable=True).execute_complete(task_context(), event=event)
    assert deferral.value.trigger.run_handle.run_id == fake_domino.last["id"] != other


def test_news_of_another_run_is_stale_and_the_task_waits_on(make, defer, fake_domino, task_context):
    deferral = defer()
    with pytest.raises(TaskDeferred) as again:
        resume(make, deferral, task_context, {"run_id": "f" * 24, "outcome": "ended"})
    assert again.value.trigger.run_handle.run_id == fake_domino.last["id"]


def test_news_of_an_end_that_is_none_makes_the_task_wait_on(make, defer, fake_domino, task_context):
    deferral = defer()
    with pytest.raises(TaskDeferred):
        resume(make, deferral, task_context, {"run_id": fake_domino.last["id"], "outcome": "ended"})


def test_a_passed_deadline_fails_the_task_after_the_stop_is_confirmed(make, defer, fake_domino, task_context):
    deferral = defer()
    run_id = fake_domino.last["id"]
    with pytest.raises(AirflowTaskTimeout, match="has been stopped"):
        resume(make, deferral, task_context, {"run_id": run_id, "outcome": "deadline"})
    assert fake_domino.stops == [run_id]


def test_a_passed_deadline_leaves_the_run_alone_where_kills_do(make, defer, fake_domino, task_context):
    deferral = defer(on_kill="leave")
    event = {"run_id": fake_domino.last["id"], "outcome": "deadline"}
    with pytest.raises(AirflowTaskTimeout, match="its Domino run goes on"):
        resume(make, deferral, task_context, event, on_kill="leave")
    assert fake_domino.stops == []


def test_a_stop_at_the_deadline_that_is_not_confirmed_is_a_timeout_all_the_same(
    make, defer, fake_domino, task_context, monkeypatch
):
    deferral = defer()

    def refuse(client, handle, **options):
        raise DominoUnavailableError("down for maintenance")

    monkeypatch.setattr("airflow_domino.operators._waiting.stop_and_confirm", refuse)
    with pytest.raises(AirflowTaskTimeout, match=re.escape("may go on (down for maintenance")):
        resume(make, deferral, task_context, {"run_id": fake_domino.last["id"], "outcome": "deadline"})


def test_a_failed_look_right_after_the_launch_does_not_fail_the_task(defer, fake_domino, make, monkeypatch):
    monkeypatch.setattr("airflow_domino.domino.transport.RetryPolicy.wait", lambda *_: 0.0)
    operator = make()
    monkeypatch.setattr(operator, "_stop_if_asked_meanwhile", lambda: setattr(fake_domino, "broken", True))
    assert defer(operator).kwargs["run"]["run_id"] == fake_domino.last["id"]


def test_an_outage_at_the_end_of_a_deferral_is_waited_out(make, defer, fake_domino, task_context, monkeypatch):
    monkeypatch.setattr("airflow_domino.domino.transport.RetryPolicy.wait", lambda *_: 0.0)
    deferral = defer()
    run_id = fake_domino.last["id"]
    fake_domino.end(run_id, "Succeeded")
    fake_domino.broken = True
    threading.Timer(0.5, lambda: setattr(fake_domino, "broken", False)).start()
    result = resume(make, deferral, task_context, {"run_id": run_id, "outcome": "ended"})
    assert result["status"] == "Succeeded"


def test_log_lines_that_were_copied_are_not_copied_again_after_another_deferral(make, defer, fake_domino, task_context):
    deferral = defer()
    event = {"run_id": fake_domino.last["id"], "outcome": "ended", "log_cursor": "2"}
    with pytest.raises(TaskDeferred) as again:
        resume(make, deferral, task_context, event)
    assert again.value.trigger.log_cursor == "2"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("DominoUnavailableError", DominoUnavailableError),
        ("NotFoundError", NotFoundError),
        ("AuthenticationError", AuthenticationError),
        ("ConfigurationError", ConfigurationError),
        ("os.system", DominoError),
    ],
)
def test_trouble_with_a_run_that_was_launched_is_raised_so_that_a_retry_takes_it_up(
    make, defer, fake_domino, task_context, error, kind
):
    deferral = defer()
    event = {"run_id": fake_domino.last["id"], "outcome": "error", "error": error, "message": "it said so"}
    with pytest.raises(kind, match="it said so"):
        resume(make, deferral, task_context, event)


@pytest.mark.parametrize(
    ("try_number", "words"), [(1, "the next attempt takes it up"), (3, "no attempt is left to take it up")]
)
def test_the_log_tells_what_becomes_of_a_run_that_is_out_of_sight(
    make, defer, fake_domino, task_context, capsys, try_number, words
):
    deferral = defer()
    event = {"run_id": fake_domino.last["id"], "outcome": "error", "error": "DominoUnavailableError", "message": "x"}
    with pytest.raises(DominoUnavailableError):
        make().execute_complete(task_context(try_number=try_number), event=event, **deferral.kwargs)
    assert words in capsys.readouterr().out


@pytest.mark.parametrize("event", [None, "nonsense", {}, {"outcome": "party"}, 7])
def test_an_event_that_is_not_ours_fails_loudly(make, defer, task_context, event):
    with pytest.raises(AirflowException, match="Not an event of a Domino run"):
        resume(make, defer(), task_context, event)


def test_the_run_is_known_from_the_store_when_the_deferral_lost_it(make, defer, fake_domino, task_context, state_store):
    # This is how `dag.test()` resumes a task whose trigger ended it.
    defer(context=task_context(state_store))
    fake_domino.end(fake_domino.last["id"], "Succeeded")
    assert make().execute_complete(task_context(state_store), event="success")["status"] == "Succeeded"


def test_without_a_store_the_run_is_known_from_its_xcom(make, defer, fake_domino, task_context):
    context = task_context()
    defer(context=context)
    fake_domino.end(fake_domino.last["id"], "Succeeded")
    assert make().execute_complete(context, event="success")["cost_cents"] == 0.5


def test_a_task_that_is_resumed_without_any_run_says_so(make, task_context):
    with pytest.raises(AirflowException, match="which Domino run"):
        make().execute_complete(task_context(), event="success")


def test_a_resumed_operator_still_knows_its_link(make, defer, fake_domino, task_context):
    deferral = defer()
    fake_domino.end(fake_domino.last["id"], "Succeeded")
    operator = make()
    operator.execute_complete(task_context(), event={"outcome": "ended"}, **deferral.kwargs)
    (link,) = operator.operator_extra_links
    assert link.get_link(operator, ti_key=None) == deferral.kwargs["run"]["url"]


def test_a_task_that_a_user_ends_during_the_launch_stops_its_run_instead_of_deferring(
    make, fake_domino, task_context, monkeypatch
):
    fake_domino.leave_running()
    monkeypatch.setattr("airflow_domino.compat.task_state_of", lambda task_instance: "failed")
    with pytest.raises(AirflowException, match="The task is failed"):
        make().execute(task_context())
    assert fake_domino.stops == [fake_domino.last["id"]]


def give_up(task, context):
    """Resume a task as Airflow does when the time of its trigger is over."""
    task.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


def test_a_trigger_that_airflow_gives_up_at_the_deadline_leaves_no_run_going(make, defer, fake_domino, task_context):
    defer()
    context = task_context()
    context["ti"].xcoms["run_id"] = fake_domino.last["id"]
    with pytest.raises(AirflowTaskTimeout, match="its Domino run has been stopped"):
        give_up(make(), context)
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_so_does_one_that_was_given_up_in_the_middle_of_its_launch(make, defer, fake_domino, task_context):
    defer()
    with pytest.raises(AirflowTaskTimeout, match="its Domino run has been stopped"):
        give_up(make(), task_context())
    assert fake_domino.stops == [fake_domino.last["id"]]


def test_a_trigger_that_is_given_up_before_its_launch_says_that_there_is_no_run(make, task_context, fake_domino):
    with pytest.raises(AirflowTaskTimeout, match="no Domino run of it goes on"):
        give_up(make(), task_context())
    assert fake_domino.stops == []


def test_a_trigger_that_is_given_up_leaves_the_run_of_a_task_that_wants_it(make, defer, fake_domino, task_context):
    defer()
    with pytest.raises(AirflowTaskTimeout, match="on_kill is 'leave'"):
        give_up(make(on_kill="leave"), task_context())
    assert fake_domino.stops == []
