"""Answers about jobs in the public API."""

from __future__ import annotations

from typing import Literal, NotRequired

from airflow_domino.local.answers import Answer, CommitId, Free, IsoTime, Nanoseconds, ObjectId, Stat
from airflow_domino.local.answers_public import ClusterType, Metadata, PageMetadata


class LogNumbers(Answer):
    """Which part of a log an answer is; ``latestTimeNano`` given back brings the lines that follow."""

    limit: int
    latestTimeNano: Nanoseconds


class LogMetadata(Metadata):
    """What a part of a log says of itself."""

    pagination: LogNumbers


class Status(Answer):
    """Where a job is; ``isCompleted`` says that it has ended, whatever word ``executionStatus`` is."""

    executionStatus: str
    isCompleted: bool
    isArchived: bool
    isScheduled: bool


class StageTimes(Answer):
    """When a job was submitted, began, and ended."""

    submissionTime: IsoTime
    startTime: NotRequired[IsoTime]
    completedTime: NotRequired[IsoTime]


class CommitDetails(Answer):
    """The commit that a job began from, and the one that holds its results."""

    inputCommitId: CommitId
    outputCommitId: NotRequired[CommitId]


class GitRef(Answer):
    """Which code of a git-based project."""

    refType: str
    value: NotRequired[str]


class Cluster(Answer):
    """The compute cluster that a job asked for."""

    clusterType: ClusterType
    computeEnvironmentId: ObjectId
    masterHardwareTierId: NotRequired[str]
    workerCount: int
    maxWorkerCount: NotRequired[int]
    workerHardwareTier: str
    workerStorageMB: NotRequired[float]


class GitRepo(Answer):
    """A git repository that a job used, and the commits of it before and after."""

    id: str
    name: NotRequired[str]
    uri: str
    ref: NotRequired[str]
    serviceProvider: NotRequired[str]
    startingCommitId: NotRequired[str]
    endingCommitId: NotRequired[str]
    startingBranch: NotRequired[str]
    endingBranch: NotRequired[str]


class Usage(Answer):
    """The most that a job used."""

    cpuPercentage: float
    memoryGiB: float


class Job(Answer):
    """A job in a list."""

    id: ObjectId
    number: int
    title: NotRequired[str]
    runCommand: str
    status: Status
    stageTimes: StageTimes
    startedById: ObjectId
    commitDetails: CommitDetails
    usage: NotRequired[Usage]
    dominoStats: list[Stat]
    datasetMounts: list[Free]
    externalVolumeMounts: list[Free]
    gitRepos: list[GitRepo]
    netAppVolumeMounts: list[Free]
    projects: list[Free]
    mainRepoGitRef: NotRequired[GitRef]
    computeCluster: NotRequired[Cluster]


class QueueDetails(Answer):
    """Why a job waits."""

    expectedWait: str
    explanation: str
    helpText: str


class JobDetails(Job):
    """One job."""

    commentsCount: int
    goalIds: list[ObjectId]
    tags: list[Free]
    queuedJobStatusDetails: NotRequired[QueueDetails]


class JobEnvelope(Answer):
    """One job in its envelope."""

    job: JobDetails
    metadata: Metadata


class Jobs(Answer):
    """Some jobs of a project."""

    jobs: list[Job]
    metadata: PageMetadata


class LogLine(Answer):
    """One line of a log."""

    log: str
    logType: Literal["stdOut", "stdErr", "prepareOutput"]
    size: int
    timestamp: IsoTime


class LogContent(Answer):
    """Some lines of a log; ``isComplete`` says that no more will follow."""

    logContent: list[LogLine]
    isComplete: bool
    problem: NotRequired[str]


class Log(Answer):
    """A part of a job's log in its envelope."""

    logs: LogContent
    metadata: LogMetadata
