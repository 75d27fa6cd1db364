"""What differs between two commits of a project, for people to read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pygit2

# Larger files are told by their sizes only.
LARGEST_COMPARED = 512 << 10
MOST_LINES = 2000
_SIGNS = {" ": "same", "+": "added", "-": "removed"}


@dataclass(frozen=True)
class Change:
    """A file that two commits have in different forms; a size of None means that there is no such file.

    :param kind: ``added``, ``removed`` or ``changed``.
    """

    path: str
    kind: str
    old_size: int | None
    new_size: int | None


@dataclass(frozen=True)
class Comparison:
    """A changed file line by line.

    :param lines: pairs of ``same``, ``added``, ``removed`` or ``place`` and the text.
    :param note: why there are no lines, or not all of them.
    """

    change: Change
    lines: list[tuple[str, str]] = field(default_factory=list)
    note: str = ""


def changes(repository: pygit2.Repository, old_id: str, new_id: str) -> list[Change]:
    """List the files that differ between two commits, in the order of their paths."""
    return [_change(repository, delta) for delta in _deltas(repository, old_id, new_id)]


def comparisons(repository: pygit2.Repository, old_id: str, new_id: str, path: str = "") -> list[Comparison]:
    """Compare the files that differ between two commits line by line, up to a number of lines in all.

    :param path: only this file, or the files below this folder.
    """
    found: list[Comparison] = []
    left = MOST_LINES
    for delta in _deltas(repository, old_id, new_id):
        change = _change(repository, delta)
        if path and change.path != path and not change.path.startswith(f"{path}/"):
            continue
        compared = _compare(repository, delta, change, left)
        left -= len(compared.lines)
        found.append(compared)
    return found


def first_parent(repository: pygit2.Repository, commit_id: str) -> str | None:
    """Give the commit that a commit was made from: for results of a run, the run's input commit."""
    parents = cast("pygit2.Commit", repository[commit_id]).parent_ids
    return str(parents[0]) if parents else None


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


def _compare(repository: pygit2.Repository, delta: pygit2.DiffDelta, change: Change, left: int) -> Comparison:
    if left <= 0:
        return Comparison(change, note="The comparison of all files is long; this one is not shown.")
    if max(change.old_size or 0, change.new_size or 0) > LARGEST_COMPARED:
        return Comparison(change, note="The file is too large to be compared.")
    old = _blob(repository, delta.old_file) if change.old_size is not None else None
    new = _blob(repository, delta.new_file) if change.new_size is not None else None
    if any(blob is not None and blob.is_binary for blob in (old, new)):
        return Comparison(change, note="The file is binary.")
    patch = pygit2.Patch.create_from(old, new)
    lines: list[tuple[str, str]] = []
    for hunk in patch.hunks:
        lines.append(("place", hunk.header.rstrip()))
        lines += [(_SIGNS[line.origin], line.content.rstrip("\r\n")) for line in hunk.lines if line.origin in _SIGNS]
        if len(lines) > left:
            return Comparison(change, lines[:left], "The comparison is long; its end is not shown.")
    return Comparison(change, lines)


def _blob(repository: pygit2.Repository, file: pygit2.DiffFile) -> pygit2.Blob | None:
    found = repository.get(file.id)
    return found if isinstance(found, pygit2.Blob) else None
