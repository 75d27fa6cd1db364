# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The web application behind the pages "Domino", mounted into Airflow's api-server.

Each slice has a routes module of its own; here they are put together, and guarded as a whole. A slice for which this
version of Airflow lacks something is replaced by a page that says so; the others work.
"""

import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException

from airflow_domino import __version__
from airflow_domino.plugin import html

# The pages of each slice.
SLICES: Mapping[str, Sequence[str]] = {
    "routes_runs": ("/", "/dag-run"),
    "routes_task": ("/task",),
    "routes_timeline": ("/timeline",),
    "routes_costs": ("/costs",),
    "routes_tiers": ("/tiers",),
    "routes_luigi": ("/luigi",),
    "static": (),
}

log = logging.getLogger(__name__)


def create_app() -> FastAPI:
    """Build the application; every route of it asks Airflow who is calling and what they may read."""
    guard = _module("guard")
    # Without a guard nothing is served but the words that it is missing.
    slices = {name: guard if isinstance(guard, Exception) else _module(name) for name in SLICES}
    dependencies = [] if isinstance(guard, Exception) else guard.EVERY_ROUTE
    app = FastAPI(title="Domino in Airflow", version=__version__, openapi_url=None, dependencies=dependencies)
    for name, found in slices.items():
        app.include_router(_notices(SLICES[name], found) if isinstance(found, Exception) else found.router)
    app.add_exception_handler(HTTPException, html.refuse)
    app.add_exception_handler(Exception, html.fail)
    app.middleware("http")(html.add_headers)
    return app


def _module(name: str) -> Any:
    """Import a module of this package, or return the error with which that fails."""
    try:
        return import_module(f"airflow_domino.plugin.{name}")
    except Exception as error:
        log.exception("A part of the page 'Domino' does not work in this version of Airflow: %s", name)
        return error


def _notices(addresses: Sequence[str], error: Exception) -> APIRouter:
    def refuse() -> None:
        raise html.failure(error)

    router = APIRouter()
    for address in addresses:
        router.add_api_route(address, refuse, methods=["GET"])
    return router
