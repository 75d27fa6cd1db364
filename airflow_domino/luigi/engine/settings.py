"""How tasks are run: what the caller asked for, and what the pipeline's Luigi configuration says."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from luigi import interface, worker
from luigi.configuration import get_config
from luigi.setup_logging import InterfaceLogging

from .outcome import REQUEST_WRONG, Problem

STRICT = "strict"
LUIGI = "luigi"

MOST_DOMINO_RUNS = 100

logger = logging.getLogger("luigi-interface")


@dataclass(frozen=True)
class Settings:
    """What every attempt of a task is held to.

    :param strict: complete() is asked right after each run; else as Luigi does by default
    :param workers: how many tasks may run at once
    :param forks: each task runs in a process of its own, even if it is the only one
    :param checks_requirements: complete() of what a task requires is asked before its run (if not strict)
    :param checks_after: complete() is asked after its run
    :param retries_external: complete() of external tasks is asked a second time, when their turn comes
    :param timeout: seconds that a run may take where the task does not say; 0 for no limit
    :param most_tasks: Luigi's ``task_limit``: what comes after is not scheduled
    :param context: dotted name of a context manager class around each run
    :param resources: how much there is of each
    :param mails: whether a failing task is told by e-mail, where Luigi's ``[email]`` is configured
    """

    strict: bool = True
    workers: int = 1
    forks: bool = False
    checks_requirements: bool = True
    checks_after: bool = True
    retries_external: bool = False
    timeout: float = 0
    most_tasks: int | None = None
    context: str | None = None
    resources: Mapping[str, int] = field(default_factory=dict)
    mails: bool = False


def read_settings(*, check: str, workers: int) -> Settings:
    """The settings of this process, from Luigi's own configuration.

    :param check: "strict", or "luigi" for Luigi's own rules
    :param workers: how many tasks may run at once
    :raises Problem: ``check`` is another word
    """
    if check not in (STRICT, LUIGI):
        raise Problem(REQUEST_WRONG, f"check={check!r}: choose {STRICT!r} or {LUIGI!r}")
    ours: Any = worker.worker()
    return Settings(
        strict=check == STRICT,
        workers=max(1, workers),
        forks=workers > 1 or bool(ours.force_multiprocessing),
        checks_requirements=bool(getattr(ours, "check_unfulfilled_deps", True)),
        checks_after=check == STRICT or bool(getattr(ours, "check_complete_on_run", False)),
        retries_external=bool(ours.retry_external_tasks),
        timeout=float(ours.timeout or 0),
        most_tasks=ours.task_limit,
        context=ours.task_process_context or None,
        resources=_declared_resources(),
        mails=bool(ours.send_failure_email),
    )


def _declared_resources() -> dict[str, int]:
    declared = get_config().getintdict("resources")
    return {str(name): int(amount) for name, amount in declared.items()}


def configure_logging() -> None:
    """Set up Luigi's logger as the pipeline's configuration says, by default with INFO."""
    level = str(get_config().get("core", "log_level", "INFO"))
    InterfaceLogging.setup(interface.core(local_scheduler=True, log_level=level))
