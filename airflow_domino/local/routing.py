"""Routes that an application takes as they are: FastAPI's own way builds each of them twice, and there are hundreds."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute


def operation_name(route: APIRoute) -> str:
    """Name an operation after its function, which is named after the operation of Domino's documents."""
    return route.name


class Routes(APIRouter):
    """Routes of one subject.

    :param prefix: what their paths begin with.
    :param include_in_schema: whether they are described.
    """

    def __init__(self, prefix: str = "", *, include_in_schema: bool = True) -> None:
        super().__init__(prefix=prefix, include_in_schema=include_in_schema, generate_unique_id_function=operation_name)


def take(app: FastAPI, *parts: APIRouter) -> None:
    """Let an application serve routes, in this order."""
    for part in parts:
        app.router.routes.extend(part.routes)
