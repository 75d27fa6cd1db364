"""`@task.domino`: a function that returns the command of a Domino run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
from airflow.sdk.definitions._internal.types import SET_DURING_EXECUTION
from airflow.sdk.definitions.context import context_merge

from airflow_domino.compat import AirflowFailException, determine_kwargs
from airflow_domino.operators.domino import DominoRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class _DominoDecoratedOperator(DecoratedOperator, DominoRunOperator):
    """Calls the function on a worker, then runs what it returned on Domino.

    :param python_callable: returns a command line or a list of arguments.
    :param op_args: its positional arguments (templated).
    :param op_kwargs: its named arguments (templated).
    """

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *DominoRunOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **DominoRunOperator.template_fields_renderers,
    }
    custom_operator_name = "@task.domino"
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., str | Sequence[str]],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            command=SET_DURING_EXECUTION,
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Ask the function for the command, then be the run."""
        context_merge(context, self.op_kwargs)
        command = self.python_callable(*self.op_args, **determine_kwargs(self.python_callable, self.op_args, context))
        if not isinstance(command, (str, list, tuple)) or not command:
            raise AirflowFailException(
                f"{self.python_callable.__name__}() returned {command!r}; return the run's command: a command line or "
                "a list of arguments"
            )
        self.command = command
        self.render_template_fields(context)
        return self.execute_run(context)


def domino_task(python_callable: Callable[..., str | Sequence[str]] | None = None, **kwargs: Any) -> TaskDecorator:
    """Turn a function that returns a command into a task that runs it on Domino.

    :param python_callable: the function.
    :param kwargs: arguments of :class:`~airflow_domino.operators.domino.DominoRunOperator`, other than `command`.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_DominoDecoratedOperator, **kwargs
    )
