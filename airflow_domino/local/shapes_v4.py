"""Answers of version 4 of the API, in the shapes of Domino's own document of it (4.0.0, of Domino 6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from airflow_domino.local import statuses
from airflow_domino.local.environments import Environment
from airflow_domino.local.ids import named_object_id, user_id
from airflow_domino.local.platform import Capacity, Platform
from airflow_domino.local.projects import Project
from airflow_domino.local.repository import FileInfo
from airflow_domino.local.runs import Run
from airflow_domino.local.tiers import Tier

_HELP = "Wait for a place, stop other runs, or start the run on another hardware tier."
_EPOCH = "1970-01-01T00:00:00.000Z"


def job(platform: Platform, run: Run, places: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Shape a run as ``Job``, the answer of start, stop, restart, archive and get.

    :param places: see :meth:`~airflow_domino.local.platform.Platform.queue_explanation`.
    """
    shape: dict[str, Any] = {
        "id": run.id,
        "number": run.number,
        "projectId": run.project_id,
        "jobRunCommand": run.command,
        "statuses": {
            "isCompleted": run.is_completed,
            "isArchived": run.is_archived,
            "isScheduled": False,
            "executionStatus": run.status,
        },
        "stageTime": present(
            submissionTime=run.submitted_at, runStartTime=run.started_at, completedTime=run.completed_at
        ),
        "startedBy": {"id": user_id(run.started_by), "username": run.started_by},
        "commitDetails": present(inputCommitId=run.input_commit, outputCommitId=run.output_commit),
        "tags": [],
        "dominoStats": run.stats,
        "commentsCount": 0,
        "goalIds": [],
        "dependentRepositories": run.repositories,
        "dependentDatasetMounts": [],
        "dependentProjects": [],
        "dependentExternalVolumeMounts": [],
        "dependentNetAppVolumeMounts": [],
        "suggestDatasets": False,
        "snapshotDatasetsOnCompletion": False,
        "snapshotNetAppVolumesOnCompletion": False,
    }
    if run.status == statuses.QUEUED:
        shape["queuedJobHistoryDetails"] = {
            "expectedWait": "unknown",
            "explanation": platform.queue_explanation(run, places),
            "helpText": _HELP,
        }
    if run.failure_reason is not None:
        shape["abnormalStatus"] = {
            "runFailureReason": run.failure_reason,
            "runFailureMessage": run.failure_message or "",
        }
    return shape | present(
        title=run.title, usage=run.usage, mainRepoGitRef=run.git_ref, computeCluster=run.compute_cluster
    )


def runtime_details(platform: Platform, run: Run) -> dict[str, Any]:
    """Shape where a run executes: the only answer that names its tier and its environment."""
    environment, revision, tier = platform.environment_of(run), platform.revision_of(run), platform.tier_of(run)
    return {
        "environment": {
            "environmentId": environment.id,
            "environmentName": environment.name,
            "environmentRevisionId": revision.id,
            "revisionNumber": revision.number,
            "environmentRevisionSpec": run.environment_revision_spec,
        },
        "hardwareTier": {"id": tier.id, "name": tier.name, "isArchived": tier.is_archived},
    }


def hardware_tier(tier: Tier, capacity: Capacity) -> dict[str, Any]:
    """Shape a tier as the list of a project's tiers does."""
    shape: dict[str, Any] = {
        "id": tier.id,
        "name": tier.name,
        "hwtResources": {
            "cores": tier.cores,
            "memory": {"value": tier.memory_gib, "unit": "GiB"},
            "allowSharedMemoryToExceedDefault": False,
        },
        "hwtFlags": {
            "isDefault": tier.is_default,
            "isVisible": True,
            "isGlobal": True,
            "isArchived": tier.is_archived,
            "isFree": tier.cents_per_minute == 0,
            "isDataAnalystTier": False,
            "isAllowedDuringTrial": True,
        },
        "clusterType": "Kubernetes",
        "centsPerMinute": tier.cents_per_minute,
        "creationTime": _EPOCH,
        "updateTime": _EPOCH,
        "maxSimultaneousExecutions": tier.capacity,
        "podCustomization": {
            "additionalRequests": {},
            "additionalLimits": {},
            "additionalAnnotations": {},
            "additionalLabels": {},
            "hugepages": {},
            "capabilities": [],
        },
        "dataPlaneId": _DATA_PLANE["id"],
        "metadata": {},
    }
    if tier.gpus:
        shape["gpuConfiguration"] = {"numberOfGpus": tier.gpus, "gpuKey": "nvidia.com/gpu"}
    return {"hardwareTier": shape, "capacity": tier_capacity(capacity), "dataPlane": _DATA_PLANE}


