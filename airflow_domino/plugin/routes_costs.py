# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""What runs cost by DAG, task and tier over time, as a picture and as a table."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from airflow_domino.plugin import html

router = APIRouter()


@router.get("/costs", response_class=HTMLResponse)
def page(request: Request) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    return html.page(request, "costs.html", "Costs")
