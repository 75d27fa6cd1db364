"""Which operations of Domino's API this package uses, and which of their fields: the one place that says so.

``airflow-domino check`` holds a deployment's own description to it, and a test holds it to what the client does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

V4 = "/assets/swagger.json"
PUBLIC = "/assets/public-api.json"

# What a deployment without a field or an operation lacks is not worth a word: it is sent where it may help, or read
# where it may be.
UNNOTICED = "-"


@dataclass(frozen=True)
class Field:
    """A field of a request or an answer.

    :param path: names from the outside in, joined by dots; lists are gone through without a sign.
    :param loss: what goes without it, as a sentence; empty where nothing works without it.
    """

    path: str
    loss: str = ""


@dataclass(frozen=True)
class Operation:
    """An operation that is used.

    :param path: its path from the host, with parameters in braces.
    :param purpose: what it is used for.
    :param document: path of the description that Domino publishes of it; None where it publishes none.
    :param query: parameters of the query.
    :param sent: fields of the body.
    :param read: fields of the answer.
    :param loss: what goes without it; empty where nothing works without it.
    """

    method: str
    path: str
    purpose: str
    document: str | None = None
    query: tuple[str, ...] = ()
    sent: tuple[Field, ...] = ()
    read: tuple[Field, ...] = ()
    loss: str = ""

    @property
    def name(self) -> str:
        """Method and path, as a person names it."""
        return f"{self.method} {self.path}"


def _below(prefix: str, fields: Iterable[Field]) -> tuple[Field, ...]:
    return tuple(Field(f"{prefix}.{field.path}", field.loss) for field in fields)


_NO_REASON = "Why a run could not be carried out is told by its log alone."
_NO_STATS = "Statistics of runs (dominostats.json) are not shown."
_NO_QUEUE = "Why a run waits is not told."
_NO_PRICE = "What a run costs is not told."
_NO_EXPIRY = "When a personal access token expires is told only where it is noted in the connection."
_NO_SIZE = "How large a tier is is not told."
_NO_CAPACITY = "How full a tier is is not told."

_RUN = (
    Field("id"),
    Field("number"),
    Field("statuses.executionStatus"),
    Field("statuses.isCompleted"),
    Field("commitDetails.inputCommitId"),
    Field("commitDetails.outputCommitId"),
    Field("title", "Runs are not found again after a crash, since that goes by their titles."),
    Field("jobRunCommand", "Lists of runs do not show their commands."),
    Field("projectId", "The log of a run falls back to version 1 of the API only where the project is known."),
    Field("stageTime.submissionTime", "How long runs queue is not told."),
    Field("stageTime.runStartTime", "How long runs queue and what they cost is not told."),
    Field("stageTime.completedTime", "How long runs take and what they cost is not told."),
    Field("startedBy.username", "Lists of runs do not show who started them."),
    Field("abnormalStatus.runFailureReason", _NO_REASON),
    Field("abnormalStatus.runFailureMessage", _NO_REASON),
    Field("dominoStats.name", _NO_STATS),
    Field("dominoStats.value", _NO_STATS),
    Field("queuedJobHistoryDetails.explanation", _NO_QUEUE),
)

USED: tuple[Operation, ...] = (
    Operation("GET", "/version", "release", read=(Field("version", "The release is not told."),), loss=UNNOTICED),
    Operation(
        "GET",
        "/v4/users/self",
        "user of the credentials",
        V4,
        read=(Field("id"), Field("userName", "The user's name is not told.")),
        loss="Who the credentials stand for is not told.",
    ),
    Operation(
        "GET",
        "/api/pat/v1/tokens",
        "personal access tokens",
        PUBLIC,
        read=(
            Field("name", _NO_EXPIRY),
            Field("isValid", _NO_EXPIRY),
            Field("expiresAt", _NO_EXPIRY),
        ),
        loss=_NO_EXPIRY,
    ),
    Operation(
        "GET",
        "/v4/gateway/projects/findProjectByOwnerAndName",
        "project",
        V4,
        query=("ownerName", "projectName"),
        read=(
            Field("id"),
            Field("name"),
            Field("owner.userName"),
            Field("hardwareTierId", "Runs without a tier use the deployment's default instead of the project's."),
            Field("requestingUserRole", "The user's role in the project is not told."),
            Field("mainRepository", "That a project has its code in a git repository is not seen."),
        ),
    ),
    Operation(
        "GET",
        "/v4/projects/{projectId}/hardwareTiers",
        "tiers",
        V4,
        read=(
            Field("hardwareTier.id"),
            Field("hardwareTier.name"),
            Field("hardwareTier.hwtFlags.isDefault", "Runs of projects without a tier of their own must name one."),
            Field("hardwareTier.hwtFlags.isArchived", "Retired tiers are listed as if they could be used."),
            Field("hardwareTier.centsPerMinute", _NO_PRICE),
            Field("hardwareTier.hwtResources.cores", _NO_SIZE),
            Field("hardwareTier.hwtResources.memory.value", _NO_SIZE),
            Field("hardwareTier.hwtResources.memory.unit", _NO_SIZE),
            Field("hardwareTier.gpuConfiguration.numberOfGpus", _NO_SIZE),
            Field("capacity.capacityLevel", _NO_CAPACITY),
            Field("capacity.numberOfCurrentlyExecutingRuns", _NO_CAPACITY),
            Field("capacity.numberOfQueuedRuns", _NO_CAPACITY),
            Field("capacity.maximumConcurrentRuns", _NO_CAPACITY),
            Field("capacity.maximumAvailableCapacity", _NO_CAPACITY),
            Field("capacity.availableCapacityWithoutLaunching", _NO_CAPACITY),
        ),
    ),
    Operation(
        "GET",
        "/v4/projects/{projectId}/useableEnvironments",
        "environments",
        V4,
        read=(
            Field("environments.id"),
            Field("environments.name"),
            Field("environments.archived", "Retired environments are listed as if they could be used."),
            Field("environments.activeRevisionId", "Which revision an environment has is not told."),
            Field("currentlySelectedEnvironment.id", "Which environment a project uses by default is not told."),
        ),
        loss="An environment can be named by its id only.",
    ),
    Operation(
        "POST",
        "/v4/jobs/start",
        "start of a run",
        V4,
        sent=(
            Field("projectId"),
            Field("commandToRun"),
            Field("title", "Runs are not found again after a crash, since that goes by their titles."),
            Field("commitId", "Runs cannot be started from a commit, so files do not pass from run to run for sure."),
            Field("overrideHardwareTierId"),
            Field("environmentId", "Runs use the project's environment only."),
            Field("environmentRevisionSpec", "Runs use the active revision of an environment only."),
            Field("mainRepoGitRef", "Runs use the default branch of a git-based project only."),
            Field("computeClusterProperties", "Runs get no compute cluster."),
            Field("externalVolumeMounts", "Runs get no external volumes."),
        ),
        read=_RUN,
    ),
    Operation(
        "POST",
        "/v4/jobs/restart",
        "start of a run again",
        V4,
        sent=(Field("jobId"), Field("shouldUseOriginalInputCommit")),
        read=_RUN,
        loss="A run cannot be started again by the client's restart_run.",
    ),
    Operation(
        "POST",
        "/v4/jobs/stop",
        "stop of a run",
        V4,
        # Domino's own client sends the project, too, though it stands in no description.
        sent=(Field("jobId"), Field("commitResults"), Field("projectId", UNNOTICED)),
        read=_RUN,
    ),
    Operation("GET", "/v4/jobs/{jobId}", "one run", V4, read=_RUN),
    Operation(
        "GET",
        "/v4/jobs",
        "runs of a project",
        V4,
        query=("projectId", "status", "order_by", "sort_by", "page_no", "page_size", "show_archived"),
        read=(*_below("jobs", _RUN), Field("totalCount", "The last page of a list is asked for in vain.")),
    ),
    Operation(
        "GET",
        "/v4/jobs/{jobId}/runtimeExecutionDetails",
        "tier and environment of a run",
        V4,
        read=(
            Field("hardwareTier.id"),
            Field("hardwareTier.name"),
            Field("environment.environmentId"),
            Field("environment.environmentName"),
            Field("environment.environmentRevisionId", "The revision that a run used is not told."),
            Field("environment.revisionNumber", "The revision that a run used is not told."),
        ),
        loss="Which tier and environment a run used is not told where Airflow did not choose them.",
    ),
    Operation(
        "GET",
        "/v4/jobs/{jobId}/logsWithProblemSuggestions",
        "log of a run",
        V4,
        query=("logType", "limit", "offset", "latestTimeNano"),
        read=(
            Field("logset.logContent.log"),
            Field("logset.logContent.logType", "What a run printed as an error looks like the rest of its log."),
            Field("logset.logContent.timestamp", "Lines of logs have no times."),
            Field("logset.isComplete"),
            Field("logset.pagination.latestTimeNano", "Where to read on in a log goes by the times of its lines."),
        ),
        loss="Logs are shown when a run is over, not while it goes on.",
    ),
    Operation(
        "GET",
        "/v1/projects/{owner}/{project}/run/{runId}/stdout",
        "log of a run, where the other has none",
        read=(Field("setup"), Field("stdout")),
        loss=UNNOTICED,
    ),
    Operation("GET", "/v1/projects/{owner}/{project}/commits", "latest commit of the files"),
    Operation(
        "GET",
        "/v4/projects/{projectId}/commits",
        "times of commits",
        V4,
        read=(Field("id"), Field("commitTime")),
        loss="Commits are shown without their times.",
    ),
    Operation(
        "GET",
        "/v1/projects/{owner}/{project}/files/{commitId}/{path}",
        "list of files",
        read=tuple(map(Field, ("data.path", "data.size", "data.key", "data.lastModified"))),
    ),
    Operation(
        "GET", "/api/projects/v1/projects/{projectId}/files/{commitId}/{path}/content", "content of a file", PUBLIC
    ),
    Operation("PUT", "/v1/projects/{owner}/{project}/{path}", "upload of a file"),
)
