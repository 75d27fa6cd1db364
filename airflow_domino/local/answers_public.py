"""Answers of the public API."""

from __future__ import annotations

from typing import Literal, NotRequired

from airflow_domino.local.answers import Answer, Free, IsoTime, ObjectId

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


class Memory(Answer):
    """A size of memory with its unit."""

    value: float
    units: Literal["MB", "MiB", "GB", "GiB"]


class TierResources(Answer):
    """What a run on a tier may use."""

    cores: float
    memory: Memory
    allowSharedMemoryToExceedDefault: bool


class TierFlags(Answer):
    """What a tier is meant for."""

    isDefault: bool
    isGlobal: bool
    isVisible: bool
    isArchived: bool
    isDataAnalystTier: bool


class Capacity(Answer):
    """How full a tier is."""

    executingRuns: int
    queuedRuns: int
    numberOfExecutors: int
    maxNumberOfExecutors: int
    maxConcurrentRuns: int
    availableCapacityWithoutLaunching: int
    maxAvailableCapacity: int
    capacityLevel: Literal["CanExecuteWithCurrentInstances", "RequiresLaunchingInstance", "Full", "Unknown"]


class Gpus(Answer):
    """The graphics processors of a tier."""

    numberOfGpus: int
    gpuKey: str


class Tier(Answer):
    """A hardware tier."""

    id: str
    name: str
    centsPerMinute: float
    resources: TierResources
    flags: TierFlags
    capacity: Capacity
    gpuConfiguration: NotRequired[Gpus]
    maxSimultaneousExecutions: int
    podCustomization: Free
    metadata: Free
    creationTime: IsoTime
    updateTime: IsoTime
    dataPlaneId: ObjectId


class TierEnvelope(Answer):
    """A hardware tier in its envelope."""

    hardwareTier: Tier
    metadata: Metadata


class Tiers(Answer):
    """Some hardware tiers."""

    hardwareTiers: list[Tier]
    metadata: PageMetadata


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


class Environments(Answer):
    """Some compute environments."""

    environments: list[Environment]
    metadata: PageMetadata


class User(Answer):
    """A person."""

    id: ObjectId
    userName: str
    fullName: str
    firstName: str
    lastName: str
    avatarUrl: str
    email: NotRequired[str]
    roles: list[str]


class UserEnvelope(Answer):
    """A person in an envelope."""

    user: User
    metadata: Metadata


class Users(Answer):
    """Some people."""

    users: list[User]
    metadata: PageMetadata
