"""What is served, described: one OpenAPI document for each generation of the API, made from the routes themselves.

A real Domino serves its documents without authentication at the same addresses, where people and tools look for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel
from starlette.routing import BaseRoute

from airflow_domino.local.answers import Message, Refusal, Refusals
from airflow_domino.local.routing import Routes

_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")
_METHODS = ("get", "put", "post", "delete", "patch")
_REFUSED = {
    "400": "the request is malformed, or names something that cannot be used",
    "401": "the request carries no valid token",
    "403": "the request comes by a way, or asks for a thing, that is not allowed",
    "404": "the thing that the request names does not exist",
    "500": "this server has met an error of its own",
}
_TOO_LARGE = {"413": "the body of the request is larger than this server takes"}
_RELOGIN = {"409": "the user has to log in again (here only when it was ordered: a fault on order)"}
_RELOGIN_OPERATIONS = ("startJob", "restartJob")


@dataclass(frozen=True)
class Generation:
    """One generation of the API.

    :param title: what its description is called.
    :param prefix: what the addresses of its operations begin with.
    :param address: where its description is served.
    :param server: the part of the addresses that the description leaves out, as Domino's own does.
    """

    title: str
    prefix: str
    address: str
    server: str = ""


V1 = Generation("Local Domino: version 1 of the API (runs)", "/v1/", "/assets/v1.json")
V4 = Generation("Local Domino: version 4 of the API (jobs)", "/v4/", "/assets/swagger.json", server="/v4")
PUBLIC = Generation("Local Domino: the public API", "/api/", "/assets/public-api.json")
GENERATIONS = (V1, V4, PUBLIC)


@dataclass(frozen=True)
class Operation:
    """One operation that is served, by its method and the template of its whole address."""

    method: str
    path: str
    name: str


def router(app: FastAPI, version: str) -> APIRouter:
    """Make the routes of the descriptions; they describe whatever the app has when they are first asked for.

    :param app: whose routes are described.
    :param version: the release of Domino that is served.
    """
    routes = Routes()
    for generation in GENERATIONS:
        content = cache(partial(_content, app, generation, version))
        routes.add_api_route(generation.address, _answering(content), include_in_schema=False)
    return routes


def document(app: FastAPI, generation: Generation, version: str) -> dict[str, Any]:
    """Describe a generation of the API.

    :param app: whose routes are described.
    :param generation: which of them.
    :param version: the release of Domino that is served.
    """
    routes = list(_routes(app.routes, generation))
    found = get_openapi(title=generation.title, version=version, routes=routes)
    described = {"openapi": found["openapi"], "info": found["info"], "components": {"schemas": {}}}
    described |= {key: _plain(found[key]) for key in ("paths", "components") if key in found}
    described["paths"] = {
        _camel_path(path).removeprefix(generation.server): {
            method: _operation(operation, generation) for method, operation in operations.items()
        }
        for path, operations in described["paths"].items()
    }
    described["components"]["schemas"] |= _refusals(generation)
    described["components"]["securitySchemes"] = {
        "DominoApiKey": {"type": "apiKey", "in": "header", "name": "X-Domino-Api-Key"},
        "BearerAuthentication": {"type": "http", "scheme": "bearer"},
    }
    described["security"] = [{"DominoApiKey": []}, {"BearerAuthentication": []}]
    described["servers"] = [{"url": generation.server or "/"}]
    return described


def operations(document: dict[str, Any]) -> list[Operation]:
    """List the operations of a description."""
    (server,) = document["servers"]
    prefix = server["url"].rstrip("/")
    return [
        Operation(method.upper(), f"{prefix}{path}", described["operationId"])
        for path, methods in document["paths"].items()
        for method, described in methods.items()
        if method in _METHODS
    ]


def served(app: FastAPI) -> list[Operation]:
    """List the operations of Domino's API that an app answers, from its routes alone."""
    return [
        Operation(method, _camel_path(route.path_format), to_camel(route.name))
        for generation in GENERATIONS
        for route in _routes(app.routes, generation)
        for method in sorted(route.methods)
    ]


def _answering(content: Any) -> Any:
    def answer() -> Response:
        return Response(content(), media_type="application/json")

    return answer


def _content(app: FastAPI, generation: Generation, version: str) -> bytes:
    return json.dumps(document(app, generation, version)).encode()


def _routes(routes: Iterable[BaseRoute], generation: Generation) -> Iterator[APIRoute]:
    for route in routes:
        if not isinstance(route, APIRoute):
            continue
        if route.path.startswith(generation.prefix) or (generation is V1 and route.path == "/version"):
            yield route


def _camel_path(path: str) -> str:
    return "/".join(f"{{{to_camel(part[1:-1])}}}" if part.startswith("{") else part for part in path.split("/"))


def _operation(operation: dict[str, Any], generation: Generation) -> dict[str, Any]:
    operation["operationId"] = name = to_camel(operation.pop("operationId"))
    operation["summary"] = operation.pop("description", operation["summary"]).partition("\n")[0]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["name"] = to_camel(parameter["name"])
        parameter["schema"] = _without_null(parameter["schema"])
    responses = operation["responses"]
    responses.pop("422", None)
    if name == "version":
        operation["security"] = []
        return operation
    special = _RELOGIN if name in _RELOGIN_OPERATIONS else {}
    for status, meaning in {**_REFUSED, **(_TOO_LARGE if "requestBody" in operation else {}), **special}.items():
        schema = {"$ref": f"#/components/schemas/{_refusal_name(generation, status)}"}
        responses[status] = {"description": meaning, "content": {"application/json": {"schema": schema}}}
    return operation


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a parameter that may be missing: no address can say null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **choices[0]}


def _refusal_name(generation: Generation, status: str) -> str:
    if generation is not PUBLIC:
        return Message.__name__
    return Refusals.__name__ if status in ("401", "403", "413") else Refusal.__name__


def _refusals(generation: Generation) -> dict[str, Any]:
    bodies = (Refusal, Refusals) if generation is PUBLIC else (Message,)
    return {body.__name__: _plain(TypeAdapter(body).json_schema()) for body in bodies}


def _plain(schema: Any) -> Any:
    """Leave out titles, which only repeat the names of fields, and FastAPI's own form of refusals."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plain(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and key not in _FASTAPIS_OWN
    }
