"""A server that answers from a recording: the same answers to the same requests, and nothing is carried out."""

import threading
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_domino.local.errors import error_body
from airflow_domino.local.fault_layer import hang_up
from airflow_domino.local.faults import CONTROL_PREFIX
from airflow_domino.local.recordings import NO_ANSWER, Exchange, Masks, key

UNKNOWN_HEADER = "X-Local-Domino-Replay"
_STATE_PATH = f"{CONTROL_PREFIX}replay"
# What belongs to the way of the recorded answer, not to the answer.
_OF_THE_WAY = (
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
)
_MOST_SHOWN = 100


class Replay:
    """Answers from a recording.

    The same request gets the recorded answers one after the other. When they are used up, a GET gets the last one
    again, since pollers do not keep count; anything else is as unknown as a request that was never recorded.

    :param exchanges: the recording.
    :param fallback: answers what is not of Domino's API and was not recorded, such as the question for health.
    """

    def __init__(self, exchanges: Sequence[Exchange], fallback: ASGIApp) -> None:
        self._fallback = fallback
        self._masks = Masks()
        self._lock = threading.Lock()
        self._answers: dict[tuple[str, str, str, str], list[Exchange]] = {}
        self._asked: Counter[tuple[str, str, str, str]] = Counter()
        self._unknown: list[dict[str, str]] = []
        for exchange in exchanges:
            self._answers.setdefault(key(exchange, self._masks), []).append(exchange)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._fallback(scope, receive, send)
            return
        request = Request(scope, receive)
        if request.url.path == _STATE_PATH:
            await JSONResponse(self.state())(scope, receive, send)
            return
        asked = await _asked(request)
        answer = self._next(asked)
        if answer is not None:
            await _give(answer, request, receive, send)
        elif request.url.path.startswith(("/v1/", "/v4/", "/api/", CONTROL_PREFIX)):
            await self._refuse(asked)(scope, receive, send)
        else:
            await self._fallback(scope, receive, send)

    def state(self) -> dict[str, Any]:
        """Say what of the recording was asked for, what was not, and what was asked that is not in it."""
        with self._lock:
            unused = [
                {"method": method, "path": path, "times": len(answers) - self._asked[method, path, query, body]}
                for (method, path, query, body), answers in self._answers.items()
                if self._asked[method, path, query, body] < len(answers)
            ]
            return {
                "recorded": sum(map(len, self._answers.values())),
                "answered": sum(self._asked.values()),
                "unused": unused[:_MOST_SHOWN],
                "unknown": self._unknown[-_MOST_SHOWN:],
            }

    def _next(self, asked: Exchange) -> Exchange | None:
        found = key(asked, self._masks)
        with self._lock:
            answers = self._answers.get(found)
            if answers is None or (self._asked[found] >= len(answers) and asked.method != "GET"):
                return None
            self._asked[found] += 1
            return answers[min(self._asked[found], len(answers)) - 1]

    def _refuse(self, asked: Exchange) -> JSONResponse:
        path = urlsplit(asked.url).path
        message = self._reason(asked)
        with self._lock:
            self._unknown.append({"method": asked.method, "url": asked.url, "reason": message})
        status = HTTPStatus.NOT_FOUND
        return JSONResponse(error_body(path, status, message), status_code=status, headers={UNKNOWN_HEADER: "unknown"})

    def _reason(self, asked: Exchange) -> str:
        method, path, query, body = key(asked, self._masks)
        request = f"{method} {path}"
        with self._lock:
            alike = [known for known in self._answers if known[:2] == (method, path)]
            if (method, path, query, body) in self._answers:
                times = len(self._answers[method, path, query, body])
                return f"All answers that the recording has to this {request} were given ({times})"
        if not alike:
            return f"The recording has no {request}"
        with_query = [known for known in alike if known[2] == query]
        if not with_query:
            return f"The recording has {request} only with another query: {alike[0][2]}"
        return f"The recording has {request} only with another body: {with_query[0][3][:500]}"


async def _asked(request: Request) -> Exchange:
    raw_path = (request.scope.get("raw_path") or request.url.path.encode()).decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return Exchange(
        method=request.method,
        url=f"{raw_path}{'?' if query else ''}{query}",
        request_headers=request.headers.items(),
        request_body=await request.body(),
    )


async def _give(answer: Exchange, request: Request, receive: Receive, send: Send) -> None:
    if answer.status == NO_ANSWER:
        await hang_up(receive, send, is_reset=False)
        return
    parts = urlsplit(answer.url)
    recorded, own = f"{parts.scheme}://{parts.netloc}", str(request.base_url).rstrip("/")
    # Addresses in an answer lead to this server.
    body = answer.body if parts.netloc == "" else answer.body.replace(recorded.encode(), own.encode())
    headers = {
        name: value.replace(recorded, own) if parts.netloc else value
        for name, value in answer.headers
        if name.lower() not in _OF_THE_WAY and not name.startswith(":")
    }
    response = Response(body, status_code=answer.status, headers=headers)
    if not answer.problem:
        await response(request.scope, receive, send)
        return
    # The recorded answer broke off, and so does this one.
    more = [(name, value) for name, value in response.raw_headers if name != b"content-length"]
    length = (b"content-length", str(len(body) + 1).encode())
    await send({"type": "http.response.start", "status": answer.status, "headers": [*more, length]})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await hang_up(receive, send, is_reset=False, is_begun=True)
