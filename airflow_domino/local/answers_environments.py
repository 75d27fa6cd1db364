"""Answers about environments, as types; see :mod:`airflow_domino.local.answers`."""

from __future__ import annotations

from typing import Literal, NotRequired

from airflow_domino.local.answers import Answer, Free, Milliseconds, ObjectId
from airflow_domino.local.answers_public import Metadata, Revision

Visibility = Literal["Global", "Private", "Organization"]


class RevisionEnvelope(Answer):
    """A revision of an environment in its envelope."""

    environmentRevision: Revision
    metadata: Metadata


class ChangedRevision(Answer):
    """The revision that was changed."""

    id: ObjectId


class Owner(Answer):
    """Who made an environment."""

    id: ObjectId
    username: str
    environmentOwnerType: Literal["Individual", "Organization"]


class RevisionOverview(Answer):
    """A revision of an environment, in version 4."""

    id: ObjectId
    number: int
    status: Literal["Succeeded"]
    url: str
    availableTools: list[Free]
    isRestricted: bool


class RevisionDetails(Answer):
    """What a revision of an environment is made of, in version 4."""

    id: ObjectId
    environmentId: ObjectId
    environmentName: str
    imageType: str
    isRestricted: bool
    isBuilt: bool
    number: int
    summary: str
    dockerImage: str
    dockerArguments: list[str]
    shouldUseVPN: bool
    buildEnvironmentVariables: list[Free]
    supportsPackagePersistence: bool


class EnvironmentDetails(Answer):
    """An environment, in version 4."""

    id: ObjectId
    name: str
    description: str
    archived: bool
    visibility: Visibility
    owner: NotRequired[Owner]
    supportedClusters: list[str]
    latestRevision: RevisionOverview
    selectedRevision: RevisionOverview
    restrictedRevision: NotRequired[RevisionOverview]
    latestRevisionDetails: RevisionDetails


class RevisionSummary(Answer):
    """A revision in the list of an environment's revisions."""

    id: ObjectId
    number: int
    created: Milliseconds
    active: bool


class PageInfo(Answer):
    """Which part of the list of revisions an answer is."""

    currentPage: int
    totalPages: int
    pageSize: int


class Revisions(Answer):
    """Some revisions of an environment, the newest first."""

    revisions: list[RevisionSummary]
    pageInfo: PageInfo
