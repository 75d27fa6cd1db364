"""What Domino tells us, as frozen values.

Every ``from_api`` reads leniently: field names of the v4, public and v1 APIs are accepted, missing and unknown
fields are no error, and a status word that we do not know stands for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from airflow_domino.domino.lenient import (
    first,
    items,
    mapping,
    number,
    parse_time,
    required_text,
    text,
)

QUEUED_WORDS = frozenset({"Queued", "Scheduled", "Pending", "Preparing", "Building", "Pulling"})
STOPPING_WORDS = frozenset({"StopRequested", "StopAndDiscardRequested", "Stopping"})
FINAL_WORDS = frozenset({"Succeeded", "Failed", "Error", "Stopped", "Faulty"})


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands.

    :param word: Domino's own word; one that is unknown to us is kept as it is.
    :param is_completed: whether the run is over, well or not; only this ends a wait.
    """

    word: str
    is_completed: bool

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read `statuses` (v4), `status` (public), or the flat fields of a v1 run."""
        nested = mapping(data.get("statuses")) or mapping(data.get("status")) or data
        flat = data.get("status") if isinstance(data.get("status"), str) else None
        word = text(first(nested.get("executionStatus"), flat)) or "Unknown"
        completed = first(nested.get("isCompleted"), data.get("isCompleted"))
        return cls(word, completed if isinstance(completed, bool) else word in FINAL_WORDS)

    @property
    def succeeded(self) -> bool:
        """Whether the run is over and well: Domino has exactly one word for that."""
        return self.is_completed and self.word == "Succeeded"

    @property
    def is_queued(self) -> bool:
        """Whether the command has not begun yet."""
        return not self.is_completed and self.word in QUEUED_WORDS

    @property
    def is_stopping(self) -> bool:
        """Whether somebody has asked for the run to be stopped, and it is not over yet."""
        return not self.is_completed and self.word in STOPPING_WORDS

    @property
    def is_running(self) -> bool:
        """Whether the command has begun and the run is not over (includes stopping and saving results)."""
        return not self.is_completed and not self.is_queued

    def __str__(self) -> str:
        return self.word


@dataclass(frozen=True)
class Run:
    """One run (Domino's v4 and public APIs say "job"; the ids are the same).

    :param input_commit: commit of the project's files that the run began with.
    :param output_commit: commit that holds what it wrote; None while it goes on, or when it wrote nothing.
    :param stats: values of the run's `dominostats.json`.
    :param queue_explanation: Domino's own words on why the run waits.
    """

    id: str
    number: int
    title: str | None
    command: str
    project_id: str | None
    status: RunStatus
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    input_commit: str | None = None
    output_commit: str | None = None
    started_by: str | None = None
    failure_reason: str | None = None
    failure_message: str | None = None
    stats: dict[str, str] = field(default_factory=dict, hash=False)
    queue_explanation: str | None = None

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read a v4 Job, a public `{job: …}` or a v1 RunStatus.

        :raises ValueError: when there is no id in it.
        """
        data = mapping(data.get("job")) or data
        times = mapping(data.get("stageTime")) or mapping(data.get("stageTimes"))
        commits = mapping(data.get("commitDetails"))
        abnormal = mapping(data.get("abnormalStatus"))
        started_by = mapping(data.get("startedBy"))
        queue = mapping(data.get("queuedJobHistoryDetails")) or mapping(data.get("queuedJobStatusDetails"))
        return cls(
            id=required_text(data, "id", "runId"),
            number=int(number(data.get("number"))),
            title=text(data.get("title")),
            command=text(first(data.get("jobRunCommand"), data.get("runCommand"), data.get("command"))) or "",
            project_id=text(data.get("projectId")),
            status=RunStatus.from_api(data),
            submitted_at=parse_time(first(times.get("submissionTime"), data.get("queued"))),
            started_at=parse_time(first(times.get("runStartTime"), times.get("startTime"), data.get("started"))),
            completed_at=parse_time(first(times.get("completedTime"), data.get("completed"))),
            input_commit=text(first(commits.get("inputCommitId"), data.get("commitId"))),
            output_commit=text(first(commits.get("outputCommitId"), data.get("outputCommitId"))),
            started_by=text(first(started_by.get("username"), data.get("startedById"), data.get("startingUserId"))),
            failure_reason=text(abnormal.get("runFailureReason")),
            failure_message=text(abnormal.get("runFailureMessage")),
            stats=_stats(data),
            queue_explanation=text(queue.get("explanation")),
        )

    @classmethod
    def from_api_again(cls, data: Mapping[str, Any], known: Mapping[str, Self]) -> Self:
        """Read an entry of a list of jobs; a run whose status is as it was is given as it is known, at next to no cost.

        :param known: runs by their ids.
        :raises ValueError: when there is no id in it.
        """
        run, statuses, times = known.get(data.get("id", "")), data.get("statuses"), data.get("stageTime")
        # Not Mapping: thousands of entries go through here, and that question is slow.
        if run is None or type(statuses) is not dict or type(times) is not dict:
            return cls.from_api(data)
        status = run.status
        is_same = (
            statuses.get("executionStatus") == status.word
            and statuses.get("isCompleted") is status.is_completed
            and (times.get("runStartTime") is None) is (run.started_at is None)
        )
        return run if is_same else cls.from_api(data)

    @property
    def results_commit(self) -> str | None:
        """Commit to read results from: a run that wrote nothing leaves the files as they were."""
        return self.output_commit or self.input_commit

    @property
    def queued_seconds(self) -> float | None:
        """Seconds between submission and start (or end, when it never started); None while unknown."""
        return _seconds(self.submitted_at, self.started_at or self.completed_at)

    @property
    def run_seconds(self) -> float | None:
        """Seconds between start and end; None while the run goes on or when it never started."""
        return _seconds(self.started_at, self.completed_at)


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return max(0.0, (end - begin).total_seconds()) if begin and end else None


def _stats(data: Mapping[str, Any]) -> dict[str, str]:
    v1 = mapping(data.get("diagnosticStatistics")).get("data")
    pairs = [(first(item.get("name"), item.get("key")), item.get("value")) for item in items(data.get("dominoStats"))]
    pairs += [(first(item.get("key"), item.get("name")), item.get("value")) for item in items(v1)]
    return {str(name): "" if value is None else str(value) for name, value in pairs if name is not None}


@dataclass(frozen=True)
class Project:
    """A project: files and the runs on them.

    :param role: what the asking user is in it, such as Owner or Contributor.
    """

    id: str
    owner: str
    name: str
    default_tier_id: str | None = None
    is_git_based: bool = False
    role: str | None = None

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read an answer of v4 `findProjectByOwnerAndName` or of the public API.

        :raises ValueError: when there is no id in it.
        """
        data = mapping(data.get("project")) or data
        owner = mapping(data.get("owner"))
        return cls(
            id=required_text(data, "id"),
            owner=text(first(owner.get("userName"), data.get("ownerUsername"))) or "",
            name=text(data.get("name")) or "",
            default_tier_id=text(data.get("hardwareTierId")),
            is_git_based=bool(mapping(data.get("mainRepository"))),
            role=text(data.get("requestingUserRole")),
        )

    @property
    def full_name(self) -> str:
        """`owner/name`, as people and links say it."""
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True)
class Environment:
    """A compute environment: the image that a run's command runs in."""

    id: str
    name: str
    is_archived: bool = False
    is_default: bool = False
    active_revision_id: str | None = None

    @classmethod
    def from_api(cls, data: Mapping[str, Any], *, default_id: str | None = None) -> Self:
        """Read an entry of v4 `useableEnvironments`.

        :param default_id: id of the environment that the project has chosen.
        :raises ValueError: when there is no id in it.
        """
        environment_id = required_text(data, "id")
        return cls(
            id=environment_id,
            name=text(data.get("name")) or environment_id,
            is_archived=data.get("archived") is True,
            is_default=environment_id == default_id,
            active_revision_id=text(data.get("activeRevisionId")),
        )


@dataclass(frozen=True)
class RunDetails:
    """The tier and environment that a run really used: v4 `runtimeExecutionDetails`."""

    tier_id: str | None
    tier_name: str | None
    environment_id: str | None = None
    environment_name: str | None = None
    environment_revision: str | None = None

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read v4 `/jobs/{id}/runtimeExecutionDetails`."""
        tier, environment = mapping(data.get("hardwareTier")), mapping(data.get("environment"))
        return cls(
            tier_id=text(tier.get("id")),
            tier_name=text(tier.get("name")),
            environment_id=text(environment.get("environmentId")),
            environment_name=text(environment.get("environmentName")),
            environment_revision=text(
                first(environment.get("environmentRevisionId"), environment.get("revisionNumber"))
            ),
        )


@dataclass(frozen=True)
class LogLine:
    """One line that a run printed.

    :param stream: stdout, stderr, prepareoutput or complete.
    """

    timestamp: datetime | None
    stream: str
    text: str


@dataclass(frozen=True)
class LogPage:
    """A piece of a run's log.

    :param cursor: pass it back to get what comes after this page (Domino's `latestTimeNano`).
    :param is_complete: whether the run is over and nothing comes after this page.
    """

    lines: tuple[LogLine, ...]
    cursor: str
    is_complete: bool


@dataclass(frozen=True)
class Commit:
    """One state of a project's files. `time` is None where the API lists bare ids."""

    id: str
    time: datetime | None = None

    @classmethod
    def from_api(cls, data: Mapping[str, Any] | str) -> Self:
        """Read an entry of v1 `/commits` (a bare id) or of v4 `/commits` (an object).

        :raises ValueError: when there is no id in it.
        """
        if isinstance(data, str):
            return cls(data)
        return cls(required_text(data, "id", "commitId"), parse_time(data.get("commitTime")))


@dataclass(frozen=True)
class ProjectFile:
    """A file of a project at some commit.

    :param path: from the project's root, without a leading slash.
    :param size: bytes.
    """

    path: str
    size: int = 0
    key: str | None = None
    last_modified: datetime | None = None

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read an entry of v1 `/files/{commit}/{path}` or the answer of an upload.

        :raises ValueError: when there is no path in it.
        """
        return cls(
            path=required_text(data, "path").lstrip("/"),
            size=int(number(data.get("size"))),
            key=text(data.get("key")),
            last_modified=parse_time(data.get("lastModified")),
        )


@dataclass(frozen=True)
class User:
    """The user that the credentials stand for."""

    id: str
    user_name: str

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read v4 `/users/self`.

        :raises ValueError: when there is no id in it.
        """
        data = mapping(data.get("user")) or data
        user_id = required_text(data, "id")
        return cls(user_id, text(first(data.get("userName"), data.get("username"))) or user_id)


@dataclass(frozen=True)
class PersonalToken:
    """What Domino tells of a personal access token; its text is not part of it."""

    name: str
    is_valid: bool = True
    expires_at: datetime | None = None

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read an entry of the public API's `/pat/v1/tokens`."""
        return cls(text(data.get("name")) or "", data.get("isValid") is not False, parse_time(data.get("expiresAt")))


@dataclass(frozen=True)
class Version:
    """The release that a deployment runs, such as 6.3.0."""

    version: str

    @classmethod
    def from_api(cls, data: Mapping[str, Any]) -> Self:
        """Read `/version`."""
        return cls(text(data.get("version")) or "unknown")
