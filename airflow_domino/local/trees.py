"""Git trees: made from a folder, written to a folder, and merged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeGuard, cast

import pygit2

_FILE = 0o100644
_PROGRAM = 0o100755
_LINK = 0o120000
_FOLDER = 0o040000
_OTHER_REPOSITORY = 0o160000

# Names that are never part of a project: git's own folder, and what Python leaves beside sources.
NEVER_KEPT = (".git", "__pycache__")


@dataclass(frozen=True)
class Stamp:
    """What the file system says about a file; where it is the same again, the file need not be read again."""

    blob: pygit2.Oid
    size: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, blob: pygit2.Oid, status: os.stat_result) -> Stamp:
        """Make the stamp of a file whose content is the blob."""
        return cls(blob, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class LeavesOut(Protocol):
    """Tells which paths of a folder are left out of its tree."""

    def covers(self, path: str) -> bool:
        """Tell whether a path, or the folder that it is being looked for in, is left out."""


@dataclass(frozen=True)
class Ignore:
    """The patterns of a ``.dominoignore``: relative to the root, ``*`` stands for anything, a folder covers all below.

    :param patterns: the patterns, without comments and empty lines.
    """

    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Ignore:
        """Read the patterns of a file's text."""
        lines = (line.strip() for line in text.splitlines())
        return cls(tuple(line.strip("/") for line in lines if line and not line.startswith("#")))

    @classmethod
    def of_folder(cls, folder: Path) -> Ignore:
        """Read the ``.dominoignore`` of a folder, where there is one."""
        file = folder / ".dominoignore"
        return cls.parse(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else cls()

    def covers(self, path: str) -> bool:
        """Tell whether a path, or the folder that it is being looked for in, is left out."""
        name = path.rpartition("/")[2]
        return name in NEVER_KEPT or any(fnmatchcase(path, pattern) for pattern in self.patterns)


@dataclass
class FolderReader:
    """Makes the tree of a folder.

    :param repository: where the objects are written.
    :param root: the folder.
    :param ignore: what to leave out; of such paths the tree keeps what the base tree has.
    :param known: stamps of files whose content is known, by path.
    :param notes: gathers a sentence for each file that could not be kept, or not as it was meant.
    :param refusal: says for the size of a file why it is refused, if it is.
    """

    repository: pygit2.Repository
    root: Path
    ignore: LeavesOut = Ignore()
    known: Mapping[str, Stamp] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refusal: Callable[[int], str | None] = lambda _: None
    refused: list[str] = field(default_factory=list)
    count: int = 0

    def tree(self, base: pygit2.Tree | None = None) -> pygit2.Oid:
        """Write the tree of the folder as it is now.

        :param base: the tree that the folder was made from, for the paths that are left out.
        """
        return self._tree(self.root, "", base) or self.repository.TreeBuilder().write()

    def _tree(self, folder: Path, prefix: str, base: pygit2.Tree | None) -> pygit2.Oid | None:
        builder = self.repository.TreeBuilder()
        for entry in sorted(_entries(folder), key=lambda entry: entry.name):
            path = prefix + entry.name
            if self.ignore.covers(path):
                continue
            try:
                self._add(builder, entry, path, base)
            except (OSError, ValueError, pygit2.GitError) as error:
                self.notes.append(f"{path!r} was not kept: {error}")
                self.refused.append(path)
                # What was there before is not lost by that.
                if (old := _entry(base, entry.name)) is not None:
                    builder.insert(entry.name, old.id, int(old.filemode))
        for kept in base or ():
            # The commit of another repository (a git submodule) has no files here that could be read.
            if kept.filemode == _OTHER_REPOSITORY or self.ignore.covers(prefix + str(kept.name)):
                builder.insert(str(kept.name), kept.id, kept.filemode)
        return builder.write() if len(builder) else None

    def _add(self, builder: pygit2.TreeBuilder, entry: os.DirEntry[str], path: str, base: pygit2.Tree | None) -> None:
        path.encode()  # a name that is not UTF-8 could not be told to anybody; this raises ValueError
        if entry.is_symlink():
            target = os.readlink(entry)  # noqa: PTH115 - a Path would change the text
            self.count += 1
            if _leaves(path.rpartition("/")[0], target):
                self.notes.append(f"{path!r} leads out of the project, to {target!r}: the link is kept, not its target")
            builder.insert(entry.name, self.repository.create_blob(os.fsencode(target)), _LINK)
        elif entry.is_dir(follow_symlinks=False):
            subtree = self._tree(Path(entry), f"{path}/", _subtree(base, entry.name))
            if subtree is not None:
                builder.insert(entry.name, subtree, _FOLDER)
        elif entry.is_file(follow_symlinks=False):
            status = entry.stat(follow_symlinks=False)
            if (reason := self.refusal(status.st_size)) is not None:
                raise ValueError(reason)
            mode = _PROGRAM if status.st_mode & 0o100 else _FILE
            self.count += 1
            builder.insert(entry.name, self._blob(entry, path, status), mode)

    def _blob(self, entry: os.DirEntry[str], path: str, status: os.stat_result) -> pygit2.Oid:
        stamp = self.known.get(path)
        if stamp is not None and stamp == Stamp.of(stamp.blob, status):
            return stamp.blob
        if not status.st_mode & 0o400:
            # A program can take the right to read its results from everybody; they are kept nevertheless.
            Path(entry).chmod(status.st_mode & 0o777 | 0o400)
        return self.repository.create_blob_fromdisk(entry.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    if not os.access(folder, os.R_OK | os.X_OK):
        folder.chmod(0o700)
    with os.scandir(folder) as entries:
        return list(entries)


def _leaves(folder: str, target: str) -> bool:
    """Tell whether a link in a folder of the project leads out of the project, going by the words alone."""
    return target.startswith("/") or os.path.normpath(f"{folder}/{target}" if folder else target).split("/")[0] == ".."


def write_folder(repository: pygit2.Repository, tree: pygit2.Tree, folder: Path, modified: int) -> dict[str, Stamp]:
    """Write a tree's files into an empty folder.

    Every file gets the same old modification time, so that a later change always shows in its stamp.

    :param repository: where the blobs are.
    :param tree: what to write.
    :param folder: where to; it exists.
    :param modified: modification time of the files, epoch seconds.
    :return: stamps of the written files, by path.
    """
    stamps: dict[str, Stamp] = {}
    for path, entry in walk(tree):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.filemode == _LINK:
            target.symlink_to(os.fsdecode(entry.data))
            continue
        with target.open("xb") as file:
            file.write(memoryview(entry))
        if entry.filemode == _PROGRAM:
            target.chmod(0o755)
        os.utime(target, (modified, modified))
        stamps[path] = Stamp.of(entry.id, target.stat())
    return stamps


def walk(tree: pygit2.Tree, prefix: str = "") -> Iterator[tuple[str, pygit2.Blob]]:
    """Give every file of a tree with its path, in the order of the paths' parts.

    :param tree: where to start.
    :param prefix: what the paths begin with: empty, or ending in ``/``.
    """
    for entry in tree:
        if isinstance(entry, pygit2.Tree):
            yield from walk(entry, f"{prefix}{entry.name}/")
        elif isinstance(entry, pygit2.Blob):
            yield prefix + str(entry.name), entry


def with_file(
    repository: pygit2.Repository, tree: pygit2.Tree | None, parts: list[str], blob: pygit2.Oid, mode: int = _FILE
) -> pygit2.Oid:
    """Write a tree that has one file more, or another content for it.

    :param repository: where the objects are.
    :param tree: the tree to start from; None for an empty one.
    :param parts: the parts of the file's path.
    :param blob: its content.
    :param mode: its mode.
    """
    builder = repository.TreeBuilder(tree) if tree is not None else repository.TreeBuilder()
    name, below = parts[0], parts[1:]
    if below:
        builder.insert(name, with_file(repository, _subtree(tree, name), below, blob, mode), _FOLDER)
    else:
        builder.insert(name, blob, mode)
    return builder.write()


def obstacle_to(tree: pygit2.Tree, path: str) -> str | None:
    """Say what is in the way of a file at a path: a folder, or a file where the path needs a folder."""
    for parent in map(str, PurePosixPath(path).parents):
        if parent in tree and not isinstance(tree[parent], pygit2.Tree):
            return f"{parent} is a file, not a folder"
    return f"{path} is a folder" if path in tree and isinstance(tree[path], pygit2.Tree) else None


@dataclass
class Conflicts:
    """Where two changes met: paths of which *theirs* won, and paths that *ours* kept although *theirs* removed them."""

    overwritten: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)


def merge_trees(
    repository: pygit2.Repository,
    base: pygit2.Tree | None,
    ours: pygit2.Tree | None,
    theirs: pygit2.Tree | None,
    conflicts: Conflicts | None = None,
    prefix: str = "",
) -> pygit2.Oid:
    """Carry the changes from one tree to another over to a third, without ever stopping at a conflict.

    Where both changed the same file, the version of *theirs* wins; where *theirs* only removed what *ours* changed,
    the changed version stays.

    :param repository: where the objects are.
    :param base: what both started from.
    :param ours: the tree that gets the changes.
    :param theirs: the tree that has the changes.
    :param conflicts: gathers where both changed the same.
    :param prefix: what the paths begin with: empty, or ending in ``/``.
    """
    builder, found = repository.TreeBuilder(), Conflicts() if conflicts is None else conflicts
    for name in sorted(_names(base) | _names(ours) | _names(theirs)):
        entries = _entry(base, name), _entry(ours, name), _entry(theirs, name)
        chosen = _merge_entry(repository, *entries, found, prefix + name)
        if chosen is not None:
            builder.insert(name, *chosen)
    return builder.write()


def tree_at(repository: pygit2.Repository, tree_id: pygit2.Oid) -> pygit2.Tree:
    """Read the tree that has an id."""
    return cast("pygit2.Tree", repository[tree_id])


_Entry = pygit2.Object | None


def _merge_entry(
    repository: pygit2.Repository, base: _Entry, ours: _Entry, theirs: _Entry, conflicts: Conflicts, path: str
) -> tuple[pygit2.Oid, int] | None:
    if _same(base, theirs) or _same(ours, theirs):
        return _chosen(ours)
    if _same(base, ours):
        return _chosen(theirs)
    if _is_folder_or_nothing(ours) and _is_folder_or_nothing(theirs):
        below = base if isinstance(base, pygit2.Tree) else None
        merged = merge_trees(repository, below, ours, theirs, conflicts, f"{path}/")
        return (merged, _FOLDER) if len(tree_at(repository, merged)) else None
    if theirs is None:
        conflicts.spared.append(path)
        return _chosen(ours)
    if ours is not None:
        conflicts.overwritten.append(path)
    return _chosen(theirs)


def _is_folder_or_nothing(entry: _Entry) -> TypeGuard[pygit2.Tree | None]:
    # Both can be nothing only where they are the same, which is settled before.
    return entry is None or isinstance(entry, pygit2.Tree)


def _same(one: _Entry, other: _Entry) -> bool:
    if one is None or other is None:
        return one is other
    return bool(one.id == other.id and one.filemode == other.filemode)


def _chosen(entry: _Entry) -> tuple[pygit2.Oid, int] | None:
    return None if entry is None else (entry.id, int(entry.filemode))


def _names(tree: pygit2.Tree | None) -> set[str]:
    return set() if tree is None else {str(entry.name) for entry in tree}


def _entry(tree: pygit2.Tree | None, name: str) -> _Entry:
    return tree[name] if tree is not None and name in tree else None


def _subtree(tree: pygit2.Tree | None, name: str) -> pygit2.Tree | None:
    entry = _entry(tree, name)
    return entry if isinstance(entry, pygit2.Tree) else None
