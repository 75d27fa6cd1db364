"""What the page shows of a run that ended badly is kept in Airflow, within bounds."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.sdk.log import mask_secret

from airflow_domino.compat import AirflowException, AirflowNotFoundException, trigger_event
from airflow_domino.domino import errors
from airflow_domino.domino.failures import NothingSentError, UntrustedConnectionError
from airflow_domino.operators._rules import LONGEST_LINE, told_error, why_it_failed
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.triggers.domino import event_of


def run(reason=None, message=None):
    return SimpleNamespace(failure_reason=reason, failure_message=message)


def test_dominos_reason_and_the_last_log_lines_are_kept():
    kept = why_it_failed(run("UserCodeFailed", "exit code 1"), ["a = 1", "ValueError: x"])

    assert kept == {"reason": "UserCodeFailed: exit code 1", "log_tail": ["a = 1", "ValueError: x"]}


def test_a_line_without_end_is_cut():
    kept = why_it_failed(run(message="x" * 10_000), ["y" * 10_000])

    assert len(kept["reason"]) == len(kept["log_tail"][0]) == LONGEST_LINE


def test_what_airflow_masks_is_not_kept():
    mask_secret("kept-secret-8")
    kept = why_it_failed(run(message="with kept-secret-8"), ["printed kept-secret-8"])

    assert kept == {"reason": "with ***", "log_tail": ["printed ***"]}


def through_a_trigger(error):
    """The exception that a worker raises where a trigger met another one."""
    event = trigger_event(event_of("error", None, error=type(error).__name__, message=str(error)))
    return told_error(json.loads(json.dumps(event.payload)))


@pytest.mark.parametrize(
    "error",
    [
        errors.DominoError("no"),
        errors.ConfigurationError("no host"),
        errors.DominoUnavailableError("down", retry_after=3.0),
        errors.LaunchOutcomeUnknownError("lost"),
        errors.UnknownTierError("no tier"),
        errors.UnsafePathError("../x"),
        errors.ReloginRequiredError("log in", login_url="https://domino/relogin"),
        NothingSentError("no such host"),
        UntrustedConnectionError("no such certificate"),
        AirflowException("no run"),
        AirflowNotFoundException("The conn_id `domino_default` isn't defined"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_in_a_trigger_keeps_its_class_and_its_reason(error):
    told = through_a_trigger(error)
    assert (type(told), str(told)) == (type(error), str(error))


@pytest.mark.parametrize("name", ["RunFailedError", "RunWaitTimeoutError", "SystemExit", "no class", ""])
def test_a_word_of_a_trigger_that_is_no_such_class_is_an_error_of_domino_all_the_same(name):
    told = told_error({"error": name, "message": "why"})
    assert (type(told), str(told)) == (errors.DominoError, "why")


def test_a_nul_in_a_reason_does_not_keep_it_from_being_stored():
    told = through_a_trigger(errors.RequestError("Domino said a\0b \ud800"))
    assert (type(told), str(told)) == (errors.RequestError, "Domino said a\ufffdb \ufffd")


@pytest.mark.usefixtures("domino_connection")
def test_what_a_failed_run_has_left_does_not_mask_its_failure(fake_domino, task_context):
    def fail(domino, run_id):
        domino.jobs[run_id]["dominoStats"] = [{"name": "__type", "value": "a\0b"}]
        domino.logs[run_id] = ["reason: \0"]
        domino.end(run_id, "Failed", reason="Exit\0Code")

    fake_domino.on_start = fail
    context = task_context()
    with pytest.raises(errors.RunFailedError) as failure:
        DominoRunOperator(task_id="forest", command="train.py", deferrable=False).execute(context)

    kept = context["ti"].xcoms["domino_run"]
    assert kept["stats"] == {"___type": "a\ufffdb"}
    assert (kept["reason"], kept["log_tail"]) == ("Exit\ufffdCode: see its log", ["reason: \ufffd"])
    assert "\0" not in str(failure.value)
    assert "Exit\ufffdCode" in str(failure.value)


@pytest.mark.usefixtures("domino_connection")
@pytest.mark.parametrize("pushes", [True, False])
def test_a_task_that_pushes_no_result_pushes_none_of_its_parts(fake_domino, task_context, pushes):
    context = task_context()
    task = DominoRunOperator(task_id="forest", command="train.py", deferrable=False, do_xcom_push=pushes)
    task.execute(context)
    assert ("output_commit" in context["ti"].xcoms) is pushes


def test_where_domino_gives_no_reason_there_is_none():
    assert why_it_failed(run(), []) == {"reason": None, "log_tail": []}
