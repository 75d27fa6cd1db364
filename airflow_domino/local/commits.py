"""What is read of commits: files by their paths, and what is known about each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pygit2

MAIN = "refs/heads/main"
_CHUNK = 1 << 20
_LONGEST_NAME = 255
_LONGEST_PATH = 2000


@dataclass(frozen=True)
class CommitInfo:
    """A commit: its id, first line of its message, author and time (epoch milliseconds)."""

    id: str
    message: str
    author: str
    time: int


@dataclass(frozen=True)
class FileInfo:
    """A file at a commit. ``key`` is the id of its content; a folder, where folders are listed, has none."""

    path: str
    size: int
    key: str
    last_modified: int
    is_folder: bool = False


def clean_path(path: str) -> str:
    """Give the canonical form of a file's path in a project.

    :param path: the path, with or without a leading slash.
    :raises ValueError: when it names no file inside the project.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or ".git" in parts or "\0" in path:
        raise ValueError(f"not a path of a file in the project: {path!r}")
    # A run could not have the file in its folder.
    if max(len(part.encode(errors="replace")) for part in parts) > _LONGEST_NAME or len(path) > _LONGEST_PATH:
        raise ValueError(f"too long for the path of a file: {path[:80]!r}...")
    return "/".join(parts)


def referred(repository: pygit2.Repository, reference: str) -> pygit2.Commit:
    """Give the commit of a reference, which must exist."""
    return commit_at(repository, repository.references[reference].target)


def main_line(repository: pygit2.Repository) -> pygit2.Commit:
    """Give the latest commit of the main line."""
    return referred(repository, MAIN)


def commit_at(repository: pygit2.Repository, commit_id: pygit2.Oid | str) -> pygit2.Commit:
    """Give the commit that has an id."""
    return cast("pygit2.Commit", repository[commit_id])


def entry_at(tree: pygit2.Tree, path: str) -> pygit2.Object:
    """Give what is at a path of a tree, which is the tree itself for an empty path."""
    return tree[path] if path else tree


def info_of_commit(commit: pygit2.Commit) -> CommitInfo:
    """Give what is known about a commit."""
    message = commit.message.partition("\n")[0]
    return CommitInfo(str(commit.id), message, commit.author.name, commit.commit_time * 1000)


def info_of_file(repository: pygit2.Repository, commit: pygit2.Commit, path: str, blob: pygit2.Object) -> FileInfo:
    """Give what is known about a file of a commit."""
    _, size = repository.odb.read_header(blob.id)
    return FileInfo(path, size, str(blob.id), commit.commit_time * 1000)


def pieces_of(repository: pygit2.Repository, blob: pygit2.Blob) -> Iterator[bytes]:
    """Give the content of a file in pieces, and let go of the repository after it."""
    content = memoryview(blob)
    for start in range(0, len(content), _CHUNK):
        yield bytes(content[start : start + _CHUNK])
    repository.free()
