"""Making and changing environments and their revisions; where Domino has an image, here is an interpreter."""

from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field
from pydantic.alias_generators import to_camel

from airflow_domino.local import answers_environments as answers
from airflow_domino.local import answers_public, shapes_public, shapes_v4
from airflow_domino.local.answers import ObjectId
from airflow_domino.local.bodies import Body
from airflow_domino.local.environments import Environment, Revision, interpreter
from airflow_domino.local.errors import BadRequest, Forbidden, NotFound
from airflow_domino.local.platform import Platform
from airflow_domino.local.routes_public import metadata
from airflow_domino.local.routing import Routes

# What only a build could do anything with.
_NEEDS_BUILD = (
    "dockerfile_instructions",
    "pre_run_script",
    "post_run_script",
    "pre_setup_script",
    "post_setup_script",
    "environment_variables",
)
_WHAT_AN_IMAGE_IS = "on the local Domino an image is the path of a Python interpreter or of a virtual environment"


class NewRevision(Body):
    """Body of ``POST /api/environments/beta/environments/{environmentId}/revisions``."""

    image: str = ""
    summary: str = ""
    dockerfile_instructions: str = ""
    pre_run_script: str = ""
    post_run_script: str = ""
    pre_setup_script: str = ""
    post_setup_script: str = ""
    environment_variables: list[dict[str, Any]] = Field(default_factory=list)


class NewEnvironment(NewRevision):
    """Body of ``POST /api/environments/beta/environments``."""

    name: str = Field("", max_length=200)
    # Domino's own client sends the words of version 4.
    visibility: Literal["global", "private", "Global", "Private"] = "private"
    is_restricted: bool = False
    duplicate_from_environment_id: str | None = None


