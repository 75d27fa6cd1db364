"""Making a Luigi task again on Domino although it is complete: whose wish that is, and the command that does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_domino.operators._luigi_arguments import luigi_command
from airflow_domino.operators.luigi_plan import FORCED_XCOM, LuigiPlanOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

# Runs Luigi's command line with some files moved aside; what was not made anew comes back. Needs nothing but Luigi.
_MOVE_ASIDE = """\
import os, runpy, sys, time
count = int(sys.argv[1])
old = [path for path in sys.argv[2 : 2 + count] if os.path.lexists(path)]
aside = ".before-force-" + time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
sys.argv[:] = ["luigi", *sys.argv[2 + count :]]
for path in old:
    os.rename(path, path + aside)
try:
    runpy.run_module("luigi", run_name="__main__", alter_sys=True)
finally:
    for path in old:
        if not os.path.lexists(path):
            os.rename(path + aside, path)
"""


def luigi_command_again(arguments: Sequence[str], workers: int, files: Sequence[str]) -> list[str]:
    """The command that makes a task again whose targets are files of the project.

    :param arguments: the task's part of Luigi's command line, verified by the engine
    :param files: names of its targets in the project; what is there is kept as ``<name>.before-force-<time>``
    """
    python, _, _, *rest = luigi_command(arguments, workers)
    return [python, "-c", f"exec({_MOVE_ASIDE!r})", str(len(files)), *files, *rest]  # one line, wherever it is quoted


def is_forced_by_plan(operator: BaseOperator, context: Context) -> bool:
    """Whether the first task of the drawn pipeline was told, in the form perhaps, to have this task made again.

    :param operator: a task of a drawn pipeline, or any other
    """
    plan = plan_of(operator)
    if plan is None:
        return False
    forced = context["ti"].xcom_pull(task_ids=plan.task_id, key=FORCED_XCOM)
    return isinstance(forced, list) and operator.task_id in forced


def plan_of(operator: BaseOperator) -> LuigiPlanOperator | None:
    """The first task of the drawn pipeline that a task belongs to; None for any other task."""
    if not operator.upstream_task_ids:
        return None
    waiting: list[Any] = [operator]
    seen = {operator.task_id}
    for task in waiting:  # grows while it is walked
        if isinstance(task, LuigiPlanOperator) and operator.task_id in task.task_ids.values():
            return task
        above = [one for one in task.upstream_list if one.task_id not in seen]
        seen.update(one.task_id for one in above)
        waiting += above
    return None
