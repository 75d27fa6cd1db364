"""The pages of runs: all projects, the runs of a project, one run with its states and its log."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from airflow_domino.local import statuses
from airflow_domino.local.changes import Change
from airflow_domino.local.clock import now_ms
from airflow_domino.local.errors import Forbidden
from airflow_domino.local.job_log import LOG_TYPES, read_page
from airflow_domino.local.logs import Line
from airflow_domino.local.memberships import Permission
from airflow_domino.local.page_templates import LONGEST_REFRESH, Pages, address
from airflow_domino.local.parameters import check_choice
from airflow_domino.local.platform import Platform
from airflow_domino.local.projects import Project
from airflow_domino.local.run_facts import facts
from airflow_domino.local.runs import Run
from airflow_domino.local.usage import run_cents

_PER_PAGE = 50
_LOG_PAGE = 2000
_LINES_SHOWN = 1000
_MOST_CHANGES = 100
_PAUSE = 0.5
_TEXT_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def add_to(routes: APIRouter, pages: Pages) -> None:
    """Add the pages of runs.

    :param routes: what they are added to.
    :param pages: what they are made with.
    """
    _add_lists(routes, pages)
    _add_run(routes, pages)
    _add_log(routes, pages)


def _add_lists(routes: APIRouter, pages: Pages) -> None:
    platform = pages.platform

    @routes.get("/")
    def projects() -> Response:
        listed = [(project, _counts(platform, project)) for project in platform.rights.visible()]
        capacities = platform.capacities()
        tiers = [(tier, capacities[tier.id]) for tier in platform.tiers if not tier.is_archived]
        return pages.render("projects.html", projects=listed, tiers=tiers)

    @routes.get("/jobs/{owner}/{name}")
    def jobs(
        owner: str,
        name: str,
        status: str = "all",
        tier: str = "",
        user: str = "",
        text: str = "",
        page: int = 1,
        refresh: int = Query(0, ge=0, le=LONGEST_REFRESH),
    ) -> Response:
        check_choice("status", status, ("all", "archived", *statuses.GROUPS))
        project = platform.project_named(owner, name, Permission.VIEW_RUNS)
        number = max(1, page)
        found = platform.runs.listed(
            project.id,
            group=status,
            tier_id=tier or None,
            user=user or None,
            text=text.strip() or None,
            offset=(number - 1) * _PER_PAGE,
            limit=_PER_PAGE,
        )
        filters = {"status": status, "tier": tier, "user": user, "text": text}
        return pages.render(
            "jobs.html",
            project=project,
            runs=[(run, platform.tier_of(run), run_cents(run, platform.tier_of(run))) for run in found.runs],
            total=found.total,
            filters=filters,
            is_filtered=any(value for key, value in filters.items() if key != "status"),
            statuses=("all", *statuses.GROUPS, "archived"),
            tiers=platform.tiers,
            users=platform.runs.starters(project.id),
            page=number,
            last_page=max(1, -(-found.total // _PER_PAGE)),
            now=now_ms(),
            refresh=refresh,
            link=lambda **changed: address(f"/jobs/{quote(owner)}/{quote(name)}", **(filters | changed)),
        )


def _add_run(routes: APIRouter, pages: Pages) -> None:
    platform = pages.platform

    @routes.get("/jobs/{owner}/{name}/{run_id}")
    @routes.get("/jobs/{owner}/{name}/{run_id}/logs")
    def job(owner: str, name: str, run_id: str) -> Response:
        project, run = pages.run(owner, name, run_id)
        # As with every look at a log, the run is looked at first: a completed one writes nothing more.
        lines = platform.runner.log(run.id).tail(_LINES_SHOWN + 1, LOG_TYPES["complete"], largest=1 << 20)
        changes = _changes(platform, project, run)
        return pages.render(
            "job.html",
            project=project,
            run=run,
            facts=facts(platform, project, run),
            states=_states(platform, run),
            changes=changes[:_MOST_CHANGES],
            changes_left_out=max(0, len(changes) - _MOST_CHANGES),
            lines=lines[-_LINES_SHOWN:],
            is_cut=_is_cut(platform, run, lines),
            cursor=lines[-1].time_ns if lines else 0,
        )

    @routes.get("/{owner}/{name}/runs/{run_id}")
    @routes.get("/u/{owner}/{name}/runs/{run_id}")
    @routes.get("/projects/{owner}/{name}/runs/{run_id}")
    def old_job(owner: str, name: str, run_id: str) -> Response:
        return RedirectResponse(f"/jobs/{quote(owner)}/{quote(name)}/{quote(run_id)}/logs", status_code=303)


def _add_log(routes: APIRouter, pages: Pages) -> None:
    platform = pages.platform

    @routes.get("/jobs/{owner}/{name}/{run_id}/live")
    def live(owner: str, name: str, run_id: str, latestTimeNano: str = "0") -> dict[str, Any]:  # noqa: N803
        _, run = pages.run(owner, name, run_id)
        log = read_page(platform, run, LOG_TYPES["complete"], cursor=latestTimeNano, limit=_LOG_PAGE)
        return {
            "lines": [{"stream": line.stream, "text": line.text} for line in log.lines],
            "latestTimeNano": log.cursor,
            "isComplete": log.is_complete,
            "status": run.status,
            "isCompleted": run.is_completed,
        }

    @routes.get("/jobs/{owner}/{name}/{run_id}/log.txt")
    def whole_log(owner: str, name: str, run_id: str, follow: bool = False) -> Response:
        _, run = pages.run(owner, name, run_id)
        kind = "text/plain; charset=utf-8"
        if follow:
            return StreamingResponse(_followed(platform, run.id), media_type=kind, headers=_TEXT_HEADERS)
        lines = platform.runner.log(run.id).lines(LOG_TYPES["complete"])
        return StreamingResponse(_batches(lines), media_type=kind, headers=_TEXT_HEADERS)


def _batches(lines: Iterator[Line]) -> Iterator[bytes]:
    """Gather lines, since each piece of a streamed answer costs something."""
    gathered = bytearray()
    for line in lines:
        gathered += line.content
        if len(gathered) > 1 << 16:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


async def _followed(platform: Platform, run_id: str) -> AsyncIterator[bytes]:
    """Give the log of a run as it grows, until the run is over."""
    cursor = "0"
    while True:
        run = await run_in_threadpool(platform.run, run_id)
        page = await run_in_threadpool(read_page, platform, run, LOG_TYPES["complete"], cursor=cursor, limit=_LOG_PAGE)
        if page.lines:
            yield b"".join(line.content for line in page.lines)
        if page.is_complete:
            return
        cursor = page.cursor
        if len(page.lines) < _LOG_PAGE:
            await asyncio.sleep(_PAUSE)


def _counts(platform: Platform, project: Project) -> dict[str, int]:
    return {group: platform.runs.listed(project.id, group=group, limit=0).total for group in ("active", "all")}


def _changes(platform: Platform, project: Project, run: Run) -> list[Change]:
    if run.output_commit is None:
        return []
    try:
        return platform.repository(project.id).changes(run.input_commit, run.output_commit)
    except Forbidden:
        # Some may see the runs of a project, but not its files.
        return []


def _states(platform: Platform, run: Run) -> list[tuple[str, int, int | None]]:
    """List the statuses of a run, each with its begin and its end in epoch milliseconds, None while it goes on."""
    begun = [(entry["to"], entry["at"]) for entry in platform.ledger.entries(run_id=run.id, events=("state",))]
    ends = [*(at for _, at in begun[1:]), run.saved_at or run.completed_at if run.is_completed else None]
    return [(status, at, end) for (status, at), end in zip(begun, ends, strict=False)]


def _is_cut(platform: Platform, run: Run, shown: list[Line]) -> bool:
    first = next(platform.runner.log(run.id).lines(LOG_TYPES["complete"]), None)
    return first is not None and first.time_ns != shown[-_LINES_SHOWN:][0].time_ns
