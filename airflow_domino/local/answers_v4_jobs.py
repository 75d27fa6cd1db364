"""Answers about jobs in version 4 of the API."""

from __future__ import annotations

from typing import Literal, NotRequired

from airflow_domino.local.answers import Answer, CommitId, Free, Milliseconds, Nanoseconds, ObjectId, Stat

RevisionWord = Literal["ActiveRevision", "LatestRevision", "RestrictedRevision"]
ClusterType = Literal["Spark", "Ray", "Dask", "MPI"]


class Statuses(Answer):
    """Where a job is; ``isCompleted`` says that it has ended, whatever word ``executionStatus`` is."""

    isCompleted: bool
    isArchived: bool
    isScheduled: bool
    executionStatus: str


class StageTime(Answer):
    """When a job was submitted, began, and ended."""

    submissionTime: Milliseconds
    runStartTime: NotRequired[Milliseconds]
    completedTime: NotRequired[Milliseconds]


class Person(Answer):
    """Who started a job."""

    id: ObjectId
    username: str


class CommitDetails(Answer):
    """The commit that a job began from, and the one that holds its results."""

    inputCommitId: CommitId
    outputCommitId: NotRequired[CommitId]


class QueueDetails(Answer):
    """Why a job waits."""

    expectedWait: str
    explanation: str
    helpText: str


class AbnormalStatus(Answer):
    """Why a job ended in a way that the platform caused."""

    runFailureReason: str
    runFailureMessage: str


class GitRef(Answer):
    """Which code of a git-based project."""

    type: str
    value: NotRequired[str]


class Revision(Answer):
    """A revision of an environment by its id."""

    revisionId: ObjectId


class Value(Answer):
    """A tier's id in the wrapping that clusters have."""

    value: str


class Storage(Answer):
    """A size with its unit."""

    value: float
    unit: Literal["MB", "MiB", "GB", "GiB"]


class Cluster(Answer):
    """The compute cluster that a job asked for."""

    clusterType: ClusterType
    computeEnvironmentId: ObjectId
    computeEnvironmentRevisionSpec: NotRequired[RevisionWord | Revision]
    masterHardwareTierId: NotRequired[Value]
    workerCount: int
    maxWorkerCount: NotRequired[int]
    workerHardwareTierId: Value
    workerStorage: NotRequired[Storage]
    extraConfigs: NotRequired[dict[str, str]]


class DependentRepository(Answer):
    """A git repository that a job used, and the commits of it before and after."""

    id: str
    name: NotRequired[str]
    uri: str
    ref: NotRequired[str]
    serviceProvider: NotRequired[str]
    startingCommitId: NotRequired[str]
    finishedCommitId: NotRequired[str]
    startingBranch: NotRequired[str]
    finishedBranch: NotRequired[str]


class Usage(Answer):
    """The most that a job used: percent of a core, and GiB of memory."""

    cpu: float
    memory: float


class Job(Answer):
    """One job."""

    id: ObjectId
    number: int
    projectId: ObjectId
    title: NotRequired[str]
    jobRunCommand: str
    statuses: Statuses
    stageTime: StageTime
    startedBy: Person
    commitDetails: CommitDetails
    queuedJobHistoryDetails: NotRequired[QueueDetails]
    abnormalStatus: NotRequired[AbnormalStatus]
    tags: list[Free]
    usage: NotRequired[Usage]
    dominoStats: list[Stat]
    commentsCount: int
    goalIds: list[ObjectId]
    mainRepoGitRef: NotRequired[GitRef]
    computeCluster: NotRequired[Cluster]
    dependentRepositories: list[DependentRepository]
    dependentDatasetMounts: list[Free]
    dependentProjects: list[Free]
    dependentExternalVolumeMounts: list[Free]
    dependentNetAppVolumeMounts: list[Free]
    suggestDatasets: bool
    snapshotDatasetsOnCompletion: bool
    snapshotNetAppVolumesOnCompletion: bool


class Page(Answer):
    """Which part of a list of jobs an answer is."""

    offset: int
    limit: int
    sortBy: str
    orderBy: str
    dominoStatsSortFieldName: NotRequired[str]


class JobList(Answer):
    """Some jobs of a project."""

    jobs: list[Job]
    totalCount: int
    pagination: Page
    dominoStatColumns: list[str]


class LogLine(Answer):
    """One line of a log."""

    timestamp: Milliseconds
    logType: Literal["stdout", "stderr", "prepareoutput"]
    log: str
    size: int


class LogPagination(Answer):
    """Which part of a log an answer is; ``latestTimeNano`` given back brings the lines that follow."""

    limit: int
    offset: int
    latestTimeNano: Nanoseconds


class LogSet(Answer):
    """Some lines of a log; ``isComplete`` says that no more will follow."""

    logContent: list[LogLine]
    isComplete: bool
    pagination: LogPagination


class ProblemSuggestion(Answer):
    """Why a job failed."""

    problem: str
    helpLink: str


class Log(Answer):
    """A part of a job's log."""

    logset: LogSet
    problemSuggestion: NotRequired[ProblemSuggestion]


class UsedEnvironment(Answer):
    """The environment that a job executes in."""

    environmentId: ObjectId
    environmentName: str
    environmentRevisionId: ObjectId
    revisionNumber: int
    environmentRevisionSpec: RevisionWord | Revision


class UsedTier(Answer):
    """The tier that a job executes on."""

    id: str
    name: str
    isArchived: bool


class RuntimeDetails(Answer):
    """Where a job executes."""

    environment: UsedEnvironment
    hardwareTier: UsedTier


class SparkSettings(Answer):
    """What a Spark cluster on demand is made of."""

    computeEnvironmentId: ObjectId
    executorCount: int
    executorHardwareTierId: str
    masterHardwareTierId: str
    executorStorageMB: int
    maximumExecutionSlotsPerUser: int
