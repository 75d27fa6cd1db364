"""Projects, tiers, environments, users, commits and files in version 4 of the API."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, File, Query, UploadFile

from airflow_domino.local import shapes_v4
from airflow_domino.local.parameters import check_choice, listed_files, put_file
from airflow_domino.local.platform import Platform


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: what they are about.
    """
    routes = APIRouter(prefix="/v4")
    _add_projects(routes, platform)
    _add_files(routes, platform)
    return routes


def _add_projects(routes: APIRouter, platform: Platform) -> None:
    @routes.get("/gateway/projects/findProjectByOwnerAndName")
    def find_project(ownerName: str, projectName: str) -> dict[str, Any]:  # noqa: N803
        return shapes_v4.gateway_project(platform, platform.project_named(ownerName, projectName))

    @routes.get("/gateway/projects")
    def list_projects(relationship: str) -> list[dict[str, Any]]:
        projects = [
            project
            for project in platform.projects.all()
            if _is_related(relationship, is_owner=project.owner == platform.user)
        ]
        return [shapes_v4.listed_project(platform, project, relationship) for project in projects]

    @routes.get("/projects/{project_id}/hardwareTiers")
    def tiers(project_id: str, showArchived: bool = False) -> list[dict[str, Any]]:  # noqa: N803
        platform.project(project_id)
        capacities = platform.capacities()
        listed = [tier for tier in platform.tiers if showArchived or not tier.is_archived]
        return [shapes_v4.hardware_tier(tier, capacities[tier.id]) for tier in listed]

    @routes.get("/projects/{project_id}/useableEnvironments")
    def environments(project_id: str) -> dict[str, Any]:
        platform.project(project_id)
        return shapes_v4.useable_environments(platform)

    @routes.get("/projects/{project_id}/settings")
    def settings(project_id: str) -> dict[str, Any]:
        platform.project(project_id)
        return {
            "defaultEnvironmentId": platform.default_environment.id,
            "defaultEnvironmentRevisionSpec": "ActiveRevision",
            "defaultHardwareTierId": platform.default_tier.id,
            "sparkClusterMode": "Local",
            "defaultVolumeSizeGiB": 10.0,
            "maxVolumeSizeGiB": 200.0,
            "minVolumeSizeGiB": 4.0,
            "recommendedVolumeSizeGiB": 10.0,
        }

    @routes.get("/users/self")
    def own_user() -> dict[str, Any]:
        return {**shapes_v4.user(platform), "roles": ["Practitioner"], "organizations": []}

    @routes.get("/users")
    def users(
        userId: list[str] | None = Query(None),  # noqa: B008, N803
        userName: str | None = None,  # noqa: N803
        query: str | None = None,
    ) -> list[dict[str, Any]]:
        user = shapes_v4.user(platform)
        is_meant = (
            (userId is None or user["id"] in userId)
            and (userName is None or userName == user["userName"])
            and (query is None or query.lower() in user["userName"].lower())
        )
        return [user] if is_meant else []


def _add_files(routes: APIRouter, platform: Platform) -> None:
    @routes.get("/projects/{project_id}/commits")
    def commits(project_id: str) -> list[dict[str, Any]]:
        project = platform.project(project_id)
        return [
            {"id": commit.id, "name": commit.message, "commitTime": commit.time}
            for commit in platform.repository(project.id).commits()
        ]

    @routes.get("/projects/{project_id}/commits/head")
    def head(project_id: str) -> dict[str, Any]:
        repository = platform.repository(platform.project(project_id).id)
        commit = repository.commit(repository.head())
        return {"id": commit.id, "name": commit.message, "commitTime": commit.time}

    @routes.get("/projects/{project_id}/commits/{commit_id}/files/{path:file}")
    def files(project_id: str, commit_id: str, path: str) -> list[dict[str, Any]]:
        project = platform.project(project_id)
        commit = platform.commit_id(project, commit_id)
        return [
            {
                "path": {"canonicalizedPathString": file.path, "separator": "/"},
                "lastModified": file.last_modified,
                "size": file.size,
                "key": file.key,
            }
            for file in listed_files(platform, project.id, commit, path)
        ]

    @routes.get("/files/browseFiles")
    def browse(
        ownerUsername: str,  # noqa: N803
        projectName: str,  # noqa: N803
        filePath: str,  # noqa: N803
        commitId: str = "head",  # noqa: N803
    ) -> list[dict[str, Any]]:
        project = platform.project_named(ownerUsername, projectName)
        commit = platform.commit_id(project, commitId)
        found = listed_files(platform, project.id, commit, filePath)
        return [shapes_v4.browsed_file(project, commit, file) for file in found]

    @routes.post("/projects/{project_id}/commits/head/files/{path:file}", status_code=201)
    def upload(project_id: str, path: str, upfile: UploadFile = File()) -> dict[str, Any]:  # noqa: B008
        project = platform.project(project_id)
        with tempfile.NamedTemporaryFile(dir=platform.root) as copy:
            shutil.copyfileobj(upfile.file, copy)
            copy.flush()
            return shapes_v4.project_file(put_file(platform, project.id, path, Path(copy.name)))


def _is_related(relationship: str, *, is_owner: bool) -> bool:
    check_choice("relationship", relationship, _RELATIONSHIPS)
    if relationship == "Owned":
        return is_owner
    return relationship == "OwnedAndCollaborating" or (relationship == "Collaborating" and not is_owner)


# The last word is python-domino's spelling of the one before.
_RELATIONSHIPS = ("Owned", "Collaborating", "OwnedAndCollaborating", "Popular", "Suggested", "Suggesting")
