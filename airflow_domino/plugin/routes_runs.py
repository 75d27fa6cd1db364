# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The list of runs: all of them, or those of one DAG run; as a page, as its live part, and as JSON.

Two statements in Airflow's database find the runs, those that Luigi tasks have launched among them. What Domino says of
those that go on is added from the latest look, which is taken in the background: the page never waits for Domino.
"""

from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from airflow_domino.compat_server import GetUserDep, SessionDep
from airflow_domino.plugin import html, words
from airflow_domino.plugin.guard import ReadableDags, editable
from airflow_domino.plugin.inner_runs import inner_runs_of, latest_inner_runs, together
from airflow_domino.plugin.live import Seen, seen_now
from airflow_domino.plugin.runs import STATE_GROUPS, Choice, TaskRun, dags_with_runs, find_runs, tier_totals

MOST_LISTED = 1000

router = APIRouter()

DagChoice = Annotated[str | None, Query(description="only this DAG")]
DagRunChoice = Annotated[str | None, Query(alias="run_id", description="only this DAG run")]
StateChoice = Annotated[Literal["", "live", "failed", "success"], Query(description="only tasks in such a state")]
Limit = Annotated[int, Query(ge=1, le=MOST_LISTED, description="length of the list")]


def run_list(
    request: Request,
    user: GetUserDep,
    session: SessionDep,
    readable: ReadableDags,
    dag_id: DagChoice = None,
    airflow_run_id: DagRunChoice = None,
    state: StateChoice = "",
    limit: Limit = 200,
) -> dict[str, Any]:
    """What the page shows, chosen by its query string."""
    choice = Choice(STATE_GROUPS.get(state), airflow_run_id or None, limit=limit)
    dag_ids = readable & {dag_id} if dag_id else readable
    seen = seen_now(find_runs(session, dag_ids, choice))
    if airflow_run_id and dag_id in dag_ids and dag_id:
        inner = inner_runs_of(session, dag_id, airflow_run_id, seen.runs, seen.looks)
    else:
        inner = latest_inner_runs(session, dag_ids, choice)
    seen = replace(seen, runs=together(seen.runs, inner, limit))
    return {
        **shown(seen, request, user),
        "dag_id": dag_id or "",
        "airflow_run_id": airflow_run_id or "",
        "state": state,
        "limit": limit,
        "longer": min(5 * limit, MOST_LISTED) if limit < MOST_LISTED else None,
    }


def shown(seen: Seen, request: Request, user: GetUserDep) -> dict[str, Any]:
    """What the templates need of runs: with the DAGs of those rows that get a button."""
    with_buttons = (run.dag_id for run in seen.runs if run.is_live or run.has_failed)
    return {
        "runs": seen.runs,
        "is_pending": seen.is_pending,
        "troubles": seen.troubles,
        "warnings": seen.warnings,
        "editable": editable(request, user, with_buttons),
        "tab": html.is_tab(request),
    }


RunList = Annotated[dict[str, Any], Depends(run_list)]


@router.get("/", response_class=HTMLResponse)
def page(request: Request, listed: RunList, session: SessionDep, readable: ReadableDags) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    return html.page(request, "page.html", "Runs", live="runs", dags=dags_with_runs(session, readable), **listed)


@router.get("/runs", response_class=HTMLResponse)
def live_part(listed: RunList) -> HTMLResponse:
    """The part of the page that is asked for again and again while it is open."""
    return html.fragment("runs.html", **listed)


@router.get("/dag-run", response_class=HTMLResponse)
def dag_run_page(request: Request, listed: RunList) -> HTMLResponse:
    """The runs of one DAG run: a tab of Airflow's page of that DAG run."""
    return html.page(request, "dag_run.html", "Runs of a DAG run", live="dag-run/live", **listed)


@router.get("/dag-run/live", response_class=HTMLResponse)
def dag_run_live_part(listed: RunList) -> HTMLResponse:
    """The part of that page that is asked for again and again."""
    return html.fragment("runs.html", **listed)


@router.get("/api/runs")
def runs_as_json(listed: RunList) -> dict[str, Any]:
    """The same, for programs."""
    runs: list[TaskRun] = listed["runs"]
    return {
        "runs": [asdict(run) | {"task_path": words.task_path(run)} for run in runs],
        "tiers": [asdict(tier) for tier in tier_totals(runs)],
    }
