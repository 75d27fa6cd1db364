"""Users, in version 4 and in the public API."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from airflow_domino.local import answers_people as answers
from airflow_domino.local import shapes_projects
from airflow_domino.local.errors import NotFound
from airflow_domino.local.parameters import SoughtId
from airflow_domino.local.people import Person
from airflow_domino.local.platform import Platform
from airflow_domino.local.routing import Routes


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: whose people they are about.
    """
    routes = Routes()
    _add_users(routes, platform)
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
        return shapes_projects.own_person(sender(platform))

    @routes.get("/v4/users", response_model=list[answers.Person])
    def list_users(
        userId: Annotated[list[SoughtId] | None, Query()] = None,  # noqa: N803 - the parameter's name in the API
        userName: str | None = None,  # noqa: N803
        query: str | None = None,
    ) -> list[dict[str, Any]]:
        """List people, all or those that are asked for."""
        return [
            shapes_projects.person(person)
            for person in people.all()
            if (userId is None or person.id in userId)
            and userName in (None, person.name)
            and (query is None or query.lower() in f"{person.name} {person.full_name} {person.email}".lower())
        ]
