"""Which files differ between two commits of a project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pygit2


@dataclass(frozen=True)
class Change:
    """A file that two commits have in different forms; a size of None means that there is no such file.

    :param kind: ``added``, ``removed`` or ``changed``.
    """

    path: str
    kind: str
    old_size: int | None
    new_size: int | None


def changes(repository: pygit2.Repository, old_id: str, new_id: str) -> list[Change]:
    """List the files that differ between two commits, in the order of their paths."""
    return [_change(repository, delta) for delta in _deltas(repository, old_id, new_id)]


def _deltas(repository: pygit2.Repository, old_id: str, new_id: str) -> Iterator[pygit2.DiffDelta]:
    old, new = (cast("pygit2.Commit", repository[commit_id]) for commit_id in (old_id, new_id))
    yield from repository.diff(old, new).deltas


def _change(repository: pygit2.Repository, delta: pygit2.DiffDelta) -> Change:
    old = _size(repository, delta.old_file)
    new = _size(repository, delta.new_file)
    kind = "added" if old is None else "removed" if new is None else "changed"
    return Change(str(delta.new_file.path or delta.old_file.path), kind, old, new)


def _size(repository: pygit2.Repository, file: pygit2.DiffFile) -> int | None:
    if not int(file.mode):
        return None
    _, size = repository.odb.read_header(file.id)
    return int(size)
