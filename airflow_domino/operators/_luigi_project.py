"""Local targets of Luigi tasks as files of a Domino project: what a commit has of them, and what is here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_domino.compat import AirflowException
from airflow_domino.domino.errors import NotFoundError
from airflow_domino.operators._files import Input, stage

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, ProjectFile

_CHUNK = 1 << 20


class InputsChangedError(AirflowException):
    """Files that a run was to begin with have changed while it was prepared; another attempt may have more luck."""


class ProjectCommit:
    """The files of a project at a commit, beside the working folder of this worker.

    :param commit: full SHA; None for a project without any commit
    :param here: the working folder; what is below it are files of the project
    :raises NotFoundError: the project has no such commit
    """

    def __init__(self, client: DominoClient, project: Project, commit: str | None, here: Path) -> None:
        self.client = client
        self.project = project
        self.commit = commit
        self.here = here
        self.files = {file.path: file for file in client.files(project, commit)} if commit else {}

    @classmethod
    def latest(cls, client: DominoClient, project: Project, here: Path) -> ProjectCommit:
        """The latest commit of the main line."""
        try:
            commit = client.head_commit(project)
        except NotFoundError:
            return cls(client, project, None, here)
        return cls(client, project, commit, here)

    def holds(self, name: str) -> bool:
        """Whether the commit has a file or a folder of this name."""
        return bool(self._names_of(name))

    def _names_of(self, name: str) -> list[str]:
        if name in self.files:
            return [name]
        return [path for path in self.files if path.startswith(f"{name}/")]

    def keys(self, name: str) -> dict[str, str | None]:
        """Keys of the contents of a target: of the file, or of all files below the folder."""
        return {path: self.files[path].key for path in self._names_of(name)}

    def bring(self, name: str, destination: Path) -> None:
        """Bring one target here: a file, or a folder with all that is below it.

        :raises NotFoundError: the commit has neither; names what is near
        """
        commit = self.commit
        if commit is None:
            raise NotFoundError(f"The project {self.project.full_name} has no commits yet; put a file into it first")
        for path in self._names_of(name) or [name]:
            place = destination / path[len(name) + 1 :] if path != name else destination
            self.client.download_file(self.project, commit, path, place, within=self.here)

    def lacking(self, files: Mapping[str, Path]) -> list[Input]:
        """What is here and not in the commit with the same content, file by file.

        :param files: targets by their names in the project: files or folders; what is not here is left out
        """
        return [
            Input(name, path)
            for target, place in files.items()
            for name, path in _files_at(target, place)
            if not is_same_content(path, self.files.get(name))
        ]


def _files_at(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield name, path
    for folder, folders, files in os.walk(path):
        folders.sort()
        for file in sorted(files):
            below = Path(folder, file)
            yield f"{name}/{below.relative_to(path).as_posix()}", below


def is_same_content(path: Path, listed: ProjectFile | None) -> bool:
    """Whether a file here is what a commit lists; False also where its key is no hash of the content that we know.

    :param listed: the commit's file; None when there is none
    """
    if listed is None or listed.key is None:
        return False
    size = path.stat().st_size
    if size != listed.size:
        return False
    plain = hashlib.sha1(usedforsecurity=False)
    of_git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            plain.update(chunk)
            of_git.update(chunk)
    return listed.key.lower() in (plain.hexdigest(), of_git.hexdigest())


def stage_targets(base: ProjectCommit, files: Mapping[str, Path]) -> tuple[str | None, list[str]]:
    """Put what a commit lacks into the project; return the commit that has all targets as they are here.

    :param base: the project's latest commit, or one a little older
    :param files: targets here by their names in the project
    :returns: the commit (that of ``base`` when it lacks nothing), and the names of the files that were put there
    :raises ConfigurationError: somebody else keeps writing the same files
    :raises InputsChangedError: somebody else has just changed one that needed no upload
    """
    missing = base.lacking(files)
    if not missing:
        return base.commit, []
    commit = stage(base.client, base.project, missing)
    staged = {one.path for one in missing}
    # What needed no upload may have been changed by somebody else meanwhile.
    kept = {name: file.key for name, file in base.files.items() if name not in staged and _is_of(name, files)}
    now = ProjectCommit(base.client, base.project, commit, base.here).files
    if lost := sorted(name for name, key in kept.items() if name not in now or now[name].key != key):
        raise InputsChangedError(
            f"The inputs {', '.join(lost)} of the project {base.project.full_name} were changed by somebody else while"
            " others were put there: run the task again, or let nobody else write them"
        )
    return commit, sorted(staged)


def _is_of(name: str, files: Mapping[str, Path]) -> bool:
    return any(name == target or name.startswith(f"{target}/") for target in files)
