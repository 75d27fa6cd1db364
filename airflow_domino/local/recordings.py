"""Recordings of requests and their answers, as HTTP Archives (HAR 1.2), which browsers and other tools write too."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

MASK = "***"
# A browser says so of a request that got no answer.
NO_ANSWER = 0

_SECRET_HEADERS = ("authorization", "proxy-authorization", "x-domino-api-key", "cookie", "set-cookie")
_SECRET_NAME = re.compile(r"(token|password|passphrase|secret|api_?key|private_?key|credential)s?$", re.IGNORECASE)
_SECRET_VALUES_BELOW = ("environmentvariables", "runtimesecrets")
# Shorter texts are too often part of another one to be looked for.
_SHORTEST_SECRET = 8
_BOUNDARY = re.compile(r'boundary="?([^";]+)')

Pairs = Sequence[tuple[str, str]]


class RecordingError(ValueError):
    """A file is no recording that can be used; the message says why."""


@dataclass(frozen=True)
class Exchange:
    """One request and what became of it.

    :param method: method of the request.
    :param url: whole address of the request.
    :param request_headers: its headers.
    :param request_body: its body.
    :param status: status of the answer; :data:`NO_ANSWER` where the connection was closed without one.
    :param headers: headers of the answer.
    :param body: body of the answer, or as much of it as was sent.
    :param started_at: when the request came.
    :param milliseconds: how long it took.
    :param problem: what was wrong with the answer, for people; empty when it was whole.
    """

    method: str
    url: str
    request_headers: Pairs = ()
    request_body: bytes = b""
    status: int = NO_ANSWER
    headers: Pairs = ()
    body: bytes = b""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    milliseconds: float = 0.0
    problem: str = ""


class Masks:
    """What is kept out of recordings: credentials by where they stand, and wherever else the same text shows up."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these texts from now on."""
        self._secrets.update(secret for secret in secrets if len(secret) >= _SHORTEST_SECRET)

    def headers(self, pairs: Pairs) -> list[tuple[str, str]]:
        """Give headers without the values of those that carry credentials."""
        self.learn(
            value.rpartition(" ")[2].rpartition("=")[2] for name, value in pairs if name.lower() in _SECRET_HEADERS
        )
        return [(name, MASK if name.lower() in _SECRET_HEADERS else value) for name, value in pairs]

    def body(self, body: bytes, path: str) -> bytes:
        """Give a body of JSON without the credentials in it; any other is left as it is.

        :param body: the body.
        :param path: path of the address that it was sent to or came from.
        """
        try:
            document = json.loads(body)
        except ValueError:
            return body
        hides_values = any(word in path.lower() for word in _SECRET_VALUES_BELOW)
        masked = self._masked(document, hides_values=hides_values)
        return body if masked == document else json.dumps(masked).encode()

    def text(self, text: str) -> str:
        """Give a text without the secrets that are known."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def _masked(self, value: Any, *, hides_values: bool) -> Any:
        if isinstance(value, list):
            return [self._masked(one, hides_values=hides_values) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            key: self._hidden(one)
            if isinstance(one, str) and (_SECRET_NAME.search(key) or (hides_values and key == "value"))
            else self._masked(one, hides_values=hides_values)
            for key, one in value.items()
        }

    def _hidden(self, secret: str) -> str:
        self.learn([secret])
        return MASK


def to_entry(exchange: Exchange, masks: Masks) -> dict[str, Any]:
    """Write an exchange as an entry of an archive, without credentials where they are known to stand.

    :param exchange: the exchange.
    :param masks: what is kept out of it.
    """
    request_headers = masks.headers(exchange.request_headers)
    headers = masks.headers(exchange.headers)
    path = urlsplit(exchange.url).path
    body = masks.body(exchange.body, path)
    sent = masks.body(exchange.request_body, path)
    query = parse_qsl(urlsplit(exchange.url).query, keep_blank_values=True)
    request: dict[str, Any] = {
        "method": exchange.method,
        "url": exchange.url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _named(request_headers),
        "queryString": _named(query),
        "headersSize": -1,
        "bodySize": len(sent),
    }
    if sent:
        request["postData"] = {"mimeType": _media_type(request_headers), **_content(sent)}
    words = {"statusText": _phrase(exchange.status), **({"_error": exchange.problem} if exchange.problem else {})}
    return {
        "startedDateTime": exchange.started_at.isoformat(),
        "time": exchange.milliseconds,
        "request": request,
        "response": {
            "status": exchange.status,
            **words,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": _named(headers),
            "content": {"size": len(body), "mimeType": _media_type(headers), **_content(body)},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": len(body),
        },
        "cache": {},
        "timings": {"send": 0, "wait": exchange.milliseconds, "receive": 0},
    }


def load(path: Path) -> list[Exchange]:
    """Read an archive: one of this server's, or one that a browser or a proxy wrote of a real Domino.

    :param path: the file.
    :raises RecordingError: when it cannot be read or is no archive.
    """
    try:
        document = json.loads(path.read_bytes())
        return [_exchange(entry) for entry in document["log"]["entries"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordingError(f"{path} is no HTTP Archive (HAR) that can be used: {error!r}; record it anew") from error


def key(exchange: Exchange, masks: Masks) -> tuple[str, str, str, str]:
    """Give what two requests have in common that are the same: method, path, query, and body.

    The order of a query does not matter, nor the wording of JSON, nor the boundary of a form.

    :param exchange: the request.
    :param masks: what recordings hide.
    """
    parts = urlsplit(exchange.url)
    query = json.dumps(sorted(parse_qsl(masks.text(parts.query), keep_blank_values=True)))
    headers = {name.lower(): value for name, value in exchange.request_headers}
    body = masks.text(masks.body(exchange.request_body, parts.path).decode("latin-1")).encode("latin-1")
    return exchange.method, unquote(parts.path), query, _body_key(headers.get("content-type", ""), body)


def _body_key(media_type: str, body: bytes) -> str:
    boundary = _BOUNDARY.search(media_type)
    if boundary is not None:
        body = body.replace(boundary[1].encode(), b"boundary")
    try:
        return json.dumps(json.loads(body), sort_keys=True)
    except ValueError:
        return hashlib.sha256(body).hexdigest() if body else ""


def _exchange(entry: Mapping[str, Any]) -> Exchange:
    request, response = entry["request"], entry["response"]
    return Exchange(
        method=str(request["method"]),
        url=str(request["url"]),
        request_headers=_pairs(request["headers"]),
        request_body=_bytes(request.get("postData") or {}),
        status=int(response["status"]),
        headers=_pairs(response["headers"]),
        body=_bytes(response["content"]),
        milliseconds=float(entry.get("time", 0)),
        problem=str(response.get("_error") or ""),
    )


def _named(pairs: Pairs) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in pairs]


def _pairs(headers: Iterable[Mapping[str, str]]) -> Pairs:
    return [(header["name"], header["value"]) for header in headers]


def _media_type(headers: Pairs) -> str:
    return next((value for name, value in headers if name.lower() == "content-type"), "")


def _content(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), "encoding": "base64"}


def _bytes(content: Mapping[str, Any]) -> bytes:
    text = content.get("text") or ""
    return base64.b64decode(text) if content.get("encoding") == "base64" else str(text).encode()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
