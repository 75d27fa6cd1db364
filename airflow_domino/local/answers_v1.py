"""Answers of version 1 of the API, as its API Blueprint has them."""

from __future__ import annotations

from typing import Literal

from airflow_domino.local.answers import Answer, CommitId, Milliseconds, ObjectId


class Started(Answer):
    """The answer of a start."""

    runId: ObjectId
    message: str


class Statistic(Answer):
    """One entry of ``dominostats.json``."""

    key: str
    value: str


class Statistics(Answer):
    """What a run left in ``dominostats.json``; ``isError`` says that it could not be read."""

    isError: bool
    data: list[Statistic]


class RunStatus(Answer):
    """One run. Unlike later versions, this one says ``null`` where there is nothing yet."""

    id: ObjectId
    number: int
    projectId: ObjectId
    startingUserId: ObjectId
    status: str
    isCompleted: bool
    isArchived: bool
    queued: Milliseconds
    started: Milliseconds | None
    completed: Milliseconds | None
    postProcessedTimestamp: Milliseconds | None
    commitId: CommitId
    outputCommitId: CommitId | None
    executor: str | None
    title: str | None
    hardwareTierId: str
    diagnosticStatistics: Statistics


class RunList(Answer):
    """All runs of a project."""

    objectType: Literal["list"]
    uri: str
    data: list[RunStatus]


class WholeLog(Answer):
    """The log of a run as two pieces of HTML: of its preparation, and of its command."""

    setup: str
    stdout: str


class File(Answer):
    """One file of a commit."""

    path: str
    lastModified: Milliseconds
    size: int
    key: str
    url: str


class Files(Answer):
    """The files of a commit."""

    data: list[File]


class Environment(Answer):
    """One compute environment."""

    id: ObjectId
    name: str
    visibility: Literal["Private", "Organization", "Global"]


class Environments(Answer):
    """All compute environments."""

    objectType: Literal["list"]
    data: list[Environment]


class Version(Answer):
    """The release that is served."""

    version: str
    buildId: str
    buildUrl: str
    commitId: str
    commitUrl: str
    timestamp: str
