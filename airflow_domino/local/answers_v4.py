"""Answers about projects, tiers, environments, people and files in version 4 of the API."""

from __future__ import annotations

from typing import Literal, NotRequired

from airflow_domino.local.answers import Answer, CommitId, Free, IsoTime, Milliseconds, ObjectId
from airflow_domino.local.answers_v4_jobs import ClusterType, Storage

Visibility = Literal["Public", "Private", "Searchable"]
EnvironmentVisibility = Literal["Private", "Organization", "Global"]


class Owner(Answer):
    """Who owns a project."""

    id: ObjectId
    userName: str


class RunsCount(Answer):
    """How many runs of a sort a project has."""

    runType: str
    count: int


class ProjectDetails(Answer):
    """When a project was changed, and of what sort it is."""

    updatedAt: IsoTime
    isRestricted: bool
    projectType: NotRequired[str]


class ProjectStatus(Answer):
    """Whether a project is worked on."""

    status: str
    isBlocked: bool


class MainRepository(Answer):
    """The git repository of a git-based project's code."""

    id: str
    uri: str
    serviceProvider: str
    name: NotRequired[str]
    ref: NotRequired[Free]


class ProjectTag(Answer):
    """A tag of a project."""

    id: str
    name: str
    isApproved: NotRequired[bool]


class GatewayProject(Answer):
    """A project that was looked up by owner and name."""

    id: ObjectId
    name: str
    description: str
    owner: Owner
    visibility: Visibility
    hardwareTierId: str
    hardwareTierName: str
    environmentName: str
    requestingUserRole: str
    totalRunTime: str
    tags: list[ProjectTag]
    numComments: int
    runsCountByType: list[RunsCount]
    allowedOperations: list[str]
    details: ProjectDetails
    mainRepository: NotRequired[MainRepository]
    stageId: ObjectId
    status: ProjectStatus


class RunCounts(Answer):
    """How many runs of a sort execute or have ended."""

    runType: str
    executingCount: int
    stoppedCount: int


class ListedProject(Answer):
    """A project in the gateway's list."""

    id: ObjectId
    name: str
    ownerId: ObjectId
    ownerName: str
    description: str
    visibility: Visibility
    tags: list[ProjectTag]
    runCounts: list[RunCounts]
    relationship: str
    projectType: str
    stageId: ObjectId
    status: ProjectStatus
    details: ProjectDetails


class TierResources(Answer):
    """What a run on a tier may use."""

    cores: float
    memory: Storage
    allowSharedMemoryToExceedDefault: bool


class TierFlags(Answer):
    """What a tier is meant for."""

    isDefault: bool
    isVisible: bool
    isGlobal: bool
    isArchived: bool
    isFree: bool
    isDataAnalystTier: bool
    isAllowedDuringTrial: bool


class PodCustomization(Answer):
    """What a tier adds to its machines."""

    additionalRequests: Free
    additionalLimits: Free
    additionalAnnotations: Free
    additionalLabels: Free
    hugepages: Free
    capabilities: list[str]


class Gpus(Answer):
    """The graphics processors of a tier."""

    numberOfGpus: int
    gpuKey: str


class Tier(Answer):
    """A hardware tier."""

    id: str
    name: str
    hwtResources: TierResources
    hwtFlags: TierFlags
    clusterType: Literal["Kubernetes", "ClassicAWS", "ClassicOnPremises"]
    gpuConfiguration: NotRequired[Gpus]
    centsPerMinute: float
    maxSimultaneousExecutions: int
    podCustomization: PodCustomization
    creationTime: IsoTime
    updateTime: IsoTime
    dataPlaneId: ObjectId
    metadata: Free


class Capacity(Answer):
    """How full a tier is."""

    currentNumberOfExecutors: int
    maximumNumberOfExecutors: int
    numberOfCurrentlyExecutingRuns: int
    numberOfQueuedRuns: int
    maximumConcurrentRuns: int
    availableCapacityWithoutLaunching: int
    maximumAvailableCapacity: int
    capacityLevel: Literal["CAN_EXECUTE_WITH_CURRENT_INSTANCES", "REQUIRES_LAUNCHING_INSTANCE", "FULL", "UNKNOWN"]


class DataPlaneStatus(Answer):
    """How a data plane is."""

    state: str
    message: str
    agentVersion: str
    catalogVersion: str
    requiresUpgrade: bool
    supportsUpgrade: bool


class DataPlane(Answer):
    """Where the machines of a tier are."""

    id: ObjectId
    name: str
    namespace: str
    isLocal: bool
    configuration: Free
    status: DataPlaneStatus
    isHealthy: bool
    isArchived: bool
    isFileSyncDisabled: bool
    isLocked: bool


class TierWithCapacity(Answer):
    """A hardware tier, and how full it is."""

    hardwareTier: Tier
    capacity: Capacity
    dataPlane: DataPlane


class SelectedRevision(Answer):
    """The revision of an environment that a project uses."""

    latestRevision: int
    latestRevisionUrl: str
    latestRevisionStatus: str
    selectedRevision: int
    selectedRevisionId: ObjectId
    restrictedRevisionNumber: NotRequired[int]
    restrictedRevisionId: NotRequired[ObjectId]


class SelectedEnvironment(Answer):
    """The environment that runs of a project get."""

    id: ObjectId
    name: str
    v2EnvironmentDetails: SelectedRevision
    supportedClusters: list[ClusterType]


class EnvironmentOwner(Answer):
    """Who made an environment."""

    id: ObjectId
    username: str


class UseableEnvironment(Answer):
    """An environment that runs of a project may name."""

    id: ObjectId
    archived: bool
    name: str
    version: int
    visibility: EnvironmentVisibility
    supportedClusters: list[ClusterType]
    owner: NotRequired[EnvironmentOwner]
    activeRevisionNumber: int
    activeRevisionId: ObjectId
    restrictedRevisionNumber: NotRequired[int]
    restrictedRevisionId: NotRequired[ObjectId]


class UseableEnvironments(Answer):
    """The environments of a project."""

    currentlySelectedEnvironment: SelectedEnvironment
    environments: list[UseableEnvironment]


class Commit(Answer):
    """A commit of a project's files."""

    id: CommitId
    name: str
    commitTime: Milliseconds


class BrowsedFile(Answer):
    """A file as the pages show it."""

    path: str
    name: str
    size: int
    sizeLabel: str
    lastModified: Milliseconds
    key: str
    goalIds: list[ObjectId]
    quotedFilePath: str
    isFileLaunchableAsNotebook: bool
    isFileRunnableFromView: bool
    isFileRunnableAsApp: bool


class Directory(Answer):
    """A folder, and how large all that is in it is."""

    path: str
    name: str
    sizeInBytes: int
