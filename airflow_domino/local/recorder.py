"""The layer of the server that writes down what is asked and answered, while somebody wants it to."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_domino.local.errors import NotFound
from airflow_domino.local.faults import CONTROL_PREFIX
from airflow_domino.local.recordings import NO_ANSWER, Exchange, Masks, to_entry
from airflow_domino.local.routing import Routes

_PREFIXES = ("/v1/", "/v4/", "/api/", "/assets/", "/version")
_LARGEST_BODY = 16 << 20
_LARGEST_RECORDING = 512 << 20
_CREATOR = "airflow-domino, the local Domino"


class Recorder:
    """Serves requests, and keeps them with their answers while a recording goes on.

    Only requests to Domino's API are kept, without the credentials in them. What is kept goes to a file at once, so a
    long recording needs no memory; it is there until the next one begins, also over a restart.

    :param app: what lies behind.
    :param file: where the present recording is kept.
    :param secrets: gives texts that must not be in a recording, beside those that requests and answers show.
    """

    def __init__(self, app: ASGIApp, file: Path, secrets: Callable[[], Iterable[str]]) -> None:
        self._app = app
        self._file = file
        self._secrets = secrets
        self._masks = Masks()
        self._output: BinaryIO | None = None
        self._is_full = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if self._output is None or scope["type"] != "http" or not scope["path"].startswith(_PREFIXES):
            await self._app(scope, receive, send)
            return
        tap = _Tap(scope, receive, send)
        try:
            await self._app(scope, tap.receive, tap.send)
        finally:
            self._keep(tap.exchange())

    def start(self) -> None:
        """Begin a recording, in place of the one before."""
        self.stop()
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._is_full = False
        self._masks = Masks()
        self._output = os.fdopen(descriptor, "wb", buffering=0)

    def stop(self) -> None:
        """End the recording; it can still be read."""
        if self._output is not None:
            self._output.close()
            self._output = None

    def state(self) -> dict[str, Any]:
        """Say whether a recording goes on and how much there is of it."""
        found = self._file.exists()
        return {
            "isRecording": self._output is not None,
            "isFull": self._is_full,
            "entries": sum(1 for _ in self._lines()) if found else 0,
            "bytes": self._file.stat().st_size if found else 0,
        }

    def archive(self) -> Iterator[str]:
        """Give the recording as an HTTP Archive, in pieces.

        :raises NotFound: when there is none.
        """
        if not self._file.exists():
            raise NotFound(f"Nothing was recorded yet; begin with POST {CONTROL_PREFIX}recording/start")
        return self._pieces()

    def _pieces(self) -> Iterator[str]:
        comment = "The recording is not whole: it had reached its limit." if self._is_full else ""
        head = {"version": "1.2", "creator": {"name": _CREATOR, "version": ""}, "comment": comment}
        yield f'{{"log": {json.dumps(head)[:-1]}, "entries": ['
        self._masks.learn(self._secrets())
        for number, line in enumerate(self._lines()):
            # What was found out to be a secret later is hidden in what was kept before, too.
            yield f"{',' if number else ''}\n{self._masks.text(line)}"
        yield "\n]}}\n"

    def _lines(self) -> Iterator[str]:
        with self._file.open(encoding="utf-8") as lines:
            # A line without its end is what a crash has left of it.
            yield from (line.rstrip("\n") for line in lines if line.endswith("\n"))

    def _keep(self, exchange: Exchange) -> None:
        if self._output is None or self._is_full:
            return
        self._masks.learn(self._secrets())
        entry = json.dumps(to_entry(exchange, self._masks))
        line = self._masks.text(entry).encode() + b"\n"
        if self._output.tell() + len(line) > _LARGEST_RECORDING:
            self._is_full = True
        else:
            self._output.write(line)


class _Tap:
    """Sees what one request and its answer are made of."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        # Faults that close connections look for uvicorn's transport here.
        self.transport = getattr(getattr(send, "__self__", None), "transport", None)
        self._started_at = datetime.now(UTC)
        self._began = time.perf_counter()
        self._sent: list[bytes] = []
        self._answered: list[bytes] = []
        self._status = NO_ANSWER
        self._headers: list[tuple[str, str]] = []
        self._is_whole = False
        self._size = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._take(self._sent, message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], _decoded(message["headers"])
        elif message["type"] == "http.response.body":
            self._take(self._answered, message.get("body", b""))
            self._is_whole = not message.get("more_body", False)
        await self._send(message)

    def exchange(self) -> Exchange:
        """Give what was seen."""
        scope = self._scope
        headers = _decoded(scope["headers"])
        host = next((value for name, value in headers if name == "host"), "")
        query = scope["query_string"].decode("latin-1")
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        return Exchange(
            method=scope["method"],
            url=f"{scope['scheme']}://{host}{path}{'?' if query else ''}{query}",
            request_headers=headers,
            request_body=b"".join(self._sent),
            status=self._status,
            headers=self._headers,
            body=b"".join(self._answered),
            started_at=self._started_at,
            milliseconds=round((time.perf_counter() - self._began) * 1000, 3),
            problem=self._problem(),
        )

    def _problem(self) -> str:
        if self._size > _LARGEST_BODY:
            return "too large to be recorded"
        if self._status == NO_ANSWER:
            return "the connection was closed without an answer"
        return "" if self._is_whole else "the connection was closed in the middle of the answer"

    def _take(self, pieces: list[bytes], piece: bytes) -> None:
        self._size += len(piece)
        if self._size > _LARGEST_BODY:
            pieces.clear()
        else:
            pieces.append(piece)


def router(recorder: Recorder) -> APIRouter:
    """Make the routes by which a recording is begun, ended and read.

    :param recorder: what records.
    """
    routes = Routes(prefix=f"{CONTROL_PREFIX}recording")

    @routes.get("")
    def state() -> dict[str, Any]:
        return recorder.state()

    @routes.post("/start")
    async def start() -> dict[str, Any]:
        # In the event loop, as requests are: none is in the midst of being kept.
        recorder.start()
        return await run_in_threadpool(recorder.state)

    @routes.post("/stop")
    async def stop() -> dict[str, Any]:
        recorder.stop()
        return await run_in_threadpool(recorder.state)

    @routes.get("/download")
    def download() -> StreamingResponse:
        headers = {"Content-Disposition": 'attachment; filename="recording.har"'}
        return StreamingResponse(recorder.archive(), media_type="application/json", headers=headers)

    return routes


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
