"""Answers of the public API, in the shapes of Domino's own document of it (6.3.0)."""

from __future__ import annotations

from typing import Any

from airflow_domino.local import shapes_v4, statuses
from airflow_domino.local.environments import Environment, Revision
from airflow_domino.local.ids import user_id
from airflow_domino.local.platform import Platform
from airflow_domino.local.runs import Run
from airflow_domino.local.shapes_v4 import iso_time, present

_MEGABYTES = {"MB": 1, "MiB": 2**20 / 10**6, "GB": 1000, "GiB": 2**30 / 10**6}
_CLUSTER_WORDS = {"spark": "Spark", "ray": "Ray", "dask": "Dask", "mpi": "MPI"}


def job(run: Run) -> dict[str, Any]:
    """Shape a run as ``JobV1``, an entry of the list."""
    times = {
        "submissionTime": run.submitted_at,
        "startTime": run.started_at,
        "completedTime": run.completed_at,
    }
    shape: dict[str, Any] = {
        "id": run.id,
        "number": run.number,
        "runCommand": run.command,
        "status": {
            "executionStatus": run.status,
            "isCompleted": run.is_completed,
            "isArchived": run.is_archived,
            "isScheduled": False,
        },
        "stageTimes": {name: iso_time(time) for name, time in times.items() if time is not None},
        "startedById": user_id(run.started_by),
        "commitDetails": present(inputCommitId=run.input_commit, outputCommitId=run.output_commit),
        "dominoStats": run.stats,
        "datasetMounts": [],
        "externalVolumeMounts": [],
        "gitRepos": [mounted_repository(entry) for entry in run.repositories],
        "netAppVolumeMounts": [],
        "projects": [],
    }
    if run.git_ref is not None:
        shape["mainRepoGitRef"] = present(refType=run.git_ref.get("type"), value=run.git_ref.get("value"))
    usage = run.usage and {"cpuPercentage": run.usage["cpu"], "memoryGiB": run.usage["memory"]}
    return shape | present(title=run.title, usage=usage, computeCluster=_cluster(run.compute_cluster))


def mounted_repository(entry: dict[str, Any]) -> dict[str, Any]:
    """Shape a git repository of a run as ``MountedGitRepoV1``: what version 4 calls finished is ending here."""
    return {name.replace("finished", "ending"): value for name, value in entry.items()}


def job_details(platform: Platform, run: Run) -> dict[str, Any]:
    """Shape a run as ``JobDetailsV1``, the answer of start and get."""
    shape = job(run) | {"commentsCount": 0, "goalIds": [], "tags": []}
    if run.status == statuses.QUEUED:
        shape["queuedJobStatusDetails"] = {
            "expectedWait": "unknown",
            "explanation": platform.queue_explanation(run),
            "helpText": "",
        }
    return shape


def environment(environment: Environment) -> dict[str, Any]:
    """Shape an environment as ``EnvironmentV1``."""
    owner, restricted = shapes_v4.environment_owner(environment), environment.restricted_revision
    return {
        "id": environment.id,
        "name": environment.name,
        "archived": environment.is_archived,
        "visibility": environment.visibility.lower(),
        "rebuildOnBaseChanges": "never",
        "supportedClusters": [],
        "latestRevision": environment_revision(environment.latest_revision),
        "selectedRevision": environment_revision(environment.active_revision),
        **present(
            restrictedRevision=restricted and environment_revision(restricted),
            owner=owner and {**owner, "ownerType": "individual"},
        ),
    }


def environment_revision(revision: Revision) -> dict[str, Any]:
    """Shape a revision as ``EnvironmentRevisionV1``."""
    return {"id": revision.id, "number": revision.number, "status": "succeeded", "availableTools": []}


def cluster_to_v4(cluster: dict[str, Any] | None) -> dict[str, Any] | None:
    """Turn the public API's wording of a compute cluster into version 4's, in which runs keep it."""
    if cluster is None:
        return None
    kept = {name: cluster[name] for name in ("computeEnvironmentId", "workerCount")}
    master, storage = cluster.get("masterHardwareTierId"), cluster.get("workerStorageMB")
    return {
        **kept,
        "clusterType": _CLUSTER_WORDS[cluster["clusterType"]],
        "workerHardwareTierId": {"value": cluster["workerHardwareTier"]},
        **present(
            masterHardwareTierId=None if master is None else {"value": master},
            maxWorkerCount=cluster.get("maxWorkerCount"),
            workerStorage=None if storage is None else {"value": storage, "unit": "MB"},
        ),
    }


def _cluster(cluster: dict[str, Any] | None) -> dict[str, Any] | None:
    if cluster is None:
        return None
    shape = {
        "clusterType": cluster["clusterType"].lower(),
        "computeEnvironmentId": cluster["computeEnvironmentId"],
        "workerCount": cluster["workerCount"],
        "workerHardwareTier": cluster["workerHardwareTierId"]["value"],
    }
    master, storage = cluster.get("masterHardwareTierId"), cluster.get("workerStorage")
    return shape | present(
        masterHardwareTierId=master and master["value"],
        maxWorkerCount=cluster.get("maxWorkerCount"),
        workerStorageMB=storage and storage["value"] * _MEGABYTES[storage["unit"]],
    )
