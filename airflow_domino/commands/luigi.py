"""``airflow-domino luigi``: run or plan a Luigi task, with exit codes that tell the truth."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from airflow_domino.commands.failures import NOT_WELL, WRONG_SETTINGS, CommandError
from airflow_domino.commands.output import remark, say
from airflow_domino.progress import Count, counting

# How the engine numbers tasks: the turn of one, of how many, and what becomes of it.
_TASK_OF_ALL = re.compile(r"\w+: \[(\d+)/(\d+)\] (\w+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run = actions.add_parser("run", help="make a task and what it requires, unless it is complete")
    _add_task_arguments(run)
    run.add_argument("--workers", type=int, default=1, metavar="N", help="processes that Luigi may use (default: 1)")
    run.add_argument(
        "--force",
        action="append",
        nargs="?",
        const=True,
        metavar="FAMILY",
        help="make the task again although it is complete; with families: these of its graph; may be repeated",
    )
    run.add_argument(
        "--downstream",
        action="store_true",
        help="with --force FAMILY: make all that requires these again too",
    )
    run.add_argument(
        "--check",
        choices=("strict", "luigi"),
        default="strict",
        help="strict: a task that made nothing fails; luigi: what requires it fails (default: %(default)s)",
    )
    run.set_defaults(execute_action=_run)
    plan = actions.add_parser("plan", help="print the graph of a task as JSON, without asking what is complete")
    _add_task_arguments(plan)
    plan.add_argument("--output", type=Path, metavar="FILE", help="write it there, for LuigiDag(plan_file=FILE)")
    plan.add_argument(
        "--templated",
        action="append",
        default=[],
        metavar="NAME",
        help="a parameter whose value is known at run time only: a sample date stands for it; may be repeated",
    )
    plan.add_argument("--python", metavar="PYTHON", help="interpreter that has the pipeline's dependencies")
    plan.add_argument("--config", type=Path, metavar="FILE", help="the luigi.cfg to use")
    plan.add_argument(
        "--most-tasks", type=int, default=1000, metavar="N", help="refuse a larger graph (default: %(default)s)"
    )
    plan.add_argument(
        "--most-depth", type=int, default=200, metavar="N", help="refuse a deeper graph (default: %(default)s)"
    )
    plan.set_defaults(execute_action=_plan)


def _add_task_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="MODULE:FAMILY", help="the task, such as example_ensemble:ScoreReport")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="value of a parameter; may be repeated"
    )
    parser.add_argument(
        "--project-path", type=Path, metavar="DIR", help="folder that the module is in (default: the current one)"
    )


def execute(options: argparse.Namespace) -> int:
    """Carry out the action."""
    return int(options.execute_action(options))


def _run(options: argparse.Namespace) -> int:
    from airflow_domino.luigi.execute import EngineProcess, EngineRequest

    if options.downstream and not options.force:
        raise CommandError("--downstream goes with --force FAMILY: say which tasks to make again")
    request = EngineRequest(
        action="run",
        task=options.task,
        params=parameters(options.param),
        workers=options.workers,
        force=families(options.force),
        force_downstream=options.downstream,
        check=options.check,
        project_path=_project_path(options),
    )
    with counting(options.task, "tasks") as count:
        answer = EngineProcess(request, working_dir=Path.cwd()).run(_Shown(count))
    remark(answer.message)
    if answer.is_good:
        return 0
    return WRONG_SETTINGS if answer.is_request_wrong else NOT_WELL


class _Shown:
    """Prints what Luigi says, and counts the tasks that it speaks of."""

    def __init__(self, count: Count) -> None:
        self._count = count

    def __call__(self, line: str) -> None:
        say(line)
        if found := _TASK_OF_ALL.match(line):
            turn = int(found[1]) - (found[3] == "running")
            self._count.reach(max(turn, self._count.done), int(found[2]))  # several run at once, and end in any order


def _plan(options: argparse.Namespace) -> int:
    from airflow_domino.luigi.plan import PlanError, make_plan

    try:
        with counting(f"drawing {options.task}", "tasks") as count:
            plan = make_plan(
                options.task,
                parameters(options.param),
                templated=tuple(options.templated),
                project_path=_project_path(options),
                python=options.python,
                config=options.config,
                most_nodes=options.most_tasks,
                most_depth=options.most_depth,
                on_drawn=count.reach,
            )
    except PlanError as error:
        raise CommandError(str(error)) from error
    if options.output is None:
        say(plan.to_json())
        return 0
    try:
        options.output.write_text(plan.to_json() + "\n", "utf-8")
    except OSError as error:
        raise CommandError(
            f"The plan cannot be written to {options.output}: {error.strerror}; choose another file"
        ) from error
    remark(f"{len(plan.nodes)} tasks in {options.output}")
    return 0


def _project_path(options: argparse.Namespace) -> str:
    return str(options.project_path or Path.cwd())


def parameters(texts: Sequence[str]) -> dict[str, str]:
    """Read ``name=value`` arguments.

    :raises CommandError: when one has another form, or a name comes twice
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise CommandError(f"--param {text!r}: write NAME=VALUE")
        if name in found:
            raise CommandError(f"--param {name} is given twice; leave one of them out")
        found[name] = value
    return found


def families(given: Sequence[str | bool] | None) -> bool | list[str]:
    """Read ``--force``: without a family the task itself, with families those of its graph."""
    named = [name for text in given or () if isinstance(text, str) for name in text.split(",") if name]
    return named or bool(given)
