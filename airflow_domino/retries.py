"""Which failures of a Domino task are worth another try (Airflow 3.3 and later)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow_domino.domino.errors import (
    AuthenticationError,
    ConfigurationError,
    DominoUnavailableError,
    PermissionDeniedError,
    RequestError,
    RunError,
    RunFailedError,
    RunPlatformError,
    RunStoppedError,
)

try:
    from airflow.sdk import RetryAction, RetryDecision, RetryPolicy
except ImportError as error:
    raise ImportError(
        "airflow_domino.retries needs Airflow 3.3 or later, which has retry policies; use retries and "
        "retry_delay before"
    ) from error

if TYPE_CHECKING:
    from airflow.sdk import Context

AT_ONCE = timedelta(seconds=1)


class DominoRetryPolicy(RetryPolicy):
    """Tries again what another try may cure; how often at most is still the task's `retries`.

    ============================================  ===========================================================
    Domino is out of reach                        again, after what it asks for or the task's `retry_delay`
    Domino could not carry the run out            again, after `retry_delay`
    the request or the settings are wrong         not again
    the command failed                            not again, unless `retry_user_code`
    out of memory, or too long in the queue       at once on the next tier of `tier`; without one not again
    somebody stopped the run                      not again, unless `retry_stopped`
    anything else                                 as Airflow does without a policy
    ============================================  ===========================================================

    :param retry_user_code: whether a run whose command failed is worth another try.
    :param retry_stopped: whether a run that was stopped is, too.
    """

    def __init__(self, *, retry_user_code: bool = False, retry_stopped: bool = False) -> None:
        self.retry_user_code = retry_user_code
        self.retry_stopped = retry_stopped

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide (Airflow's `RetryPolicy.evaluate`, asked on the worker on which the attempt has failed)."""
        if isinstance(exception, RunError):
            return self._after_run(exception)
        if isinstance(exception, DominoUnavailableError):
            wait = _wait_asked_for(exception, context)
            return RetryDecision.retry(delay=wait, reason="Domino is out of reach for the time being")
        if isinstance(exception, AuthenticationError | PermissionDeniedError):
            reason = "The credentials may be renewed, and the run that goes on be taken up"
            return RetryDecision(action=RetryAction.DEFAULT, reason=reason)
        if isinstance(exception, RequestError | ConfigurationError):
            return RetryDecision.fail(reason="The request or the settings are wrong: another try would be, too")
        return RetryDecision.default()

    def _after_run(self, error: RunError) -> RetryDecision:
        if error.is_curable_by_tier:
            if error.next_tier is None:
                return RetryDecision.fail(reason="There is no further tier to climb to")
            return RetryDecision.retry(delay=AT_ONCE, reason=f"The next tier may do: {error.next_tier}")
        if isinstance(error, RunFailedError) and not self.retry_user_code:
            return RetryDecision.fail(reason="The run's command failed; another try would most likely, too")
        if isinstance(error, RunStoppedError) and not self.retry_stopped:
            return RetryDecision.fail(reason="Somebody has stopped the run")
        if isinstance(error, RunPlatformError):
            return RetryDecision.retry(reason="Domino could not carry the run out: that may pass")
        return RetryDecision.retry(reason=f"The run {error.headline}: it is tried again, as the policy is told to")

    def serialize(self) -> dict[str, Any]:
        """Return what a serialized DAG keeps of the policy."""
        return {"retry_user_code": self.retry_user_code, "retry_stopped": self.retry_stopped}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        """Read :meth:`serialize`'s values, also those of a version that wrote more."""
        return cls(**{name: bool(data.get(name)) for name in ("retry_user_code", "retry_stopped")})


def _wait_asked_for(error: DominoUnavailableError, context: Context | None) -> timedelta | None:
    """Return what Domino asks for where it is longer than the task's own delay, which stays the least there is."""
    if error.retry_after is None:
        return None
    asked = timedelta(seconds=error.retry_after)
    own: timedelta = context["task"].retry_delay if context is not None and "task" in context else timedelta()
    return asked if asked > own else None
