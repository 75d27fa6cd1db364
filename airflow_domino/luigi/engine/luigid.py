"""The few calls of a central Luigi scheduler (``luigid``) that show its page what goes on somewhere else."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

TIMEOUT_SECONDS = 2.0
_PORT = 8082


# What a server that is there answers to a call that it does not know or cannot work out.
_REFUSALS = (400, 404, 500)


class LuigidError(Exception):
    """The scheduler could not be told something."""


class Luigid:
    """A connection to the scheduler, kept open between calls.

    :param url: such as ``http://luigid:8082``; a user and password in it are sent as Luigi sends them
    :raises ValueError: the address is no http or https URL
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it is not an http:// or https:// address")
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._is_secure else _PORT)
        self._path = parts.path.rstrip("/")
        self._headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if parts.username:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode()
        self._connection: http.client.HTTPConnection | None = None

    def __str__(self) -> str:
        return f"{'https' if self._is_secure else 'http'}://{self._host}:{self._port}{self._path}"

    @property
    def is_connected(self) -> bool:
        """Whether the scheduler has heard all that was said since :meth:`connect`."""
        return self._connection is not None

    def connect(self) -> None:
        """Open the connection.

        :raises LuigidError: nobody answers there
        """
        kind = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.connect()
        except OSError as error:
            raise LuigidError(_describe(error)) from error
        self._connection = connection

    def call(self, method: str, /, **arguments: Any) -> bool:
        """Call one of luigid's methods (``luigi.scheduler.RPC_METHODS``).

        :param method: its name
        :returns: whether luigid took it; an older one does not know every method
        :raises LuigidError: nobody heard it; the connection is closed now
        """
        if self._connection is None:
            raise LuigidError("not connected")
        body = urlencode({"data": json.dumps(arguments)}).encode()
        try:
            self._connection.request("POST", f"{self._path}/api/{method}", body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise LuigidError(_describe(error)) from error
        if answer.status != http.client.OK and answer.status not in _REFUSALS:
            self.close()
            raise LuigidError(f"it answered {answer.status} {answer.reason}")
        return answer.status == http.client.OK

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
