"""Users, their roles and variables, and organizations, in version 4 and in the public API."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from airflow_domino.local import answers_people as answers
from airflow_domino.local import answers_public, shapes_projects
from airflow_domino.local.answers import Nothing, ObjectId
from airflow_domino.local.errors import BadRequest, Forbidden, NotFound
from airflow_domino.local.parameters import Count, SoughtId
from airflow_domino.local.people import MEMBER_ADMIN, ORGANIZATION, SYSTEM_ROLES, Person
from airflow_domino.local.platform import Platform
from airflow_domino.local.routes_public import metadata, page_metadata
from airflow_domino.local.routing import Routes

_ORGANIZATIONS = "/api/organizations/v1/organizations"


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)


class NewRoles(_Body):
    """Body of ``POST /v4/users/roles/{userId}``."""

    roles: list[str]


class NewMember(_Body):
    """Body of ``PUT /api/organizations/v1/organizations/{organizationId}/user``."""

    user_id: str
    organization_role: Literal["member", "admin"]


class NewOrganization(_Body):
    """Body of ``POST /api/organizations/v1/organizations``."""

    name: str
    members: list[NewMember]


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: whose people they are about.
    """
    routes = Routes()
    _add_users(routes, platform)
    _add_roles(routes, platform)
    _add_variables(routes, platform)
    _add_organizations(routes, platform)
    _add_changes_of_organizations(routes, platform)
    return routes


def sender(platform: Platform) -> Person:
    """Give whoever sends the request that is being answered."""
    return platform.people.ensure(platform.user)


def found_person(platform: Platform, person_id: str) -> Person:
    """Look somebody up by id.

    :raises NotFound: when nobody has it.
    """
    found = platform.people.find(person_id)
    if found is None:
        raise NotFound(f"There is no user with the id {person_id}")
    return found


def _add_users(routes: APIRouter, platform: Platform) -> None:
    people = platform.people

    @routes.get("/v4/users/self", response_model=answers.OwnPerson)
    def get_current_user() -> dict[str, Any]:
        """Say whose credentials these are."""
        return shapes_projects.own_person(sender(platform), people.organizations_of(platform.user))

    @routes.get("/v4/users", response_model=list[answers.Person])
    def list_users(
        userId: Annotated[list[SoughtId] | None, Query()] = None,  # noqa: N803 - the parameter's name in the API
        userName: str | None = None,  # noqa: N803
        query: str | None = None,
        listOnlyUsers: bool = False,  # noqa: N803
    ) -> list[dict[str, Any]]:
        """List people, all or those that are asked for; organizations are among them."""
        return [
            shapes_projects.person(person)
            for person in people.all()
            if (userId is None or person.id in userId)
            and userName in (None, person.name)
            and (query is None or query.lower() in f"{person.name} {person.full_name} {person.email}".lower())
            and not (listOnlyUsers and person.kind == ORGANIZATION)
        ]

    @routes.get("/api/users/v1/self", response_model=answers_public.UserEnvelope, name="get_current_user")
    def get_own_user() -> dict[str, Any]:
        """Say whose credentials these are."""
        return {"user": shapes_projects.public_person(sender(platform)), "metadata": metadata()}

    @routes.get("/api/users/v1/users", response_model=answers_public.Users)
    def get_visible_users(offset: Count = 0, limit: Count = 10) -> dict[str, Any]:
        """List people, in pages of ten."""
        known = [person for person in people.all() if shapes_projects.is_user(person)]
        listed = [shapes_projects.public_person(person) for person in known[offset : offset + limit]]
        return {"users": listed, "metadata": page_metadata(offset, limit, len(known))}


def _add_roles(routes: APIRouter, platform: Platform) -> None:
    @routes.get("/v4/users/roles/{user_id}", response_model=answers.Roles)
    def get_user_roles(user_id: ObjectId) -> dict[str, Any]:
        """Say what somebody is in the deployment; administrators may ask about others."""
        if user_id != sender(platform).id:
            platform.rights.require_admin()
        return {"roles": list(found_person(platform, user_id).roles)}

    @routes.post("/v4/users/roles/{user_id}", response_model=Nothing)
    def set_user_roles(user_id: ObjectId, body: NewRoles) -> dict[str, Any]:
        """Set what somebody is in the deployment."""
        platform.rights.require_admin()
        unknown = [role for role in body.roles if role not in SYSTEM_ROLES]
        if unknown:
            raise BadRequest(f"There is no role {', '.join(unknown)}; there are {', '.join(SYSTEM_ROLES)}")
        person = found_person(platform, user_id)
        if person.name == platform.first_user:
            raise BadRequest(f"{person.name} is the administrator of this server, and stays it")
        platform.people.change(person.name, lambda known: replace(known, roles=tuple(body.roles)))
        return {}


