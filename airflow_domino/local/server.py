"""The web server: its routes put together, and its life from readiness to the end of all runs."""

import asyncio
import contextlib
import gc
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from airflow_domino.local import (
    control,
    described,
    pages,
    routes_client,
    routes_environments,
    routes_people,
    routes_projects,
    routes_public,
    routes_tokens,
    routes_v1,
    routes_v4_jobs,
    routes_v4_projects,
)
from airflow_domino.local.answers_v1 import Version
from airflow_domino.local.bounds import BoundsLayer
from airflow_domino.local.errors import ApiError, error_body
from airflow_domino.local.fault_layer import FaultLayer, Freeze, RequestLog
from airflow_domino.local.gate import API_PREFIXES, Access, Gate
from airflow_domino.local.greeting import greeting
from airflow_domino.local.http_head import http_protocol
from airflow_domino.local.ids import named_object_id
from airflow_domino.local.page_templates import Templates
from airflow_domino.local.platform import Platform
from airflow_domino.local.routing import operation_name, take

logger = logging.getLogger(__name__)

# The release of Domino whose API documents this server was written from.
DOMINO_VERSION = "6.3.0"


def create_app(platform: Platform, access: Access) -> ASGIApp:
    """Put the server together.

    :param platform: what it serves.
    :param access: who may come in.
    """
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_name,
    )
    freeze, requests = Freeze(), RequestLog()
    bounded = BoundsLayer(app, platform.file_limits.largest)

    @app.get("/version", response_model=Version)
    async def version() -> dict[str, Any]:
        """Say which release is served."""
        build = named_object_id("build", DOMINO_VERSION)
        return {
            "version": DOMINO_VERSION,
            "buildId": build,
            "buildUrl": "",
            "commitId": build,
            "commitUrl": "",
            "timestamp": "1970-01-01T00:00:00Z",
        }

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    _add_error_handlers(app)
    take(
        app,
        routes_v4_jobs.router(platform),
        routes_v4_projects.router(platform),
        routes_public.router(platform),
        control.router(platform, freeze, requests),
        routes_people.router(platform),
        routes_tokens.router(platform),
        routes_projects.router(platform),
        routes_environments.router(platform),
        routes_client.router(platform),
        routes_v1.router(platform),
        described.router(app, DOMINO_VERSION),
        pages.router(platform),
    )
    return Gate(FaultLayer(bounded, platform.faults, freeze, requests), platform, access)


def serve(
    platform: Platform,
    access: Access,
    *,
    host: str,
    port: int,
    public_url: str | None,
    token: Mapping[str, Any],
) -> None:
    """Serve until SIGTERM or SIGINT; then end all runs.

    As soon as requests are answered, one line of JSON on the standard output says where and with which token.

    :param platform: what to serve.
    :param access: who may come in.
    :param host: address to listen on.
    :param port: port to listen on; 0 takes a free one.
    :param public_url: address under which people reach the server; None is the address it listens on.
    :param token: what that line says of tokens.
    """
    with listening(host, port) as listener:
        number = listener.getsockname()[1]
        own_url = f"http://{reachable(host)}:{number}"
        user_url = (public_url or own_url).rstrip("/")
        platform.runner.start(own_url, user_url)
        config = uvicorn.Config(
            create_app(platform, access),
            http=http_protocol(),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
        announcement = {"url": user_url, **token, "projects": _projects(platform)}
        server = _Server(config, announcement, greeting(platform, announcement))
        with asyncio.Runner(loop_factory=_loop_factory()) as loop:
            loop.run(server.serve(sockets=[listener]))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give what makes event loops: uvloop, which takes a fraction of the time, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


class _Server(uvicorn.Server):
    """Says when it is ready, and ends with a clean exit status on a signal."""

    def __init__(self, config: uvicorn.Config, announcement: dict[str, Any], for_people: str) -> None:
        super().__init__(config)
        self._announcement = announcement
        self._for_people = for_people

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is there by now stays, and to go through it at each collection would cost more than many requests do.
        gc.collect()
        gc.freeze()
        sys.stdout.write(f"{json.dumps(self._announcement)}\n")
        sys.stdout.flush()
        if sys.stderr.isatty():
            sys.stderr.write(self._for_people)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Unlike uvicorn's own, this does not raise the signal again once the server has ended.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield


def _add_error_handlers(app: FastAPI) -> None:
    templates = Templates()

    def answer(request: Request, status: int, message: str) -> Response:
        if not request.url.path.startswith(API_PREFIXES):
            return templates.render("error.html", status, status=status, message=message)
        return JSONResponse(error_body(request.url.path, status, message), status_code=status)

    @app.exception_handler(ApiError)
    async def api_error(request: Request, error: ApiError) -> Response:
        return answer(request, error.status, error.message)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        problems = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors())
        return answer(request, 400, f"The request failed validation of its JSON or parameters: {problems}")

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        response = answer(request, error.status_code, str(error.detail))
        # Such as Allow, which goes with 405.
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        logger.error("%s %s", request.method, request.url.path, exc_info=error)
        return answer(request, 500, "The local Domino has met an error of its own; its log tells more")


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on an address for as long as the context lasts.

    :param host: the address.
    :param port: the port; 0 takes a free one.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Naming the protocol makes asyncio send small answers at once; otherwise each takes 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
        yield listener


def reachable(host: str) -> str:
    """Give the address by which processes of this machine reach a server that listens on an address."""
    if host in ("", "0.0.0.0"):  # noqa: S104 - compared, not listened on
        return "127.0.0.1"
    if ":" in host:
        return "[::1]" if host == "::" else f"[{host}]"
    return host


def _projects(platform: Platform) -> list[dict[str, str]]:
    return [{"id": project.id, "owner": project.owner, "name": project.name} for project in platform.projects.all()]
