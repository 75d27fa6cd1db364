"""Making and changing projects, and their collaborators, in the public API."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from airflow_domino.local import answers_projects as answers
from airflow_domino.local import project_life
from airflow_domino.local.answers import ObjectId
from airflow_domino.local.answers_public import ProjectEnvelope, Success
from airflow_domino.local.code_repository import PUBLIC_REF_TYPES
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.platform import Platform
from airflow_domino.local.project_life import NewProject
from airflow_domino.local.routes_people import found_person
from airflow_domino.local.routes_projects import BillingTag
from airflow_domino.local.routes_public import metadata
from airflow_domino.local.routing import Routes
from airflow_domino.local.shapes_projects import (
    PROVIDERS_OF_PUBLIC,
    ROLES_OF_PUBLIC,
    public_collaborator,
    public_project,
)

_PROJECTS = "/api/projects/v1/projects"


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)


class GitReference(_Body):
    """Which code of a repository."""

    ref_type: Literal["Head", "Branch", "Tag", "Commit"]
    value: str | None = None


class Repository(_Body):
    """The git repository of a git-based project."""

    uri: str
    default_ref: GitReference | None = None
    name: str | None = None
    service_provider: str | None = None


class NewProjectBody(_Body):
    """Body of ``POST /api/projects/v2/projects``."""

    name: str
    description: str
    visibility: answers.Visibility
    owner_id: str | None = None
    main_repository: Repository | None = None
    billing_tag: BillingTag | None = None


class CopyBody(_Body):
    """Body of ``POST /api/projects/v1/projects/{projectId}/copy-project``."""

    copy_datasets: bool
    name: str | None = None
    owner_id: str | None = None
    visibility: answers.Visibility | None = None
    billing_tag: BillingTag | None = None


class CollaboratorBody(_Body):
    """Body of ``POST /api/projects/v1/projects/{projectId}/collaborators``."""

    id: str
    role: Literal["contributor", "launcherUser", "resultsConsumer", "projectImporter"]


class StatusBody(_Body):
    """Body of ``PUT /api/projects/v1/projects/{projectId}/status``."""

    status: Literal["active", "complete"]
    is_blocked: bool
    blocked_reason: str | None = None
    completed_message: str | None = None


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: whose projects they are about.
    """
    routes = Routes()
    _add_making(routes, platform)
    _add_collaborators(routes, platform)
    return routes


def _add_making(routes: APIRouter, platform: Platform) -> None:
    def created(body: NewProjectBody) -> dict[str, Any]:
        new = NewProject(
            name=body.name,
            owner=None if body.owner_id is None else found_person(platform, body.owner_id),
            description=body.description,
            visibility=body.visibility,
            billing_tag=None if body.billing_tag is None else body.billing_tag.tag,
            code=None if body.main_repository is None else _code(body.main_repository),
        )
        return {"project": public_project(project_life.create(platform, new)), "metadata": metadata()}

    @routes.post("/api/projects/beta/projects", response_model=ProjectEnvelope)
    def create_project(body: NewProjectBody) -> dict[str, Any]:
        """Make a project; better ask version 2."""
        return created(body)

    @routes.post("/api/projects/v2/projects", response_model=ProjectEnvelope)
    def create_project_v2(body: NewProjectBody) -> dict[str, Any]:
        """Make a project."""
        return created(body)

    @routes.post(f"{_PROJECTS}/{{project_id}}/copy-project", response_model=answers.CopiedProject)
    def copy_project(project_id: ObjectId, body: CopyBody) -> dict[str, Any]:
        """Copy a project."""
        project = platform.project(project_id)
        new = NewProject(
            name=body.name or project.name,
            owner=None if body.owner_id is None else found_person(platform, body.owner_id),
            visibility=body.visibility or project.visibility,
            billing_tag=None if body.billing_tag is None else body.billing_tag.tag,
        )
        return {"project": public_project(project_life.copy(platform, project, new)), "metadata": metadata()}

    @routes.delete("/api/projects/beta/projects/{project_id}", response_model=Success)
    def archive_project(project_id: ObjectId) -> dict[str, Any]:
        """Archive a project: nobody sees it any more, and its runs are stopped."""
        project_life.archive(platform, project_id)
        return {"success": True, "metadata": metadata()}

    @routes.put(f"{_PROJECTS}/{{project_id}}/status", response_model=answers.StatusEnvelope)
    def update_project_status(project_id: ObjectId, body: StatusBody) -> dict[str, Any]:
        """Say whether a project is worked on, and whether something is in its way."""
        status = body.model_dump(by_alias=True, exclude_none=True)
        return {"status": project_life.set_status(platform, project_id, status).status, "metadata": metadata()}


def _add_collaborators(routes: APIRouter, platform: Platform) -> None:
    @routes.post(f"{_PROJECTS}/{{project_id}}/collaborators", response_model=answers.CollaboratorEnvelope)
    def add_collaborator_to_project(project_id: ObjectId, body: CollaboratorBody) -> dict[str, Any]:
        """Let somebody work in a project."""
        person, role = found_person(platform, body.id), ROLES_OF_PUBLIC[body.role]
        project_life.set_role(platform, project_id, person, role)
        return {"collaborator": public_collaborator(person.name, role), "metadata": metadata()}

    @routes.delete(f"{_PROJECTS}/{{project_id}}/collaborators/{{collaborator_id}}", response_model=Success)
    def remove_collaborator_from_project(project_id: ObjectId, collaborator_id: str) -> dict[str, Any]:
        """Let somebody work in a project no longer."""
        project_life.remove_collaborator(platform, project_id, collaborator_id)
        return {"success": True, "metadata": metadata()}


def _code(repository: Repository) -> dict[str, Any]:
    provider = repository.service_provider
    if provider is not None and provider not in (*PROVIDERS_OF_PUBLIC, "Unknown"):
        raise BadRequest(f"There is no service provider {provider}; there are {', '.join(PROVIDERS_OF_PUBLIC)}")
    reference = repository.default_ref
    ref = None if reference is None else {"type": PUBLIC_REF_TYPES[reference.ref_type], "value": reference.value}
    return {
        "uri": repository.uri,
        "name": repository.name,
        "service_provider": None if provider is None else PROVIDERS_OF_PUBLIC.get(provider, "unknown"),
        "default_ref": ref,
    }
