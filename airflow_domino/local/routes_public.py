"""The public API (``/api/...``): envelopes, ISO times, and names of fields of its own."""

import re
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator, Field

from airflow_domino.local import answers_public as answers
from airflow_domino.local import answers_public_jobs as job_answers
from airflow_domino.local import shapes_public
from airflow_domino.local.answers import Nanoseconds, ObjectId
from airflow_domino.local.bodies import LARGEST_NUMBER, OBJECT_ID, Body, plain
from airflow_domino.local.job_log import LARGEST_PAGE, LOG_TYPES, read_page
from airflow_domino.local.memberships import Permission
from airflow_domino.local.parameters import BINARY, Count, found_file
from airflow_domino.local.platform import Platform
from airflow_domino.local.routes_v1 import started
from airflow_domino.local.routing import Routes
from airflow_domino.local.shapes_v4 import iso_time, present
from airflow_domino.local.starting import StartRequest, split_command

SortField = Literal[
    "number", "title", "command", "startedTime", "duration", "status", "user", "commentCount", "dominoStatsField"
]
Group = Literal["all", "queued", "running", "completed", "archived", "active"]
# Its case does not matter, and is not described.
LogType = Annotated[
    Literal["stdOut", "stdErr", "prepareOutput", "complete"],
    BeforeValidator(lambda word: _LOG_WORDS.get(word.lower(), word.lower())),
]
_LOG_WORDS = {"stdout": "stdOut", "stderr": "stdErr", "prepareoutput": "prepareOutput"}
_ONE_REVISION = re.compile(r"SomeRevision\(([0-9a-f]{24})\)")


_Route = Callable[[str, str, str], Response]


class GitRef(Body):
    """``{refType, value}``: which code of a git-based project."""

    ref_type: str
    value: str | None = None


class Cluster(Body):
    """A compute cluster beside the job, in the words of the public API."""

    cluster_type: Literal["spark", "ray", "dask", "mpi"]
    compute_environment_id: str = Field(pattern=OBJECT_ID)
    compute_environment_revision_spec: str | None = None
    master_hardware_tier_id: str | None = None
    worker_count: int = Field(ge=1, le=LARGEST_NUMBER)
    max_worker_count: int | None = Field(None, ge=1, le=LARGEST_NUMBER)
    worker_hardware_tier: str
    worker_storage_mb: float | None = Field(None, alias="workerStorageMB", gt=0)


class NewJob(Body):
    """Body of ``POST /api/jobs/v1/jobs``."""

    project_id: str
    run_command: str
    title: str | None = None
    commit_id: str | None = None
    main_repo_git_ref: GitRef | None = None
    hardware_tier: str | None = None
    environment_id: str | None = None
    environment_revision_spec: str | None = None
    compute_cluster: Cluster | None = None
    external_volume_mount_ids: list[str] | None = None
    capacity_type: str | None = None


def router(platform: Platform) -> APIRouter:
    """Make the routes of the public API.

    :param platform: what they are about.
    """
    routes = Routes(prefix="/api")
    _add_jobs(routes, platform)
    _add_projects(routes, platform)
    _add_others(routes, platform)
    return routes


