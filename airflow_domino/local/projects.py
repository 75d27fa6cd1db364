"""Projects, as the server remembers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_domino.local.database import Database, of_document
from airflow_domino.local.texts import dumped, loaded

_SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL,
    results TEXT NOT NULL, created_at INTEGER NOT NULL, UNIQUE (owner, name));
"""
# Whatever else is known about a project is one JSON document: a new field needs no change of the table.
_DETAILS = "ALTER TABLE projects ADD COLUMN details TEXT NOT NULL DEFAULT '{}'"
_COLUMNS = ("id", "owner", "name", "results", "created_at")

PUBLIC = "Public"
SEARCHABLE = "Searchable"
PRIVATE = "Private"
VISIBILITIES = (PUBLIC, SEARCHABLE, PRIVATE)


@dataclass(frozen=True)
class Project:
    """One project.

    :param owner: name of the user who owns it.
    :param results: whether results of its runs go to the ``main`` line or stay ``isolated``.
    :param created_at: epoch milliseconds.
    :param visibility: who may find and see it beside its collaborators: one of :data:`VISIBILITIES`.
    :param collaborators: the role of each collaborator, by name.
    :param tags: names of its tags.
    :param main_repository: the git repository of its code, where it is a git-based project.
    :param is_archived: whether it was deleted, as far as anybody can see.
    """

    id: str
    owner: str
    name: str
    results: str
    created_at: int
    description: str = ""
    visibility: str = PRIVATE
    collaborators: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    main_repository: dict[str, Any] | None = None
    is_archived: bool = False

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"


class Projects:
    """All projects.

    :param database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.create(_SCHEMA)
        if "details" not in [row["name"] for row in database.rows("PRAGMA table_info(projects)")]:
            database.create(_DETAILS)

    def save(self, project: Project) -> None:
        """Add a project, or change the one that has this id."""
        values = asdict(project)
        row = {name: values.pop(name) for name in _COLUMNS} | {"details": dumped(values)}
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO projects (id, owner, name, results, created_at, details) "
                "VALUES (:id, :owner, :name, :results, :created_at, :details) ON CONFLICT (id) DO UPDATE SET "
                "owner = :owner, name = :name, results = :results, details = :details",
                row,
            )

    def change(self, project_id: str, change: Callable[[Project], Project]) -> Project:
        """Change a project in one step that no other change can divide.

        :param project_id: which project; it must exist.
        :param change: gives the new value for the present one.
        """
        with self._database.reading():
            project = change(_project(self._database.rows("SELECT * FROM projects WHERE id = ?", (project_id,))[0]))
            self.save(project)
        return project

    def all(self) -> list[Project]:
        """List all projects that are not archived, oldest first."""
        found = [_project(row) for row in self._database.rows("SELECT * FROM projects ORDER BY rowid")]
        return [project for project in found if not project.is_archived]

    def find(self, project_id: str) -> Project | None:
        """Look a project up by its id."""
        rows = self._database.rows("SELECT * FROM projects WHERE id = ?", (project_id,))
        return _project(rows[0]) if rows else None

    def named(self, owner: str, name: str) -> Project | None:
        """Look a project up by owner and name."""
        rows = self._database.rows("SELECT * FROM projects WHERE owner = ? AND name = ?", (owner, name))
        return _project(rows[0]) if rows else None


def _project(row: Any) -> Project:
    return of_document(Project, {name: row[name] for name in _COLUMNS} | loaded(row["details"]))
