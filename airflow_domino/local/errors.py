"""What a request can be refused for, and how each generation of Domino's API words it.

ApiError
    BadRequest     400   malformed id, unknown tier, environment or commit, a command that cannot be split
    Unauthorized   401   no token, or a wrong one
    Forbidden      403   the Host or Origin is not this server's
    NotFound       404   unknown run, project, commit or file
"""

from __future__ import annotations

import uuid
from typing import Any


class ApiError(Exception):
    """A request that is answered with an error status.

    :param message: what is wrong, for the person who sent the request.
    """

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequest(ApiError):  # noqa: N818 - the names of HTTP's own statuses
    """The request is malformed or names something that cannot be used."""

    status = 400


class Unauthorized(ApiError):  # noqa: N818
    """The request carries no valid credentials."""

    status = 401


class Forbidden(ApiError):  # noqa: N818
    """The request came by a way that is not allowed."""

    status = 403


class NotFound(ApiError):  # noqa: N818
    """The thing that the request names does not exist."""

    status = 404


def error_body(path: str, status: int, message: str) -> dict[str, Any]:
    """Word an error as the API generation of the path does.

    Version 4 says ``{message}`` (schema ``domino.api.ErrorResponse``). The public API has an envelope with a request
    id for 401, 403, 413, 422 and 429, and ``{error}`` for the others. Version 1 has no written form; ours is v4's.

    :param path: path of the request.
    :param status: HTTP status of the answer.
    :param message: what is wrong.
    """
    if not path.startswith("/api/"):
        return {"message": message}
    if status in (401, 403, 413, 422, 429):
        return {"requestId": str(uuid.uuid4()), "errors": [message]}
    return {"error": message}
