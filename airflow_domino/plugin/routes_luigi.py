# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The graph of Luigi tasks of a DAG run: the state of each, and its targets."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from airflow_domino.plugin import html

router = APIRouter()


@router.get("/luigi", response_class=HTMLResponse)
def page(request: Request) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    return html.page(request, "luigi.html", "Luigi")
