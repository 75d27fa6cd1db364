"""Where and for whom a run is executed, and the trouble that is not its program's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from airflow_domino.local.code_copy import CodeCopy
from airflow_domino.local.code_repository import CodeRepository
from airflow_domino.local.environments import Environment, Revision
from airflow_domino.local.limits import Limits
from airflow_domino.local.projects import Project
from airflow_domino.local.repository import ProjectRepository
from airflow_domino.local.requirements import Layers
from airflow_domino.local.tiers import Tier


class PlatformFaultError(Exception):
    """The run cannot be executed for a reason that is not its program's; the message says which.

    :param reason: the reason in one word, as the API gives it.
    """

    def __init__(self, message: str, reason: str = "PlatformFault") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Code:
    """Where the code of a git-based project comes from: the repository, and this server's copy of it."""

    repository: CodeRepository
    copy: CodeCopy


@dataclass(frozen=True)
class Workplace:
    """Where and for whom a run is executed.

    :param limits: what keeps runs to the cores and the memory of their tier.
    :param folder: the run's own folder, which is gone after it.
    :param datasets: folder of the project's datasets, which stays.
    :param code: where its code comes from; None for a project whose files are all in Domino's own file system.
    :param layers: installs what a project requires; None where this is off.
    """

    project: Project
    repository: ProjectRepository
    environment: Environment
    revision: Revision
    tier: Tier
    limits: Limits
    folder: Path
    datasets: Path
    api_host: str
    user_host: str
    stop_grace: float
    code: Code | None = None
    layers: Layers | None = None
