"""The layer of the server that gives bad answers where they are on order, and none while the server is frozen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
from collections import deque
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_domino.local.clock import now_ms
from airflow_domino.local.errors import error_body
from airflow_domino.local.faults import CONTROL_PREFIX, Fault, Faults

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Log in</title></head><body><form>Log in to Domino</form></body></html>"
_LONGEST_FAREWELL = 5.0
_LOOK_AGAIN = 0.02
_KEPT_REQUESTS = 1000


class Freeze:
    """Whether the server hangs: it takes requests, and neither carries them out nor answers them until it is thawed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0

    def begin(self, seconds: float | None) -> None:
        """Freeze.

        :param seconds: how long; None until somebody thaws it.
        """
        with self._lock:
            self._until = float("inf") if seconds is None else time.monotonic() + seconds

    def thaw(self) -> None:
        """Go on with everything that has come meanwhile."""
        with self._lock:
            self._until = 0.0

    @property
    def seconds_left(self) -> float:
        """How long it will last if nobody thaws it; 0 when it is not frozen."""
        return max(0.0, self._until - time.monotonic())

    async def over(self) -> None:
        """Wait until it is over."""
        while self._until > time.monotonic():  # noqa: ASYNC110 - the end is told from another thread, or by the clock
            await asyncio.sleep(_LOOK_AGAIN)


class RequestLog:
    """The latest requests and how they were answered, except those of the control plane."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_KEPT_REQUESTS)
        self.last = 0

    def begin(self, scope: Scope) -> dict[str, Any]:
        """Add a request; its ``status`` is filled in when it is answered, and stays None where it never is."""
        self.last += 1
        entry = {
            "sequence": self.last,
            "at": now_ms(),
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "status": None,
            "fault": None,
        }
        self._entries.append(entry)
        return entry

    def entries(self, after: int = 0) -> list[dict[str, Any]]:
        """List the requests in the order in which they came, without those up to and with this number."""
        return [entry for entry in list(self._entries) if entry["sequence"] > after]


class FaultLayer:
    """Serves requests, badly where that is on order. The control plane itself is always served well.

    :param app: what lies behind.
    :param faults: what is on order.
    :param freeze: whether the server hangs.
    :param requests: where the requests are noted.
    """

    def __init__(self, app: ASGIApp, faults: Faults, freeze: Freeze, requests: RequestLog) -> None:
        self._app = app
        self._faults = faults
        self._freeze = freeze
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        entry = self._requests.begin(scope)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        if self._freeze.seconds_left:
            # What was sent to a server that hangs is in its hands, also when nobody waits for the answer any more.
            receive = await _read_ahead(receive)
            await self._freeze.over()
        fault = self._faults.of_request(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, noted)
            return
        entry["fault"] = fault.action
        if fault.action == "delay":
            await self._late(fault, scope, receive, noted)
        elif fault.action == "half":
            await self._half(fault, scope, receive, noted)
            await hang_up(receive, send, is_begun=True)
        else:
            # A client that is still sending would learn of it while it sends, and then not how.
            await (self._app(scope, receive, _swallow) if fault.moment == "after" else _drain(receive))
            await asyncio.sleep(fault.seconds)
            if fault.action in ("drop", "reset"):
                await hang_up(receive, send, is_reset=fault.action == "reset")
            else:
                await _bad_answer(fault, scope["path"])(scope, receive, noted)

    async def _late(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_late(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(fault.seconds)
            await send(message)

        if fault.moment == "before":
            await asyncio.sleep(fault.seconds)
        await self._app(scope, receive, send if fault.moment == "before" else send_late)

    async def _half(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        # It is carried out as a whole, and so is what it asked for.
        await self._app(scope, receive, keep)
        await asyncio.sleep(fault.seconds)
        start, body = messages[0], b"".join(message.get("body", b"") for message in messages[1:])
        headers = [
            pair for pair in start["headers"] if pair[0].lower() not in (b"content-length", b"transfer-encoding")
        ]
        await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


def _bad_answer(fault: Fault, path: str) -> Response:
    retry = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    headers = fault.headers | retry
    if fault.action == "html":
        return HTMLResponse(fault.body or LOGIN_PAGE, status_code=200, headers=headers)
    if fault.body is not None:
        return Response(fault.body, status_code=fault.status, headers=headers)
    content: dict[str, Any] = error_body(path, fault.status, "This answer was ordered by a test")
    return JSONResponse(content, status_code=fault.status, headers=headers)


async def _read_ahead(receive: Receive) -> Receive:
    messages = deque([await receive()])
    while messages[-1].get("more_body", False):
        messages.append(await receive())

    async def again() -> Message:
        return messages.popleft() if messages else await receive()

    return again


async def _drain(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass


async def _swallow(message: Message) -> None:
    """Take an answer that nobody will get."""


async def hang_up(receive: Receive, send: Send, *, is_reset: bool = False, is_begun: bool = False) -> None:
    """Close a connection.

    :param receive: tells of its end.
    :param send: what would have sent the answer, or the bound method of something that has its ``transport``.
    :param is_reset: by a reset, otherwise by an end.
    :param is_begun: whether a part of the answer was sent, and is to arrive.
    """
    # ASGI has no word for closing a connection without an answer, so this reaches for uvicorn's own transport.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None or not hasattr(transport, "abort"):
        raise RuntimeError("the connection can only be closed under uvicorn")
    if is_reset:
        # A socket that is closed with no time to linger says so by a reset. The event loop's own handle of the socket
        # may not take options, a second one does.
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if is_begun:
        transport.close()
    else:
        transport.abort()
    # The answer must not be missed before the loss of the connection has been noticed.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_FAREWELL):
            while (await receive())["type"] != "http.disconnect":
                pass
