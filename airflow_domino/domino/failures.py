"""Telling failures apart: what a broken connection or an unwelcome answer means for the caller."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import urllib3.exceptions as lower

from airflow_domino.domino.errors import (
    AuthenticationError,
    DominoError,
    DominoUnavailableError,
    NotFoundError,
    PermissionDeniedError,
    ReloginRequiredError,
    RequestError,
)

TURNED_AWAY = frozenset({429, 503})
LONGEST_MESSAGE = 500
LARGEST_ERROR_BODY = 64 * 1024


class NothingSentError(DominoUnavailableError):
    """The connection was never opened, so the request certainly did not arrive."""


class UntrustedConnectionError(NothingSentError):
    """The other side's certificate is not trusted, or it does not speak TLS: asking again changes nothing."""


def connection_failure(error: requests.RequestException, host: str, timeout: tuple[float, float]) -> DominoError:
    """Say what went wrong below HTTP, and whether the request can have arrived.

    :param host: the address that was asked.
    :param timeout: connect and read timeout in seconds.
    :returns: :class:`NothingSentError` when it cannot have arrived, otherwise :class:`DominoUnavailableError`.
    """
    cause = _cause(error)
    if isinstance(cause, lower.NameResolutionError):
        return NothingSentError(f"The name of {host} cannot be resolved; check the host's spelling and the DNS")
    if isinstance(error, requests.exceptions.SSLError):
        reason = _tls_reason(cause or error)
        sentence = f"No trusted TLS connection to {host}: {reason}; check the certificate, the CA file and the scheme"
        unverified = "certificate" in reason.lower() or "wrong version" in reason.lower()
        return (UntrustedConnectionError if unverified else DominoUnavailableError)(sentence)
    if isinstance(error, requests.exceptions.ProxyError):
        unsent = isinstance(getattr(cause, "original_error", None), lower.NewConnectionError | OSError)
        kind = NothingSentError if unsent else DominoUnavailableError
        return kind(f"{host} could not be reached through the HTTP proxy; check the proxy settings of this machine")
    if isinstance(error, requests.ConnectTimeout):
        return NothingSentError(
            f"{host} did not take the connection within {timeout[0]:g} s; check the host, the port and the firewall"
        )
    if isinstance(cause, lower.NewConnectionError):
        reason = str(cause.__cause__ or cause).rpartition("] ")[2]
        return NothingSentError(
            f"{host} could not be connected to ({reason}); check the host, the port and the network"
        )
    if isinstance(error, requests.ReadTimeout) or isinstance(cause, lower.ReadTimeoutError):
        return DominoUnavailableError(
            f"{host} took the request and did not answer within {timeout[1]:g} s; "
            "look whether it is overloaded, or allow more time (read_timeout)"
        )
    return DominoUnavailableError(
        f"{host} broke the connection off before its answer was complete; look at what lies between, such as a proxy"
    )


def _cause(error: BaseException) -> BaseException | None:
    inner = error.args[0] if error.args and isinstance(error.args[0], BaseException) else None
    if isinstance(inner, lower.MaxRetryError):
        return inner.reason
    return inner


def _tls_reason(error: BaseException) -> str:
    text = str(error)
    found = re.search(r"\[SSL[^\]]*\] ([^()]+)", text)
    return (found.group(1) if found else text).strip().rstrip(".") or "the handshake failed"


def answer_failure(
    response: requests.Response, subject: str, login_url: str, hide: Callable[[str], str]
) -> DominoError | None:
    """Say what an answer's status means; None when it is a success.

    :param subject: what was asked for, as a noun: `run 5f…`.
    :param login_url: page on which to log in again.
    :param hide: takes secrets out of what the server says.
    """
    status = response.status_code
    if status < 300:
        return None
    request = response.request
    where = f"{request.method} {request.path_url.partition('?')[0]} answered {status}"
    said = hide(server_message(response))
    detail = f"{where}: {said}" if said else where
    if status == 401:
        return AuthenticationError(
            f"Domino does not accept the credentials: they are missing, wrong or expired ({detail}); renew them",
            status=status,
        )
    if status == 403:
        return PermissionDeniedError(
            f"Domino does not permit this on the {subject} ({detail}); ask its owner for the right to do it",
            status=status,
        )
    if status == 404:
        return NotFoundError(
            f"Domino has no such {subject}, or this user may not see it ({detail}); "
            "check its name or id, or ask for access",
            status=status,
        )
    if status == 409:
        return ReloginRequiredError(
            f"Domino asks the user to log in again, since credentials that it stores have expired: open {login_url} "
            f"({detail})",
            login_url=login_url,
        )
    if status in (408, 425, 429) or status >= 500:
        return DominoUnavailableError(
            f"Domino could not answer for the {subject} ({detail}); wait until it can",
            retry_after=retry_after(response),
            status=status,
        )
    return RequestError(
        f"Domino refused the request for the {subject} ({detail}); correct what it names", status=status
    )


def retry_after(response: requests.Response) -> float | None:
    """Seconds that the answer's `Retry-After` asks us to wait (a number or an HTTP date), None without one."""
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def server_message(response: requests.Response) -> str:
    """What the server said in words: v4 `{message}`, public `{errors: […]}`, `{error}`, or the title of a page."""
    try:
        body = response.raw.read(LARGEST_ERROR_BODY, decode_content=True) or b""
    except (OSError, lower.HTTPError):
        return ""
    text = body.decode("utf-8", "replace").strip()
    if looks_like_html(text):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        return _short(re.sub(r"<[^>]+>", " ", title.group(1))) if title else ""
    try:
        return _short(_said(json.loads(text)))
    except (ValueError, RecursionError):
        return _short(text)


def _said(data: Any) -> str:
    if isinstance(data, str):
        return data
    if isinstance(data, list):
        return "; ".join(filter(None, (_said(entry) for entry in data)))
    if isinstance(data, Mapping):
        return next((said for name in ("message", "errors", "error") if (said := _said(data.get(name)))), "")
    return ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]}…"


def looks_like_html(text: str) -> bool:
    """Whether a body is a web page rather than data."""
    return text.lstrip()[:1] == "<"
