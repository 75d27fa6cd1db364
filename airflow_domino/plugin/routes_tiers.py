# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The tiers with their price and what is free there, and the runs that no task waits for any more.

Domino is looked at in the background (:mod:`airflow_domino.plugin.look`); these routes never wait for it, but for the
one that stops a run, which waits three seconds at most.
"""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from airflow_domino.compat_server import GetUserDep, SessionDep
from airflow_domino.domino.launch import RunMark
from airflow_domino.orphans import Orphan
from airflow_domino.plugin import html, stops
from airflow_domino.plugin.guard import ReadableDags, SameSite, editable, require_edit
from airflow_domino.plugin.look import all_latest, places
from airflow_domino.plugin.runs import LIVE_STATES, Choice, find_runs
from airflow_domino.plugin.tiers import boards, left_behind

MOST_LIVE = 2000

router = APIRouter()


def now(request: Request, user: GetUserDep, session: SessionDep, readable: ReadableDags) -> dict[str, Any]:
    """What the page shows: three statements, and the latest looks."""
    looks = all_latest(places(session, readable))
    live = find_runs(session, readable, Choice(states=LIVE_STATES, limit=MOST_LIVE))
    left = left_behind(looks, readable)
    may_stop = editable(request, user, {orphan.dag_id for _, orphan in left.orphans if orphan.dag_id})
    return {
        "boards": boards(looks, live),
        "left": left,
        "editable": may_stop,
        "stop_of": stops.told_of,
        "people_part": people_part,
    }


Now = Annotated[dict[str, Any], Depends(now)]


def people_part(title: str | None) -> str:
    """The title of a run without what this package has added to it."""
    mark = RunMark.parse(title)
    return (title or "").replace(mark.text, "").strip() if mark else (title or "")


@router.get("/tiers", response_class=HTMLResponse)
def page(request: Request, shown: Now) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    return html.page(request, "tiers.html", "Tiers", live="tiers/live", **shown)


@router.get("/tiers/live", response_class=HTMLResponse)
def live_part(shown: Now) -> HTMLResponse:
    """The part of the page that is asked for again and again while it is open."""
    return html.fragment("tiers_live.html", **shown)


@router.get("/api/tiers")
def tiers_as_json(shown: Now) -> dict[str, Any]:
    """The same, for programs."""
    left = shown["left"]
    return {
        "connections": [
            {
                "conn_id": board.conn_id,
                "looks": [
                    {name: getattr(look, name) for name in ("project", "taken_at", "trouble", "warning")}
                    for look in board.looks
                ],
                "tiers": [
                    {**asdict(use.tier), "airflow_running": use.ours_running, "airflow_queued": use.ours_queued}
                    for use in board.tiers
                ],
            }
            for board in shown["boards"]
        ],
        "orphans": [_orphan(orphan) for _, orphan in left.orphans],
        "orphans_of_other_airflows": left.strangers,
    }


def _orphan(orphan: Orphan) -> dict[str, Any]:
    names = ("dag_id", "airflow_run_id", "task_id", "map_index", "state", "cost_cents")
    return {
        **orphan.handle.to_dict(),
        **{name: getattr(orphan, name) for name in names},
        "status": orphan.run.status.word,
        "age_seconds": orphan.age_seconds(),
    }


class WhichRun(BaseModel):
    """The run of an orphan, and the connection that sees it."""

    model_config = ConfigDict(extra="forbid")

    conn_id: str = Field(max_length=250)
    run_id: str = Field(max_length=100)


@router.post("/orphans/stop", dependencies=[SameSite])
def stop_orphan(
    which: WhichRun, request: Request, session: SessionDep, readable: ReadableDags, user: GetUserDep
) -> dict[str, str]:
    """Stop a run that no task waits for; whoever may change the task that launched it may do that."""
    wanted = (which.conn_id, which.run_id)
    looked_at = places(session, readable)
    seen = (
        (place, orphan)
        for place, look in zip(looked_at, all_latest(looked_at), strict=True)
        for orphan in look.orphans
        if (place[0], orphan.run.id) == wanted and orphan.dag_id in readable
    )
    place, orphan = next(seen, (None, None))
    if place is None or orphan is None or orphan.dag_id is None:
        raise HTTPException(404, "There is no such run that nobody waits for; it may be over by now: reload the page.")
    require_edit(request, user, orphan.dag_id)
    stop = stops.stop(*place, orphan)
    if stop.trouble:
        raise HTTPException(502, f"Run #{orphan.run.number} was not stopped: {stop.trouble}.")
    if stop.is_under_way:
        return {"said": f"Domino was asked to stop run #{orphan.run.number} and has not answered yet."}
    return {"said": f"Run #{orphan.run.number} is being stopped; what it has written is kept."}
