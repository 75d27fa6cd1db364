"""Jobs in version 4 of the API: the only generation that can stop and restart them and give their log in pieces."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from airflow_domino.local import answers_v4_jobs as answers
from airflow_domino.local import bodies, shapes_v4, statuses
from airflow_domino.local.answers import Nanoseconds, ObjectId
from airflow_domino.local.bodies import plain
from airflow_domino.local.job_log import LARGEST_PAGE, LOG_TYPES, read_page
from airflow_domino.local.memberships import Permission
from airflow_domino.local.parameters import Count
from airflow_domino.local.platform import Platform
from airflow_domino.local.routing import Routes
from airflow_domino.local.runs import Run
from airflow_domino.local.starting import StartRequest, split_command

SortField = Literal[
    "number",
    "numberAsDouble",
    "duration",
    "dominoStatsField",
    "queued",
    "command",
    "commentCount",
    "status",
    "title",
    "user",
]
Group = Literal["all", "queued", "running", "completed", "archived", "active"]
LogType = Literal["console", "stdout", "stderr", "stdoutstderr", "prepareoutput"]


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: what they are about.
    """
    routes = Routes(prefix="/v4/jobs")
    _add_verbs(routes, platform)
    _add_marks(routes, platform)
    _add_reading(routes, platform)
    _add_results(routes, platform)
    return routes


def _add_verbs(routes: APIRouter, platform: Platform) -> None:
    def answer(run: Run) -> dict[str, Any]:
        return shapes_v4.job(platform, run)

    @routes.post("/start", response_model=answers.Job)
    def start_job(body: bodies.StartJob) -> dict[str, Any]:
        """Start a job."""
        project = platform.project(body.project_id)
        request = StartRequest(
            command=body.command_to_run,
            arguments=split_command(body.command_to_run),
            title=body.title,
            tier_id=body.override_hardware_tier_id,
            environment_id=body.environment_id,
            environment_revision_spec=plain(body.environment_revision_spec),
            commit_id=body.commit_id,
            git_ref=plain(body.main_repo_git_ref),
            compute_cluster=plain(body.compute_cluster_properties),
            external_volumes=body.external_volume_mounts or (),
            capacity_type=body.capacity_type,
        )
        return answer(platform.start(project, request))

    @routes.post("/stop", response_model=answers.Job)
    def stop_job(body: bodies.StopJob) -> dict[str, Any]:
        """Wish a job stopped; it is when its status says so."""
        return answer(platform.stop(platform.run(body.job_id), keep_results=body.commit_results))

    @routes.post("/restart", response_model=answers.Job)
    def restart_job(body: bodies.RestartJob) -> dict[str, Any]:
        """Start a job again as a new one."""
        run = platform.run(body.job_id)
        return answer(platform.restart(run, same_commit=body.should_use_original_input_commit))


def _add_marks(routes: APIRouter, platform: Platform) -> None:
    def answer(run: Run) -> dict[str, Any]:
        return shapes_v4.job(platform, run)

    @routes.post("/archive", response_model=answers.Job)
    def archive_job(body: bodies.OneJob) -> dict[str, Any]:
        """Put a job out of sight."""
        run = platform.run(body.job_id, Permission.RUN)
        platform.runs.change(run.id, lambda run: replace(run, is_archived=True))
        platform.ledger.enter("archive", run, {})
        return answer(platform.run(run.id))


def _add_reading(routes: APIRouter, platform: Platform) -> None:
    # What is asked for most is answered without the way through another thread, which would take as long as the rest.
    @routes.get("", response_model=answers.JobList)
    def get_jobs(
        projectId: ObjectId,  # noqa: N803 - the parameter's name in the API
        order_by: SortField = "number",
        sort_by: Literal["asc", "desc"] = "desc",
        page_size: Count = 3,
        page_no: Annotated[int, Query(ge=1, le=2**31 - 1)] = 1,
        show_archived: bool = False,
        status: Group = "all",
        tag: str | None = None,
        query: str | None = None,
        dominoStatsSortFieldName: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        """List jobs of a project: by ``order_by`` in the direction of ``sort_by``, in pages of three."""
        project = platform.project(projectId, Permission.VIEW_RUNS)
        offset = (page_no - 1) * page_size
        page = platform.runs.listed(
            project.id,
            group=status,
            sort_field=order_by,
            descending=sort_by == "desc",
            show_archived=show_archived,
            is_tagged=tag is not None,
            text=query,
            stat=dominoStatsSortFieldName,
            offset=offset,
            limit=page_size,
        )
        is_waiting = any(run.status == statuses.QUEUED for run in page.runs)
        places = platform.runs.places_in_queue() if is_waiting else {}
        names = sorted({stat["name"] for run in page.runs for stat in run.stats})
        return {
            "jobs": [shapes_v4.job(platform, run, places) for run in page.runs],
            "totalCount": page.total,
            "pagination": {
                "offset": offset,
                "limit": page_size,
                "sortBy": sort_by,
                "orderBy": order_by,
                **shapes_v4.present(dominoStatsSortFieldName=dominoStatsSortFieldName),
            },
            "dominoStatColumns": names,
        }

    @routes.get("/{job_id}", response_model=answers.Job)
    async def get_job(job_id: ObjectId) -> dict[str, Any]:
        """Give a job."""
        return shapes_v4.job(platform, platform.run(job_id))


def _add_results(routes: APIRouter, platform: Platform) -> None:
    @routes.get("/{job_id}/logsWithProblemSuggestions", response_model=answers.Log)
    def get_logs_with_problem_suggestions(
        job_id: ObjectId,
        logType: LogType = "console",  # noqa: N803
        limit: Count = LARGEST_PAGE,
        offset: Count = 0,
        latestTimeNano: Nanoseconds = "0",  # noqa: N803
    ) -> dict[str, Any]:
        """Give the lines of a job's log that are younger than a cursor."""
        run = platform.run(job_id)
        page = read_page(platform, run, LOG_TYPES[logType], cursor=latestTimeNano, limit=limit, offset=offset)
        content = [
            {
                "timestamp": line.time_ns // 1_000_000,
                "logType": line.stream,
                "log": line.text,
                "size": len(line.content),
            }
            for line in page.lines
        ]
        pagination = {"limit": min(limit, LARGEST_PAGE), "offset": offset, "latestTimeNano": page.cursor}
        logset = {"logContent": content, "isComplete": page.is_complete, "pagination": pagination}
        problem = run.failure_message
        suggestion = {"problemSuggestion": {"problem": problem, "helpLink": ""}} if problem else {}
        return {"logset": logset, **suggestion}

    @routes.get("/{job_id}/runtimeExecutionDetails", response_model=answers.RuntimeDetails)
    def get_runtime_execution_details(job_id: ObjectId) -> dict[str, Any]:
        """Say on which tier and in which environment a job executes."""
        run = platform.run(job_id)
        return shapes_v4.runtime_details(platform, run)
