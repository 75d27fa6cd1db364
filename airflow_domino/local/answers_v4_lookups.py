"""Answers of the smaller look-ups of version 4 of the API: tiers by themselves, branches, progress of a job."""

from __future__ import annotations

from typing import Literal, NotRequired

from airflow_domino.local.answers import Answer, CommitId, IsoTime, Milliseconds, ObjectId
from airflow_domino.local.answers_v4 import Tier


class Tiers(Answer):
    """All hardware tiers."""

    hardwareTiers: list[Tier]
    isDataAnalystEnabled: bool


class Branch(Answer):
    """A branch of a project's files, and its latest commit."""

    branchName: str
    commitId: CommitId


class BranchCommit(Answer):
    """A commit of a branch."""

    commitId: CommitId
    commitShortMessage: str
    commitFullMessage: str
    commitTime: Milliseconds
    committedBy: str
    isLatestCommit: bool


class Directory(Answer):
    """A folder, and how large all that is in it is."""

    path: str
    name: str
    sizeInBytes: int


class FoundFiles(Answer):
    """The files of the latest commit whose path has a text in it."""

    projectId: ObjectId
    commitId: CommitId
    files: list[str]


class RunsCount(Answer):
    """How many runs of a sort execute."""

    runType: Literal["Batch"]
    count: int


class CommitState(Answer):
    """The files of a project at one moment."""

    commitId: CommitId


class ArtifactsInfo(Answer):
    """The files that a job began with, and those that it ended with."""

    startState: CommitState
    endState: NotRequired[CommitState]


class Checkpoint(Answer):
    """How far a job has come in one respect."""

    checkpointName: str
    status: Literal["Pending", "Completed", "Error"]
    message: NotRequired[str]
    completedTimestamp: NotRequired[IsoTime]


class TimelineStat(Answer):
    """A statistic of a job in the timeline, which has those that are numbers."""

    name: str
    value: float


class TimelineJob(Answer):
    """A job in the timeline."""

    jobNumber: int
    jobId: ObjectId
    jobStartTime: Milliseconds
    jobTitle: str
    jobStatus: str
    diagnosticStats: list[TimelineStat]


class Timeline(Answer):
    """The jobs of a project that have begun, oldest first."""

    jobsTimeline: list[TimelineJob]
    dominoStatColumns: list[str]
