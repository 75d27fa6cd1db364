"""How much the server takes from its clients: of one request, and of runs that wait."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_domino.local import statuses
from airflow_domino.local.errors import BadRequest, error_body

if TYPE_CHECKING:
    from airflow_domino.local.runs import Runs

# What the addresses begin with that take the content of a file.
_UPLOADS = "/v1/projects/"
LARGEST_HEAD = 64 << 10
_LARGEST_BODY = 8 << 20
_STATUS = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class BoundsLayer:
    """Refuses requests whose body is too large, before the body has come where its length was told.

    :param app: what lies behind.
    :param largest_file: bytes of the largest file that may be uploaded.
    """

    def __init__(self, app: ASGIApp, largest_file: int) -> None:
        self._app = app
        self._largest_upload = largest_file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or refuse it."""
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        is_upload = scope["method"] == "PUT" and path.startswith(_UPLOADS)
        most = self._largest_upload if is_upload else _LARGEST_BODY
        told = Headers(scope=scope).get("content-length", "0")
        if told.isdigit() and int(told) > most:
            await _refusal(path, most)(scope, receive, send)
            return
        if told != "0":
            # The server's own reader of HTTP sees to it that no more comes than was told.
            await self._app(scope, receive, send)
            return
        await self._counted(most, scope, receive, send)

    async def _counted(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                raise HTTPException(_STATUS, _message(most))
            return message

        await self._app(scope, counted, send)


def _refusal(path: str, most: int) -> JSONResponse:
    content: dict[str, Any] = error_body(path, _STATUS, _message(most))
    return JSONResponse(content, status_code=_STATUS, headers={"Connection": "close"})


def _message(most: int) -> str:
    return f"The body of the request is larger than the {most} bytes that are taken here"


class QueueBound:
    """Refuses runs when too many wait already.

    :param most: how many may wait.
    :param runs: all runs; to count those that wait takes a moment when they are many.
    """

    def __init__(self, most: int, runs: Runs) -> None:
        self._most = most
        self._runs = runs
        # At most so many wait, since each check may have let one more in.
        self._perhaps = most

    def check(self) -> None:
        """Let one more run in.

        :raises BadRequest: when there is no room for it.
        """
        if self._perhaps >= self._most:
            self._perhaps = sum(self._runs.counts_by_tier(statuses.WAITING).values())
        if self._perhaps >= self._most:
            raise BadRequest(f"{self._perhaps} runs wait already, and no more may: stop some, or wait")
        self._perhaps += 1
