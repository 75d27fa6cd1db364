"""What the routes of all generations have in common when they read a request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import Query
from pydantic import StringConstraints
from starlette.convertors import Convertor, register_url_convertor

from airflow_domino.local.errors import BadRequest, NotFound
from airflow_domino.local.memberships import Permission
from airflow_domino.local.platform import Platform
from airflow_domino.local.repository import FileInfo, clean_path

# A number in a query that counts something; as large as the numbers of the API may be.
Count = Annotated[int, Query(ge=0, le=2**31 - 1)]
# An id that is looked for among others, and not found is no mistake; but what is no id at all is.
SoughtId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]
# What the described answer of a route is that gives bytes.
BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


class FilePath(Convertor[str]):
    """The part of an address that is the path of a file, which may have slashes and line ends in it."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        """Give the path as it was asked for."""
        return value

    def to_string(self, value: str) -> str:
        """Give the path as it is written in an address."""
        return value


# Routes write it as ``{path:file}``.
register_url_convertor("file", FilePath())


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a query parameter that has none of the values it may have.

    :raises BadRequest: with the values that there are.
    """
    if value not in choices:
        raise BadRequest(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def clean_folder(path: str) -> str:
    """Give the canonical form of a folder's path, which is empty for the whole project.

    :raises ValueError: when the path leaves the project.
    """
    return clean_path(path) if path.strip("/") not in ("", ".") else ""


def found_file(platform: Platform, project_id: str, commit_id: str, path: str) -> FileInfo:
    """Look one file of a commit up.

    :raises BadRequest: when the path leaves the project.
    :raises NotFound: when the commit has no file there.
    """
    try:
        return platform.repository(project_id).file(commit_id, clean_path(path))
    except KeyError as error:
        raise NotFound(f"Commit {commit_id} has no file {path}") from error
    except ValueError as error:
        raise BadRequest(str(error)) from error


def listed_files(platform: Platform, project_id: str, commit_id: str, path: str) -> list[FileInfo]:
    """List the files of a commit below a path, ``/`` being all of them.

    :raises BadRequest: when the path leaves the project.
    :raises NotFound: when the commit has nothing there.
    """
    try:
        return platform.repository(project_id).files(commit_id, clean_folder(path))
    except KeyError as error:
        raise NotFound(f"Commit {commit_id} has no file or folder {path}") from error
    except ValueError as error:
        raise BadRequest(str(error)) from error


def put_file(platform: Platform, project_id: str, path: str, source: Path) -> FileInfo:
    """Put a file that was sent into the project.

    :raises BadRequest: when the path leaves the project or cannot be a path of a file.
    """
    platform.project(project_id, Permission.EDIT)
    try:
        file = platform.repository(project_id).put_file(clean_path(path), source, platform.user)
    except ValueError as error:
        raise BadRequest(str(error)) from error
    detail = {"path": file.path, "key": file.key, "size": file.size}
    platform.ledger.note("upload", platform.project(project_id), detail)
    return file
