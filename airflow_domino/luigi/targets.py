"""DominoFileTarget: one file of a Domino project as a Luigi target, readable and writable from anywhere."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import luigi

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import ConfigurationError, NotFoundError
from airflow_domino.domino.paths import project_path
from airflow_domino.luigi.domino_project import current_project


class DominoFileTarget(luigi.Target):
    """A file of a Domino project, at its latest commit or at a given one.

    :param path: from the project's root
    :param project: ``owner/name``; by default the project of the current Domino run, from the environment
    :param commit_id: the commit to look at; by default the project's latest at each look
    :param client: how to reach Domino; by default each look makes a client from the environment
    :raises UnsafePathError: the path leads out of the project
    """

    def __init__(
        self,
        path: str,
        project: str | None = None,
        commit_id: str | None = None,
        client: DominoClient | None = None,
    ) -> None:
        self.path = project_path(path)
        self.project = project
        self.commit_id = commit_id
        self._client = client

    def __repr__(self) -> str:
        return f"DominoFileTarget({self.path!r}, project={self.project!r}, commit_id={self.commit_id!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    @property
    def asset_uri(self) -> str:
        """The file's address for programs that follow data: ``domino://<Domino's host>/<owner>/<project>/<path>``."""
        with _Client(self._client) as client:
            host = client.ui_host.partition("://")[2]
        return f"domino://{host}/{quote(f'{self.project or current_project()}/{self.path}')}"

    def exists(self) -> bool:
        """Whether the commit's listing has the file."""
        with _Client(self._client) as client:
            project = client.project(self.project or current_project())
            commit = self.commit_id or client.head_commit(project)
            folder = self.path.rpartition("/")[0]
            try:
                return any(file.path == self.path for file in client.files(project, commit, folder))
            except NotFoundError:
                if folder:
                    return False  # no such folder; a commit that is not there is told by the look at the root
                raise

    def open(self, mode: str = "r") -> IO[Any]:
        """Open the file: reading brings it here first, writing puts it into the project when it is closed.

        :param mode: ``r``, ``rb``, ``w`` or ``wb``
        :raises ConfigurationError: writing at a given commit, which never changes, or another mode
        """
        if mode in ("r", "rb"):
            return self._open_copy(mode)
        if mode not in ("w", "wb"):
            raise ConfigurationError(f"A Domino file cannot be opened in mode {mode!r}: choose r, rb, w or wb")
        if self.commit_id is not None:
            raise ConfigurationError(
                f"Cannot write {self.path}: the commit {self.commit_id} never changes; leave commit_id out to write"
            )
        upload = _Upload(self)
        return upload if mode == "wb" else _TextUpload(upload)

    def fetch(self, destination: Path) -> int:
        """Copy the file to disk: complete or not at all.

        :returns: its size in bytes
        :raises NotFoundError: the commit has no such file
        """
        with _Client(self._client) as client:
            project = client.project(self.project or current_project())
            return client.download_file(project, self.commit_id or client.head_commit(project), self.path, destination)

    def put(self, source: Path | bytes) -> None:
        """Put the file into the project, as a new commit."""
        with _Client(self._client) as client:
            client.upload_file(client.project(self.project or current_project()), self.path, source)

    def _open_copy(self, mode: str) -> IO[Any]:
        folder = Path(tempfile.mkdtemp(prefix="airflow-domino-"))
        try:
            self.fetch(folder / "file")
            return (folder / "file").open(mode)  # stays readable after its name is gone
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _Client:
    """A client for one look; a client that was given stays open."""

    def __init__(self, given: DominoClient | None) -> None:
        self._given = given
        self._own: DominoClient | None = None

    def __enter__(self) -> DominoClient:
        if self._given is not None:
            return self._given
        self._own = DominoClient.from_environment()
        return self._own

    def __exit__(self, *exception: object) -> None:
        if self._own is not None:
            self._own.close()


class _Upload(io.BufferedRandom):
    """A temporary file that goes to the project when it is closed; not after an exception in its ``with`` block."""

    def __init__(self, target: DominoFileTarget) -> None:
        self._target = target
        self._folder = Path(tempfile.mkdtemp(prefix="airflow-domino-"))
        self.is_wanted = True
        super().__init__(io.FileIO(self._folder / "file", "w+"))

    def close(self) -> None:
        """Upload and close; once."""
        if self.closed:
            return
        try:
            super().close()
            if self.is_wanted:
                self._target.put(self._folder / "file")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __exit__(self, *exception: object) -> None:
        self.is_wanted = exception[0] is None
        self.close()

    def __del__(self) -> None:
        if not self.closed:
            self.is_wanted = False  # never closed by its author: half a file, perhaps
            self.close()


class _TextUpload(io.TextIOWrapper):
    def __init__(self, upload: _Upload) -> None:
        super().__init__(upload, encoding="utf-8", write_through=True)
        self._upload = upload

    def __exit__(self, *exception: object) -> None:
        self._upload.is_wanted = exception[0] is None
        self.close()

    def __del__(self) -> None:
        if not self.closed:
            self._upload.is_wanted = False
            self.close()
