# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""How long runs queued and ran on each tier, as a picture and as a table.

Three statements find the runs, two more the places at Domino to look at; where Domino knows runs that Airflow has not
told of, up to three more.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from airflow_domino.compat_server import SessionDep
from airflow_domino.plugin import html, look, pictures, static
from airflow_domino.plugin.guard import ReadableDags
from airflow_domino.plugin.history import MOST_RUNS, Scope, find_history
from airflow_domino.plugin.runs import dags_with_runs
from airflow_domino.plugin.timeline import PERIODS, Window, timelines

MOST_SHOWN = 5000
LONG = timedelta(days=1)
EVERY_MINUTE = 60
"""How often a picture of more than that is drawn anew: it takes longer to make, and changes less."""

router = APIRouter()

Period = Annotated[Literal["hour", "6 hours", "day", "week", "30 days"], Query(description="how far back")]
DagChoice = Annotated[str | None, Query(description="only this DAG")]
TierChoice = Annotated[str | None, Query(description="only this tier")]
Limit = Annotated[int, Query(ge=1, le=MOST_SHOWN, description="how many runs of a tier are shown one by one")]


def chosen(
    session: SessionDep,
    readable: ReadableDags,
    period: Period = "day",
    dag_id: DagChoice = None,
    tier: TierChoice = None,
    limit: Limit = 500,
) -> dict[str, Any]:
    """What the page shows, chosen by its query string."""
    now = datetime.now(UTC)
    window = Window(now - PERIODS[period], now)
    dag_ids = readable & {dag_id} if dag_id else readable
    looks = look.all_latest(look.places(session, dag_ids))
    history = find_history(session, Scope(dag_ids, window.begin), looks)
    tiers = timelines(history.runs, window, looks, limit)
    return {
        "window": window,
        "tier_names": [each.name for each in tiers if each.name],
        "tiers": [each for each in tiers if not tier or each.name == tier],
        "period": period,
        "periods": list(PERIODS),
        "dag_id": dag_id or "",
        "tier": tier or "",
        "limit": limit,
        "longest": MOST_SHOWN,
        "most_runs": MOST_RUNS if history.is_cut else None,
        **pictures.told(looks),
    }


Chosen = Annotated[dict[str, Any], Depends(chosen)]


@router.get("/timeline", response_class=HTMLResponse)
def page(request: Request, shown: Chosen, session: SessionDep, readable: ReadableDags) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    more = {"dags": dags_with_runs(session, readable), "has_pictures": static.has(pictures.LIBRARY)}
    return html.page(request, "timeline.html", "Timeline", live="timeline/live", **_drawn(shown), **more)


@router.get("/timeline/live", response_class=HTMLResponse)
def live_part(shown: Chosen) -> HTMLResponse:
    """The part of the page that is asked for again and again while it is open."""
    return html.fragment("timeline_live.html", **_drawn(shown))


@router.get("/api/timeline")
def as_json(shown: Chosen) -> dict[str, Any]:
    """The same, for programs."""
    return pictures.of_tiers(shown["tiers"], shown["window"])


def _drawn(shown: dict[str, Any]) -> dict[str, Any]:
    picture = pictures.of_tiers(shown["tiers"], shown["window"])
    every = EVERY_MINUTE if PERIODS[shown["period"]] > LONG and not shown["is_pending"] else None
    return {**shown, "picture": picture, "outcome_words": pictures.OUTCOME_WORDS, "every": every}
