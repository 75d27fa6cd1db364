"""Names of files: those inside a Domino project, and those they become on this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from airflow_domino.domino.errors import UnsafePathError


def project_path(path: str) -> str:
    """Bring a name of a project's file into Domino's form: from the root, without a leading slash or empty parts.

    :param path: as a person wrote it; empty or `/` means the root.
    :raises UnsafePathError: when it holds `..` or a NUL character.
    """
    parts = PurePosixPath(path.lstrip("/")).parts
    if ".." in parts or "\0" in path:
        raise UnsafePathError(
            f"Not a file of a project: {path!r} leads out of it; name one from the project's root, without .."
        )
    return "/".join(parts)


def safe_join(folder: Path, name: str) -> Path:
    """Put a name that somebody else chose under a folder of ours.

    :param name: relative, with forward slashes.
    :raises UnsafePathError: when it is absolute, empty, holds `..`, a NUL, a backslash or a drive letter, or when
        symbolic links on the way lead out of the folder.
    """
    parts = PurePosixPath(name).parts
    strange = "\0" in name or "\\" in name or re.match(r"[A-Za-z]:", name)
    if not parts or strange or ".." in parts or name.startswith("/"):
        raise UnsafePathError(
            f"Not a file name below {folder}: {name!r}; give a relative one, without .. or a backslash"
        )
    return contained(folder.joinpath(*parts), folder)


def contained(destination: Path, folder: Path) -> Path:
    """Check that a file to be written lies in a folder, wherever symbolic links lead.

    :returns: the destination.
    :raises UnsafePathError: when it does not.
    """
    if "\0" in str(destination):
        raise UnsafePathError(f"The file name {str(destination)!r} holds a NUL character; leave that out")
    root = os.path.realpath(folder)
    parent = os.path.realpath(destination.parent)
    if not destination.name or os.path.commonpath([root, parent]) != root or destination.name == "..":
        raise UnsafePathError(f"{str(destination)!r} lies outside {str(folder)!r}; choose a path inside it")
    return destination
