"""Projects and people in answers, in the shapes of Domino's own documents (version 4, and the public API of 6.3.0)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow_domino.local.ids import named_object_id, user_id
from airflow_domino.local.memberships import OWNER, operations
from airflow_domino.local.people import Person
from airflow_domino.local.platform import Platform
from airflow_domino.local.projects import Project
from airflow_domino.local.shapes_v4 import iso_time, present

STATUS = {"status": "active", "isBlocked": False}
STAGE_ID = named_object_id("stage", "none")


# Projects


def tag(project: Project, name: str) -> dict[str, Any]:
    """Shape a tag of a project."""
    return {"id": tag_id(name), "name": name, "isApproved": True}


def tag_id(name: str) -> str:
    """Give the id of the tag of a name; it is the same in all projects."""
    return named_object_id("project tag", name)


def gateway_project(platform: Platform, project: Project) -> dict[str, Any]:
    """Shape a project as ``findProjectByOwnerAndName`` does."""
    tier = platform.default_tier
    count = platform.runs.listed(project.id, show_archived=True, limit=0).total
    repository = project.main_repository
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "owner": {"id": user_id(project.owner), "userName": project.owner},
        "visibility": project.visibility,
        "hardwareTierId": tier.id,
        "hardwareTierName": tier.name,
        "environmentName": platform.default_environment.name,
        "requestingUserRole": platform.rights.role(project, OWNER),
        "totalRunTime": "",
        "tags": [tag(project, name) for name in project.tags],
        "numComments": 0,
        "runsCountByType": [{"runType": "Batch", "count": count}],
        "allowedOperations": operations(platform.rights.of(project)),
        "details": {"updatedAt": iso_time(project.created_at), "isRestricted": False, "projectType": "Analytic"},
        "stageId": STAGE_ID,
        "status": STATUS,
        **present(mainRepository=repository and {name: repository[name] for name in ("id", "uri", "serviceProvider")}),
    }


def listed_project(platform: Platform, project: Project, relationship: str) -> dict[str, Any]:
    """Shape a project as the gateway's list does."""
    counts = {
        group: platform.runs.listed(project.id, group=group, show_archived=True, limit=0).total
        for group in ("active", "completed")
    }
    return {
        "id": project.id,
        "name": project.name,
        "ownerId": user_id(project.owner),
        "ownerName": project.owner,
        "description": project.description,
        "visibility": project.visibility,
        "tags": [tag(project, name) for name in project.tags],
        "runCounts": [{"runType": "Batch", "executingCount": counts["active"], "stoppedCount": counts["completed"]}],
        "relationship": relationship,
        "projectType": "Analytic",
        "stageId": STAGE_ID,
        "status": STATUS,
        "details": {"updatedAt": iso_time(project.created_at), "isRestricted": False},
    }


def _v4_common(project: Project) -> dict[str, Any]:
    collaborators = [
        {"collaboratorId": user_id(name), "projectRole": role} for name, role in project.collaborators.items()
    ]
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "visibility": project.visibility,
        "ownerId": user_id(project.owner),
        "ownerUsername": project.owner,
        "collaboratorIds": [collaborator["collaboratorId"] for collaborator in collaborators],
        "collaborators": collaborators,
        "tags": [tag(project, name) for name in project.tags],
        "stageId": STAGE_ID,
        "status": STATUS,
    }


def created_project(project: Project) -> dict[str, Any]:
    """Shape a project as making, forking and copying one do in version 4."""
    shape = _v4_common(project) | {"importedGitRepos": []}
    repository = project.main_repository
    if repository is not None:
        parts = urlsplit(repository["uri"])
        shape["mainRepository"] = {
            "id": repository["id"],
            "uriHost": parts.hostname or "",
            "uriPath": parts.path,
            "defaultRef": repository["defaultRef"],
            "serviceProvider": repository["serviceProvider"],
            **present(name=repository.get("name"), uriPort=str(parts.port) if parts.port else None),
        }
    return shape


def project_summary(project: Project) -> dict[str, Any]:
    """Shape a project as version 4 does when it is asked for by its id."""
    return {
        **_v4_common(project),
        "created": iso_time(project.created_at),
        "importedGitRepositories": [],
        "internalTags": [],
        "projectType": "Analytic",
        **present(mainRepository=project.main_repository),
    }


# People


def person(person: Person) -> dict[str, Any]:
    """Shape somebody as lists of people in version 4 do."""
    full_name = person.full_name or person.name
    first, _, last = full_name.partition(" ")
    return {
        "id": person.id,
        "userName": person.name,
        "fullName": full_name,
        "firstName": first,
        "lastName": last,
        "avatarUrl": "",
        **present(email=person.email or None),
    }


def own_person(person: Person) -> dict[str, Any]:
    """Shape somebody as version 4 answers to himself."""
    return {**_person(person), "roles": list(person.roles), "organizations": []}


_person = person
