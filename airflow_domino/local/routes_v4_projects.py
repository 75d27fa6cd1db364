"""Projects, tiers, environments, users, commits and files in version 4 of the API."""

from typing import Any, Literal

from fastapi import APIRouter

from airflow_domino.local import answers_v4 as answers
from airflow_domino.local import shapes_projects, shapes_v4
from airflow_domino.local.answers import ObjectId
from airflow_domino.local.memberships import COLLABORATOR_ROLES, OWNER
from airflow_domino.local.parameters import Count, listed_files
from airflow_domino.local.platform import Platform
from airflow_domino.local.projects import PUBLIC, SEARCHABLE
from airflow_domino.local.routing import Routes

# The last word is python-domino's spelling of the one before.
Relationship = Literal["Owned", "Collaborating", "OwnedAndCollaborating", "Popular", "Suggested", "Suggesting"]


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: what they are about.
    """
    routes = Routes(prefix="/v4")
    _add_projects(routes, platform)
    _add_files(routes, platform)
    return routes


def _add_projects(routes: APIRouter, platform: Platform) -> None:
    @routes.get("/gateway/projects/findProjectByOwnerAndName", response_model=answers.GatewayProject)
    def find_project_by_owner_and_name(ownerName: str, projectName: str) -> dict[str, Any]:  # noqa: N803
        """Look a project up."""
        return shapes_projects.gateway_project(platform, platform.project_named(ownerName, projectName))

    @routes.get("/gateway/projects", response_model=list[answers.ListedProject])
    def list_projects(
        relationship: Relationship,
        limit: Count | None = None,
    ) -> list[dict[str, Any]]:
        """List the projects that somebody owns or works on, or could be interested in."""
        related = [
            project
            for project in platform.rights.visible()
            if _is_related(relationship, platform.rights.role(project, OWNER), project.visibility)
        ]
        return [shapes_projects.listed_project(platform, project, relationship) for project in related[:limit]]

    @routes.get("/projects/{project_id}/hardwareTiers", response_model=list[answers.TierWithCapacity])
    def list_hardware_tiers_for_project(
        project_id: ObjectId,
        showArchived: bool = False,  # noqa: N803
    ) -> list[dict[str, Any]]:
        """List the tiers that runs of a project may use, and how full they are."""
        platform.project(project_id)
        capacities = platform.capacities()
        listed = [tier for tier in platform.tiers if showArchived or not tier.is_archived]
        return [shapes_v4.hardware_tier(tier, capacities[tier.id]) for tier in listed]

    @routes.get("/projects/{project_id}/useableEnvironments", response_model=answers.UseableEnvironments)
    def get_useable_environments(project_id: ObjectId) -> dict[str, Any]:
        """List the environments that runs of a project may use, and its own choice."""
        platform.project(project_id)
        return shapes_v4.useable_environments(platform)


def _add_files(routes: APIRouter, platform: Platform) -> None:
    @routes.get("/projects/{project_id}/commits", response_model=list[answers.Commit])
    def get_project_commits(project_id: ObjectId) -> list[dict[str, Any]]:
        """List the commits of a project, newest first."""
        project = platform.project(project_id)
        return [
            {"id": commit.id, "name": commit.message, "commitTime": commit.time}
            for commit in platform.repository(project.id).commits()
        ]

    @routes.get("/files/browseFiles", response_model=list[answers.BrowsedFile])
    def list_files_at_path(
        ownerUsername: str,  # noqa: N803
        projectName: str,  # noqa: N803
        filePath: str,  # noqa: N803
        commitId: str = "head",  # noqa: N803
    ) -> list[dict[str, Any]]:
        """List the files of a commit below a folder, as the pages show them."""
        project = platform.project_named(ownerUsername, projectName)
        commit = platform.commit_id(project, commitId)
        found = listed_files(platform, project.id, commit, filePath)
        return [shapes_v4.browsed_file(project, commit, file) for file in found]

    @routes.get("/files/browseDirectories", response_model=list[answers.Directory])
    def list_directories_at_path(
        ownerUsername: str,  # noqa: N803
        projectName: str,  # noqa: N803
        filePath: str,  # noqa: N803
        commitId: str = "head",  # noqa: N803
    ) -> list[dict[str, Any]]:
        """List the folders in a folder of a commit."""
        project = platform.project_named(ownerUsername, projectName)
        files = listed_files(platform, project.id, platform.commit_id(project, commitId), filePath)
        base = "" if filePath.strip("/") in ("", ".") else f"{filePath.strip('/')}/"
        sizes: dict[str, int] = {}
        for file in files:
            name, has_more, _ = file.path.removeprefix(base).partition("/")
            if has_more:
                sizes[name] = sizes.get(name, 0) + file.size
        return [{"path": f"{base}{name}", "name": name, "sizeInBytes": size} for name, size in sorted(sizes.items())]


def _is_related(relationship: str, role: str, visibility: str) -> bool:
    if relationship == "Owned":
        return role == OWNER
    if relationship == "Collaborating":
        return role in COLLABORATOR_ROLES and role != OWNER
    if relationship == "OwnedAndCollaborating":
        return role in COLLABORATOR_ROLES
    return visibility == PUBLIC or (role not in COLLABORATOR_ROLES and visibility == SEARCHABLE)
