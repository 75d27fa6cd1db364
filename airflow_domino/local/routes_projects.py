"""Making and changing projects, their collaborators and tags, in version 4 of the API."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from airflow_domino.local import answers_projects as answers
from airflow_domino.local import project_life, shapes_projects
from airflow_domino.local.answers import Nothing, ObjectId
from airflow_domino.local.answers_v4 import ProjectTag
from airflow_domino.local.bodies import Body
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.platform import Platform
from airflow_domino.local.project_life import NewProject
from airflow_domino.local.routes_people import found_person
from airflow_domino.local.routing import Routes

Role = Literal["ProjectImporter", "Contributor", "ResultsConsumer", "LauncherUser", "Owner"]


class CollaboratorBody(Body):
    """A person and the role of the person in a project."""

    collaborator_id: str
    project_role: Role


class TagNames(Body):
    """Names of tags."""

    tag_names: list[str]


class GitReference(Body):
    """Which code of a repository."""

    type: str
    value: str | None = None


class Repository(Body):
    """The git repository of a git-based project."""

    uri: str
    default_ref: GitReference | None = None
    name: str | None = None
    service_provider: str | None = None


class NewProjectBody(Body):
    """Body of ``POST /v4/projects``."""

    name: str
    description: str
    visibility: answers.Visibility
    owner_id: str
    collaborators: list[CollaboratorBody]
    tags: TagNames
    main_repository: Repository | None = None


class CopyBody(Body):
    """Body of ``POST /v4/projects/{projectId}/fork``; what is missing is as in the other project."""

    name: str | None = None
    description: str | None = None
    visibility: answers.Visibility | None = None
    owner_id: str | None = None
    collaborators: list[CollaboratorBody] = Field(default_factory=list)
    tags: TagNames | None = None


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: whose projects they are about.
    """
    routes = Routes(prefix="/v4/projects")
    _add_making(routes, platform)
    _add_tags(routes, platform)
    _add_collaborators(routes, platform)
    return routes


def _add_making(routes: APIRouter, platform: Platform) -> None:
    @routes.post("", response_model=answers.MadeProject)
    def create_project(body: NewProjectBody) -> dict[str, Any]:
        """Make a project."""
        repository = body.main_repository
        new = NewProject(
            name=body.name,
            owner=found_person(platform, body.owner_id),
            description=body.description,
            visibility=body.visibility,
            collaborators=_roles(platform, body.collaborators),
            tags=body.tags.tag_names,
            code=None if repository is None else repository.model_dump(),
        )
        return shapes_projects.created_project(project_life.create(platform, new))

    @routes.post("/{project_id}/fork", response_model=answers.MadeProject)
    def fork_project(project_id: ObjectId, body: CopyBody) -> dict[str, Any]:
        """Fork a project; here that is to copy it with the history of its files."""
        project = platform.project(project_id)
        new = NewProject(
            name=body.name or project.name,
            owner=None if body.owner_id is None else found_person(platform, body.owner_id),
            description=body.description or "",
            visibility=body.visibility or project.visibility,
            collaborators=_roles(platform, body.collaborators),
            tags=() if body.tags is None else body.tags.tag_names,
        )
        return shapes_projects.created_project(project_life.copy(platform, project, new))

    @routes.get("/{project_id}", response_model=answers.ProjectSummary)
    def get_project_summary(project_id: ObjectId) -> dict[str, Any]:
        """Give a project."""
        return shapes_projects.project_summary(platform.project(project_id))

    @routes.delete("/{project_id}", response_model=Nothing)
    def archive_project_by_id(project_id: ObjectId) -> dict[str, Any]:
        """Archive a project: nobody sees it any more, and its runs are stopped."""
        project_life.archive(platform, project_id)
        return {}


def _add_tags(routes: APIRouter, platform: Platform) -> None:
    @routes.post("/{project_id}/tags", response_model=ProjectTag)
    def add_tags(project_id: ObjectId, body: TagNames) -> dict[str, Any]:
        """Give a project tags; the answer is the last of them."""
        if not body.tag_names:
            raise BadRequest("There must be the name of a tag at least")
        project = project_life.add_tags(platform, project_id, body.tag_names)
        return shapes_projects.tag(project, body.tag_names[-1])

    @routes.delete("/{project_id}/tags/{tag_id}", response_model=Nothing)
    def remove_tag_from_project(project_id: ObjectId, tag_id: ObjectId) -> dict[str, Any]:
        """Take a tag from a project."""
        project_life.remove_tag(platform, project_id, tag_id)
        return {}


def _add_collaborators(routes: APIRouter, platform: Platform) -> None:

    @routes.post("/{project_id}/collaborators", response_model=answers.ProjectCollaborator)
    def add_collaborator(project_id: ObjectId, body: CollaboratorBody) -> dict[str, Any]:
        """Let somebody work in a project."""
        person = found_person(platform, body.collaborator_id)
        project_life.set_role(platform, project_id, person, body.project_role)
        return {"collaboratorId": person.id, "projectRole": body.project_role}

    @routes.delete("/{project_id}/collaborators/{collaborator_id}", response_model=Nothing)
    def remove_collaborator(project_id: ObjectId, collaborator_id: str) -> dict[str, Any]:
        """Let somebody work in a project no longer."""
        project_life.remove_collaborator(platform, project_id, collaborator_id)
        return {}


def _roles(platform: Platform, collaborators: list[CollaboratorBody]) -> dict[str, str]:
    return {found_person(platform, one.collaborator_id).name: one.project_role for one in collaborators}
