"""How the pages are written: Jinja templates, one frame around all of them, and the headers that keep them safe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from airflow_domino.compat_server import MissingInAirflowError, lacks
from airflow_domino.plugin import static, words

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
    500: ("This page has failed", ""),
    501: ("This page does not work here", ""),
    404: ("Nothing here", "The page 'Domino' has no such address."),
}
UNSPECIFIC = frozenset({"Not authenticated", "Forbidden", "Not Found"})
"""What Airflow and FastAPI say where they say no more than the status does."""


@dataclass(frozen=True)
class NavigationEntry:
    """One of the pages that the navigation leads to.

    :param address: relative to the application.
    """

    name: str
    address: str


NAVIGATION = (
    NavigationEntry("Runs", "./"),
    NavigationEntry("Timeline", "timeline"),
    NavigationEntry("Costs", "costs"),
    NavigationEntry("Tiers", "tiers"),
    NavigationEntry("Luigi", "luigi"),
)

templates = Environment(
    loader=PackageLoader("airflow_domino.plugin"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals.update(navigation=NAVIGATION, static=static.address)
for _word in (
    words.clock_time,
    words.duration,
    words.elapsed_seconds,
    words.money,
    words.run_name,
    words.state_word,
    words.story_path,
    words.task_names,
    words.task_path,
    words.task_title,
    words.telling_line,
):
    templates.globals[_word.__name__] = _word


def page(request: Request, template: str, current: str, **values: Any) -> HTMLResponse:
    """Write a whole page: a template that extends ``frame.html``.

    :param request: its ``tab=1`` leaves the navigation out (a tab of Airflow's own pages); its ``dag_id`` is carried
        along by the navigation.
    :param current: name of the page, as the navigation has it where it has it.
    :param values: what the template names.
    """
    query = request.query_params
    carried = f"?{urlencode({'dag_id': query['dag_id']})}" if query.get("dag_id") else ""
    return fragment(
        template,
        **{"current": current, "lacks": lacks(current), "tab": is_tab(request), "carried": carried, **values},
    )


def is_tab(request: Request) -> bool:
    """Say whether the page is shown as a tab of one of Airflow's own pages."""
    return request.query_params.get("tab") == "1"


def fragment(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Write a part of a page."""
    return HTMLResponse(templates.get_template(template).render(values), status_code=status)


async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give every answer the headers that keep it safe; a route may have set stricter or wider ones of its own."""
    response = await call_next(request)
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


async def fail(request: Request, error: Exception) -> Response:
    """Tell why a page does not work where that is a lack of this version of Airflow, and otherwise where to look.

    Other errors may hold what is not for everybody: they are in the log of the api-server alone.
    """
    response = await refuse(request, failure(error))
    response.headers.update(SECURITY_HEADERS | {"Cache-Control": "no-store"})  # it does not come by `add_headers`
    return response


def failure(error: Exception) -> HTTPException:
    """Make the answer of a page that has failed."""
    if isinstance(error, MissingInAirflowError):
        return HTTPException(501, str(error))
    return HTTPException(500, f"{type(error).__name__}: look into the log of Airflow's api-server for the details")


async def refuse(request: Request, error: Exception) -> Response:
    """Tell a person in HTML, a program in JSON, why there is nothing to see."""
    if not isinstance(error, HTTPException):  # pragma: no cover - the handler is registered for this class
        raise error
    if "text/html" not in request.headers.get("accept", ""):
        return await http_exception_handler(request, error)
    heading, advice = MESSAGES.get(error.status_code, ("This did not work", ""))
    if error.detail not in UNSPECIFIC:
        advice = str(error.detail)
    return fragment("message.html", error.status_code, heading=heading, advice=advice)
