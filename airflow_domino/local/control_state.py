"""Routes under ``/_local/`` that set the whole server: back as it was started, alike every time, other projects."""

from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from airflow_domino.local.as_started import AsStarted
from airflow_domino.local.bodies import Order
from airflow_domino.local.errors import BadRequest, NotFound
from airflow_domino.local.fault_layer import Freeze, RequestLog
from airflow_domino.local.ids import IDS
from airflow_domino.local.platform import Platform
from airflow_domino.local.tokens import PERSONAL, Token

_LONGEST = 366 * 86_400.0


class Reset(Order):
    """Body of ``POST /_local/reset``; with a seed, ids are alike every time from then on."""

    seed: int | None = None


class Seed(Order):
    """Body of ``POST /_local/seed``: what ids and chances depend on from now on; None lets them be by chance again."""

    seed: int | None


class NewProject(Order):
    """Body of ``POST /_local/projects``: a project, with the files of a folder on the server's machine."""

    name: str
    folder: Path | None = None
    results: Literal["main", "isolated"] | None = None


class NewToken(Order):
    """Body of ``POST /_local/tokens``: a token of a user, which expires after some seconds of the clock, or never."""

    user: str | None = None
    seconds: float | None = Field(None, ge=0, le=_LONGEST)


def add_to(routes: APIRouter, platform: Platform, freeze: Freeze, requests: RequestLog) -> None:
    """Add the routes.

    :param routes: where to.
    :param platform: what is set.
    :param freeze: is thawed at a reset.
    :param requests: the latest requests.
    """
    as_started = AsStarted(platform)

    @routes.post("/reset")
    def reset(body: Reset | None = None) -> dict[str, Any]:
        as_started.bring_back()
        freeze.thaw()
        _seed(platform, body.seed if body else None)
        return {"projects": _projects(platform)}

    @routes.post("/seed")
    def seed(body: Seed) -> dict[str, Any]:
        _seed(platform, body.seed)
        return {"seed": body.seed}

    @routes.get("/requests")
    def latest(after: int = 0, limit: int = Query(1000, ge=1)) -> dict[str, Any]:
        return {"requests": requests.entries(after)[-limit:], "last": requests.last}

    @routes.get("/projects")
    def projects() -> dict[str, Any]:
        return {"projects": _projects(platform)}

    @routes.post("/projects")
    def add_project(body: NewProject) -> dict[str, Any]:
        if body.folder is not None and not (body.folder.is_absolute() and body.folder.is_dir()):
            raise BadRequest(f"{body.folder} is not the absolute path of a folder on the machine of the server")
        try:
            project = platform.add_project(body.name, body.folder, body.results)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return {"id": project.id, "owner": project.owner, "name": project.name}

    _add_tokens(routes, platform)


def _add_tokens(routes: APIRouter, platform: Platform) -> None:
    def shape(token: Token) -> dict[str, Any]:
        return {"id": token.id, "user": token.owner, "isExpired": token.is_expired, "expiresAt": token.expires_at}

    @routes.post("/tokens")
    def make_token(body: NewToken) -> dict[str, Any]:
        owner = body.user or platform.first_user
        if platform.people.named(owner) is None:
            raise NotFound(f"There is nobody named {owner}")
        token = platform.tokens.make(owner, PERSONAL, "of the control plane", life=body.seconds)
        return shape(token) | {"token": platform.tokens.text(token)}

    @routes.post("/tokens/{token_id}/expire")
    def expire_token(token_id: str) -> dict[str, Any]:
        token = platform.tokens.find(token_id)
        if token is None:
            raise NotFound(f"There is no token with the id {token_id}")
        return shape(platform.tokens.expire(token))


def _seed(platform: Platform, seed: int | None) -> None:
    def is_taken(object_id: str) -> bool:
        return platform.runs.find(object_id) is not None or platform.projects.find(object_id) is not None

    IDS.seed(seed, is_taken)
    platform.faults.seed(seed)


def _projects(platform: Platform) -> list[dict[str, str]]:
    return [{"id": project.id, "owner": project.owner, "name": project.name} for project in platform.projects.all()]
