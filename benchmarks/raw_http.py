"""A client that costs next to nothing: prepared requests over a few open connections, answered side by side."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_CHUNK = 1 << 20


class RawClient:
    """Some open connections to a server.

    :param url: where it listens.
    :param token: the token of its user.
    :param connections: how many requests are on their way at once.
    """

    def __init__(self, url: str, token: str, connections: int) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._token = token
        self._sockets = [socket.create_connection((parts.hostname, parts.port)) for _ in range(connections)]
        for connection in self._sockets:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """Prepare a request."""
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nX-Domino-Api-Key: {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def ask(self, request: bytes) -> bytes:
        """Send one request, and give the body of its answer."""
        return next(iter(self.ask_all([request])))

    def ask_all(self, requests: Sequence[bytes]) -> Iterable[bytes]:
        """Send requests, one on each connection at a time, and give the bodies of their answers in order."""
        rest = iter(requests)
        while batch := list(islice(rest, len(self._sockets))):
            for connection, request in zip(self._sockets, batch, strict=False):
                connection.sendall(request)
            for connection, _ in zip(self._sockets, batch, strict=False):
                yield _answer(connection)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        for connection in self._sockets:
            connection.close()


def _answer(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _received(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    status, _, fields = head.partition(b"\r\n")
    assert status.split()[1] == b"200", (status, body[:500])
    lengths = [line for line in fields.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    pieces, missing = [body], int(lengths[0].partition(b":")[2]) - len(body)
    while missing > 0:
        pieces.append(_received(connection))
        missing -= len(pieces[-1])
    return b"".join(pieces)


def _received(connection: socket.socket) -> bytes:
    data = connection.recv(_CHUNK)
    assert data, "the server has closed the connection"
    return data