class ChangedRevision(Body):
    """Body of ``PATCH /api/environments/beta/environments/{environmentId}/revisions/{revisionId}``."""

    is_restricted: bool


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: whose environments they are about.
    """
    routes = Routes()
    _add_public(routes, platform)
    _add_v4(routes, platform)
    return routes


def _add_public(routes: APIRouter, platform: Platform) -> None:
    base = "/api/environments/beta/environments"

    @routes.post(base, response_model=answers_public.EnvironmentEnvelope)
    def create_environment(body: NewEnvironment) -> dict[str, Any]:
        """Make an environment."""
        made = _made(platform, body)
        return {"environment": shapes_public.environment(made), "metadata": metadata()}

    @routes.post(f"{base}/{{environment_id}}/revisions", response_model=answers.RevisionEnvelope)
    def create_environment_revision(environment_id: ObjectId, body: NewRevision) -> dict[str, Any]:
        """Give an environment a further revision, which becomes the active one."""
        environment = _own(platform, environment_id)
        python = _interpreter(body)
        revision = platform.environments.add_revision(environment.id, python, body.summary)
        return {"environmentRevision": shapes_public.environment_revision(revision), "metadata": metadata()}

    @routes.patch(f"{base}/{{environment_id}}/revisions/{{revision_id}}", response_model=answers.ChangedRevision)
    def update_environment_revision(
        environment_id: ObjectId, revision_id: ObjectId, body: ChangedRevision
    ) -> dict[str, Any]:
        """Say whether a revision is the one for restricted projects."""
        environment = _own(platform, environment_id)
        revision = _revision(environment, revision_id)
        if body.is_restricted:
            platform.environments.restrict(environment.id, revision.number)
        elif environment.restricted == revision.number:
            platform.environments.restrict(environment.id, None)
        return {"id": revision.id}

    @routes.delete(
        "/api/environments/v1/environments/{environment_id}", response_model=answers_public.EnvironmentEnvelope
    )
    def archive_environment(environment_id: ObjectId) -> dict[str, Any]:
        """Archive an environment: old runs still name it, and no new one can use it."""
        archived = _archive(platform, environment_id)
        return {"environment": shapes_public.environment(archived), "metadata": metadata()}


def _add_v4(routes: APIRouter, platform: Platform) -> None:
    base = "/v4/environments"

    @routes.get(f"{base}/self", response_model=list[answers.EnvironmentDetails])
    def get_current_user_environments() -> list[dict[str, Any]]:
        """List the environments that this user can use."""
        return [_details(environment) for environment in platform.usable_environments()]

    @routes.get(f"{base}/defaultEnvironment", response_model=answers.EnvironmentDetails)
    def get_default_environment() -> dict[str, Any]:
        """Give the environment of runs that name none."""
        return _details(platform.default_environment)

    @routes.get(
        f"{base}/{{environment_id}}/page/{{page}}/pageSize/{{page_size}}/revisions", response_model=answers.Revisions
    )
    def get_built_environment_revisions(environment_id: ObjectId, page: int, page_size: int) -> dict[str, Any]:
        """List the revisions of an environment, the newest first."""
        if page < 0 or page_size < 1:
            raise BadRequest("page begins at 0, and pageSize at 1")
        environment = platform.seen_environment(environment_id)
        newest_first = environment.revisions[::-1]
        return {
            "revisions": [
                {
                    "id": revision.id,
                    "number": revision.number,
                    "created": revision.created_at,
                    "active": revision.number == environment.active,
                }
                for revision in newest_first[page * page_size : (page + 1) * page_size]
            ],
            "pageInfo": {
                "currentPage": page,
                "totalPages": -(-len(newest_first) // page_size),
                "pageSize": page_size,
            },
        }


def _made(platform: Platform, body: NewEnvironment) -> Environment:
    visibility = body.visibility.capitalize()
    if body.duplicate_from_environment_id is not None:
        original = platform.seen_environment(body.duplicate_from_environment_id)
        name = body.name or f"{original.name} copy"
        return platform.environments.create(name, original.python, platform.user, visibility, body.summary)
    if not body.name.strip() or not body.image:
        raise BadRequest("a new environment needs a name and an image")
    made = platform.environments.create(body.name, _interpreter(body), platform.user, visibility, body.summary)
    return platform.environments.restrict(made.id, 1) if body.is_restricted else made


def _interpreter(body: NewRevision) -> Path:
    given = [to_camel(name) for name in _NEEDS_BUILD if getattr(body, name)]
    if given:
        raise BadRequest(f"{', '.join(given)} cannot be followed, since nothing is built: {_WHAT_AN_IMAGE_IS}")
    try:
        return interpreter(Path(body.image))
    except ValueError as error:
        raise BadRequest(f"{error}; {_WHAT_AN_IMAGE_IS}") from error


def _own(platform: Platform, environment_id: str) -> Environment:
    """Look up an environment that this user may change: an own one, or any for an administrator."""
    environment = platform.seen_environment(environment_id)
    if environment.owner != platform.user and not platform.rights.is_admin:
        raise Forbidden(f"You may not change the environment {environment.name}")
    return environment


def _archive(platform: Platform, environment_id: str) -> Environment:
    environment = _own(platform, environment_id)
    if environment.is_default:
        raise BadRequest(f"{environment.name} is the environment of runs that name none, and cannot be archived")
    return platform.environments.archive(environment.id)


def _revision(environment: Environment, revision_id: str) -> Revision:
    revision = environment.revision(revision_id)
    if revision is None:
        raise NotFound(f"Environment {environment.name} has no revision with the id {revision_id}")
    return revision


def _details(environment: Environment) -> dict[str, Any]:
    owner, restricted = shapes_v4.environment_owner(environment), environment.restricted_revision

    def overview(revision: Revision) -> dict[str, Any]:
        return {
            "id": revision.id,
            "number": revision.number,
            "status": "Succeeded",
            "url": "",
            "availableTools": [],
            "isRestricted": revision.number == environment.restricted,
        }

    latest = environment.latest_revision
    return {
        "id": environment.id,
        "name": environment.name,
        "description": "",
        "archived": environment.is_archived,
        "visibility": environment.visibility,
        "supportedClusters": [],
        "latestRevision": overview(latest),
        "selectedRevision": overview(environment.active_revision),
        **shapes_v4.present(
            owner=owner and {**owner, "environmentOwnerType": "Individual"},
            restrictedRevision=restricted and overview(restricted),
        ),
        "latestRevisionDetails": {
            "id": latest.id,
            "environmentId": environment.id,
            "environmentName": environment.name,
            "imageType": "CustomImage",
            "isRestricted": latest.number == environment.restricted,
            "isBuilt": True,
            "number": latest.number,
            "summary": latest.summary,
            "dockerImage": str(latest.python),
            "dockerArguments": [],
            "shouldUseVPN": False,
            "buildEnvironmentVariables": [],
            "supportsPackagePersistence": False,
        },
    }
