"""The smaller look-ups of version 4 of the API: tiers by themselves, branches and folders, progress of a job."""

import math
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from airflow_domino.local import answers_v4_lookups as answers
from airflow_domino.local import shapes_v4, statuses
from airflow_domino.local.answers import ObjectId
from airflow_domino.local.answers_v4 import Tier as TierAnswer
from airflow_domino.local.answers_v4 import TierWithCapacity
from airflow_domino.local.answers_v4_jobs import TagName
from airflow_domino.local.errors import NotFound
from airflow_domino.local.memberships import Permission
from airflow_domino.local.parameters import Count, listed_files
from airflow_domino.local.platform import Platform
from airflow_domino.local.projects import Project
from airflow_domino.local.routing import Routes
from airflow_domino.local.runs import Run

# The progress of a run in Domino's words, each with the status from which on it is done.
_CHECKPOINTS = (
    ("Acknowledged", statuses.QUEUED),
    ("QuotaChecked", statuses.SCHEDULED),
    ("ResourcesCreated", statuses.PENDING),
    ("NodeAssigned", statuses.PENDING),
    ("VolumesMounted", statuses.PREPARING),
    ("ImagesPulled", statuses.PREPARING),
    ("FilesPrepared", statuses.RUNNING),
    ("UserCodeLaunched", statuses.RUNNING),
    ("ExecutionAvailable", statuses.RUNNING),
)
_LAST_CHECKPOINTS = ("UserFilesSaved", "VolumesReleased", "ResourcesDeleted")
_ORDER = (
    statuses.QUEUED,
    statuses.SCHEDULED,
    statuses.PENDING,
    statuses.PREPARING,
    statuses.BUILDING,
    statuses.PULLING,
    statuses.RUNNING,
)
_MAIN = "main"


class Sought(BaseModel):
    """Body of ``POST /v4/files/search/{projectId}``."""

    value: str


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: what they are about.
    """
    routes = Routes(prefix="/v4")
    _add_tiers(routes, platform)
    _add_files(routes, platform)
    _add_jobs(routes, platform)
    return routes


def _add_tiers(routes: APIRouter, platform: Platform) -> None:
    def found(tier_id: str) -> dict[str, Any]:
        tier = next((tier for tier in platform.tiers if tier.id == tier_id), None)
        if tier is None:
            raise NotFound(f"There is no hardware tier {tier_id}")
        return shapes_v4.hardware_tier(tier, platform.capacities()[tier.id])

    @routes.get("/hardwareTier", response_model=answers.Tiers)
    def get_all_hardware_tiers(show_archived: bool = False) -> dict[str, Any]:
        """List all hardware tiers."""
        listed = [found(tier.id) for tier in platform.tiers if show_archived or not tier.is_archived]
        return {"hardwareTiers": [shape["hardwareTier"] for shape in listed], "isDataAnalystEnabled": False}

    @routes.get("/hardwareTier/{hardware_tier_id}", response_model=TierAnswer)
    def get_hardware_tier(hardware_tier_id: str) -> Any:
        """Give a hardware tier."""
        return found(hardware_tier_id)["hardwareTier"]

    @routes.get("/hardwareTier/withCapacity/{hardware_tier_id}", response_model=TierWithCapacity)
    def get_hardware_tier_with_capacity(hardware_tier_id: str) -> dict[str, Any]:
        """Give a hardware tier, and how full it is."""
        return found(hardware_tier_id)


def _add_files(routes: APIRouter, platform: Platform) -> None:
    def readable(project_id: str) -> Project:
        return platform.project(project_id, Permission.READ_FILES)

    @routes.get("/files/{project_id}/branches", response_model=list[answers.Branch])
    def list_branches_for_project(project_id: ObjectId, query: str = "") -> list[dict[str, Any]]:
        """List the branches of a project's files: its main line."""
        head = platform.repository(readable(project_id).id).head()
        return [{"branchName": _MAIN, "commitId": head}] if query.lower() in _MAIN else []

    @routes.get("/files/{project_id}/commits", response_model=list[answers.BranchCommit])
    def get_commits_for_project(project_id: ObjectId, branchName: str) -> list[dict[str, Any]]:  # noqa: N803
        """List the commits of a branch, newest first."""
        project = readable(project_id)
        if branchName != _MAIN:
            raise NotFound(f"Project {project.full_name} has no branch {branchName}")
        return [
            {
                "commitId": commit.id,
                "commitShortMessage": commit.message,
                "commitFullMessage": commit.message,
                "commitTime": commit.time,
                "committedBy": commit.author,
                "isLatestCommit": position == 0,
            }
            for position, commit in enumerate(platform.repository(project.id).commits())
        ]

    @routes.get("/files/browseDirectories", response_model=list[answers.Directory])
    def list_directories_at_path(
        ownerUsername: str,  # noqa: N803 - the parameter's name in the API
        projectName: str,  # noqa: N803
        filePath: str,  # noqa: N803
        commitId: str = "head",  # noqa: N803
    ) -> list[dict[str, Any]]:
        """List the folders in a folder of a commit."""
        project = platform.project_named(ownerUsername, projectName, Permission.READ_FILES)
        files = listed_files(platform, project.id, platform.commit_id(project, commitId), filePath)
        base = "" if filePath.strip("/") in ("", ".") else f"{filePath.strip('/')}/"
        sizes: dict[str, int] = {}
        for file in files:
            name, has_more, _ = file.path.removeprefix(base).partition("/")
            if has_more:
                sizes[name] = sizes.get(name, 0) + file.size
        return [{"path": f"{base}{name}", "name": name, "sizeInBytes": size} for name, size in sorted(sizes.items())]

    @routes.post("/files/search/{project_id}", response_model=answers.FoundFiles)
    def file_search(project_id: ObjectId, body: Sought, maxResults: Count = 100) -> dict[str, Any]:  # noqa: N803
        """Find the files of the latest commit whose path has a text in it."""
        project = readable(project_id)
        repository = platform.repository(project.id)
        head = repository.head()
        found = [file.path for file in repository.files(head) if body.value.lower() in file.path.lower()]
        return {"projectId": project.id, "commitId": head, "files": found[:maxResults]}


