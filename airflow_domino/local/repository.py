"""The files of one project: a bare git repository, as Domino's own file system is one underneath."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel, SortMode

from airflow_domino.local import changes
from airflow_domino.local.changes import Change
from airflow_domino.local.commits import (
    MAIN,
    commit_at,
    entry_at,
    info_of_commit,
    info_of_file,
    main_line,
    pieces_of,
    referred,
)
from airflow_domino.local.commits import CommitInfo as CommitInfo
from airflow_domino.local.commits import FileInfo as FileInfo
from airflow_domino.local.commits import clean_path as clean_path
from airflow_domino.local.ids import IDS, is_commit_id
from airflow_domino.local.saved_results import DEFAULT_LIMITS, FileLimits, SavedResults
from airflow_domino.local.trees import (
    Conflicts,
    FolderReader,
    Ignore,
    Stamp,
    merge_trees,
    obstacle_to,
    tree_at,
    walk,
    with_file,
    write_folder,
)

# The files of a project must not depend on how somebody has set up git on this machine, nor on who owns the folder.
for _level in (ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
    pygit2.settings.search_path[_level] = ""
pygit2.settings.owner_validation = False

_IMPORTED = "refs/domino/imported"
_RUNS = "refs/domino/runs/"
# Every run writes these, so that it is no news that another one did.
_OF_EVERY_RUN = ("results/stdout.txt",)


@dataclass(frozen=True)
class Checkout:
    """The files of a commit in a folder, and what is known about them."""

    commit: str
    folder: Path
    stamps: dict[str, Stamp]


class ProjectRepository:
    """The commits of one project. All methods may be called from several threads.

    :param path: folder of the bare repository; made, with an empty first commit, when it does not exist.
    :param limits: what its files may be at most.
    """

    def __init__(self, path: Path, limits: FileLimits = DEFAULT_LIMITS) -> None:
        self._path = path
        self._limits = limits
        self._lock = threading.RLock()
        if not path.exists():
            self._create(path)

    def _create(self, path: Path) -> None:
        # It gets its name when it is whole, so that an interruption leaves no half repository.
        unfinished = path.with_name(f"{path.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        repository = pygit2.init_repository(str(unfinished), bare=True, initial_head="main")
        empty = repository.TreeBuilder().write()
        self._commit(repository, empty, [], "Create the project", "domino", MAIN)
        repository.free()
        unfinished.rename(path)

    @contextmanager
    def _opened(self) -> Iterator[pygit2.Repository]:
        # A repository object of libgit2 must not be shared by threads; opening one takes a fraction of a millisecond.
        repository = pygit2.Repository(str(self._path))
        try:
            yield repository
        finally:
            repository.free()

    # Reading

    def head(self) -> str:
        """Give the id of the latest commit of the main line."""
        with self._opened() as repository:
            return str(main_line(repository).id)

    def has_commit(self, commit_id: str) -> bool:
        """Tell whether the project has a commit of this full id."""
        with self._opened() as repository:
            return is_commit_id(commit_id) and isinstance(repository.get(commit_id), pygit2.Commit)

    def commit(self, commit_id: str) -> CommitInfo:
        """Give what is known about a commit, which must exist."""
        with self._opened() as repository:
            return info_of_commit(commit_at(repository, commit_id))

    def commits(self) -> list[CommitInfo]:
        """List the commits: the main line's, latest first, then what isolated runs keep beside it."""
        with self._opened() as repository:
            order = SortMode.TOPOLOGICAL | SortMode.TIME
            found = [info_of_commit(commit) for commit in repository.walk(main_line(repository).id, order)]
            seen = {commit.id for commit in found}
            aside = [
                info_of_commit(referred(repository, name)) for name in repository.references if name.startswith(_RUNS)
            ]
        return found + sorted((info for info in aside if info.id not in seen), key=lambda info: -info.time)

    def files(self, commit_id: str, path: str = "") -> list[FileInfo]:
        """List the files of a commit, those in folders too.

        :param commit_id: which commit; it must exist.
        :param path: only below this folder, or only this file; empty for all.
        :raises KeyError: when the commit has nothing at the path.
        """
        with self._opened() as repository:
            commit = commit_at(repository, commit_id)
            entry = entry_at(commit.tree, path)
            if isinstance(entry, pygit2.Blob):
                return [info_of_file(repository, commit, path, entry)]
            prefix = f"{path}/" if path else ""
            tree = tree_at(repository, entry.id)
            return [info_of_file(repository, commit, name, blob) for name, blob in walk(tree, prefix)]

    def folder(self, commit_id: str, path: str = "") -> list[FileInfo]:
        """List what is directly in a folder of a commit: folders first, then files.

        :raises KeyError: when the commit has no such folder.
        """
        with self._opened() as repository:
            commit = commit_at(repository, commit_id)
            tree = entry_at(commit.tree, path)
            if not isinstance(tree, pygit2.Tree):
                raise KeyError(path)
            prefix = f"{path}/" if path else ""
            entries = [
                FileInfo(prefix + str(entry.name), 0, "", commit.commit_time * 1000, is_folder=True)
                if isinstance(entry, pygit2.Tree)
                else info_of_file(repository, commit, prefix + str(entry.name), entry)
                for entry in tree
            ]
        return sorted(entries, key=lambda entry: (not entry.is_folder, entry.path))

    def file(self, commit_id: str, path: str) -> FileInfo:
        """Look one file of a commit up.

        :raises KeyError: when the commit has no file at the path.
        """
        found = self.files(commit_id, path)
        if len(found) != 1 or found[0].path != path:
            raise KeyError(path)
        return found[0]

    def content(self, key: str) -> Iterator[bytes]:
        """Give the content of a file in pieces.

        :param key: the file's key.
        :raises KeyError: when there is no such content.
        """
        repository = pygit2.Repository(str(self._path))
        blob = repository.get(key) if is_commit_id(key) else None
        if not isinstance(blob, pygit2.Blob):
            raise KeyError(key)
        return pieces_of(repository, blob)

    # Comparing

    def changes(self, old_id: str, new_id: str) -> list[Change]:
        """List the files that differ between two commits, both of which must exist."""
        with self._opened() as repository:
            return changes.changes(repository, old_id, new_id)

    # Writing

    def put_file(self, path: str, source: Path, author: str) -> FileInfo:
        """Put one file into the project, as a new commit of the main line where its content is new.

        :param path: path in the project, in canonical form.
        :param source: file that holds the content.
        :param author: name of the user who uploads it.
        :raises ValueError: when it is too large, or there is a folder at the path, or a file where the path needs a
            folder.
        """
        if (reason := self._limits.refusal(source.stat().st_size)) is not None:
            raise ValueError(f"{path} cannot be put into the project: {reason}")
        with self._lock, self._opened() as repository:
            commit = main_line(repository)
            if obstacle := obstacle_to(commit.tree, path):
                raise ValueError(f"no file can be put at {path} of the project, since {obstacle}")
            blob = repository.create_blob_fromdisk(str(source))
            try:
                tree = with_file(repository, commit.tree, path.split("/"), blob)
            except pygit2.GitError as error:
                # Names that git on some machine could take for its own folder.
                raise ValueError(f"{path!r} cannot be the path of a file of the project: {error}") from error
            if tree != commit.tree.id:
                made = self._commit(repository, tree, [commit.id], f"Upload {path}", author, MAIN)
                commit = commit_at(repository, made)
            return info_of_file(repository, commit, path, repository[blob])

    def import_folder(self, folder: Path, author: str) -> list[str]:
        """Bring the project up to a folder on this machine.

        What changed in the folder since the last import is carried over to the main line, also over what runs wrote
        at the same paths. Files of runs that are not in the folder stay.

        :param folder: the folder.
        :param author: name of the user in whose name the commit is made.
        :return: a sentence for each file that could not be read.
        """
        with self._lock, self._opened() as repository:
            reader = FolderReader(repository, folder, Ignore.of_folder(folder), refusal=self._limits.refusal)
            theirs = tree_at(repository, reader.tree())
            head = main_line(repository)
            known = referred(repository, _IMPORTED) if _IMPORTED in repository.references else None
            base = None if known is None else known.tree
            merged = merge_trees(repository, base, head.tree, theirs)
            if merged != head.tree.id:
                self._commit(repository, merged, [head.id], f"Import {folder.name}", author, MAIN)
            if base is None or base.id != theirs.id:
                parents = [] if known is None else [known.id]
                self._commit(repository, theirs.id, parents, f"Content of {folder.name}", author, _IMPORTED)
        if reader.count > self._limits.most:
            too_many = f"{reader.count} files are more than the {self._limits.most} that a project may have"
            reader.notes.append(f"{too_many}; on Domino they would be refused")
        return reader.notes

    def check_out(self, commit_id: str, folder: Path) -> Checkout:
        """Write the files of a commit into an empty folder.

        :param commit_id: which commit; it must exist.
        :param folder: where to; it exists.
        """
        with self._opened() as repository:
            commit = commit_at(repository, commit_id)
            stamps = write_folder(repository, commit.tree, folder, commit.commit_time)
        return Checkout(commit_id, folder, stamps)

    def commit_run(
        self,
        checkout: Checkout,
        run_id: str,
        message: str,
        author: str,
        *,
        extra: dict[str, Path],
        isolated: bool,
        notes: list[str],
    ) -> SavedResults:
        """Commit everything that a run wrote, removed or changed.

        :param checkout: the folder that the run worked in.
        :param run_id: id of the run, under which its commit stays to be found.
        :param message: message of the commit.
        :param author: name of the user who started the run.
        :param extra: files from elsewhere that belong to the results, by their path in the project.
        :param isolated: keep the commit beside the main line instead of merging it.
        :param notes: gathers a sentence for each file that could not be kept.
        :return: where it is.
        """
        with self._opened() as repository:
            base = commit_at(repository, checkout.commit)
            ignore = Ignore.of_folder(checkout.folder)
            reader = FolderReader(repository, checkout.folder, ignore, checkout.stamps, notes, self._limits.refusal)
            tree = tree_at(repository, reader.tree(base.tree))
            # A project that was over the limit before the run is not the run's doing.
            most = max(self._limits.most, len(checkout.stamps))
            problem = self._limits.problem(reader.count, reader.refused, most)
            for path, source in extra.items():
                if obstacle_to(tree, path) is None:
                    blob = repository.create_blob_fromdisk(str(source))
                    tree = tree_at(repository, with_file(repository, tree, path.split("/"), blob))
            if tree.id == base.tree.id:
                return SavedResults(str(base.id), is_changed=False, problem=problem)
            commit, is_new = self._commit_of_run(repository, tree, base, run_id, message, author)
            if isolated or reader.count > most:
                return SavedResults(str(commit), problem=problem)
            with self._lock:
                head = main_line(repository).id
                if not is_new and (head == commit or repository.descendant_of(head, commit)):
                    return SavedResults(str(commit), str(head), problem=problem)
                return self._merge(repository, base, commit_at(repository, commit), author, problem)

    def _commit_of_run(
        self,
        repository: pygit2.Repository,
        tree: pygit2.Tree,
        base: pygit2.Commit,
        run_id: str,
        message: str,
        author: str,
    ) -> tuple[pygit2.Oid, bool]:
        """Give a run's commit, and whether it is new: an earlier server may have ended after it had made it."""
        reference = f"{_RUNS}{run_id}"
        if reference in repository.references:
            return referred(repository, reference).id, False
        return self._commit(repository, tree.id, [base.id], message, author, reference), True

    def _merge(
        self,
        repository: pygit2.Repository,
        base: pygit2.Commit,
        commit: pygit2.Commit,
        author: str,
        problem: str | None,
    ) -> SavedResults:
        head = main_line(repository)
        if head.id == base.id:
            repository.references[MAIN].set_target(commit.id)
            return SavedResults(str(commit.id), str(commit.id), problem=problem)
        conflicts = Conflicts()
        tree = merge_trees(repository, base.tree, head.tree, commit.tree, conflicts)
        merged = self._commit(repository, tree, [head.id, commit.id], f"Merge: {commit.message}", author, MAIN)
        return SavedResults(
            str(commit.id),
            str(merged),
            overwritten=tuple(path for path in conflicts.overwritten if path not in _OF_EVERY_RUN),
            other=str(head.id),
            spared=tuple(conflicts.spared),
            problem=problem,
        )

    @staticmethod
    def _commit(
        repository: pygit2.Repository,
        tree: pygit2.Oid,
        parents: list[pygit2.Oid],
        message: str,
        author: str,
        reference: str,
    ) -> pygit2.Oid:
        made_at = IDS.commit_time(commit_at(repository, parent).commit_time for parent in parents)
        signature = pygit2.Signature(author, f"{author}@localhost", made_at, 0)
        commit = repository.create_commit(None, signature, signature, message, tree, parents)
        repository.references.create(reference, commit, force=True)
        return commit
