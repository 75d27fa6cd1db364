"""Answers of the public API."""

from __future__ import annotations

from typing import Literal, NotRequired

from airflow_domino.local.answers import Answer, Free, ObjectId

ClusterType = Literal["spark", "ray", "dask", "mpi"]


class Metadata(Answer):
    """What every answer says of itself."""

    requestId: str
    notices: list[str]


class Numbers(Answer):
    """Which part of a list an answer is."""

    offset: int
    limit: int
    totalCount: int


class PageMetadata(Metadata):
    """What an answer says of itself that is a part of a list: the numbers twice, since the documents want both."""

    offset: int
    limit: int
    totalCount: int
    pagination: Numbers


class Revision(Answer):
    """A revision of an environment."""

    id: ObjectId
    number: int
    status: str
    availableTools: list[Free]


class EnvironmentOwner(Answer):
    """Who made an environment."""

    id: ObjectId
    username: str
    ownerType: Literal["individual", "organization"]


class Environment(Answer):
    """A compute environment."""

    id: ObjectId
    name: str
    archived: bool
    visibility: Literal["private", "organization", "global"]
    rebuildOnBaseChanges: Literal["never", "followActive"]
    supportedClusters: list[ClusterType]
    latestRevision: Revision
    selectedRevision: Revision
    restrictedRevision: NotRequired[Revision]
    owner: NotRequired[EnvironmentOwner]


class EnvironmentEnvelope(Answer):
    """A compute environment in its envelope."""

    environment: Environment
    metadata: Metadata
