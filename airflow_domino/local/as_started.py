"""Bringing a server back to what it was when it was ready, so that tests can share one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pygit2

from airflow_domino.local.clock import CLOCK

if TYPE_CHECKING:
    from airflow_domino.local.platform import Platform

_COPY = "as-started.sqlite"


@runtime_checkable
class Remembering(Protocol):
    """A part of the platform that keeps in memory what the database has."""

    def load(self) -> None:
        """Read it from the database again."""


class AsStarted:
    """What there was when the server was ready.

    :param platform: of which server.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._copy = platform.root / _COPY
        platform.database.copy_to(self._copy)
        # The repository of a project is made when it is asked for; some may not be there yet.
        made = [project.id for project in platform.projects.all() if self._repository(project.id).exists()]
        self._references = {project_id: _references(self._repository(project_id)) for project_id in made}

    def bring_back(self) -> None:
        """End all runs, and let projects, people, runs, files and the clock be again what they were.

        What runs have written to datasets stays.
        """
        platform = self._platform
        with platform.runner.emptied():
            platform.database.bring_back(self._copy)
            for part in vars(platform).values():
                if isinstance(part, Remembering):
                    part.load()
            for project_id, references in self._references.items():
                _set_references(self._repository(project_id), references)
            self._sweep()
            platform.runner.tiers.reset()
            platform.faults.clear()
            CLOCK.reset()
        platform.ledger.note("reset", None, {})

    def _sweep(self) -> None:
        platform = self._platform
        platform.forget_repositories(self._references)
        _remove_others(platform.root / "projects", (f"{project_id}.git" for project_id in self._references))
        _remove_others(platform.root / "logs", platform.runs.ids())
        _remove_others(platform.root / "work", ())

    def _repository(self, project_id: str) -> Path:
        return self._platform.root / "projects" / f"{project_id}.git"


def _remove_others(folder: Path, kept: Iterable[str]) -> None:
    names = set(kept)
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path, ignore_errors=True)


def _references(path: Path) -> dict[str, str]:
    repository = pygit2.Repository(str(path))
    return {name: str(repository.references[name].target) for name in repository.references}


def _set_references(path: Path, references: dict[str, str]) -> None:
    repository = pygit2.Repository(str(path))
    for name in set(repository.references) - set(references):
        repository.references.delete(name)
    for name, target in references.items():
        repository.references.create(name, pygit2.Oid(hex=target), force=True)
