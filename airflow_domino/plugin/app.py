# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The web application behind the pages "Domino", mounted into Airflow's api-server.

Each slice has a routes module of its own; here they are put together, and guarded as a whole.
"""

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from airflow_domino import __version__
from airflow_domino.plugin import (
    html,
    routes_costs,
    routes_luigi,
    routes_runs,
    routes_task,
    routes_tiers,
    routes_timeline,
    static,
)
from airflow_domino.plugin.guard import EVERY_ROUTE

SLICES = (routes_runs, routes_task, routes_timeline, routes_costs, routes_tiers, routes_luigi, static)


def create_app() -> FastAPI:
    """Build the application; every route of it asks Airflow who is calling and what they may read."""
    app = FastAPI(title="Domino in Airflow", version=__version__, openapi_url=None, dependencies=EVERY_ROUTE)
    for routes in SLICES:
        app.include_router(routes.router)
    app.add_exception_handler(HTTPException, html.refuse)
    app.middleware("http")(html.add_headers)
    return app
