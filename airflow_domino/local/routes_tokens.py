"""Personal access tokens, and service accounts with theirs, in the public API."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from airflow_domino.local import answers_people as answers
from airflow_domino.local import shapes_projects
from airflow_domino.local.answers import Nothing, ObjectId
from airflow_domino.local.errors import BadRequest, NotFound
from airflow_domino.local.parameters import Count
from airflow_domino.local.people import PRACTITIONER, SERVICE_ACCOUNT, Person
from airflow_domino.local.platform import Platform
from airflow_domino.local.routes_people import found_person, sender
from airflow_domino.local.routes_public import metadata, page_metadata
from airflow_domino.local.routing import Routes
from airflow_domino.local.shapes_v4 import iso_time, present
from airflow_domino.local.tokens import OF_SERVICE_ACCOUNT, PERSONAL, SERVICE_ACCOUNT_LIFE, Token

_LONGEST_LIFE = 10 * 366 * 86400
_MINE = "/api/pat/v1/tokens"
_OTHERS = "/api/pat/v1/users"
_ACCOUNTS = "/api/serviceAccounts/v1/serviceAccounts"


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)


class NewPersonalToken(_Body):
    """Body of ``POST /api/pat/v1/tokens``; Domino's document has no unit of ``expiresIn``, here it is seconds."""

    name: str = Field(min_length=1)
    expires_in: int = Field(ge=1, le=_LONGEST_LIFE)
    description: str = ""


class NewServiceAccount(_Body):
    """Body of ``POST /api/serviceAccounts/v1/serviceAccounts``."""

    username: str
    email: str


class NewAccountToken(_Body):
    """Body of ``POST /api/serviceAccounts/v1/serviceAccounts/{serviceAccountIdpId}/tokens``."""

    name: str = Field(min_length=1)


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: whose tokens they are about.
    """
    routes = Routes()
    _add_own_tokens(routes, platform)
    _add_tokens_of_others(routes, platform)
    _add_accounts(routes, platform)
    _add_account_tokens(routes, platform)
    return routes


def _add_own_tokens(routes: APIRouter, platform: Platform) -> None:
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
        return _listed(platform, platform.user, offset, limit)

    @routes.delete(_MINE, response_model=Nothing)
    def delete_all_personal_access_token() -> dict[str, Any]:
        """Delete all personal access tokens of the user."""
        _for_each(platform, platform.user, platform.tokens.delete)
        return {}

    @routes.post(f"{_MINE}/invalidate", response_model=Nothing)
    def invalidate_all_personal_access_token() -> dict[str, Any]:
        """Accept no personal access token of the user any more."""
        _for_each(platform, platform.user, platform.tokens.invalidate)
        return {}

    @routes.delete(f"{_MINE}/{{pat_id}}", response_model=Nothing)
    def delete_personal_access_token(pat_id: ObjectId) -> dict[str, Any]:
        """Delete a personal access token of the user."""
        platform.tokens.delete(_found(platform, platform.user, pat_id))
        return {}

    @routes.post(f"{_MINE}/{{pat_id}}/invalidate", response_model=Nothing)
    def invalidate_personal_access_token(pat_id: ObjectId) -> dict[str, Any]:
        """Accept a personal access token of the user no longer."""
        platform.tokens.invalidate(_found(platform, platform.user, pat_id))
        return {}


def _add_tokens_of_others(routes: APIRouter, platform: Platform) -> None:
    def owner(user_id: str) -> str:
        platform.rights.require_admin()
        return found_person(platform, user_id).name

    @routes.get(f"{_OTHERS}/tokens", response_model=list[answers.PersonalToken])
    def list_all_personal_access_tokens(offset: Count = 0, limit: Count | None = None) -> list[dict[str, Any]]:
        """List everybody's personal access tokens; for administrators."""
        platform.rights.require_admin()
        return _listed(platform, None, offset, limit)

    @routes.get(f"{_OTHERS}/{{user_id}}/tokens", response_model=list[answers.PersonalToken])
    def list_all_personal_access_tokens_of_user(
        user_id: ObjectId, offset: Count = 0, limit: Count | None = None
    ) -> list[dict[str, Any]]:
        """List somebody's personal access tokens; for administrators."""
        return _listed(platform, owner(user_id), offset, limit)

    @routes.delete(f"{_OTHERS}/{{user_id}}/tokens", response_model=Nothing)
    def delete_all_personal_access_tokens_of_user(user_id: ObjectId) -> dict[str, Any]:
        """Delete all of somebody's personal access tokens; for administrators."""
        _for_each(platform, owner(user_id), platform.tokens.delete)
        return {}

    @routes.post(f"{_OTHERS}/{{user_id}}/tokens/invalidate", response_model=Nothing)
    def invalidate_all_personal_access_tokens_of_user(user_id: ObjectId) -> dict[str, Any]:
        """Accept none of somebody's personal access tokens any more; for administrators."""
        _for_each(platform, owner(user_id), platform.tokens.invalidate)
        return {}

    @routes.delete(f"{_OTHERS}/{{user_id}}/tokens/{{pat_id}}", response_model=Nothing)
    def delete_personal_access_token_of_user(user_id: ObjectId, pat_id: ObjectId) -> dict[str, Any]:
        """Delete somebody's personal access token; for administrators."""
        platform.tokens.delete(_found(platform, owner(user_id), pat_id))
        return {}

    @routes.post(f"{_OTHERS}/{{user_id}}/tokens/{{pat_id}}/invalidate", response_model=Nothing)
    def invalidate_personal_access_token_of_user(user_id: ObjectId, pat_id: ObjectId) -> dict[str, Any]:
        """Accept somebody's personal access token no longer; for administrators."""
        platform.tokens.invalidate(_found(platform, owner(user_id), pat_id))
        return {}


