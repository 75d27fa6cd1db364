"""Personal access tokens, in the public API."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from airflow_domino.local import answers_people as answers
from airflow_domino.local.bodies import Body
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.parameters import Count
from airflow_domino.local.platform import Platform
from airflow_domino.local.routes_people import sender
from airflow_domino.local.routing import Routes
from airflow_domino.local.shapes_v4 import iso_time, present
from airflow_domino.local.tokens import PERSONAL, Token

_LONGEST_LIFE = 10 * 366 * 86400
_MINE = "/api/pat/v1/tokens"


class NewPersonalToken(Body):
    """Body of ``POST /api/pat/v1/tokens``; Domino's document has no unit of ``expiresIn``, here it is seconds."""

    name: str = Field(min_length=1)
    expires_in: int = Field(ge=1, le=_LONGEST_LIFE)
    description: str = ""


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: whose tokens they are about.
    """
    routes = Routes()

    @routes.post(_MINE, response_model=answers.NewPersonalToken)
    def create_personal_access_token(body: NewPersonalToken) -> dict[str, Any]:
        """Make a token that acts on behalf of the user; only this answer has its text."""
        owner = sender(platform).name
        if any(token.name == body.name for token in platform.tokens.listed(PERSONAL, owner)):
            raise BadRequest(f"You have a token {body.name} already")
        token = platform.tokens.make(owner, PERSONAL, body.name, body.description, body.expires_in)
        return {**_personal(platform, token), "token": platform.tokens.text(token)}

    @routes.get(_MINE, response_model=list[answers.PersonalToken])
    def list_personal_access_tokens(offset: Count = 0, limit: Count | None = None) -> list[dict[str, Any]]:
        """List the personal access tokens of the user."""
        known = platform.tokens.listed(PERSONAL, platform.user)[offset:]
        return [_personal(platform, token) for token in known[:limit]]

    return routes


def _personal(platform: Platform, token: Token) -> dict[str, Any]:
    owner = platform.people.ensure(token.owner)
    return {
        "patId": token.id,
        "userId": owner.id,
        "name": token.name,
        "isValid": token.is_accepted,
        "createdAt": iso_time(token.created_at),
        "expiresAt": iso_time(token.expires_at or token.created_at),
        **present(description=token.description or None),
    }
