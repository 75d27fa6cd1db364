"""The server's own copy of a git repository: brought up to date, looked up, checked out for runs, and kept safe.

A run gets a real clone of its own that borrows the objects of the copy. What a run leaves behind in its clone is kept
in the copy, under a reference of the run's own; nothing is ever sent to the repository that the copy was made of.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pygit2
from pygit2.enums import CheckoutStrategy, FetchPrune

from airflow_domino.local.git_credentials import Callbacks, CodeError, GitCredentials, without_logins
from airflow_domino.local.trees import NEVER_KEPT, FolderReader

# A server that says nothing any more must not keep a run for ever. In milliseconds.
pygit2.settings.server_connect_timeout = 30_000
pygit2.settings.server_timeout = 120_000

REF_TYPES = ("head", "branches", "tags", "commitId", "ref")
RUN_REFERENCES = "refs/domino/runs/"

_BRANCHES = "refs/heads/"
_TAGS = "refs/tags/"
_FETCHED = "refs/domino/fetched/"
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_MOST_NAMED = 12


@dataclass(frozen=True)
class CodeCommit:
    """The code of a run: its commit, the branch that it is on, if it is on one, and the name that it was found by."""

    id: str
    branch: str | None
    found_by: str


@dataclass(frozen=True)
class FinishedCode:
    """What a run left behind among its code.

    :param commit: the last commit, which may hold what the run did not commit itself.
    :param branch: the branch that the clone was on in the end, if it was on one.
    :param is_kept: whether there was something to keep.
    :param notes: a sentence for each thing that could not be kept.
    """

    commit: str
    branch: str | None
    is_kept: bool
    notes: list[str] = field(default_factory=list)


class CodeCopy:
    """The copy of one repository. All methods may be called from several threads.

    :param path: folder of the copy; made when it does not exist.
    :param uri: address of the repository.
    :param credentials: the logins that may be used for it.
    """

    def __init__(self, path: Path, uri: str, credentials: GitCredentials) -> None:
        self.path = path
        self._uri = uri
        self._credentials = credentials
        self._lock = threading.Lock()

    # Finding

    def find(self, ref: Mapping[str, Any], is_stopped: Callable[[], bool] = lambda: False) -> CodeCommit:
        """Find the code that a reference means, as it is in the repository now.

        :param ref: ``{type, value}`` in version 4's words.
        :param is_stopped: tells whether nobody waits for the answer any more.
        :raises CodeError: when the repository cannot be reached or has no such code.
        """
        kind, value = str(ref.get("type")), ref.get("value")
        if kind not in REF_TYPES:
            raise CodeError(f"unknown reference type: {kind}; there are {', '.join(REF_TYPES)}", "UnknownReferenceType")
        if kind != "head" and not value:
            raise CodeError(f"a reference of the type {kind} needs a value; give it one", "GitReferenceNotFound")
        with self._lock:
            if not self.path.exists():
                self._make()
        with self._lock, opened(self.path) as repository:
            # A commit stays what it is, so that one that is known needs no repository that can be reached.
            if kind == "commitId" and (known := _commit(repository, str(value))) is not None:
                return CodeCommit(str(known.id), None, f"commit {known.id}")
            self._fetch(repository, is_stopped)
            return self._look_up(repository, kind, str(value or ""), is_stopped)

    def _look_up(
        self, repository: pygit2.Repository, kind: str, value: str, is_stopped: Callable[[], bool]
    ) -> CodeCommit:
        if kind == "head":
            return self._head(repository)
        if kind == "branches":
            return self._named(repository, _BRANCHES, value, "branch")
        if kind == "tags":
            return self._named(repository, _TAGS, value, "tag")
        if kind == "commitId":
            self._fetch_more(repository, value, is_stopped)
            commit = _commit(repository, value)
            if commit is None:
                raise CodeError(f"{self._uri} has no commit {value}; push it, or name another", "GitReferenceNotFound")
            return CodeCommit(str(commit.id), None, f"commit {commit.id}")
        for prefix in ("", "refs/", _TAGS, _BRANCHES):
            name = prefix + value
            if name.startswith(_BRANCHES) and _referred(repository, name) is not None:
                return self._named(repository, _BRANCHES, name.removeprefix(_BRANCHES), "branch")
            if name.startswith(_TAGS) and _referred(repository, name) is not None:
                return self._named(repository, _TAGS, name.removeprefix(_TAGS), "tag")
        self._fetch_more(repository, value, is_stopped)
        commit = _referred(repository, _FETCHED + value) or _commit(repository, value)
        if commit is None:
            raise CodeError(
                f"{self._uri} has no reference {value}; name a branch or a tag that it has", "GitReferenceNotFound"
            )
        return CodeCommit(str(commit.id), None, f"reference {value}")

    def _head(self, repository: pygit2.Repository) -> CodeCommit:
        target = repository.references["HEAD"].target
        commit = _referred(repository, str(target))
        if commit is None:
            raise CodeError(f"{self._uri} has no commits on its main branch; push one first", "GitReferenceNotFound")
        branch = str(target).removeprefix(_BRANCHES) if str(target).startswith(_BRANCHES) else None
        return CodeCommit(str(commit.id), branch, f"branch {branch}" if branch else "HEAD")

    def _named(self, repository: pygit2.Repository, prefix: str, value: str, sort: str) -> CodeCommit:
        name = value.removeprefix(prefix)
        commit = _referred(repository, prefix + name)
        if commit is None:
            names = [known.removeprefix(prefix) for known in repository.references if known.startswith(prefix)]
            there = f"there are {', '.join(sorted(names)[:_MOST_NAMED])}" if names else "there are none"
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            raise CodeError(f"{self._uri} has no {sort} {name!r}; {there}{more}", "GitReferenceNotFound")
        return CodeCommit(str(commit.id), name if prefix == _BRANCHES else None, f"{sort} {name}")

    # Fetching

    def _make(self) -> None:
        # It gets its name when it is whole, so that an interruption leaves no half repository.
        unfinished = self.path.with_name(f"{self.path.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        pygit2.init_repository(str(unfinished), bare=True, initial_head="main").free()
        unfinished.rename(self.path)

    def _fetch(self, repository: pygit2.Repository, is_stopped: Callable[[], bool]) -> None:
        callbacks = Callbacks(self._uri, self._credentials, is_stopped)
        remote = repository.remotes.create_anonymous(self._uri)
        everything = [f"+{prefix}*:{prefix}*" for prefix in (_BRANCHES, _TAGS)]
        try:
            heads = remote.list_heads(callbacks=callbacks, proxy=True)
            callbacks = Callbacks(self._uri, self._credentials, is_stopped)
            remote.fetch(everything, callbacks=callbacks, prune=FetchPrune.PRUNE, proxy=True)
        except (pygit2.GitError, ValueError, OSError) as error:
            raise self._unreachable(error) from None
        for head in heads:
            if head.name == "HEAD" and head.symref_target:
                repository.set_head(head.symref_target)
            elif head.name == "HEAD":
                repository.set_head(head.oid)

    def _fetch_more(self, repository: pygit2.Repository, value: str, is_stopped: Callable[[], bool]) -> None:
        """Ask for something that no branch or tag leads to; what does not exist shows when it is looked up."""
        source = value if _COMMIT.fullmatch(value) or value.startswith("refs/") else f"refs/{value}"
        with contextlib.suppress(pygit2.GitError, ValueError, OSError):
            remote = repository.remotes.create_anonymous(self._uri)
            callbacks = Callbacks(self._uri, self._credentials, is_stopped)
            remote.fetch([f"+{source}:{_FETCHED}{value}"], callbacks=callbacks, proxy=True)

    def _unreachable(self, error: Exception) -> CodeError:
        # Without the cause, whose text may have a login in it.
        return CodeError(
            f"{self._uri} cannot be fetched; check its address, and the login for it: "
            f"{without_logins(str(error), self._credentials)}"
        )

    # For runs

    def note_of_changes(self) -> str | None:
        """Say that the folder which the copy is made of has changes that are in no commit, and so in no run."""
        path = Path(self._uri.removeprefix("file://"))
        if not path.is_dir():
            return None
        try:
            with opened(path) as repository:
                is_changed = not repository.is_bare and bool(repository.status(untracked_files="no"))
        except (pygit2.GitError, ValueError):
            return None
        return f"{path} has changes that are not committed; the run does not have them" if is_changed else None

    def check_out(self, code: CodeCommit, folder: Path) -> None:
        """Make a clone at a commit, on its branch where it is on one.

        :param code: what to check out; :meth:`find` has found it.
        :param folder: folder of the clone; it does not exist.
        """
        pygit2.init_repository(str(folder), initial_head=code.branch or "main").free()
        git, commit_id = folder / ".git", pygit2.Oid(hex=code.id)
        (git / "objects" / "info").mkdir(exist_ok=True)
        (git / "objects" / "info" / "alternates").write_text(f"{self.path / 'objects'}\n", encoding="utf-8")
        with opened(self.path) as copy:
            (git / "packed-refs").write_text(_references_of_clone(copy), encoding="utf-8")
        with opened(folder) as clone:
            clone.remotes.create("origin", self._uri)
            if code.branch is None:
                clone.set_head(commit_id)
            else:
                clone.references.create(_BRANCHES + code.branch, commit_id)
                clone.set_head(_BRANCHES + code.branch)
                clone.config[f"branch.{code.branch}.remote"] = "origin"
                clone.config[f"branch.{code.branch}.merge"] = _BRANCHES + code.branch
            clone.checkout("HEAD", strategy=CheckoutStrategy.FORCE)

    def keep(self, folder: Path, code: CodeCommit, run_id: str, author: str) -> FinishedCode:
        """Keep what a run left in its clone: its commits, and what it wrote without committing it.

        What the repository itself ignores (``.gitignore``) is left out.

        :param folder: folder of the clone.
        :param code: what it was made of.
        :param run_id: id of the run, under which what it left stays to be found.
        :param author: name of the user who started the run.
        """
        notes: list[str] = []
        with opened(self.path) as copy, contextlib.ExitStack() as stack:
            commit_id, branch = code.id, code.branch
            is_ignored: Callable[[str], bool] = _nothing_is_ignored
            try:
                clone = stack.enter_context(opened(folder))
                is_ignored = clone.path_is_ignored
                commit_id, branch = _take_commits(copy, clone, folder, run_id)
                is_clean = not clone.status()
            except (pygit2.GitError, KeyError, ValueError, OSError) as error:
                notes.append(f"The run's own commits could not be read: {error}")
                is_clean = False
            if not is_clean:
                commit_id = _commit_rest(copy, folder, commit_id, is_ignored, run_id, author, notes)
            if commit_id != code.id:
                copy.references.create(RUN_REFERENCES + run_id, pygit2.Oid(hex=commit_id), force=True)
        return FinishedCode(commit_id, branch, commit_id != code.id, notes)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[pygit2.Repository]:
    """Open a repository for one thread."""
    repository = pygit2.Repository(str(path))
    try:
        yield repository
    finally:
        repository.free()


@dataclass(frozen=True)
class _IgnoredByGit:
    """What ``.gitignore`` leaves out: never a file that is in the repository already."""

    is_ignored: Callable[[str], bool]
    base: pygit2.Tree

    def covers(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        return name in NEVER_KEPT or (path not in self.base and self.is_ignored(path))


def _nothing_is_ignored(_: str) -> bool:
    return False


def _take_commits(
    copy: pygit2.Repository, clone: pygit2.Repository, folder: Path, run_id: str
) -> tuple[str, str | None]:
    """Bring the commits that a run made to the copy, those of branches that it left too."""
    head = clone.head
    commit_id = str(head.peel(pygit2.Commit).id)
    tips = {name: clone.references[name].peel(pygit2.Commit).id for name in clone.references}
    own = [name for name, tip in tips.items() if name.startswith(_BRANCHES) and tip not in copy]
    if own or commit_id not in copy:
        kept = [f"+{name}:{RUN_REFERENCES}{run_id}-{name.removeprefix(_BRANCHES)}" for name in own]
        copy.remotes.create_anonymous(str(folder)).fetch([*kept, f"+HEAD:{RUN_REFERENCES}{run_id}"])
    return commit_id, head.shorthand if head.name.startswith(_BRANCHES) else None


def _commit_rest(
    copy: pygit2.Repository,
    folder: Path,
    commit_id: str,
    is_ignored: Callable[[str], bool],
    run_id: str,
    author: str,
    notes: list[str],
) -> str:
    base = cast("pygit2.Commit", copy[commit_id])
    tree = FolderReader(copy, folder, _IgnoredByGit(is_ignored, base.tree), notes=notes).tree(base.tree)
    if tree == base.tree.id:
        return commit_id
    signature = pygit2.Signature(author, f"{author}@localhost", int(time.time()), 0)
    message = f"What run {run_id} left among its code"
    return str(copy.create_commit(None, signature, signature, message, tree, [base.id]))


def _references_of_clone(copy: pygit2.Repository) -> str:
    """Write down the references of a clone, all at once: a repository can have thousands of them."""
    lines = []
    for name in copy.references:
        found = copy.references.get(name)
        if found is None or not isinstance(found.target, pygit2.Oid):
            continue
        if name.startswith(_BRANCHES):
            lines.append((f"refs/remotes/origin/{name.removeprefix(_BRANCHES)}", found.target))
        elif name.startswith(_TAGS):
            lines.append((name, found.target))
    return "".join(f"{target} {name}\n" for name, target in sorted(lines, key=lambda line: line[0]))


def _referred(repository: pygit2.Repository, name: str) -> pygit2.Commit | None:
    """Give the commit of a reference, also of a tag that has a message."""
    try:
        found = repository.references.get(name)
        return None if found is None else found.peel(pygit2.Commit)
    except (pygit2.GitError, KeyError, ValueError):
        return None


def _commit(repository: pygit2.Repository, commit_id: str) -> pygit2.Commit | None:
    if not _COMMIT.fullmatch(commit_id):
        return None
    try:
        found = repository.get(commit_id)
    except ValueError:
        return None
    return found if isinstance(found, pygit2.Commit) else None