def _add_accounts(routes: APIRouter, platform: Platform) -> None:
    @routes.get(_ACCOUNTS, response_model=answers.ServiceAccounts)
    def get_service_accounts(
        includeDeactivated: bool = False,  # noqa: N803 - the parameter's name in the API
        offset: Count = 0,
        limit: Count = 10,
    ) -> dict[str, Any]:
        """List the service accounts; for administrators."""
        platform.rights.require_admin()
        known = [one for one in platform.people.all(SERVICE_ACCOUNT) if one.is_active or includeDeactivated]
        listed = [shapes_projects.service_account(one) for one in known[offset : offset + limit]]
        return {"serviceAccounts": listed, "metadata": page_metadata(offset, limit, len(known))}

    @routes.post(_ACCOUNTS, response_model=answers.ServiceAccountEnvelope)
    def create_service_account(body: NewServiceAccount) -> dict[str, Any]:
        """Make a service account; for administrators."""
        platform.rights.require_admin()
        if platform.people.named(body.username) is not None:
            raise BadRequest(f"There is a user or an organization {body.username} already")
        try:
            roles = (PRACTITIONER,)
            made = Person(body.username, body.username, body.email, roles, SERVICE_ACCOUNT)
            account = shapes_projects.service_account(platform.people.save(made))
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return {"serviceAccount": account, "metadata": metadata()}

    def set_active(idp_id: str, is_active: bool) -> None:
        account = _account(platform, idp_id)
        platform.people.change(account.name, lambda known: replace(known, is_active=is_active))

    @routes.post(f"{_ACCOUNTS}/{{service_account_idp_id}}/activate", response_model=Nothing)
    def activate_service_account(service_account_idp_id: str) -> dict[str, Any]:
        """Let a service account act again; for administrators."""
        set_active(service_account_idp_id, True)
        return {}

    @routes.post(f"{_ACCOUNTS}/{{service_account_idp_id}}/deactivate", response_model=Nothing)
    def deactivate_service_account(service_account_idp_id: str) -> dict[str, Any]:
        """Let a service account act no more; for administrators."""
        set_active(service_account_idp_id, False)
        return {}


