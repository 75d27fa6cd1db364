"""Everything that can go wrong between us and Domino, told apart by what the caller can do about it.

::

    DominoError
     ├── ConfigurationError              change the settings: host, credentials or options are missing or malformed
     ├── DominoUnavailableError          wait and ask again: Domino could not be asked
     │    └── LaunchOutcomeUnknownError  look for the run first: a start was sent and its answer was lost
     ├── RequestError                    change the request: it was wrong, nothing was started
     │    ├── AuthenticationError        renew the credentials
     │    │    └── ReloginRequiredError  log in to Domino again in a browser
     │    ├── PermissionDeniedError      ask for access
     │    ├── NotFoundError              correct the name or the id
     │    ├── UnknownTierError           choose one of the tiers named
     │    ├── AmbiguousTierError         give the tier's id instead of its name
     │    └── UnsafePathError            choose a path inside the folder (also a ValueError)
     ├── RunError                        look at the run: it was started and ended badly
     │    ├── RunFailedError             its command failed: the user's code
     │    │    └── RunOutOfMemoryError   it needed more memory than its tier has: choose a larger one
     │    ├── RunPlatformError           Domino failed to carry it out: worth another try
     │    ├── RunStoppedError            somebody stopped it
     │    └── RunQueueTimeoutError       its tier had no room for it in time: wait, or choose another one
     └── RunWaitTimeoutError             the deadline passed while the run was still going
          └── QueueWaitTimeoutError      the run was still queued when it should have started

All of them survive pickling, say everything in ``str()``, which Airflow can store, and never hold credentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_domino.domino.causes import died_of_memory, stayed_queued
from airflow_domino.domino.storable import storable_text

if TYPE_CHECKING:
    from airflow_domino.domino.models import Run


class DominoError(Exception):
    """Base of every error of this package's Domino client."""

    def __str__(self) -> str:
        return storable_text(super().__str__())


class ConfigurationError(DominoError):
    """The host, the credentials or an option is missing or malformed."""


class DominoUnavailableError(DominoError):
    """Domino could not be asked: no connection, no answer in time, an overloaded or broken server.

    :param message: what happened and what to check.
    :param retry_after: seconds that Domino asked us to wait, when it said so.
    :param status: HTTP status of the answer, None when there was none.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status


class LaunchOutcomeUnknownError(DominoUnavailableError):
    """A start was sent and its answer was lost: the run may exist; look for its mark before launching again."""


class RequestError(DominoError):
    """Domino refused the request as wrong; nothing was started.

    :param message: what Domino said and what to change.
    :param status: HTTP status of the answer, None when the request was refused before it was sent.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AuthenticationError(RequestError):
    """Domino does not accept the credentials (401, or a login page where data was due)."""


class ReloginRequiredError(AuthenticationError):
    """Credentials that Domino stores for the user have expired (409): the user must log in again.

    :param message: what happened.
    :param login_url: page on which to log in again, `HOST/relogin?redirectPath=/`.
    """

    def __init__(self, message: str, *, login_url: str | None = None, status: int | None = 409) -> None:
        super().__init__(message, status=status)
        self.login_url = login_url


class PermissionDeniedError(RequestError):
    """The user is known and not allowed to do this (403)."""


class NotFoundError(RequestError):
    """A project, run, commit, file or environment that does not exist or is not visible to this user."""


class UnknownTierError(RequestError):
    """No hardware tier of the project has this name or id; the message lists those that there are."""


class AmbiguousTierError(RequestError):
    """Several hardware tiers have this name; the message lists their ids."""


class UnsafePathError(RequestError, ValueError):
    """A file name that would lead out of the folder asked for."""


