# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The web application behind the page "Domino", mounted into Airflow's api-server.

Airflow puts no authentication before a plugin's application, so that it is asked for here, for the application as a
whole: a route that is added later is guarded too. Whoever may read task instances and XComs sees the runs of the
DAGs that Airflow lets them read, and no others. Domino itself is never asked: the page costs a few look-ups in
Airflow's database, however Domino feels.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException as StarletteHTTPException

from airflow_domino import __version__
from airflow_domino.plugin import words
from airflow_domino.plugin.runs import STATE_GROUPS, dags_with_runs, find_runs, tier_totals

STATIC_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon-light.svg": "image/svg+xml",
    "icon-dark.svg": "image/svg+xml",
}
STATIC_FOLDER = Path(__file__).parent / "static"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
MESSAGES = {
    401: ("You are not signed in", "Sign in to Airflow, then open this page again."),
    403: ("Not for this account", "This page needs the permission to read task instances and XComs in Airflow."),
    404: ("Nothing here", "The page 'Domino' has no such address."),
}

templates = Environment(
    loader=PackageLoader("airflow_domino.plugin"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals.update(version=__version__)
for _word in (words.duration, words.money, words.state_word, words.task_path, words.elapsed_seconds, words.run_name):
    templates.globals[_word.__name__] = _word

router = APIRouter()


def readable_dags(user: GetUserDep) -> set[str]:
    """Ids of the DAGs that Airflow's auth manager lets the caller read."""
    return get_auth_manager().get_authorized_dag_ids(user=user, method="GET")


ReadableDags = Annotated[set[str], Depends(readable_dags)]
DagChoice = Annotated[str | None, Query(description="only this DAG")]
StateChoice = Annotated[Literal["", "live", "failed", "success"], Query(description="only tasks in such a state")]
Limit = Annotated[int, Query(ge=1, le=1000, description="length of the list")]


def run_list(
    session: SessionDep, readable: ReadableDags, dag_id: DagChoice = None, state: StateChoice = "", limit: Limit = 200
) -> dict[str, Any]:
    """What the page shows, chosen by its query string."""
    runs = find_runs(session, readable & {dag_id} if dag_id else readable, states=STATE_GROUPS.get(state), limit=limit)
    return {"runs": runs, "tiers": tier_totals(runs), "dag_id": dag_id or "", "state": state, "limit": limit}


RunList = Annotated[dict[str, Any], Depends(run_list)]


@router.get("/", response_class=HTMLResponse)
def page(shown: RunList, session: SessionDep, readable: ReadableDags) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    return _html("page.html", dags=dags_with_runs(session, readable), **shown)


@router.get("/runs", response_class=HTMLResponse)
def live_part(shown: RunList) -> HTMLResponse:
    """The part of the page that is asked for again and again while it is open."""
    return _html("runs.html", **shown)


@router.get("/api/runs")
def runs_as_json(shown: RunList) -> dict[str, Any]:
    """The same, for programs."""
    return {
        "runs": [asdict(run) | {"task_path": words.task_path(run)} for run in shown["runs"]],
        "tiers": [asdict(tier) for tier in shown["tiers"]],
    }


@router.get("/static/{name}")
def static_file(name: str) -> FileResponse:
    """One of the page's own files."""
    if name not in STATIC_FILES:
        raise HTTPException(404, f"No such file: {name}")
    headers = {"Cache-Control": "private, max-age=3600"}
    return FileResponse(STATIC_FOLDER / name, media_type=STATIC_FILES[name], headers=headers)


def create_app() -> FastAPI:
    """Build the application; every route of it asks Airflow who is calling and what they may read."""
    may_read = [requires_access_dag("GET", entity) for entity in (DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM)]
    app = FastAPI(
        title="Domino in Airflow",
        version=__version__,
        openapi_url=None,
        dependencies=[Depends(get_user), *map(Depends, may_read)],
    )
    app.include_router(router)
    app.add_exception_handler(StarletteHTTPException, _refuse)
    app.middleware("http")(_add_headers)
    return app


async def _add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


async def _refuse(request: Request, error: Exception) -> Response:
    """Tell a person in HTML, a program in JSON, why there is nothing to see."""
    if not isinstance(error, StarletteHTTPException):  # pragma: no cover - the handler is registered for this class
        raise error
    if "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    heading, advice = MESSAGES.get(error.status_code, ("This did not work", str(error.detail)))
    return _html("message.html", error.status_code, heading=heading, advice=advice)


def _html(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(templates.get_template(template).render(values), status_code=status)
