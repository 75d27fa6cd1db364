"""Routes under ``/_local/`` that set the whole server: back as it was started, alike every time, other projects."""

from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from airflow_domino.local.as_started import AsStarted
from airflow_domino.local.errors import BadRequest
from airflow_domino.local.fault_layer import Freeze, RequestLog
from airflow_domino.local.ids import IDS
from airflow_domino.local.platform import Platform


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Reset(_Body):
    """Body of ``POST /_local/reset``; with a seed, ids are alike every time from then on."""

    seed: int | None = None


class Seed(_Body):
    """Body of ``POST /_local/seed``: what ids and chances depend on from now on; None lets them be by chance again."""

    seed: int | None


class NewProject(_Body):
    """Body of ``POST /_local/projects``: a project, with the files of a folder on the server's machine."""

    name: str
    folder: Path | None = None
    results: Literal["main", "isolated"] | None = None


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


def _seed(platform: Platform, seed: int | None) -> None:
    def is_taken(object_id: str) -> bool:
        return platform.runs.find(object_id) is not None or platform.projects.find(object_id) is not None

    IDS.seed(seed, is_taken)
    platform.faults.seed(seed)


def _projects(platform: Platform) -> list[dict[str, str]]:
    return [{"id": project.id, "owner": project.owner, "name": project.name} for project in platform.projects.all()]
