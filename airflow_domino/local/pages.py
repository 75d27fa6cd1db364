"""Small pages at the addresses of Domino's own user interface, so that links to runs and files lead somewhere."""

from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from airflow_domino.local import pages_files, pages_runs
from airflow_domino.local.gate import cookie_name, session_token, session_value
from airflow_domino.local.page_templates import Pages
from airflow_domino.local.platform import Platform
from airflow_domino.local.routing import Routes

_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<rect x="3" width="10" height="16" rx="2" fill="#3530c4"/><path d="M3 8h10" stroke="#fff"/><g fill="#fff">'
    '<circle cx="8" cy="4" r="1.3"/><circle cx="6" cy="10.5" r="1.2"/><circle cx="10" cy="13.5" r="1.2"/></g></svg>'
)


def router(platform: Platform) -> APIRouter:
    """Make the pages.

    :param platform: what they show.
    """
    routes = Routes(include_in_schema=False)
    pages = Pages(platform)
    _add_login(routes, pages)
    _add_icon(routes)
    pages_runs.add_to(routes, pages)
    pages_files.add_to(routes, pages)
    return routes


def _add_login(routes: APIRouter, pages: Pages) -> None:
    platform = pages.platform

    @routes.get("/login")
    def login_form(request: Request, redirectPath: str = "/") -> Response:  # noqa: N803 - as in Domino's own addresses
        if session_token(platform, request.headers) is not None:
            return RedirectResponse(_own_path(redirectPath), status_code=303)
        return pages.render("login.html", redirect_path=_own_path(redirectPath), is_wrong=False)

    @routes.post("/login")
    async def login(request: Request) -> Response:
        form = parse_qs((await request.body()).decode(errors="replace"))
        path = _own_path(form.get("redirectPath", ["/"])[0])
        token = form.get("token", [""])[0].strip()
        known = platform.tokens.of_text(token)
        if known is None or platform.rights.authenticate(token) is None:
            return pages.render("login.html", 401, redirect_path=path, is_wrong=True)
        answer = RedirectResponse(path, status_code=303)
        name, value = cookie_name(request.headers.get("host", "")), session_value(platform, known)
        answer.set_cookie(name, value, max_age=30 * 86400, httponly=True, samesite="lax")
        return answer

    @routes.get("/relogin")
    def relogin(redirectPath: str = "/") -> Response:  # noqa: N803
        return RedirectResponse(f"/login?redirectPath={quote(_own_path(redirectPath), safe='')}", status_code=303)


def _add_icon(routes: APIRouter) -> None:
    @routes.get("/icon.svg")
    def icon() -> Response:
        return Response(_ICON, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


def _own_path(path: str) -> str:
    """Give a path of this server to go to after the login; what could lead elsewhere becomes the first page."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_own else "/"
