# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The list of runs, as a page, as the part of it that is asked for again and again, and as JSON.

Domino itself is never asked: the page costs a few look-ups in Airflow's database, however Domino feels.
"""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from airflow_domino.plugin import html, words
from airflow_domino.plugin.guard import ReadableDags
from airflow_domino.plugin.runs import STATE_GROUPS, dags_with_runs, find_runs, tier_totals

router = APIRouter()

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
def page(request: Request, shown: RunList, session: SessionDep, readable: ReadableDags) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    return html.page(request, "page.html", "Runs", live="runs", dags=dags_with_runs(session, readable), **shown)


@router.get("/runs", response_class=HTMLResponse)
def live_part(shown: RunList) -> HTMLResponse:
    """The part of the page that is asked for again and again while it is open."""
    return html.fragment("runs.html", **shown)


@router.get("/api/runs")
def runs_as_json(shown: RunList) -> dict[str, Any]:
    """The same, for programs."""
    return {
        "runs": [asdict(run) | {"task_path": words.task_path(run)} for run in shown["runs"]],
        "tiers": [asdict(tier) for tier in shown["tiers"]],
    }
