"""Who may come in: checks of the address that was asked for, of where the question comes from, and of credentials."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_domino.local.described import GENERATIONS
from airflow_domino.local.errors import Forbidden, Unauthorized, error_body
from airflow_domino.local.people import NOBODY, Caller, calling
from airflow_domino.local.platform import Platform
from airflow_domino.local.tokens import Token

_CONTROL_PREFIX = "/_local/"
API_PREFIXES = ("/v1/", "/v4/", "/api/", _CONTROL_PREFIX)
_ONLY_READING = ("GET", "HEAD")
# The descriptions of the API are open to everybody, as Domino's own are.
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s\[\]@:/?#,\\]+))(?::[0-9]*)?")
_OPEN_PATHS = ("/version", "/login", "/health", *(generation.address for generation in GENERATIONS))
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Access:
    """Who may come in.

    :param host_names: names, beside loopback's and plain addresses, under which the server may be asked.
    :param pages_are_open: whether everybody can read all pages, without login. The API nobody can.
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
        """Let a request through, on behalf of whoever sent it, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = scope["path"]
        sender, message = self._sender(headers)
        refusal = self._refusal_of_origin(path, headers)
        if refusal is None and path not in _OPEN_PATHS:
            if sender is None and not path.startswith(API_PREFIXES):
                sender = self._visitor(headers)
            if sender is None and not self._is_open(path, scope["method"]):
                refusal = _login(path, scope["query_string"]) or _answer(path, Unauthorized.status, message)
            elif path.startswith(_CONTROL_PREFIX) and not (sender and sender.person and sender.person.is_admin):
                refusal = _answer(path, Forbidden.status, "Only administrators may use the control plane")
            elif sender is None:
                # Open pages show what the server itself may see, which is everything.
                await self._app(scope, receive, send)
                return
        with calling(sender or NOBODY):
            await (refusal or self._app)(scope, receive, send)

    def _is_open(self, path: str, method: str) -> bool:
        return self._access.pages_are_open and method in _ONLY_READING and not path.startswith(API_PREFIXES)

    def _refusal_of_origin(self, path: str, headers: Headers) -> ASGIApp | None:
        host = headers.get("host", "")
        if not self._is_own(host):
            return _answer(path, Forbidden.status, "The Host header names another server")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return _answer(path, Forbidden.status, "Requests from other web sites are refused")
        return None

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

    def _sender(self, headers: Headers) -> tuple[Caller | None, str]:
        """Tell who sent a request; for nobody, why."""
        rights = self._platform.rights
        key = headers.get("x-domino-api-key", "")
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        brought = [text for text in (key, bearer.strip() if scheme.lower() == "bearer" else "") if text]
        for text in brought:
            sender = rights.authenticate(text)
            if sender is not None:
                return sender, ""
        return None, rights.why_refused(brought[0] if brought else "")

    def _visitor(self, headers: Headers) -> Caller | None:
        token = session_token(self._platform, headers)
        person = None if token is None else self._platform.people.named(token.owner)
        return None if person is None else Caller(person)


def host_name(host: str) -> str:
    """Give the name in a Host header, without port and brackets."""
    found = _HOST.fullmatch(host)
    return (found["address"] or found["name"]).lower() if found else ""


def cookie_name(host: str) -> str:
    """Name the login cookie; browsers do not keep the cookies of different ports apart, so the name has to."""
    _, _, port = host.rpartition(":")
    return f"airflow_domino_local_{port if port.isdigit() else 80}"


def session_value(platform: Platform, token: Token) -> str:
    """Give the value of the login cookie. It is not the token, of no use for the API, and ends with the token.

    :param platform: where the login is.
    :param token: what the visitor logged in with.
    """
    proof = hmac.new(platform.page_secret.encode(), token.id.encode(), hashlib.sha256).hexdigest()
    return f"{token.id}.{proof}"


def session_token(platform: Platform, headers: Headers) -> Token | None:
    """Give the token with which the browser that sends a request has logged in; None where it has not."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return None
    found = cookies.get(cookie_name(headers.get("host", "")))
    token = None if found is None else platform.tokens.find(found.value.partition(".")[0])
    if found is None or token is None or not token.is_accepted:
        return None
    is_genuine = hmac.compare_digest(found.value.encode(), session_value(platform, token).encode())
    return token if is_genuine else None


def _login(path: str, query: bytes) -> RedirectResponse | None:
    """Lead a visitor of a page to the login; None for the API, which has none."""
    if path.startswith(API_PREFIXES):
        return None
    wanted = quote(path) + (f"?{query.decode('latin-1')}" if query else "")
    return RedirectResponse(f"/login?redirectPath={quote(wanted, safe='')}", status_code=303)


def _answer(path: str, status: int, message: str) -> JSONResponse:
    return JSONResponse(error_body(path, status, message), status_code=status)
