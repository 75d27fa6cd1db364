"""What a start asks for, in the words that all generations of the API share, and what it means for the run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_domino.local.clock import now_ms
from airflow_domino.local.environments import Environment, Revision
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.ids import new_object_id
from airflow_domino.local.project_code import code_of, input_commit
from airflow_domino.local.run_files import repository_entry
from airflow_domino.local.runs import Run
from airflow_domino.local.tiers_in_use import checked_capacity_type

if TYPE_CHECKING:
    from airflow_domino.local.platform import Platform
    from airflow_domino.local.projects import Project


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
    capacity_type: str | None = None


def split_command(command: str) -> list[str]:
    """Split a command line into words as a shell would, without a shell's other powers.

    :param command: the line.
    :raises BadRequest: when a quotation is not closed.
    """
    try:
        return shlex.split(command)
    except ValueError as error:
        raise BadRequest(f"The command to run cannot be split into words: {error}") from error


def resolve(platform: Platform, project: Project, request: StartRequest) -> Run:
    """Say what a start would use, without starting anything.

    :param platform: whose tiers, environments and projects there are.
    :param project: project of the run.
    :param request: what was asked for.
    :raises BadRequest: when it names something that cannot be used.
    """
    if request.external_volumes:
        raise BadRequest(f"External volumes do not exist: {', '.join(request.external_volumes)}")
    environment = platform.environment(request.environment_id)
    revision = wanted_revision(environment, request.environment_revision_spec)
    _check_cluster(platform, request.compute_cluster)
    return Run(
        id=new_object_id(),
        project_id=project.id,
        number=0,
        command=request.command,
        arguments=request.arguments,
        tier_id=platform.tier(request.tier_id).id,
        environment_id=environment.id,
        environment_revision_id=revision.id,
        input_commit=input_commit(platform, project, request.commit_id, request.git_ref),
        started_by=platform.user,
        submitted_at=now_ms(),
        title=request.title,
        environment_revision_spec=request.environment_revision_spec or "ActiveRevision",
        git_ref=request.git_ref,
        repositories=_repositories(platform, project, request.git_ref),
        compute_cluster=request.compute_cluster,
        restarted_from=request.restarted_from,
        capacity_type=checked_capacity_type(request.capacity_type),
    )


def wanted_revision(environment: Environment, spec: Any) -> Revision:
    """Give the revision that a start wants.

    :param environment: the environment of the run.
    :param spec: what was asked for, in version 4's wording; None is the active revision.
    :raises BadRequest: when the environment has no such revision.
    """
    found = None
    if spec in (None, "ActiveRevision"):
        found = environment.active_revision
    elif spec == "LatestRevision":
        found = environment.latest_revision
    elif spec == "RestrictedRevision":
        found = environment.restricted_revision
    elif isinstance(spec, dict):
        found = environment.revision(spec.get("revisionId"))
    if found is None:
        raise BadRequest(f"Environment {environment.name} has no revision {_as_word(spec)}")
    return found


def _as_word(spec: Any) -> Any:
    return spec.get("revisionId") if isinstance(spec, dict) else spec


def _repositories(platform: Platform, project: Project, git_ref: dict[str, Any] | None) -> list[dict[str, Any]]:
    code = code_of(platform.code_repositories, project)
    return [] if code is None else [repository_entry(code, git_ref or code.repository.default_ref)]


def _check_cluster(platform: Platform, cluster: dict[str, Any] | None) -> None:
    if cluster is None:
        return
    for key in ("masterHardwareTierId", "workerHardwareTierId"):
        if cluster.get(key) is not None:
            platform.tier(cluster[key]["value"])
    environment = platform.environment(cluster["computeEnvironmentId"])
    wanted_revision(environment, cluster.get("computeEnvironmentRevisionSpec"))
