"""Rules that all our tasks follow: what a template may leave empty, what is worth a retry, what needs a worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_domino.compat import AirflowException, AirflowFailException, AirflowNotFoundException, redact
from airflow_domino.domino import errors
from airflow_domino.domino.errors import ConfigurationError, DominoError, RequestError
from airflow_domino.hooks.runs import RunHandle, push_xcom
from airflow_domino.links.domino import LINK_KEY
from airflow_domino.triggers._kill import task_key

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Run

LOG_TAIL_LINES = 20
LONGEST_LINE = 500
"""Characters kept of a line of a run's log where it is stored in Airflow."""
# A token may be renewed and a permission given while a run goes on.
RENEWABLE = (errors.AuthenticationError, errors.PermissionDeniedError)

# What Airflow itself raises in a trigger of ours.
_AIRFLOWS: tuple[type[Exception], ...] = (AirflowException, AirflowNotFoundException)


@contextmanager
def refusing_wrong_requests(passing: tuple[type[DominoError], ...] = ()) -> Iterator[None]:
    """Fail a task for good when trying again cannot help: the request or the settings are wrong.

    :param passing: errors that a retry may cure here.
    :raises AirflowFailException: with the message of the error.
    """
    try:
        yield
    except (RequestError, ConfigurationError) as error:
        if isinstance(error, passing):
            raise
        raise AirflowFailException(str(error)) from None


def told_error(event: Mapping[str, Any]) -> Exception:
    """Make the exception that a trigger tells of: what a worker would have raised in its place."""
    name = str(event.get("error"))
    message = str(event.get("message") or "The trigger gave no reason; the log of the triggerer may tell it")
    kind = next((one for one in (*_below(DominoError), *_AIRFLOWS) if one.__name__ == name), DominoError)
    with suppress(TypeError):  # errors about the end of a run: a worker asks Domino how it ended
        return kind(message)
    return DominoError(message)


def _below(kind: type[Exception]) -> Iterator[type[Exception]]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)


def show_run(task_instance: Any, handle: RunHandle) -> None:
    """Push the XComs that show a run while it goes on."""
    push_xcom(task_instance, "run_id", handle.run_id)
    push_xcom(task_instance, LINK_KEY, handle.url)


def is_for_another(event: Any, context: Mapping[str, Any]) -> bool:
    """Say whether an event is the news of another task; see :func:`airflow_domino.triggers._kill.task_key`."""
    told = event.get("task") if isinstance(event, Mapping) else None
    return told is not None and list(told) != task_key(context["ti"])


def ends_without_worker(operator: BaseOperator) -> bool:
    """Say whether a success of this task can be recorded by the triggerer: nothing is to be announced or called."""
    hooked = operator._post_execute_hook is not None or type(operator).post_execute is not BaseOperator.post_execute
    in_dag = operator.has_dag()  # type: ignore[no-untyped-call]
    expands = in_dag and next(iter(operator.iter_mapped_dependants()), None) is not None
    # The trigger pushes the XCom `return_value`, and not as what Airflow takes for the result of a whole DAG.
    is_result = getattr(operator, "multiple_outputs", False) or getattr(operator, "returns_dag_result", False)
    announces = bool(operator.outlets or operator.on_success_callback or is_result)
    return not (hooked or expands or announces)


class ShowsRun:
    """Part of every task with a link to its run: what :class:`~airflow_domino.links.domino.DominoRunLink` reads.

    :ivar run_handle: the run, as soon as it is known.
    :ivar was_resumed: whether this process goes on where another one deferred.
    """

    run_handle: RunHandle | None = None
    was_resumed: bool = False

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Note that the task was deferred, and go on with it."""
        self.was_resumed = True
        return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]


def log_tail(client: DominoClient, handle: RunHandle) -> list[str]:
    """Return the last lines of a run's log for an error message, or why they are missing."""
    try:
        client.project(handle.project)  # Domino's older log route asks for its name
        return client.log_tail(handle.run_id, LOG_TAIL_LINES)
    except DominoError as error:
        return [f"(its log cannot be read: {error})"]


def why_it_failed(run: Run, tail: Sequence[str]) -> dict[str, Any]:
    """Return what the page shows of a run that ended badly, masked and bounded, since it is stored in Airflow.

    :param tail: last lines of its log, oldest first.
    """
    reason = ": ".join(part for part in (run.failure_reason, run.failure_message) if part)
    kept = [str(redact(text))[:LONGEST_LINE] for text in (reason, *tail)]
    return {"reason": kept[0] or None, "log_tail": kept[1:]}