def tier_capacity(capacity: Capacity) -> dict[str, Any]:
    """Shape how full a tier is."""
    return {
        "currentNumberOfExecutors": 1,
        "maximumNumberOfExecutors": 1,
        "numberOfCurrentlyExecutingRuns": capacity.executing,
        "numberOfQueuedRuns": capacity.queued,
        "maximumConcurrentRuns": capacity.limit,
        "availableCapacityWithoutLaunching": capacity.free,
        "maximumAvailableCapacity": capacity.free,
        "capacityLevel": "CAN_EXECUTE_WITH_CURRENT_INSTANCES" if capacity.free else "FULL",
    }


def useable_environments(platform: Platform) -> dict[str, Any]:
    """Shape the environments that a project may use, and its own choice."""
    selected = platform.default_environment
    return {
        "currentlySelectedEnvironment": {
            "id": selected.id,
            "name": selected.name,
            "v2EnvironmentDetails": {
                "latestRevision": selected.latest_revision.number,
                "latestRevisionUrl": "",
                "latestRevisionStatus": "Succeeded",
                "selectedRevision": selected.active,
                "selectedRevisionId": selected.active_revision.id,
                **_restricted(selected),
            },
            "supportedClusters": [],
        },
        "environments": [
            {
                "id": environment.id,
                "archived": environment.is_archived,
                "name": environment.name,
                "version": 2,
                "visibility": environment.visibility,
                "supportedClusters": [],
                "activeRevisionNumber": environment.active,
                "activeRevisionId": environment.active_revision.id,
                **_restricted(environment),
                **present(owner=environment_owner(environment)),
            }
            for environment in platform.usable_environments()
        ],
    }


def environment_owner(environment: Environment) -> dict[str, Any] | None:
    """Shape who owns an environment; one of the settings belongs to nobody."""
    return None if environment.owner is None else {"id": user_id(environment.owner), "username": environment.owner}


def _restricted(environment: Environment) -> dict[str, Any]:
    revision = environment.restricted_revision
    if revision is None:
        return {}
    return {"restrictedRevisionNumber": revision.number, "restrictedRevisionId": revision.id}


def browsed_file(project: Project, commit_id: str, file: FileInfo) -> dict[str, Any]:
    """Shape a file as ``browseFiles`` does."""
    name = file.path.rpartition("/")[2]
    return {
        "path": file.path,
        "name": name,
        "size": file.size,
        "sizeLabel": f"{file.size} B",
        "lastModified": file.last_modified,
        "key": file.key,
        "goalIds": [],
        "quotedFilePath": quote(file.path),
        "isFileLaunchableAsNotebook": False,
        "isFileRunnableFromView": name.endswith((".py", ".sh")),
        "isFileRunnableAsApp": False,
    }


def iso_time(milliseconds: int) -> str:
    """Write a time as ISO 8601 does, in UTC with milliseconds."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def present(**values: Any) -> dict[str, Any]:
    """Leave out the fields that have no value, as Domino's optional fields are left out and not null."""
    return {name: value for name, value in values.items() if value is not None}


_DATA_PLANE: dict[str, Any] = {
    "id": named_object_id("data plane", "local"),
    "name": "Local",
    "namespace": "local",
    "isLocal": True,
    "configuration": {},
    "status": {
        "state": "Healthy",
        "message": "",
        "agentVersion": "",
        "catalogVersion": "",
        "requiresUpgrade": False,
        "supportsUpgrade": False,
    },
    "isHealthy": True,
    "isArchived": False,
    "isFileSyncDisabled": False,
    "isLocked": False,
}
