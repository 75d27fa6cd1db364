"""Reading the arguments of Luigi tasks, as DAG authors write them and as templates leave them."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

from airflow_domino.domino.errors import ConfigurationError

# Luigi exits with 0 whatever happens to its tasks, unless it is told otherwise (luigi.retcodes).
HONEST_EXIT_CODES = (
    "--retcode-already-running=10",
    "--retcode-missing-data=20",
    "--retcode-not-run=25",
    "--retcode-task-failed=30",
    "--retcode-scheduling-error=35",
    "--retcode-unhandled-exception=40",
)


def freeze(task: Any, params: Any) -> tuple[Any, Any]:
    """A Luigi task object as its reference and parameters; a reference as it is, with values that can be written down.

    :raises ValueError: the object would not come back the same in another process
    :raises ConfigurationError: a value cannot be written down
    """
    luigi_module = sys.modules.get("luigi")
    if luigi_module is None or not isinstance(task, luigi_module.Task):
        return task, as_values(params)
    from airflow_domino.luigi.spec import TaskSpec

    if params:
        raise ValueError("Give either a Luigi task object, which has its parameters, or 'module:Family' with params")
    spec = TaskSpec.freeze(task)
    return spec.reference, dict(spec.params)


def as_values(params: Any) -> Any:
    """Luigi parameters as values that JSON can carry: dates, enums, paths and the like as Luigi's own types write them.

    :param params: values by name; anything else, such as a template, is left as it is
    :raises ConfigurationError: a value has no such form; names the parameter and the type
    """
    if not isinstance(params, Mapping):
        return params
    return {name: _as_value(name, value) for name, value in params.items()}


def _as_value(name: str, value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return str(value.total_seconds())
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _as_value(name, one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_value(name, one) for one in value]
    if callable(getattr(value, "resolve", None)):
        return value  # what Airflow resolves when the task runs, such as another task's XCom
    raise ConfigurationError(
        f"The Luigi parameter {name!r} holds a {type(value).__name__}, which cannot be written down: give it as the"
        " text that Luigi's command line takes"
    )


def parse_force(force: bool | str | Sequence[str] | None) -> bool | list[str]:
    """Read what a template may have made of ``force``: a truth value, or the families to make again.

    :param force: True/False, "true"/"false", family names separated by commas, or a list of them
    """
    if not force or isinstance(force, bool):
        return bool(force)
    families = force.split(",") if isinstance(force, str) else list(force)
    named = [family for family in (str(one).strip(" []'\"") for one in families) if family]
    if len(named) == 1 and named[0].lower() in ("true", "false", "none"):
        return named[0].lower() == "true"
    return named or False


def parse_names(names: str | Sequence[str] | None) -> list[str]:
    """Read what a template may have made of a list of names.

    :param names: names separated by commas, or a list of them; None, an empty text and "None" mean no names
    """
    found = parse_force(names)
    return found if isinstance(found, list) else []


def parse_workers(workers: int | str) -> int:
    """Read the number of Luigi's processes.

    :raises ConfigurationError: it is no number above zero
    """
    try:
        number = int(workers)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ConfigurationError(f"workers={workers!r}: give the number of processes that Luigi may use, 1 or more")
    return number


def as_text(path: Any) -> Any:
    """A path as a string, so that templates and mapped operators can carry it; anything else as it is."""
    return str(path) if isinstance(path, Path) else path


def luigi_command(arguments: Sequence[str], workers: int) -> list[str]:
    """Luigi's own command line, with exit codes that tell the truth.

    :param arguments: the task's part, verified by the engine
    """
    # `python -m` puts the working directory, where the project's modules are, on the import path; `luigi` does not.
    command = ["python", "-m", "luigi", *arguments, "--local-scheduler", "--no-lock", f"--workers={workers}"]
    return [*command, *HONEST_EXIT_CODES]


def forced_command(
    task: str, params: Mapping[str, str], force: bool | list[str], workers: int, *, downstream: bool = False
) -> list[str]:
    """The command that makes a task again although complete; it needs airflow_domino where it runs.

    :param task: ``module:Family``
    :param params: its parameters in text
    :param downstream: make all that requires the families again too
    """
    command = ["airflow-domino", "luigi", "run", task, f"--workers={workers}"]
    command += [f"--param={name}={text}" for name, text in params.items()]
    command += ["--force"] if force is True else [f"--force={family}" for family in force or ()]
    return [*command, "--downstream"] if downstream else command


def project_files(outputs: Sequence[Mapping[str, Any]], working_dir: Path) -> dict[str, Path]:
    """Local targets as files of the Domino project: those below the working directory, by their name in the project.

    :param outputs: the targets as the engine describes them
    :raises ConfigurationError: a local target lies elsewhere, where a Domino run can leave nothing
    """
    found = {}
    for output in outputs:
        if not output["local"]:
            continue
        name = project_name(output["path"], working_dir)
        if name is None:
            raise ConfigurationError(
                f"The target {output['path']!r} lies outside the working directory {working_dir}, so a Domino run"
                " cannot leave it among its project's files: give a path below it, or run_on='worker'"
            )
        found[name] = working_dir / name
    return found


def project_name(path: str, working_dir: Path) -> str | None:
    """The name that a local path has among the files of the Domino project; None where it lies outside.

    :param path: relative to the working directory, or absolute
    :param working_dir: whose files are those of the project; links on the way to it make no difference
    """
    place = working_dir / path
    if ".." in place.parts:
        return None
    for root in (working_dir, working_dir.resolve()):
        if place.is_relative_to(root) and place != root:
            return place.relative_to(root).as_posix()
    return None
