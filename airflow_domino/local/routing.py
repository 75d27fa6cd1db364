"""Routes that an application takes as they are: FastAPI's own way builds each of them twice, and there are hundreds."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.routing import APIRoute

from airflow_domino.local.texts import KeptRequest, refuse_what_cannot_be_kept


def operation_name(route: APIRoute) -> str:
    """Name an operation after its function, which is named after the operation of Domino's documents."""
    return route.name


class Route(APIRoute):
    """A route at which a request is refused that holds what cannot be kept, wherever it holds it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def checked(request: Request) -> Response:
            query = request.scope["query_string"].decode("latin-1")
            refuse_what_cannot_be_kept([request.scope["path"], *chain(*parse_qsl(query))])
            return await answer(KeptRequest(request.scope, request.receive))

        return checked


class Routes(APIRouter):
    """Routes of one subject.

    :param prefix: what their paths begin with.
    :param include_in_schema: whether they are described.
    """

    def __init__(self, prefix: str = "", *, include_in_schema: bool = True) -> None:
        super().__init__(
            prefix=prefix,
            include_in_schema=include_in_schema,
            generate_unique_id_function=operation_name,
            route_class=Route,
        )


def take(app: FastAPI, *parts: APIRouter) -> None:
    """Let an application serve routes, in this order."""
    for part in parts:
        app.router.routes.extend(part.routes)
