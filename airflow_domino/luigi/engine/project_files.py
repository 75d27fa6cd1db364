"""Files of a Domino project that are not on this machine, but count as existing targets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from luigi.local_target import LocalFileSystem


class ProjectFiles:
    """The files of a project at a commit, as a look into the current folder would find them.

    :param names: from the project's root, with forward slashes
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._root = Path.cwd()
        self.names = set(names)
        for name in list(self.names):
            while name := name.rpartition("/")[0]:
                self.names.add(name)

    def has(self, path: Any) -> bool:
        """Whether a path, relative or below the current folder, is a file or a folder of the project."""
        full = os.path.normpath(self._root / str(path))
        for root in (str(self._root), os.path.realpath(self._root)):
            if full.startswith(root.rstrip("/") + "/"):
                return full[len(root.rstrip("/")) + 1 :] in self.names
        return False


def count_as_existing(request: Mapping[str, Any]) -> None:
    """Let ``LocalTarget.exists()`` of this process say yes also for a project's files.

    Only where a process asks and makes nothing: what is listed cannot be opened here.

    :param request: names the files by ``project_files``, and says by ``action`` what the process is for
    """
    if not request.get("project_files") or request["action"] == "run":
        return
    files = ProjectFiles(request["project_files"])
    on_disk: Callable[[Any, Any], bool] = LocalFileSystem.exists

    def exists(file_system: Any, path: Any) -> bool:
        return on_disk(file_system, path) or files.has(path)

    LocalFileSystem.exists = exists  # type: ignore[method-assign]