def _add_account_tokens(routes: APIRouter, platform: Platform) -> None:
    base = f"{_ACCOUNTS}/{{service_account_idp_id}}/tokens"

    def shape(account: Person, token: Token) -> dict[str, Any]:
        return {
            "name": token.name,
            "serviceAccountIdpId": account.idp_id,
            "isValid": token.is_accepted,
            "createdAt": iso_time(token.created_at),
            **present(expiresAt=token.expires_at and iso_time(token.expires_at)),
        }

    def found(idp_id: str, name: str) -> tuple[Person, Token]:
        account = _account(platform, idp_id)
        listed = platform.tokens.listed(OF_SERVICE_ACCOUNT, account.name)
        token = next((known for known in listed if known.name == name), None)
        if token is None:
            raise NotFound(f"Service account {account.name} has no token {name}")
        return account, token

    @routes.get(base, response_model=answers.ServiceAccountTokens)
    def get_service_account_tokens(service_account_idp_id: str, offset: Count = 0, limit: Count = 10) -> dict[str, Any]:
        """List the tokens of a service account; for administrators."""
        account = _account(platform, service_account_idp_id)
        known = platform.tokens.listed(OF_SERVICE_ACCOUNT, account.name)
        listed = [shape(account, token) for token in known[offset : offset + limit]]
        return {"tokens": listed, "metadata": page_metadata(offset, limit, len(known))}

    @routes.post(base, response_model=answers.WholeServiceAccountToken)
    def create_service_account_token(service_account_idp_id: str, body: NewAccountToken) -> dict[str, Any]:
        """Make a token of a service account, good for four months; for administrators."""
        account = _account(platform, service_account_idp_id)
        if any(token.name == body.name for token in platform.tokens.listed(OF_SERVICE_ACCOUNT, account.name)):
            raise BadRequest(f"Service account {account.name} has a token {body.name} already")
        token = platform.tokens.make(account.name, OF_SERVICE_ACCOUNT, body.name, life=SERVICE_ACCOUNT_LIFE)
        return {**shape(account, token), "token": platform.tokens.text(token)}

    @routes.get(f"{base}/{{token_name}}", response_model=answers.ServiceAccountTokenEnvelope)
    def get_service_account_token(service_account_idp_id: str, token_name: str) -> dict[str, Any]:
        """Give a token of a service account with its text; for administrators."""
        account, token = found(service_account_idp_id, token_name)
        return {"token": {**shape(account, token), "token": platform.tokens.text(token)}, "metadata": metadata()}

    @routes.delete(f"{base}/{{token_name}}", response_model=Nothing)
    def delete_service_account_token(service_account_idp_id: str, token_name: str) -> dict[str, Any]:
        """Delete a token of a service account; for administrators."""
        platform.tokens.delete(found(service_account_idp_id, token_name)[1])
        return {}

    @routes.post(f"{base}/{{token_name}}/invalidate", response_model=Nothing)
    def invalidate_service_account_token(service_account_idp_id: str, token_name: str) -> dict[str, Any]:
        """Accept a token of a service account no longer; for administrators."""
        platform.tokens.invalidate(found(service_account_idp_id, token_name)[1])
        return {}


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


def _listed(platform: Platform, owner: str | None, offset: int, limit: int | None) -> list[dict[str, Any]]:
    known = platform.tokens.listed(PERSONAL, owner)[offset:]
    return [_personal(platform, token) for token in known[:limit]]


def _for_each(platform: Platform, owner: str, change: Callable[[Token], object]) -> None:
    for token in platform.tokens.listed(PERSONAL, owner):
        change(token)


def _found(platform: Platform, owner: str, token_id: str) -> Token:
    token = platform.tokens.find(token_id)
    if token is None or token.kind != PERSONAL or token.owner != owner:
        raise NotFound(f"There is no personal access token with the id {token_id}")
    return token


def _account(platform: Platform, idp_id: str) -> Person:
    platform.rights.require_admin()
    found = next((one for one in platform.people.all(SERVICE_ACCOUNT) if one.idp_id == idp_id), None)
    if found is None:
        raise NotFound(f"There is no service account with the id {idp_id}")
    return found
