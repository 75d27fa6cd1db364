"""Environment variables that runs get: those of their project, and those of the user who started them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_domino.local.database import Database
from airflow_domino.local.errors import BadRequest

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = "DOMINO_"
_LONGEST = 64 << 10
# The value of a variable with such a name is a secret however short it is; other short ones would hide half a log.
_SECRET_NAME = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
_LONG_ENOUGH = 8
_SCHEMA = """
CREATE TABLE IF NOT EXISTS variables (belongs_to TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (belongs_to, name));
"""


class Variables:
    """All environment variables. Their values are often secrets, so nothing but runs and their owners gets them.

    :param database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.create(_SCHEMA)

    def of(self, holder: str) -> dict[str, str]:
        """Give the variables of a project or a user, by name.

        :param holder: id of the project or the user.
        """
        rows = self._database.rows("SELECT name, value FROM variables WHERE belongs_to = ? ORDER BY name", (holder,))
        return {row["name"]: row["value"] for row in rows}

    def of_run(self, project_id: str, user_id: str) -> dict[str, str]:
        """Give the variables of a run: the project's, then the user's, which win.

        :param project_id: project of the run.
        :param user_id: who started it.
        """
        return self.of(project_id) | self.of(user_id)

    def set(self, holder: str, values: Mapping[str, str]) -> None:
        """Set variables, all of them or none.

        :param holder: id of the project or the user.
        :param values: values by name.
        :raises BadRequest: when a program could not have such a variable, or it is one of Domino's own.
        """
        for name, value in values.items():
            check(name, value)
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO variables VALUES (?, ?, ?)",
                [(holder, name, value) for name, value in values.items()],
            )

    def delete(self, holder: str, name: str | None = None) -> None:
        """Delete a variable of a project or a user; all of them when no name is given."""
        with self._database.transaction() as connection:
            connection.execute(
                "DELETE FROM variables WHERE belongs_to = ? AND (? IS NULL OR name = ?)", (holder, name, name)
            )


def check(name: str, value: str) -> None:
    """Refuse a variable that no program could have.

    :raises BadRequest: with what is wrong; it never has the value in it.
    """
    if _NAME.fullmatch(name) is None:
        raise BadRequest(f"An environment variable is named with letters, digits and _, which {name!r} is not")
    if name.startswith(_RESERVED):
        raise BadRequest(f"{name}: names that begin with {_RESERVED} are set by Domino itself")
    if "\0" in value or len(value) > _LONGEST:
        raise BadRequest(f"{name}: the value must have no zero character in it, and at most {_LONGEST} characters")


def secret_values(variables: Mapping[str, str]) -> list[str]:
    """Give the texts that must not be seen in the log of a run: the values of its variables.

    A value of several lines is one text for each. Short ones count only where the name says that it is a secret.

    :param variables: values by name.
    """
    return [
        line
        for name, value in variables.items()
        for line in value.splitlines()
        if len(line) >= _LONG_ENOUGH or (line.strip() and _SECRET_NAME.search(name))
    ]
