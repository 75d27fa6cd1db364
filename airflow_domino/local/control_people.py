"""People on the server's own routes under ``/_local/``: made while it runs."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from airflow_domino.local.bodies import Order
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.people import PRACTITIONER, SYSTEM_ROLES, Person
from airflow_domino.local.platform import Platform
from airflow_domino.local.tokens import KEY


class NewUser(Order):
    """Body of ``POST /_local/users``: a user, or what is to be changed of the one who has this name."""

    name: str
    full_name: str = ""
    email: str = ""
    roles: list[str] = Field(default_factory=lambda: [PRACTITIONER])


def add_to(routes: APIRouter, platform: Platform) -> None:
    """Add the routes.

    :param routes: what they are added to.
    :param platform: whose people.
    """

    @routes.get("/users")
    def users() -> dict[str, Any]:
        return {"users": [_shape(person) for person in platform.people.all()]}

    @routes.post("/users")
    def add(body: NewUser) -> dict[str, Any]:
        unknown = [role for role in body.roles if role not in SYSTEM_ROLES]
        if unknown:
            raise BadRequest(f"There is no role {', '.join(unknown)}; there are {', '.join(SYSTEM_ROLES)}")
        known = platform.people.named(body.name) or Person(body.name)
        if body.name == platform.first_user:
            raise BadRequest(f"{body.name} is there already, and is not to be changed")
        full_name = body.full_name or known.full_name or body.name
        changed = replace(known, full_name=full_name, email=body.email or known.email, roles=tuple(body.roles))
        try:
            person = platform.people.save(changed)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return {**_shape(person), "token": platform.tokens.text(platform.tokens.make(person.name, KEY, "key"))}


def _shape(person: Person) -> dict[str, Any]:
    return {"id": person.id, "name": person.name, "email": person.email, "roles": person.roles}
