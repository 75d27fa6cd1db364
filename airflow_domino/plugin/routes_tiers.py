# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The tiers with their price and what is free there, and the runs that no task waits for any more."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from airflow_domino.plugin import html

router = APIRouter()


@router.get("/tiers", response_class=HTMLResponse)
def page(request: Request) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    return html.page(request, "tiers.html", "Tiers")
