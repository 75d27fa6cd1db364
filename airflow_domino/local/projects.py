"""Projects, as the server remembers them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from airflow_domino.local.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS projects (id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL,
    results TEXT NOT NULL, created_at INTEGER NOT NULL, UNIQUE (owner, name));
"""


@dataclass(frozen=True)
class Project:
    """One project: who owns it, and whether results of its runs go to the ``main`` line or stay ``isolated``."""

    id: str
    owner: str
    name: str
    results: str
    created_at: int

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

    def save(self, project: Project) -> None:
        """Add a project, or change the results setting of the one that has this id."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO projects VALUES (:id, :owner, :name, :results, :created_at) "
                "ON CONFLICT (id) DO UPDATE SET results = :results",
                asdict(project),
            )

    def all(self) -> list[Project]:
        """List all projects, oldest first."""
        return [Project(**dict(row)) for row in self._database.rows("SELECT * FROM projects ORDER BY rowid")]

    def find(self, project_id: str) -> Project | None:
        """Look a project up by its id."""
        rows = self._database.rows("SELECT * FROM projects WHERE id = ?", (project_id,))
        return Project(**dict(rows[0])) if rows else None

    def named(self, owner: str, name: str) -> Project | None:
        """Look a project up by owner and name."""
        rows = self._database.rows("SELECT * FROM projects WHERE owner = ? AND name = ?", (owner, name))
        return Project(**dict(rows[0])) if rows else None
