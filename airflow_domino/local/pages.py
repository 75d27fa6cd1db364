"""Small pages at the addresses of Domino's own user interface, so that links to runs and files lead somewhere."""

import hmac
from typing import Any
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from airflow_domino.local.errors import NotFound
from airflow_domino.local.gate import cookie_name, has_session, session_value
from airflow_domino.local.job_log import LOG_TYPES, read_page
from airflow_domino.local.page_templates import Templates, moment
from airflow_domino.local.parameters import check_choice, clean_folder, found_file
from airflow_domino.local.platform import Platform
from airflow_domino.local.projects import Project
from airflow_domino.local.repository import FileInfo
from airflow_domino.local.routes_v1 import started
from airflow_domino.local.runs import Run
from airflow_domino.local.statuses import GROUPS

_PER_PAGE = 50
_LARGEST_SHOWN = 512 << 10
_LOG_PAGE = 2000


def router(platform: Platform) -> APIRouter:
    """Make the pages.

    :param platform: what they show.
    """
    routes = APIRouter()
    pages = _Pages(platform)
    _add_login(routes, pages)
    _add_jobs(routes, pages)
    _add_files(routes, pages)
    return routes


class _Pages(Templates):
    """The templates, and what all pages look up."""

    def __init__(self, platform: Platform) -> None:
        super().__init__()
        self.platform = platform

    def run(self, owner: str, name: str, run_id: str) -> tuple[Project, Run]:
        """Look up the run of a page's address."""
        project, run = self.platform.project_named(owner, name), self.platform.run(run_id)
        if run.project_id != project.id:
            raise NotFound(f"There is no job with the id {run_id} in project {project.full_name}")
        return project, run


def _add_login(routes: APIRouter, pages: _Pages) -> None:
    platform = pages.platform

    @routes.get("/login")
    def login_form(request: Request, redirectPath: str = "/") -> Response:  # noqa: N803 - as in Domino's own addresses
        if has_session(platform, request.headers):
            return RedirectResponse(_own_path(redirectPath), status_code=303)
        return pages.render("login.html", redirect_path=_own_path(redirectPath), is_wrong=False)

    @routes.post("/login")
    async def login(request: Request) -> Response:
        form = parse_qs((await request.body()).decode(errors="replace"))
        path = _own_path(form.get("redirectPath", ["/"])[0])
        token = form.get("token", [""])[0].strip()
        if not hmac.compare_digest(token.encode(), platform.secret.encode()):
            return pages.render("login.html", 401, redirect_path=path, is_wrong=True)
        answer = RedirectResponse(path, status_code=303)
        name, value = cookie_name(request.headers.get("host", "")), session_value(platform)
        answer.set_cookie(name, value, max_age=30 * 86400, httponly=True, samesite="lax")
        return answer

    @routes.get("/relogin")
    def relogin(redirectPath: str = "/") -> Response:  # noqa: N803
        return RedirectResponse(f"/login?redirectPath={quote(_own_path(redirectPath), safe='')}", status_code=303)


