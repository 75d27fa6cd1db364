# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""What runs cost by DAG, task, tier and project over time, as a picture, as tables, as JSON and for a spreadsheet.

Three statements find the runs, two more the places at Domino to look at; where Domino knows runs that Airflow has not
told of, up to three more.
"""

import csv
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from airflow.configuration import conf
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse

from airflow_domino.compat_server import SessionDep
from airflow_domino.plugin import html, look, pictures, static
from airflow_domino.plugin.costs import GROUPINGS, PERIODS, Costs, begin_of, costs
from airflow_domino.plugin.guard import ReadableDags
from airflow_domino.plugin.history import MOST_RUNS, Scope, find_history
from airflow_domino.plugin.past_run import PastRun
from airflow_domino.plugin.runs import dags_with_runs

EVERY_MINUTES = 120
"""How often the page asks again, in seconds: costs do not hurry."""
LONGEST = timedelta(days=3660)
FIRST_YEAR = 2000

router = APIRouter()

Period = Annotated[Literal["day", "week", "30 days", "90 days", "year", "everything"], Query(description="how far")]
Grouping = Annotated[Literal["dag", "task", "tier", "project"], Query(description="what costs are added up by")]
DagChoice = Annotated[str | None, Query(description="only this DAG")]
TierChoice = Annotated[str | None, Query(description="only this tier")]
Day = Annotated[str, Query(description="a day, such as 2026-03-01; instead of a period")]
LastDay = Annotated[str, Query(alias="to", description="the last day; today if only the first one is given")]
FirstDay = Annotated[str, Query(alias="from", description="the first day (2026-03-01), instead of a period")]
Zone = Annotated[str, Query(description="time zone in which days begin, such as Europe/Berlin")]


def chosen(
    session: SessionDep,
    readable: ReadableDags,
    period: Period = "30 days",
    by: Grouping = "dag",
    dag_id: DagChoice = None,
    tier: TierChoice = None,
    first_day: FirstDay = "",
    last_day: LastDay = "",
    timezone: Zone = "",
) -> dict[str, Any]:
    """What the page shows, chosen by its query string."""
    zone = _zone(timezone)
    now = datetime.now(UTC)
    begin, end = _span(period, _day("from", first_day), _day("to", last_day), zone, now)
    dag_ids = readable & {dag_id} if dag_id else readable
    looks = look.all_latest(look.places(session, dag_ids))
    since = None if begin is None else begin.astimezone(UTC) - (end.astimezone(UTC) - begin.astimezone(UTC))
    history = find_history(session, Scope(dag_ids, since), looks)
    runs = [run for run in history.runs if not tier or run.tier == tier]
    first = begin or _earliest(runs, zone, now)
    return {
        "costs": costs(runs, first, end, now, by=by, with_before=begin is not None),
        "tier_names": sorted({run.tier for run in history.runs if run.tier}),
        "period": "" if first_day or last_day else period,
        "periods": list(PERIODS),
        "by": by,
        "groupings": list(GROUPINGS),
        "dag_id": dag_id or "",
        "tier": tier or "",
        "first_day": first_day,
        "last_day": last_day,
        "timezone": timezone,
        "zone": zone.key,
        "most_runs": MOST_RUNS if history.is_cut else None,
        **pictures.told(looks),
    }


Chosen = Annotated[dict[str, Any], Depends(chosen)]


@router.get("/costs", response_class=HTMLResponse)
def page(request: Request, shown: Chosen, session: SessionDep, readable: ReadableDags) -> HTMLResponse:
    """The whole page, complete without JavaScript."""
    more = {"dags": dags_with_runs(session, readable), "has_pictures": static.has(pictures.LIBRARY)}
    return html.page(request, "costs.html", "Costs", live="costs/live", **_drawn(request, shown), **more)


@router.get("/costs/live", response_class=HTMLResponse)
def live_part(request: Request, shown: Chosen) -> HTMLResponse:
    """The part of the page that is renewed now and then, and by another choice."""
    return html.fragment("costs_live.html", **_drawn(request, shown))


@router.get("/api/costs")
def as_json(shown: Chosen) -> dict[str, Any]:
    """The same, for programs; costs in cents."""
    found: Costs = shown["costs"]
    return {"by": shown["by"], "timezone": shown["zone"], "change": found.change, **asdict(found)}


@router.get("/costs.csv")
def as_csv(shown: Chosen) -> Response:
    """The same for a spreadsheet: a line for each group and step in which it has cost something; costs in cents."""
    found: Costs = shown["costs"]
    text = StringIO()
    lines = csv.writer(text)
    lines.writerow((f"{found.step} from", shown["by"], "cents"))
    for index, step in enumerate(found.steps):
        for group in found.groups:
            if group.by_step[index]:
                lines.writerow((step.isoformat(timespec="seconds"), _cell(group.name), round(group.by_step[index], 4)))
    headers = {"Content-Disposition": f'attachment; filename="domino-costs-by-{shown["by"]}.csv"'}
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


def _drawn(request: Request, shown: dict[str, Any]) -> dict[str, Any]:
    found: Costs = shown["costs"]
    return {
        **shown,
        "picture": pictures.of_costs(found),
        "drawn": pictures.drawn_groups(found),
        "step_names": [pictures.step_name(step, found) for step in found.steps],
        "query": request.url.query,
        "every": EVERY_MINUTES,
    }


def _cell(name: str | None) -> str:
    """Return a name that no spreadsheet takes for a formula."""
    return f"'{name}" if name and name[0] in "=+-@\t\r" else name or ""


def _zone(name: str) -> ZoneInfo:
    wanted = name or conf.get("core", "default_timezone", fallback="utc")
    try:
        return ZoneInfo("UTC" if wanted in ("utc", "system") else wanted)
    except (ValueError, OSError, KeyError):
        raise HTTPException(422, f"timezone: {name!r} is no time zone; such as Europe/Berlin is one") from None


def _day(field: str, text: str) -> date | None:
    with suppress(ValueError):
        day = date.fromisoformat(text) if text else None
        if day is None or day.year >= FIRST_YEAR:
            return day
    raise HTTPException(422, f"{field}: {text!r} is no day since {FIRST_YEAR}; such as 2026-03-01 is one")


def _span(
    period: str, first: date | None, last: date | None, zone: ZoneInfo, now: datetime
) -> tuple[datetime | None, datetime]:
    """Return begin and end of what is chosen; the begin is None for everything there is."""
    if first is None and last is None:
        length = PERIODS[period]
        return (None if length is None else (now - length).astimezone(zone)), now.astimezone(zone)
    today = now.astimezone(zone).date()
    until = min(last or today, today)
    since = first or until - timedelta(days=29)
    if since > until:
        raise HTTPException(422, f"from: {since} is later than to: {until}; exchange them")
    if until - since > LONGEST:
        raise HTTPException(422, f"from: {since} to {until} is longer than ten years; choose a later first day")
    return begin_of(since, zone), min(begin_of(until + timedelta(days=1), zone), max(now, begin_of(since, zone)))


def _earliest(runs: list[PastRun], zone: ZoneInfo, now: datetime) -> datetime:
    known = [moment for run in runs if (moment := run.submitted_at or run.started_at) is not None]
    return min([*known, now - timedelta(days=1)]).astimezone(zone)
