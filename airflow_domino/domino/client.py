"""The Domino platform, as far as launching, watching and harvesting runs needs it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote

from airflow_domino.domino import auth, files, logs, resolve, run_list
from airflow_domino.domino.auth import Credentials
from airflow_domino.domino.errors import ConfigurationError, NotFoundError, PermissionDeniedError, RequestError
from airflow_domino.domino.files import Moved
from airflow_domino.domino.lenient import has_id, many, one
from airflow_domino.domino.models import (
    Commit,
    Environment,
    LogPage,
    PersonalToken,
    Project,
    ProjectFile,
    Run,
    RunDetails,
    User,
    Version,
)
from airflow_domino.domino.run_request import GitRef, RunRequest, command_line
from airflow_domino.domino.tiers import HardwareTier
from airflow_domino.domino.transport import RetryPolicy, Transport, normalise_host

__all__ = ["DominoClient", "GitRef", "RunRequest", "command_line"]

DEFAULT_PAGE_SIZE = 100


class DominoClient:
    """One Domino deployment, seen with one set of credentials. Safe to share between threads.

    :param host: address of the deployment; `https://` is assumed, a path prefix is kept.
    :param credentials: how requests show who asks; see :mod:`airflow_domino.domino.auth`.
    :param verify: False leaves TLS certificates unchecked; a string names a file of CA certificates.
    :param connect_timeout: seconds to wait for a connection.
    :param read_timeout: seconds to wait for the next piece of an answer.
    :param ui_host: address for links shown to people, where it differs from `host` (inside a Domino run it does).
    :param retries: how often a request that may be repeated is tried again, or a whole :class:`RetryPolicy`.
        A request that starts a run is never repeated.
    :param max_connections: connections kept open at most.
    :param known_by: where host and credentials are written down, which error messages then end with.
    :raises ConfigurationError: when the host or the file of CA certificates cannot be right.
    """

    def __init__(
        self,
        host: str,
        credentials: Credentials,
        *,
        verify: bool | str = True,
        connect_timeout: float = 10.0,
        read_timeout: float = 60.0,
        ui_host: str | None = None,
        retries: int | RetryPolicy = 4,
        max_connections: int = 10,
        known_by: str = "",
    ) -> None:
        self.host = normalise_host(host)
        self.ui_host = normalise_host(ui_host) if ui_host else self.host
        self._transport = Transport(
            self.host,
            credentials,
            verify=verify,
            timeout=(connect_timeout, read_timeout),
            retry_policy=retries if isinstance(retries, RetryPolicy) else RetryPolicy(retries),
            max_connections=max_connections,
            ui_host=self.ui_host,
            known_by=known_by,
        )
        self._projects: dict[str, Project] = {}
        self._lock = threading.Lock()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> Self:
        """Make a client from Domino's own variables, as they are set inside a Domino run.

        `DOMINO_API_HOST`, `DOMINO_USER_HOST` (for links), `DOMINO_VERIFY_CERTIFICATE`, our own `DOMINO_CA_FILE` (path
        of the certificates to trust), and credentials by :func:`airflow_domino.domino.auth.from_environment`.

        :param environ: the variables.
        :param overrides: arguments of the constructor; those given go before the variables, None counts as not given.
        :raises ConfigurationError: when there is no host or no credentials.
        """
        return cls(**auth.client_settings(environ, overrides))

    def use(self, credentials: Credentials) -> None:
        """Sign the requests to come with renewed credentials; the host stays."""
        self._transport.use(credentials)

    def close(self) -> None:
        """Close the connections; a request that is under way is not repeated any more."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"DominoClient({self.host!r})"

    def version(self) -> Version:
        """The deployment's release: GET `/version`."""
        return self._transport.get("/version", one(Version.from_api), subject="version of the deployment")

    def current_user(self) -> User:
        """The user that the credentials stand for: GET `/v4/users/self`."""
        return self._transport.get("/v4/users/self", one(User.from_api), subject="user of these credentials")

    def personal_tokens(self) -> list[PersonalToken]:
        """The personal access tokens of that user: GET `/api/pat/v1/tokens`, of releases that have them.

        :raises RequestError: when the release has none, or the credentials may not list them.
        """
        return self._transport.get("/api/pat/v1/tokens", many(PersonalToken.from_api), subject="list of your tokens")

    def project(self, full_name: str) -> Project:
        """Look a project up, once per client: GET `/v4/gateway/projects/findProjectByOwnerAndName`.

        :param full_name: `owner/name`.
        :raises ConfigurationError: when the name has another form.
        :raises NotFoundError: when there is none, or this user may not see it; Domino does not say which.
        """
        owner, _, name = full_name.strip().strip("/").partition("/")
        if not owner or not name or "/" in name:
            raise ConfigurationError(
                f"Not a Domino project: {full_name!r}; write owner/name, such as 'domino/quick-start'"
            )
        with self._lock:
            known = self._projects.get(f"{owner}/{name}")
        if known:
            return known
        missing = (
            f"Domino has no project {owner}/{name}, or this user may not see it: check the spelling, or ask for access"
        )
        try:
            found = self._transport.get(
                "/v4/gateway/projects/findProjectByOwnerAndName",
                lambda data: Project.from_api(data) if isinstance(data, Mapping) and has_id(data) else None,
                params={"ownerName": owner, "projectName": name},
                subject=f"project {owner}/{name}",
            )
        except (NotFoundError, PermissionDeniedError) as error:
            raise NotFoundError(f"{missing} (HTTP {error.status})", status=error.status) from None
        if found is None:
            raise NotFoundError(missing, status=200)
        project = Project(**{**vars(found), "owner": found.owner or owner, "name": found.name or name})
        with self._lock:
            self._projects[f"{owner}/{name}"] = project
        return project

    def tiers(self, project_id: str) -> list[HardwareTier]:
        """The hardware tiers of a project: GET `/v4/projects/{id}/hardwareTiers`.

        :raises NotFoundError: when there is no such project.
        """
        path = f"/v4/projects/{quote(project_id, safe='')}/hardwareTiers"
        return self._transport.get(path, many(HardwareTier.from_api), subject=f"project {project_id}")

    def resolve_tier(self, project: Project, name_or_id: str | None) -> HardwareTier:
        """Choose one tier: by id, by exact name, by a name that only differs in case; None means the project's default.

        :raises UnknownTierError: when none fits; the message lists them.
        :raises AmbiguousTierError: when several have the name.
        """
        return resolve.tier(self.tiers(project.id), name_or_id, project)

    def environments(self, project_id: str) -> list[Environment]:
        """The compute environments that a project can use: GET `/v4/projects/{id}/useableEnvironments`.

        :raises NotFoundError: when there is no such project.
        """
        path = f"/v4/projects/{quote(project_id, safe='')}/useableEnvironments"
        return self._transport.get(path, resolve.read_environments, subject=f"project {project_id}")

    def resolve_environment(self, project: Project, name_or_id: str | None) -> Environment:
        """Choose one environment by the same rules as a tier; None means the project's own.

        :raises NotFoundError: when none fits; the message lists them.
        :raises RequestError: when several have the name.
        """
        return resolve.environment(self.environments(project.id), name_or_id, project)

    def start_run(self, request: RunRequest) -> Run:
        """Start a run: POST `/v4/jobs/start`, sent once and never repeated.

        :raises DominoUnavailableError: when the request certainly did not arrive or was turned away (429, 503).
        :raises LaunchOutcomeUnknownError: when the answer was lost, so that the run may exist.
        :raises RequestError: when Domino refused it.
        """
        return self._transport.start("/v4/jobs/start", request.to_body(), one(Run.from_api), subject="new run")

    def restart_run(self, run_id: str, *, same_commit: bool = True) -> Run:
        """Start a run again as a new run: POST `/v4/jobs/restart`, sent once and never repeated.

        :param same_commit: whether it begins with the original's input commit; otherwise with the latest.
        :raises: as :meth:`start_run`.
        """
        body = {"jobId": run_id, "shouldUseOriginalInputCommit": same_commit}
        return self._transport.start("/v4/jobs/restart", body, one(Run.from_api), subject=f"run {run_id}")

    def stop_run(self, run_id: str, *, keep_results: bool = True, project_id: str | None = None) -> Run:
        """Ask for a run to be stopped: POST `/v4/jobs/stop`. It is over only when its status says so.

        Asking twice does no harm, and a run that is over is returned as it is.

        :param keep_results: whether what it wrote so far is kept as its output commit.
        :raises NotFoundError: when there is no such run.
        """
        body: dict[str, Any] = {"jobId": run_id, "commitResults": keep_results}
        if project_id:
            body["projectId"] = project_id
        try:
            stopping = self._transport.post("/v4/jobs/stop", body, _read_run_if_any, subject=f"run {run_id}")
        except RequestError as refusal:
            run = self.run(run_id) if type(refusal) is RequestError else None
            if run is None or not run.status.is_completed:
                raise
            return run
        return stopping or self.run(run_id)

    def run(self, run_id: str) -> Run:
        """One run as it is now: GET `/v4/jobs/{id}`.

        :raises NotFoundError: when there is no such run.
        """
        return self._transport.get(_run_path(run_id), one(Run.from_api), subject=f"run {run_id}")

    def run_details(self, run_id: str) -> RunDetails:
        """The tier and environment that a run really uses: GET `/v4/jobs/{id}/runtimeExecutionDetails`.

        :raises NotFoundError: when there is no such run.
        """
        path = f"{_run_path(run_id)}/runtimeExecutionDetails"
        return self._transport.get(path, one(RunDetails.from_api), subject=f"run {run_id}")

    def runs(
        self,
        project_id: str,
        *,
        status: str = "all",
        limit: int | None = None,
        page_size: int = DEFAULT_PAGE_SIZE,
        include_archived: bool = False,
        known: Mapping[str, Run] | None = None,
    ) -> Iterator[Run]:
        """The runs of a project, newest first, fetched page by page as they are asked for: GET `/v4/jobs`.

        :param status: `all`, `queued`, `running`, `completed`, `archived` or `active`.
        :param limit: how many at most; None for all.
        :param known: runs by their ids; one whose status has not changed since is given again as it is here.
        :raises NotFoundError: when there is no such project.
        """
        found = run_list.runs(self._transport, project_id, status, page_size, include_archived, known or {})
        return islice(found, limit)

    def log_page(self, run_id: str, cursor: str = "0", limit: int = 10_000) -> LogPage:
        """The next piece of a run's log: GET `/v4/jobs/{id}/logsWithProblemSuggestions`.

        Where that has nothing to show for a run that is over, the whole log comes from the v1 route, once.

        :param cursor: of the page before; "0" begins.
        :param limit: lines at most; Domino may give fewer.
        :raises NotFoundError: when there is no such run.
        """
        if cursor == logs.END_OF_V1_LOG:
            return LogPage((), cursor, is_complete=True)
        page = self._transport.get(
            f"{_run_path(run_id)}/logsWithProblemSuggestions",
            one(logs.read_page),
            params={"logType": "console", "limit": limit, "offset": 0, "latestTimeNano": cursor},
            subject=f"run {run_id}",
        )
        if page.is_complete and not page.lines and cursor == "0":
            return self._v1_log(run_id) or page
        return page if page.cursor else LogPage(page.lines, cursor, page.is_complete)

    def _v1_log(self, run_id: str) -> LogPage | None:
        project_id = self.run(run_id).project_id
        with self._lock:
            project = next((known for known in self._projects.values() if known.id == project_id), None)
        if project is None:
            return None
        try:
            return self._transport.get(
                f"{_v1(project)}/run/{quote(run_id, safe='')}/stdout", one(logs.read_v1), subject=f"run {run_id}"
            )
        except NotFoundError:
            return None

    def log_tail(self, run_id: str, lines: int = 20) -> list[str]:
        """The last lines that a run's command printed; those of its setup when the command printed none.

        :param lines: how many at most.
        :raises NotFoundError: when there is no such run.
        """
        return logs.tail(self.log_page, self.run(run_id), lines)

    def commits(self, project: Project) -> list[Commit]:
        """The commits of a project's files, newest first: GET v1 `/commits`."""
        return self._transport.get(
            f"{_v1(project)}/commits", many(Commit.from_api), subject=f"project {project.full_name}"
        )

    def dated_commits(self, project: Project) -> list[Commit]:
        """The same commits with their times: GET v4 `/projects/{id}/commits`; without times where that is missing."""
        path = f"/v4/projects/{quote(project.id, safe='')}/commits"
        try:
            return self._transport.get(path, many(Commit.from_api), subject=f"project {project.full_name}")
        except NotFoundError:
            return self.commits(project)

    def head_commit(self, project: Project) -> str:
        """The latest commit of a project's files.

        :raises NotFoundError: when the project has none yet.
        """
        commits = self.commits(project)
        if not commits:
            raise NotFoundError(f"The project {project.full_name} has no commits yet; put a file into it first")
        return commits[0].id

    def files(self, project: Project, commit_id: str, path: str = "") -> list[ProjectFile]:
        """All files below a folder as they were at a commit: GET v1 `/files/{commit}/{path}`.

        :param path: a folder from the project's root; empty for all files.
        :raises NotFoundError: when the commit or the folder is unknown.
        :raises UnsafePathError: when the path leads out of the project.
        """
        return files.listing(self._transport, _v1(project), project, commit_id, path)

    def download_file(
        self,
        project: Project,
        commit_id: str,
        path: str,
        destination: Path,
        *,
        within: Path | None = None,
        on_moved: Moved | None = None,
    ) -> int:
        """Bring one file of a commit to disk: it appears complete or not at all.

        Streams GET `/api/projects/v1/projects/{id}/files/{commit}/{path}/content` to a temporary file beside the
        destination.

        :param path: from the project's root.
        :param destination: file to write; missing folders are made.
        :param within: folder that the destination must lie in, symbolic links followed.
        :param on_moved: takes how many bytes have come so far, and of how many where that is known.
        :returns: its size in bytes.
        :raises NotFoundError: when there is no such file at that commit, or it is a folder; names similar files.
        :raises UnsafePathError: when the destination lies outside `within`.
        """
        return files.download(self._transport, _v1(project), project, commit_id, path, destination, within, on_moved)

    def upload_file(
        self, project: Project, path: str, source: Path | BinaryIO | bytes, *, on_moved: Moved | None = None
    ) -> ProjectFile:
        """Put one file into a project, as a new commit: PUT v1 `/{path}`.

        :param path: from the project's root.
        :param source: the file, an open binary file, or the bytes.
        :param on_moved: takes how many bytes have gone so far, and of how many where that is known.
        :raises UnsafePathError: when the path leads out of the project.
        """
        return files.upload(self._transport, _v1(project), project, path, source, on_moved)

    def run_url(self, project: Project, run_id: str) -> str:
        """Page of a run in Domino's UI."""
        return f"{self.ui_host}/jobs/{_url_name(project)}/{quote(run_id, safe='')}/logs?status=all"

    def files_url(self, project: Project, commit_id: str) -> str:
        """Page of a project's files at a commit in Domino's UI."""
        return f"{self.ui_host}/u/{_url_name(project)}/browse?commitId={quote(commit_id, safe='')}"


def _run_path(run_id: str) -> str:
    return f"/v4/jobs/{quote(run_id, safe='')}"


def _url_name(project: Project) -> str:
    return f"{quote(project.owner, safe='')}/{quote(project.name, safe='')}"


def _v1(project: Project) -> str:
    return f"/v1/projects/{_url_name(project)}"


def _read_run_if_any(data: Any) -> Run | None:
    return Run.from_api(data) if isinstance(data, Mapping) and has_id(data) else None
