"""uvicorn's quick reader of HTTP takes a request's head of any size into memory; this one takes a bounded one."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_domino.local.bounds import LARGEST_HEAD

_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def http_protocol() -> type[asyncio.Protocol] | str:
    """Give the protocol for uvicorn: the quick one with a bound, or its own choice where that is not installed."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        # The reader that is left has a bound of its own.
        return "auto"

    class BoundedHead(HttpToolsProtocol):
        """Closes connections on which a head does not come to its end."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._head = 0
            self._is_in_head = True

        def on_message_begin(self) -> None:
            self._head, self._is_in_head = 0, True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._is_in_head = False
            super().on_headers_complete()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._is_in_head or self.transport.is_closing():
                return
            self._head += len(data)
            if self._head > LARGEST_HEAD:
                self.transport.write(_REFUSAL)
                self.transport.close()

    return BoundedHead
