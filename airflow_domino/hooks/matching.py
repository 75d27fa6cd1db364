"""Finding a run that somebody else launched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_domino.domino.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Run

NEWEST_RUNS = 1000


@dataclass(frozen=True)
class RunMatch:
    """Which run is meant: the one with an id, or the newest that fits.

    :param run_id: id of the run.
    :param title: regular expression that is found in the run's title.
    :param command: regular expression that is found in the run's command.
    :param since: runs submitted before do not count.
    """

    run_id: str | None = None
    title: str | None = None
    command: str | None = None
    since: datetime | None = None

    @classmethod
    def parse(cls, run_id: Any, title: Any, command: Any, since: Any) -> RunMatch:
        """Read templated arguments.

        :param since: a time with a time zone, as a datetime or in ISO 8601.
        :raises ConfigurationError: when they do not say one run, or cannot be read.
        """
        if bool(run_id) == bool(title or command):
            raise ConfigurationError(
                "Say which Domino run to wait for: either run_id, or title and/or command to match"
            )
        for name, pattern in (("title", title), ("command", command)):
            try:
                re.compile(pattern or "")
            except (re.error, TypeError) as error:
                raise ConfigurationError(
                    f"{name}={pattern!r} is not a regular expression: {error}; put a backslash before each character "
                    "that is meant as it is"
                ) from None
        return cls(str(run_id) if run_id else None, title or None, command or None, _time(since))

    def find(self, client: DominoClient, project_id: str) -> Run | None:
        """Return the run; None when none fits yet. The newest 1,000 runs are looked at.

        :raises NotFoundError: when there is no run with the id.
        """
        if self.run_id:
            return client.run(self.run_id)
        for run in client.runs(project_id, limit=NEWEST_RUNS):
            if self.since is not None and run.submitted_at is not None and run.submitted_at < self.since:
                return None
            if self._fits(run):
                return run
        return None

    def _fits(self, run: Run) -> bool:
        pairs = ((self.title, run.title), (self.command, run.command))
        return all(pattern is None or re.search(pattern, text or "") for pattern, text in pairs)

    def __str__(self) -> str:
        if self.run_id:
            return f"Domino run {self.run_id}"
        wanted = [f"{name} matches {p!r}" for name, p in (("title", self.title), ("command", self.command)) if p]
        return f"a Domino run whose {' and '.join(wanted)}"


def _time(value: Any) -> datetime | None:
    if value in (None, "", "None"):
        return None
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ConfigurationError(f"since={value!r} is not a time; use ISO 8601, such as 2026-11-21T18:00:00Z") from None
    if time.tzinfo is None:
        raise ConfigurationError(f"since={value!r} has no time zone; end it with one, such as Z or +02:00")
    return time