def _add_variables(routes: APIRouter, platform: Platform) -> None:
    def answer() -> dict[str, Any]:
        held = platform.variables.of(sender(platform).id)
        return {"vars": [{"name": name, "value": value} for name, value in held.items()]}

    @routes.get("/v4/users/environmentVariables", response_model=answers.UserVariables)
    def list_user_environment_variables() -> dict[str, Any]:
        """List the environment variables of the user, which all his runs get."""
        return answer()

    @routes.put("/v4/users/environmentVariables", response_model=answers.UserVariables)
    def set_user_environment_variables(body: dict[str, str]) -> dict[str, Any]:
        """Set environment variables of the user; the others stay as they are."""
        platform.variables.set(sender(platform).id, body)
        return answer()

    @routes.delete("/v4/users/environmentVariables", response_model=answers.UserVariables)
    def delete_user_environment_variables() -> dict[str, Any]:
        """Delete all environment variables of the user."""
        platform.variables.delete(sender(platform).id)
        return answer()


def _add_organizations(routes: APIRouter, platform: Platform) -> None:
    people = platform.people

    def page(found: list[Person], name_filter: str | None, offset: int, limit: int) -> dict[str, Any]:
        meant = [one for one in found if name_filter is None or name_filter.lower() in one.name.lower()]
        listed = [shapes_projects.public_organization(one) for one in meant[offset : offset + limit]]
        return {"orgs": listed, "metadata": page_metadata(offset, limit, len(meant))}

    @routes.get("/v4/organizations/self", response_model=list[answers.Organization])
    def get_current_user_organizations(name: str | None = None) -> list[dict[str, Any]]:
        """List the organizations that the user belongs to."""
        found = people.organizations_of(platform.user)
        return [shapes_projects.organization(one) for one in found if name in (None, one.name)]

    @routes.get(_ORGANIZATIONS, response_model=answers.Organizations)
    def get_user_orgs(
        nameFilter: str | None = None,  # noqa: N803
        offset: Count = 0,
        limit: Count = 10,
    ) -> dict[str, Any]:
        """List the organizations that the user belongs to."""
        return page(people.organizations_of(platform.user), nameFilter, offset, limit)

    @routes.get(f"{_ORGANIZATIONS}/all", response_model=answers.Organizations)
    def get_all_orgs(
        nameFilter: str | None = None,  # noqa: N803
        userIdFilter: str | None = None,  # noqa: N803
        offset: Count = 0,
        limit: Count = 10,
    ) -> dict[str, Any]:
        """List all organizations; for administrators."""
        platform.rights.require_admin()
        member = people.find(userIdFilter) if userIdFilter is not None else None
        found = [
            one
            for one in people.all(ORGANIZATION)
            if userIdFilter is None or (member is not None and member.name in one.members)
        ]
        return page(found, nameFilter, offset, limit)


def _add_changes_of_organizations(routes: APIRouter, platform: Platform) -> None:
    people = platform.people

    def envelope(organization: Person) -> dict[str, Any]:
        return {"org": shapes_projects.public_organization(organization), "metadata": metadata()}

    @routes.post(_ORGANIZATIONS, response_model=answers.OrganizationEnvelope)
    def create_org(body: NewOrganization) -> dict[str, Any]:
        """Make an organization, of which the user is an administrator."""
        if people.named(body.name) is not None:
            raise BadRequest(f"There is a user or an organization {body.name} already")
        members = {found_person(platform, one.user_id).name: one.organization_role.title() for one in body.members}
        members[platform.user] = MEMBER_ADMIN
        try:
            made = Person(body.name, full_name=body.name, kind=ORGANIZATION, roles=(), members=members)
            return envelope(people.save(made))
        except ValueError as error:
            raise BadRequest(str(error)) from error

    @routes.get(f"{_ORGANIZATIONS}/{{organization_id}}", response_model=answers.OrganizationEnvelope)
    def get_org(organization_id: ObjectId) -> dict[str, Any]:
        """Give an organization."""
        return envelope(_organization(platform, organization_id))

    @routes.put(f"{_ORGANIZATIONS}/{{organization_id}}/user", response_model=answers.OrganizationEnvelope)
    def add_user_to_org(organization_id: ObjectId, body: NewMember) -> dict[str, Any]:
        """Make somebody a member of an organization."""
        organization = _organization(platform, organization_id, to_change=True)
        member = found_person(platform, body.user_id)
        return envelope(people.set_member(organization.name, member.name, body.organization_role.title()))

    @routes.delete(f"{_ORGANIZATIONS}/{{organization_id}}/user", response_model=answers.OrganizationEnvelope)
    def remove_user_from_org(organization_id: ObjectId, memberToRemoveId: str) -> dict[str, Any]:  # noqa: N803
        """End somebody's membership in an organization."""
        organization = _organization(platform, organization_id, to_change=True)
        return envelope(people.set_member(organization.name, found_person(platform, memberToRemoveId).name, None))


def _organization(platform: Platform, organization_id: str, *, to_change: bool = False) -> Person:
    found = platform.people.find(organization_id)
    role = None if found is None else found.members.get(platform.user)
    if found is None or found.kind != ORGANIZATION or not (role or platform.rights.is_admin):
        raise NotFound(f"There is no organization with the id {organization_id}")
    if to_change and role != MEMBER_ADMIN and not platform.rights.is_admin:
        raise Forbidden(f"You must be an administrator of organization {found.name}")
    return found
