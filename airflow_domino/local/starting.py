"""What a start asks for, in the words that all generations of the API share."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_domino.local.environments import Environment
from airflow_domino.local.errors import BadRequest

REVISION_WORDS = ("ActiveRevision", "LatestRevision", "RestrictedRevision")


@dataclass(frozen=True)
class StartRequest:
    """A start as all generations of the API mean it; what is None falls back to the project's defaults."""

    command: str
    arguments: list[str]
    title: str | None = None
    tier_id: str | None = None
    environment_id: str | None = None
    environment_revision_spec: Any = None
    commit_id: str | None = None
    git_ref: dict[str, Any] | None = None
    compute_cluster: dict[str, Any] | None = None
    external_volumes: Sequence[str] = ()
    restarted_from: str | None = None


def split_command(command: str) -> list[str]:
    """Split a command line into words as a shell would, without a shell's other powers.

    :param command: the line.
    :raises BadRequest: when a quotation is not closed.
    """
    try:
        return shlex.split(command)
    except ValueError as error:
        raise BadRequest(f"The command to run cannot be split into words: {error}") from error


def checked_revision(environment: Environment, spec: Any) -> Any:
    """Give the revision that a start wants, in version 4's wording.

    :param environment: the environment of the run.
    :param spec: what was asked for; None is the active revision.
    :raises BadRequest: when the environment has no such revision.
    """
    if spec is None:
        return "ActiveRevision"
    if spec in REVISION_WORDS or spec == {"revisionId": environment.revision_id}:
        return spec
    raise BadRequest(f"Environment {environment.name} has no revision {spec}")