class RunError(DominoError):
    """A run ended, and not well.

    :param run: the run as Domino last described it.
    :param url: its page in Domino's UI.
    :param log_tail: last lines of its log, oldest first.
    :param next_tier: the tier that another attempt will use, where that is another one.
    :param meaning: what its end means to those who know its command, as a sentence.
    :cvar is_curable_by_tier: whether a larger or a freer tier may do.
    """

    headline = "ended badly"
    remedy = ""
    is_curable_by_tier = False

    def __init__(
        self, run: Run, url: str, log_tail: Sequence[str] = (), next_tier: str | None = None, meaning: str = ""
    ) -> None:
        super().__init__(run, url, tuple(log_tail), next_tier, meaning)
        self.run = run
        self.url = url
        self.log_tail = tuple(log_tail)
        self.next_tier = next_tier
        self.meaning = meaning

    def __str__(self) -> str:
        reason = ": ".join(part for part in (self.run.failure_reason, self.run.failure_message) if part)
        lines = [f"Domino run {self.run.number} {self.headline} (status {self.run.status})."]
        if reason:
            lines.append(f"Reason: {reason}")
        if self.meaning:
            lines.append(self.meaning)
        if self.next_tier:
            lines.append(f"Another attempt uses tier {self.next_tier!r}.")
        elif self.remedy:
            lines.append(self.remedy)
        lines.append(f"See {self.url}")
        if self.log_tail:
            lines.append("Last lines of its log:")
            lines.extend(f"    {line}" for line in self.log_tail)
        return storable_text("\n".join(lines))


class RunFailedError(RunError):
    """The run's command failed: the user's code ended with a non-zero exit code."""

    headline = "failed: its command ended with an error"
    remedy = "Correct the command or what it reads; its log tells what went wrong."


class RunOutOfMemoryError(RunFailedError):
    """The run's command needed more memory than its tier has."""

    headline = "ran out of memory"
    remedy = "Use a tier with more memory, or give a list of tiers to climb."
    is_curable_by_tier = True


class RunPlatformError(RunError):
    """Domino could not carry the run out (Error, Faulty or a status unknown to us)."""

    headline = "could not be carried out by Domino"
    remedy = "Try again; if it happens again, show the page of the run to those who look after Domino."


class RunStoppedError(RunError):
    """The run was stopped on somebody's request."""

    headline = "was stopped"
    remedy = "Run the task again if it was stopped by mistake."


class RunQueueTimeoutError(RunError):
    """The run stayed in the queue for too long, and was stopped before it had started."""

    headline = "was stopped since it waited too long in the queue of its tier"
    remedy = "Use a tier with room, give a list of tiers to climb, or allow a longer queue_timeout."
    is_curable_by_tier = True


class RunWaitTimeoutError(DominoError):
    """A deadline passed while a run was still going; the run itself goes on.

    :param run: the run as last seen.
    :param url: its page in Domino's UI.
    """

    def __init__(self, run: Run, url: str) -> None:
        super().__init__(run, url)
        self.run = run
        self.url = url

    def __str__(self) -> str:
        return (
            f"Domino run {self.run.number} was still going (status {self.run.status}) when the deadline passed; "
            f"it has not been stopped: stop it, or allow it more time. See {self.url}"
        )


class QueueWaitTimeoutError(RunWaitTimeoutError):
    """A run was still queued at the moment by which it should have started; it has not been stopped."""


_RUN_ERRORS: dict[str, type[RunError]] = {"Failed": RunFailedError, "Stopped": RunStoppedError}


def run_error(
    run: Run,
    url: str,
    log_tail: Sequence[str] = (),
    *,
    queue_timeout: float | None = None,
    next_tier: str | None = None,
    meaning: str = "",
) -> RunError:
    """Choose the exception for a run that is over and did not succeed.

    :param run: a completed run whose status is not Succeeded.
    :param url: its page in Domino's UI.
    :param log_tail: last lines of its log, oldest first.
    :param queue_timeout: seconds after which it was stopped if it had not started.
    :param next_tier: the tier to climb to; told where the run died of what a larger or freer tier may cure.
    :param meaning: what its end means to those who know its command, as a sentence.
    """
    if died_of_memory(run, log_tail):
        return RunOutOfMemoryError(run, url, log_tail, next_tier, meaning)
    if stayed_queued(run, queue_timeout):
        return RunQueueTimeoutError(run, url, log_tail, next_tier, meaning)
    return _RUN_ERRORS.get(run.status.word, RunPlatformError)(run, url, log_tail, meaning=meaning)
