"""Identifiers in the shapes that Domino uses: 24 hexadecimal digits for things, 40 for commits."""

from __future__ import annotations

import hashlib
import re
import secrets
import time

_OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")


def new_object_id() -> str:
    """Make an id for a run or a project: four bytes of time, then eight random ones, so that ids sort by age."""
    return f"{int(time.time()):08x}{secrets.token_hex(8)}"


def named_object_id(kind: str, name: str) -> str:
    """Make the id of something that has a name and needs the same id after a restart.

    :param kind: sort of thing (``user``, ``environment``), so that equal names of different sorts differ.
    :param name: its name.
    """
    return hashlib.sha256(f"{kind}:{name}".encode()).hexdigest()[:24]


def user_id(name: str) -> str:
    """Give the id of the user who has this name."""
    return named_object_id("user", name)


def is_object_id(text: str) -> bool:
    """Tell whether the text could be the id of a run, project, environment or user."""
    return _OBJECT_ID.fullmatch(text) is not None


def is_commit_id(text: str) -> bool:
    """Tell whether the text could be a full commit id."""
    return _COMMIT_ID.fullmatch(text) is not None
