"""What tasks have made, for people and programs elsewhere: the addresses of outputs, with the task behind them."""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import luigi
from luigi.target import FileSystemTarget

from .completion import outputs
from .loading import describe_error
from .outcome import Problem

MOST_TASKS = 1_000
_LONGEST_VALUE = 500
# What RFC 3986 lets a path hold as it is.
_PATH_CHARACTERS = "/:@!$&'()*+,;="
# Azure's addresses have the container before the @, not a user.
_CONTAINER_SCHEMES = ("abfs", "wasb")


def made(tasks: Sequence[luigi.Task]) -> list[dict[str, Any]]:
    """Describe what tasks that ran have made; tasks without an address are left out.

    :param tasks: the tasks that ran, in this order; the last 1,000 are described, since what is wanted comes last
    :returns: see :func:`describe`
    """
    described = map(describe, tasks[-MOST_TASKS:])
    return [one for one in described if one["uris"]]


def describe(task: luigi.Task) -> dict[str, Any]:
    """Describe a task with its outputs; whatever goes wrong in that is printed, and costs no more than the address.

    :returns: ``task_id``, ``module``, ``family``, ``params`` (the public ones, as text) and ``uris``
    """
    return {
        "task_id": task.task_id,
        "module": type(task).__module__,
        "family": task.task_family,
        "params": public_params(task),
        "uris": _uris(task),
    }


def public_params(task: luigi.Task) -> dict[str, str]:
    """The parameters that may be shown, as text; long ones are cut."""
    try:
        written = task.to_str_params(only_public=True)
    except Exception as error:
        _tell(f"The parameters of {task} cannot be written down: {describe_error(error)}")
        return {}
    return {name: _shortened(str(value)) for name, value in written.items()}


def _shortened(value: str) -> str:
    return value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"


def _uris(task: luigi.Task) -> list[str]:
    found = []
    try:
        targets = outputs(task)
    except Problem as problem:
        print(problem.message, flush=True)  # noqa: T201
        return []
    for target in targets:
        try:
            found.append(uri(target))
        except Exception as error:
            _tell(f"The address of the output {target!r} cannot be told: {describe_error(error)}")
    return list(dict.fromkeys(one for one in found if one))


def uri(target: Any) -> str | None:
    """The address of a target; None when it has none that means something elsewhere.

    A target may say it itself, as ``asset_uri``. Otherwise a local file is ``file://`` with its absolute path, and a
    path with a scheme of its own (``s3://``, ``gs://``…) is itself; credentials in it are left out.
    """
    own = getattr(target, "asset_uri", None)
    if own is not None:
        return str(own)
    if not isinstance(target, FileSystemTarget) or getattr(target, "is_tmp", False):
        return None
    path = str(target.path)
    if isinstance(target, luigi.LocalTarget):
        return "file://" + quote(os.path.normpath(Path(path).absolute()), safe=_PATH_CHARACTERS)
    return without_credentials(path) if "://" in path else None


def without_credentials(path: str) -> str:
    """An address as it may be shown."""
    scheme, _, rest = path.partition("://")
    host, slash, below = rest.partition("/")
    if scheme.lower().startswith("http"):
        below = below.partition("?")[0]  # where signatures and tokens are; elsewhere it is part of a name
    escaped = quote(below, safe=_PATH_CHARACTERS + "%").rstrip("/")
    if not scheme.lower().startswith(_CONTAINER_SCHEMES):
        host = host.rpartition("@")[2]
    return f"{scheme.lower()}://{host}{slash}{escaped}"


def _tell(line: str) -> None:
    traceback.print_exc()
    print(line, flush=True)  # noqa: T201
