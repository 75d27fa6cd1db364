"""The retry policy: which failures are worth another try, and that Airflow asks it."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, RetryAction, RetryDecision
from airflow.sdk.execution_time.task_runner import _evaluate_retry_policy
from airflow.serialization.serialized_objects import DagSerialization

from airflow_domino import retries
from airflow_domino.compat import AirflowTaskTimeout
from airflow_domino.domino.errors import (
    AuthenticationError,
    ConfigurationError,
    DominoUnavailableError,
    LaunchOutcomeUnknownError,
    RequestError,
    RunFailedError,
    RunOutOfMemoryError,
    RunPlatformError,
    RunQueueTimeoutError,
    RunStoppedError,
    RunWaitTimeoutError,
    UnknownTierError,
)
from airflow_domino.domino.models import Run, RunStatus
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.retries import DominoRetryPolicy

URL = "https://d/run"
RUN = Run("id1", 42, "a title", "train.py", "p1", RunStatus("Failed", True))
OWN_DELAY = timedelta(minutes=5)


def decide(error: BaseException, policy: DominoRetryPolicy | None = None, **asked: Any) -> RetryDecision:
    return (policy or DominoRetryPolicy()).evaluate(exception=error, try_number=1, max_tries=3, **asked)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (DominoUnavailableError("busy"), RetryAction.RETRY),
        (LaunchOutcomeUnknownError("lost"), RetryAction.RETRY),
        (RequestError("wrong"), RetryAction.FAIL),
        (AuthenticationError("who?"), RetryAction.DEFAULT),
        (UnknownTierError("no such tier"), RetryAction.FAIL),
        (ConfigurationError("no host"), RetryAction.FAIL),
        (RunFailedError(RUN, URL), RetryAction.FAIL),
        (RunPlatformError(RUN, URL), RetryAction.RETRY),
        (RunStoppedError(RUN, URL), RetryAction.FAIL),
        (RunOutOfMemoryError(RUN, URL), RetryAction.FAIL),
        (RunOutOfMemoryError(RUN, URL, next_tier="Large"), RetryAction.RETRY),
        (RunQueueTimeoutError(RUN, URL), RetryAction.FAIL),
        (RunQueueTimeoutError(RUN, URL, next_tier="Large"), RetryAction.RETRY),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.name,
)
def test_only_what_another_try_may_cure_is_tried_again_and_the_reason_is_given(
    error: Exception, action: RetryAction
) -> None:
    decision = decide(error)

    assert decision.action is action
    assert len((decision.reason or "").split()) > 3


@pytest.mark.parametrize(
    "error", [RunWaitTimeoutError(RUN, URL), AirflowTaskTimeout("too long"), KeyError("theirs")], ids=repr
)
def test_everything_else_is_left_to_airflow(error: Exception) -> None:
    assert decide(error) == RetryDecision.default()


@pytest.mark.parametrize("error", [RunOutOfMemoryError, RunQueueTimeoutError])
def test_the_next_tier_is_tried_at_once_and_named(error: type[RunOutOfMemoryError | RunQueueTimeoutError]) -> None:
    decision = decide(error(RUN, URL, next_tier="X-Large"))

    assert decision.retry_delay == timedelta(seconds=1)
    assert "X-Large" in str(decision.reason)


def test_user_code_and_stopped_runs_are_tried_again_by_those_who_say_so() -> None:
    failed, stopped = RunFailedError(RUN, URL), RunStoppedError(RUN, URL)
    on_failure, on_stop = DominoRetryPolicy(retry_user_code=True), DominoRetryPolicy(retry_stopped=True)

    assert decide(failed, on_failure).action is RetryAction.RETRY
    assert decide(stopped, on_failure).action is RetryAction.FAIL
    assert decide(failed, on_stop).action is RetryAction.FAIL
    assert decide(stopped, on_stop).action is RetryAction.RETRY


def test_the_last_tier_is_not_tried_again_for_want_of_memory_even_where_user_code_is() -> None:
    assert decide(RunOutOfMemoryError(RUN, URL), DominoRetryPolicy(retry_user_code=True)).action is RetryAction.FAIL


@pytest.mark.parametrize(("asked", "delay"), [(None, None), (1.0, None), (300.0, None), (900.0, timedelta(minutes=15))])
def test_domino_may_lengthen_the_pause_that_the_task_asks_for_but_not_shorten_it(
    asked: float | None, delay: timedelta | None
) -> None:
    context = {"task": SimpleNamespace(retry_delay=OWN_DELAY)}

    assert decide(DominoUnavailableError("busy", retry_after=asked), context=context).retry_delay == delay


def test_without_a_context_domino_alone_sets_the_pause() -> None:
    assert decide(DominoUnavailableError("busy", retry_after=7.0)).retry_delay == timedelta(seconds=7)


# ---- in Airflow


def dag_with_policy() -> DAG:
    policy = DominoRetryPolicy(retry_user_code=True)
    with DAG("train", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        DominoRunOperator(task_id="forest", command="train.py", retries=2, retry_policy=policy)
        mapped = DominoRunOperator.partial(task_id="mapped", retries=2, retry_policy=policy)
        mapped.expand(command=["a.py", "b.py"])
    return dag


@pytest.mark.parametrize("task_id", ["forest", "mapped"])
def test_a_serialized_dag_tells_that_there_is_a_policy_and_the_worker_asks_the_one_of_the_dag_file(
    task_id: str,
) -> None:
    dag = dag_with_policy()

    stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))

    assert stored.get_task(task_id).has_retry_policy
    task_instance: Any = SimpleNamespace(task=dag.get_task(task_id), try_number=1, _ti_context_from_server=None)
    log: Any = SimpleNamespace(info=lambda *_, **__: None, exception=logging.getLogger().exception)
    decision = _evaluate_retry_policy(task_instance, RunFailedError(RUN, URL), log, {})
    assert decision is not None
    assert decision.action is RetryAction.RETRY


def test_a_policy_survives_its_own_serialization_also_that_of_a_later_version() -> None:
    written = json.loads(json.dumps(DominoRetryPolicy(retry_stopped=True).serialize()))

    read = DominoRetryPolicy.deserialize(written | {"something_new": 1})

    assert vars(read) == {"retry_user_code": False, "retry_stopped": True}
    assert vars(DominoRetryPolicy.deserialize({})) == vars(DominoRetryPolicy())


def test_below_airflow_3_3_the_import_says_which_airflow_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "airflow.sdk", ModuleType("airflow.sdk"))
    spec = importlib.util.spec_from_file_location("retries_on_airflow_3_1", str(retries.__file__))
    assert spec is not None
    assert spec.loader is not None

    with pytest.raises(ImportError, match=r"needs Airflow 3\.3 or later"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
