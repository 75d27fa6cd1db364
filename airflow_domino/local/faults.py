"""Faults on order: the next answers of the server can be made bad, so that clients can be tested against that."""

from __future__ import annotations

import asyncio
import re
import threading
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_domino.local.errors import error_body

CONTROL_PREFIX = "/_local/"
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Log in</title></head><body><form>Log in to Domino</form></body></html>"

Action = Literal["status", "html", "drop", "delay"]
Moment = Literal["before", "after"]


@dataclass(frozen=True)
class Fault:
    """One sort of bad answer.

    :param action: ``status`` answers with an error, ``html`` with a login page and 200, ``drop`` closes the
        connection without an answer, ``delay`` only waits.
    :param method: only requests of this method; None for all.
    :param path: only requests whose path has a match of this regular expression in it.
    :param times: how many requests it meets.
    :param moment: ``before`` the request is carried out, or ``after``: it is carried out, and its answer lost.
    :param status: status of the answer, for ``status``.
    :param headers: further headers of the answer, such as Retry-After.
    :param body: text of the answer; None for an error in the API's own form.
    :param seconds: how long to wait first.
    """

    action: Action
    path: str = ""
    method: str | None = None
    times: int = 1
    moment: Moment = "before"
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    seconds: float = 0.0

    def meets(self, method: str, path: str) -> bool:
        """Tell whether a request is to get this answer."""
        return self.method in (None, method) and re.search(self.path, path) is not None


class Faults:
    """The faults that are on order, and the layer of the server that serves them.

    :param app: what lies behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._ordered: list[Fault] = []

    def order(self, fault: Fault) -> None:
        """Put a fault on order; faults that were ordered earlier come first."""
        with self._lock:
            self._ordered.append(fault)

    def clear(self) -> None:
        """Take back every order."""
        with self._lock:
            self._ordered.clear()

    def ordered(self) -> list[Fault]:
        """List what is still on order."""
        with self._lock:
            return list(self._ordered)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, badly where that is on order."""
        fault = self._take(scope) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        if fault.action == "delay":
            await self._delay(fault, scope, receive, send)
            return
        if fault.moment == "after":
            await self._app(scope, receive, _swallow)
        await asyncio.sleep(fault.seconds)
        if fault.action == "drop":
            await _drop(send)
        else:
            await _bad_answer(fault, scope["path"])(scope, receive, send)

    async def _delay(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_late(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(fault.seconds)
            await send(message)

        if fault.moment == "before":
            await asyncio.sleep(fault.seconds)
        await self._app(scope, receive, send if fault.moment == "before" else send_late)

    def _take(self, scope: Scope) -> Fault | None:
        path = scope["path"]
        if path.startswith(CONTROL_PREFIX):
            return None
        with self._lock:
            for position, fault in enumerate(self._ordered):
                if fault.meets(scope["method"], path):
                    if fault.times > 1:
                        self._ordered[position] = replace(fault, times=fault.times - 1)
                    else:
                        del self._ordered[position]
                    return fault
        return None


def _bad_answer(fault: Fault, path: str) -> Response:
    if fault.action == "html":
        return HTMLResponse(fault.body or LOGIN_PAGE, status_code=200, headers=fault.headers)
    if fault.body is not None:
        return Response(fault.body, status_code=fault.status, headers=fault.headers)
    content: dict[str, Any] = error_body(path, fault.status, "This answer was ordered by a test")
    return JSONResponse(content, status_code=fault.status, headers=fault.headers)


async def _swallow(message: Message) -> None:
    """Take an answer that nobody will get."""


async def _drop(send: Send) -> None:
    # ASGI has no word for closing a connection without an answer, so this reaches for uvicorn's own transport.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if not isinstance(transport, asyncio.Transport):
        raise RuntimeError("the connection can only be dropped under uvicorn")
    transport.abort()
    # The loss of the connection is noticed in the next rounds of the loop; the answer must not be missed before.
    await asyncio.sleep(0.01)
