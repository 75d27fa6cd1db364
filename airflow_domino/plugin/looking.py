"""One look at a Domino project: a handful of requests, whatever the page wants to show of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from airflow_domino.compat import AirflowException, expiry_warning_days
from airflow_domino.compat_server import MissingInAirflowError, create_session
from airflow_domino.domino.errors import AuthenticationError, ConfigurationError, NotFoundError
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.orphans import Orphan, OrphanFinder

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.expiry import Expiry
    from airflow_domino.domino.models import Project, Run
    from airflow_domino.domino.tiers import HardwareTier
    from airflow_domino.hooks.connection import ConnectionSettings

CONNECT_SECONDS, READ_SECONDS = 5.0, 20.0
FIRST_RUNS = 500
MOST_RUNS = 2000
MOST_ASKED_SINGLY = 5
EXPIRY_SECONDS = 3600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What a look brought.

    :param project: `owner/name`.
    :param orphans: None where Airflow's database could not tell.
    """

    project: str
    tiers: tuple[HardwareTier, ...]
    runs: tuple[Run, ...]
    orphans: tuple[Orphan, ...] | None
    warning: str | None = None


def impatient(settings: ConnectionSettings) -> DominoClient:
    """Make a client for a page, which had better ask again than wait; the caller closes it."""
    connect, read = min(settings.connect_timeout, CONNECT_SECONDS), min(settings.read_timeout, READ_SECONDS)
    return replace(settings, connect_timeout=connect, read_timeout=read).make_client(retries=1)


class DominoEye:
    """Looks at one project again and again, remembering what cannot have changed.

    :param conn_id: id of the Airflow connection; it is read anew for each look.
    :param project: `owner/name`; empty for the connection's default project.
    """

    def __init__(self, conn_id: str, project: str) -> None:
        self._conn_id = conn_id
        self._wanted = project
        self._fingerprint = ""
        self._client: DominoClient | None = None
        self._runs: dict[str, Run] = {}
        self._orphans = OrphanFinder()
        self._expiry: Expiry | None = None
        self._expiry_due = 0.0

    def __call__(self) -> Seen:
        """Ask Domino: for the tiers, the active runs and the newest ones.

        :raises DominoError: when Domino cannot be asked, or the connection is not right.
        """
        settings = self._settings()
        try:
            return self._see(settings, self._client_by(settings))
        except AuthenticationError as error:
            expiry = settings.expiry()
            if expiry is None or expiry.seconds_left() > 0:
                raise
            raise AuthenticationError(str(expiry.warning()), status=error.status) from None

    def _see(self, settings: ConnectionSettings, client: DominoClient) -> Seen:
        project = client.project(settings.project_name(self._wanted or None))
        tiers = tuple(tier for tier in client.tiers(project.id) if not tier.is_archived)
        self._read_runs(client, project)
        runs = tuple(sorted(self._runs.values(), key=lambda run: run.number, reverse=True))
        orphans = self._find_orphans(client, project, runs)
        return Seen(project.full_name, tiers, runs, orphans, self._warning(settings, client))

    def _settings(self) -> ConnectionSettings:
        try:
            return DominoHook(self._conn_id).settings
        except AirflowException as error:
            raise ConfigurationError(
                f"The api-server cannot read the connection {self._conn_id!r} ({error}); add it in Admin, Connections"
            ) from None

    def _warning(self, settings: ConnectionSettings, client: DominoClient) -> str | None:
        expiry = settings.expiry()
        if expiry is None and time.monotonic() >= self._expiry_due:
            self._expiry, self._expiry_due = settings.expiry_by(client), time.monotonic() + EXPIRY_SECONDS
        known = expiry or self._expiry
        return known.warning(expiry_warning_days()) if known else None

    def _client_by(self, settings: ConnectionSettings) -> DominoClient:
        """Return the client, a new one where the connection was changed."""
        if self._client is None or self._fingerprint != settings.fingerprint:
            if self._client is not None:
                self._client.close()
            self._runs, self._expiry_due = {}, 0.0
            self._fingerprint = settings.fingerprint
            self._client = impatient(settings)
        return self._client

    def _read_runs(self, client: DominoClient, project: Project) -> None:
        known = self._runs
        seen = {run.id: run for run in client.runs(project.id, status="active", known=known)}
        ended = [run for run in known.values() if not run.status.is_completed and run.id not in seen]
        # Where many have ended at once, the list tells of them more cheaply than they are asked for singly.
        since = min(run.number for run in ended) - 1 if len(ended) > MOST_ASKED_SINGLY else None
        seen |= {run.id: run for run in self._newest(client, project, since)}
        seen |= {run.id: run for run in self._singly(client, [run for run in ended if run.id not in seen])}
        gone = {run.id for run in ended} - set(seen)
        merged = [run for run_id, run in {**known, **seen}.items() if run_id not in gone]
        merged.sort(key=lambda run: (not run.status.is_completed, run.number), reverse=True)
        self._runs = {run.id: run for run in merged[:MOST_RUNS]}

    def _newest(self, client: DominoClient, project: Project, since: int | None) -> Iterator[Run]:
        """Give the runs since the last look, or for the first look a good deal of them.

        :param since: number of a run up to which to read, where that is further back.
        """
        if not self._runs:
            yield from client.runs(project.id, limit=FIRST_RUNS)
            return
        latest = max(run.number for run in self._runs.values())
        stop_at = latest if since is None else min(since, latest)
        for run in client.runs(project.id, limit=MOST_RUNS, known=self._runs):
            if run.number <= stop_at:
                return
            yield run

    def _singly(self, client: DominoClient, ended: list[Run]) -> Iterator[Run]:
        for run in ended[:MOST_ASKED_SINGLY]:
            try:
                yield client.run(run.id)
            except NotFoundError:
                # Deleted, or archived: lists do not show those.
                continue

    def _find_orphans(self, client: DominoClient, project: Project, runs: tuple[Run, ...]) -> tuple[Orphan, ...] | None:
        active = [run for run in runs if not run.status.is_completed]
        try:
            with create_session() as session:
                return tuple(self._orphans.find(session, client, project, active))
        except (SQLAlchemyError, MissingInAirflowError):
            log.warning("Airflow's database did not tell which runs are awaited", exc_info=True)
            return None
