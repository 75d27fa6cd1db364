"""Who may come in: checks of the address that was asked for, of where the question comes from, and of credentials."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_domino.local.described import GENERATIONS
from airflow_domino.local.errors import Forbidden, Unauthorized, error_body
from airflow_domino.local.platform import Platform

API_PREFIXES = ("/v1/", "/v4/", "/api/", "/_local/")
# The descriptions of the API are open to everybody, as Domino's own are.
_OPEN_PATHS = ("/version", "/login", "/health", *(generation.address for generation in GENERATIONS))
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Access:
    """Who may come in.

    :param host_names: names, beside loopback's and plain addresses, under which the server may be asked.
    :param pages_are_open: whether the pages can be read without login. The API never can.
    """

    host_names: Collection[str] = ()
    pages_are_open: bool = False


class Gate:
    """The first thing that a request meets.

    A web page of somebody else's could let its own name point to this server (DNS rebinding) or send requests to it
    from the visitor's browser; therefore the name that was asked for must be one of the server's, and a browser's
    ``Origin`` the server itself.

    :param app: what lies behind.
    :param platform: knows the tokens.
    :param access: who may come in.
    """

    def __init__(self, app: ASGIApp, platform: Platform, access: Access) -> None:
        self._app = app
        self._platform = platform
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or answer it."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            refusal = self._refusal(scope["path"], scope["query_string"].decode("latin-1"), headers)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, path: str, query: str, headers: Headers) -> ASGIApp | None:
        host = headers.get("host", "")
        if not self._is_own(host):
            return _answer(path, Forbidden.status, "The Host header names another server")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return _answer(path, Forbidden.status, "Requests from other web sites are refused")
        if path in _OPEN_PATHS or self._has_token(headers):
            return None
        if path.startswith(API_PREFIXES):
            message = "The request needs a valid token, as X-Domino-Api-Key or as Authorization: Bearer"
            return _answer(path, Unauthorized.status, message)
        if self._access.pages_are_open or has_session(self._platform, headers):
            return None
        wanted = quote(path) + (f"?{query}" if query else "")
        return RedirectResponse(f"/login?redirectPath={quote(wanted, safe='')}", status_code=303)

    def _is_own(self, host: str) -> bool:
        name = host_name(host)
        if name in _LOOPBACK_NAMES or name in self._access.host_names:
            return True
        try:
            # A plain address cannot be made to point elsewhere.
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _has_token(self, headers: Headers) -> bool:
        key = headers.get("x-domino-api-key", "")
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        tokens = [key, bearer.strip() if scheme.lower() == "bearer" else ""]
        return any(token and self._platform.accepts(token) for token in tokens)


def host_name(host: str) -> str:
    """Give the name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def cookie_name(host: str) -> str:
    """Name the login cookie; browsers do not keep the cookies of different ports apart, so the name has to."""
    _, _, port = host.rpartition(":")
    return f"airflow_domino_local_{port if port.isdigit() else 80}"


def session_value(platform: Platform) -> str:
    """Give the value of the login cookie. It is not the token, and of no use for the API."""
    return hmac.new(platform.page_secret.encode(), platform.secret.encode(), hashlib.sha256).hexdigest()


def has_session(platform: Platform, headers: Headers) -> bool:
    """Tell whether a request comes from a browser that has logged in."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return False
    found = cookies.get(cookie_name(headers.get("host", "")))
    return found is not None and hmac.compare_digest(found.value.encode(), session_value(platform).encode())


def _answer(path: str, status: int, message: str) -> JSONResponse:
    return JSONResponse(error_body(path, status, message), status_code=status)