def _add_jobs(routes: APIRouter, pages: _Pages) -> None:
    platform = pages.platform

    @routes.get("/")
    def projects() -> Response:
        listed = [(project, _counts(platform, project)) for project in platform.projects.all()]
        capacities = platform.capacities()
        tiers = [(tier, capacities[tier.id]) for tier in platform.tiers if not tier.is_archived]
        return pages.render("projects.html", projects=listed, tiers=tiers)

    @routes.get("/jobs/{owner}/{name}")
    def jobs(owner: str, name: str, status: str = "all", page: int = 1) -> Response:
        check_choice("status", status, ("all", "archived", *GROUPS))
        project = platform.project_named(owner, name)
        number = max(1, page)
        found = platform.runs.listed(project.id, group=status, offset=(number - 1) * _PER_PAGE, limit=_PER_PAGE)
        return pages.render(
            "jobs.html",
            project=project,
            runs=[(run, platform.tier_of(run)) for run in found.runs],
            status=status,
            groups=("all", *GROUPS),
            page=number,
            last_page=max(1, -(-found.total // _PER_PAGE)),
        )

    @routes.get("/jobs/{owner}/{name}/{run_id}")
    @routes.get("/jobs/{owner}/{name}/{run_id}/logs")
    def job(owner: str, name: str, run_id: str) -> Response:
        project, run = pages.run(owner, name, run_id)
        return pages.render(
            "job.html", project=project, run=run, tier=platform.tier_of(run), facts=_facts(platform, run)
        )

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

    @routes.get("/{owner}/{name}/runs/{run_id}")
    @routes.get("/u/{owner}/{name}/runs/{run_id}")
    @routes.get("/projects/{owner}/{name}/runs/{run_id}")
    def old_job(owner: str, name: str, run_id: str) -> Response:
        return RedirectResponse(f"/jobs/{quote(owner)}/{quote(name)}/{quote(run_id)}/logs", status_code=303)


def _add_files(routes: APIRouter, pages: _Pages) -> None:
    platform = pages.platform

    @routes.get("/u/{owner}/{name}/browse")
    @routes.get("/u/{owner}/{name}/browse/{path:file}")
    def browse(owner: str, name: str, path: str = "", commitId: str = "head") -> Response:  # noqa: N803
        project = platform.project_named(owner, name)
        commit = platform.commit_id(project, commitId)
        try:
            cleaned = clean_folder(path)
            entries = platform.repository(project.id).folder(commit, cleaned)
        except (KeyError, ValueError) as error:
            raise NotFound(f"Commit {commit} has no folder {path}") from error
        return pages.render("files.html", project=project, commit=commit, path=cleaned, entries=entries)

    @routes.get("/u/{owner}/{name}/view/{path:file}")
    def view(owner: str, name: str, path: str, commitId: str = "head") -> Response:  # noqa: N803
        project = platform.project_named(owner, name)
        commit = platform.commit_id(project, commitId)
        file = found_file(platform, project.id, commit, path)
        text = _text(platform, project, file)
        return pages.render("file.html", project=project, commit=commit, file=file, text=text)

    @routes.get("/u/{owner}/{name}/download/{path:file}")
    def download(owner: str, name: str, path: str, commitId: str = "head") -> Response:  # noqa: N803
        project = platform.project_named(owner, name)
        commit = platform.commit_id(project, commitId)
        file = found_file(platform, project.id, commit, path)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.path.rpartition('/')[2], safe='')}",
            "X-Content-Type-Options": "nosniff",
        }
        pieces = started(platform.repository(project.id).content(file.key))
        return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


def _own_path(path: str) -> str:
    """Give a path of this server to go to after the login; what could lead elsewhere becomes the first page."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_own else "/"


def _counts(platform: Platform, project: Project) -> dict[str, int]:
    return {group: platform.runs.listed(project.id, group=group, limit=0).total for group in ("active", "all")}


def _facts(platform: Platform, run: Run) -> list[tuple[str, str]]:
    tier = platform.tier_of(run)
    facts = [
        ("Hardware tier", f"{tier.name} ({tier.id})"),
        ("Environment", platform.environment_of(run).name),
        ("Started by", run.started_by),
        ("Submitted", moment(run.submitted_at)),
        ("Started", moment(run.started_at)),
        ("Ended", moment(run.completed_at)),
    ]
    if run.started_at and run.completed_at:
        seconds = (run.completed_at - run.started_at) / 1000
        facts.append(("Duration", f"{seconds:.1f} s, {seconds / 60 * tier.cents_per_minute:.2f} cents"))
    if run.failure_reason:
        facts.append(("Failure", f"{run.failure_reason}: {run.failure_message}"))
    return facts + [(f"Statistic {stat['name']}", stat["value"]) for stat in run.stats]


def _text(platform: Platform, project: Project, file: FileInfo) -> str | None:
    """Give the text of a file that can be shown; None for a large or a binary one."""
    if file.size > _LARGEST_SHOWN:
        return None
    content = b"".join(platform.repository(project.id).content(file.key))
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None