def _add_jobs(routes: APIRouter, platform: Platform) -> None:
    @routes.post("/jobs/v1/jobs", response_model=job_answers.JobEnvelope)
    def start_job(body: NewJob) -> dict[str, Any]:
        """Start a job."""
        git_ref = body.main_repo_git_ref
        request = StartRequest(
            command=body.run_command,
            arguments=split_command(body.run_command),
            title=body.title,
            tier_id=body.hardware_tier,
            environment_id=body.environment_id,
            environment_revision_spec=_revision_spec(body.environment_revision_spec),
            commit_id=body.commit_id,
            git_ref=None if git_ref is None else present(type=git_ref.ref_type, value=git_ref.value),
            compute_cluster=shapes_public.cluster_to_v4(plain(body.compute_cluster)),
            external_volumes=body.external_volume_mount_ids or (),
            capacity_type=body.capacity_type,
        )
        run = platform.start(platform.project(body.project_id), request)
        return {"job": shapes_public.job_details(platform, run), "metadata": metadata()}

    @routes.get("/jobs/beta/jobs", response_model=job_answers.Jobs)
    def get_jobs(
        projectId: ObjectId,  # noqa: N803 - the parameter's name in the API
        offset: Count = 0,
        limit: Count = 10,
        sortBy: SortField = "number",  # noqa: N803
        dominoStatsSortFieldName: str | None = None,  # noqa: N803
        ascending: bool = False,
        showArchived: bool = False,  # noqa: N803
        statusFilter: Group = "all",  # noqa: N803
        tagFilter: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        """List jobs of a project, in pages of ten."""
        page = platform.runs.listed(
            platform.project(projectId, Permission.VIEW_RUNS).id,
            group=statusFilter,
            sort_field=sortBy,
            descending=not ascending,
            show_archived=showArchived,
            is_tagged=tagFilter is not None,
            stat=dominoStatsSortFieldName,
            offset=offset,
            limit=limit,
        )
        jobs = [shapes_public.job(run) for run in page.runs]
        return {"jobs": jobs, "metadata": page_metadata(offset, limit, page.total)}

    @routes.get("/jobs/beta/jobs/{job_id}", response_model=job_answers.JobEnvelope)
    async def get_job_details(job_id: ObjectId) -> dict[str, Any]:
        """Give a job."""
        return {"job": shapes_public.job_details(platform, platform.run(job_id)), "metadata": metadata()}

    @routes.get("/jobs/beta/jobs/{job_id}/logs", response_model=job_answers.Log)
    def get_job_logs(
        job_id: ObjectId,
        logType: LogType = "complete",  # noqa: N803
        limit: Count = LARGEST_PAGE,
        latestTimeNano: Nanoseconds = "0",  # noqa: N803
    ) -> dict[str, Any]:
        """Give the lines of a job's log that are younger than a cursor."""
        run = platform.run(job_id)
        page = read_page(platform, run, LOG_TYPES[logType.lower()], cursor=latestTimeNano, limit=limit)
        content = [
            {
                "log": line.text,
                "logType": _LOG_WORDS[line.stream],
                "size": len(line.content),
                "timestamp": iso_time(line.time_ns // 1_000_000),
            }
            for line in page.lines
        ]
        problem = {"problem": run.failure_message} if run.failure_message else {}
        logs = {"logContent": content, "isComplete": page.is_complete, **problem}
        pagination = {"limit": min(limit, LARGEST_PAGE), "latestTimeNano": page.cursor}
        return {"logs": logs, "metadata": metadata(pagination=pagination)}


def _add_projects(routes: APIRouter, platform: Platform) -> None:

    @_content_route(routes, "v1")
    def get_project_file_contents(project_id: ObjectId, commit_id: str, path: str) -> Response:
        """Give the content of a file of a commit."""
        return content(project_id, commit_id, path)

    @_content_route(routes, "beta")
    def get_project_file_contents_deprecated(project_id: ObjectId, commit_id: str, path: str) -> Response:
        """Give the content of a file of a commit; better ask version 1."""
        return content(project_id, commit_id, path)

    def content(project_id: str, commit_id: str, path: str) -> Response:
        found = platform.project(project_id)
        commit = platform.commit_id(found, commit_id)
        file = found_file(platform, found.id, commit, path)
        headers = {"Content-Length": str(file.size)}
        pieces = started(platform.repository(found.id).content(file.key))
        return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


def _content_route(routes: APIRouter, version: str) -> Callable[[_Route], _Route]:
    path = f"/projects/{version}/projects/{{project_id}}/files/{{commit_id}}/{{path:file}}/content"
    return routes.get(path, response_class=StreamingResponse, responses=BINARY, deprecated=version == "beta")


def _add_others(routes: APIRouter, platform: Platform) -> None:

    @routes.get("/environments/v1/environments/{environment_id}", response_model=answers.EnvironmentEnvelope)
    def get_environment(environment_id: ObjectId) -> dict[str, Any]:
        """Give an environment."""
        found = platform.seen_environment(environment_id)
        return {"environment": shapes_public.environment(found), "metadata": metadata()}


def metadata(**values: Any) -> dict[str, Any]:
    """Make the part of an answer that all answers have."""
    return {"requestId": str(uuid.uuid4()), "notices": [], **values}


def page_metadata(offset: int, limit: int, total: int) -> dict[str, Any]:
    """Make that part of an answer that is one page of a list.

    Domino's document asks for the numbers flat in one place and for an object of them in another; both are given.
    """
    numbers = {"offset": offset, "limit": limit, "totalCount": total}
    return metadata(**numbers, pagination=numbers)


def _revision_spec(text: str | None) -> Any:
    found = _ONE_REVISION.fullmatch(text) if text else None
    return {"revisionId": found[1]} if found else text