def _add_jobs(routes: APIRouter, platform: Platform) -> None:
    @routes.get("/jobs/projects/{project_id}/tags", response_model=list[TagName])
    def get_tags_in_project(project_id: ObjectId) -> list[dict[str, Any]]:
        """List the tags that jobs of a project have."""
        project = platform.project(project_id, Permission.VIEW_RUNS)
        runs = platform.runs.listed(project.id, show_archived=True).runs
        found = {tag["tagId"]: tag["name"] for run in runs for tag in run.tags}
        return [{"tagId": tag_id, "name": name} for tag_id, name in sorted(found.items(), key=lambda pair: pair[1])]

    @routes.get("/jobs/timeline/project/{project_id}", response_model=answers.Timeline)
    def get_jobs_timeline(project_id: ObjectId, tag: str | None = None) -> dict[str, Any]:
        """List the jobs of a project that have begun, oldest first, with what they measured."""
        project = platform.project(project_id, Permission.VIEW_RUNS)
        runs = platform.runs.listed(project.id, tag=tag, descending=False).runs
        begun = [_timeline_job(run) for run in runs if run.started_at is not None]
        return {
            "jobsTimeline": begun,
            "dominoStatColumns": sorted({stat["name"] for run in runs for stat in run.stats}),
        }

    @routes.get("/jobs/job/{job_id}/artifactsInfo", response_model=answers.ArtifactsInfo)
    def get_artifacts_info(job_id: ObjectId) -> dict[str, Any]:
        """Say from which commit a job began, and which one it left."""
        run = platform.run(job_id)
        end = {"endState": {"commitId": run.output_commit}} if run.output_commit is not None else {}
        return {"startState": {"commitId": run.input_commit}, **end}

    @routes.get("/jobs/{job_id}/executionCheckpointStatuses", response_model=list[answers.Checkpoint])
    def get_execution_checkpoint_report(job_id: ObjectId) -> list[dict[str, Any]]:
        """Say how far a job has come."""
        return _checkpoints(platform.run(job_id))

    @routes.get(
        "/gateway/projects/executingResources/{owner_name}/{project_name}", response_model=list[answers.RunsCount]
    )
    def get_executing_runs_for_project(owner_name: str, project_name: str) -> list[dict[str, Any]]:
        """Count the runs of a project that execute."""
        project = platform.project_named(owner_name, project_name, Permission.VIEW_RUNS)
        count = platform.runs.listed(project.id, group="active", show_archived=True, limit=0).total
        return [{"runType": "Batch", "count": count}]


def _timeline_job(run: Run) -> dict[str, Any]:
    return {
        "jobNumber": run.number,
        "jobId": run.id,
        "jobStartTime": run.started_at,
        "jobTitle": run.title or run.command,
        "jobStatus": run.status,
        "diagnosticStats": [
            {"name": stat["name"], "value": float(stat["value"])} for stat in run.stats if _is_number(stat["value"])
        ],
    }


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _checkpoints(run: Run) -> list[dict[str, Any]]:
    # A run that is past running, or was, has been through everything before.
    is_past = run.started_at is not None or run.status not in _ORDER
    reached = len(_ORDER) if is_past else _ORDER.index(run.status)
    failed = run.status == statuses.ERROR and run.started_at is None
    report = [
        _checkpoint(name, is_done=not failed and reached >= _ORDER.index(since), is_error=failed)
        for name, since in _CHECKPOINTS
    ]
    return report + [_checkpoint(name, is_done=run.is_completed, is_error=False) for name in _LAST_CHECKPOINTS]


def _checkpoint(name: str, *, is_done: bool, is_error: bool) -> dict[str, Any]:
    return {"checkpointName": name, "status": "Completed" if is_done else "Error" if is_error else "Pending"}
