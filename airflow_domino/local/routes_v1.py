"""Version 1 of the API ("runs"), from its API Blueprint: owner and name in the path, files, commits and whole logs."""

import html
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from airflow_domino.local import answers_v1, statuses
from airflow_domino.local.answers import CommitId, ObjectId
from airflow_domino.local.bodies import Body
from airflow_domino.local.errors import BadRequest, NotFound
from airflow_domino.local.ids import user_id
from airflow_domino.local.logs import PREPARE, STDERR, STDOUT, Line
from airflow_domino.local.memberships import Permission
from airflow_domino.local.parameters import BINARY, listed_files, put_file
from airflow_domino.local.platform import Platform
from airflow_domino.local.projects import Project
from airflow_domino.local.repository import FileInfo
from airflow_domino.local.routing import Routes
from airflow_domino.local.runs import Run
from airflow_domino.local.starting import StartRequest, split_command

# python-domino takes exactly this element off again.
_PRE = (
    "<pre style='white-space: pre-wrap; white-space: -moz-pre-wrap; white-space: -pre-wrap; "
    "white-space: -o-pre-wrap; word-wrap: break-word; word-wrap: break-all;'>"
)
# Region and instance of the machine of a run.
_EXECUTOR = "local:i-local"
# The whole log is one JSON text here, so a huge one is cut at its beginning.
_MOST_LINES = 50_000
# A file is sent as it is, whatever its media type.
_RAW_BODY = {
    "requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


class StartRun(Body):
    """Body of ``POST /v1/projects/{owner}/{project}/runs``."""

    command: list[str]
    is_direct: bool | None = False
    commit_id: str | None = None
    title: str | None = None
    tier: str | None = None


def router(platform: Platform) -> APIRouter:
    """Make the routes of version 1.

    :param platform: what they are about.
    """
    routes = Routes(prefix="/v1")

    @routes.get("/environments", response_model=answers_v1.Environments)
    def list_environments() -> dict[str, Any]:
        """List all environments."""
        listed = [
            {"id": known.id, "name": known.name, "visibility": known.visibility}
            for known in platform.usable_environments()
        ]
        return {"objectType": "list", "data": listed}

    _add_runs(routes, platform)
    _add_files(routes, platform)
    return routes


def _add_runs(routes: APIRouter, platform: Platform) -> None:
    base = "/projects/{owner}/{name}"

    @routes.post(f"{base}/runs", response_model=answers_v1.Started)
    def start_run(owner: str, name: str, body: StartRun) -> dict[str, Any]:
        """Start a run."""
        project = platform.project_named(owner, name)
        run = platform.start(project, _start_request(platform, body))
        link = f"{platform.runner.user_host}/{owner}/{name}/runs/{run.id}"
        return {"runId": run.id, "message": f"Your run was started. See {link}"}

    @routes.get(f"{base}/runs", response_model=answers_v1.RunList)
    def list_runs(owner: str, name: str) -> dict[str, Any]:
        """List all runs of a project, in no pages."""
        project = platform.project_named(owner, name, Permission.VIEW_RUNS)
        page = platform.runs.listed(project.id, show_archived=True)
        uri = f"/v1/projects/{owner}/{name}/runs"
        return {"objectType": "list", "uri": uri, "data": [_run_status(run) for run in page.runs]}

    @routes.get(f"{base}/runs/{{run_id}}", response_model=answers_v1.RunStatus)
    async def get_run(owner: str, name: str, run_id: ObjectId) -> dict[str, Any]:
        """Give a run."""
        return _run_status(_run_of(platform, owner, name, run_id))

    @routes.get(f"{base}/run/{{run_id}}/stdout", response_model=answers_v1.WholeLog)
    def get_run_log(
        owner: str,
        name: str,
        run_id: ObjectId,
        previewNumberOfLines: int = _MOST_LINES,  # noqa: N803 - the parameter's name in the API
    ) -> dict[str, str]:
        """Give the whole log of a run as HTML, or the last lines of it."""
        log = platform.log(_run_of(platform, owner, name, run_id))
        most = max(0, min(previewNumberOfLines, _MOST_LINES))
        return {
            "setup": _as_html(log.tail(most, (PREPARE,))),
            "stdout": _as_html(log.tail(most, (STDOUT, STDERR))),
        }


def _add_files(routes: APIRouter, platform: Platform) -> None:
    base = "/projects/{owner}/{name}"

    @routes.get(f"{base}/commits", response_model=list[CommitId])
    def list_commits(owner: str, name: str) -> list[str]:
        """List the ids of a project's commits, newest first."""
        project = platform.project_named(owner, name)
        return [commit.id for commit in platform.repository(project.id).commits()]

    @routes.get(f"{base}/files/{{commit_id}}/{{path:file}}", response_model=answers_v1.Files)
    def list_files(owner: str, name: str, commit_id: str, path: str) -> dict[str, Any]:
        """List the files of a commit below a folder, ``/`` being all."""
        project = platform.project_named(owner, name)
        commit = platform.commit_id(project, commit_id)
        found = listed_files(platform, project.id, commit, path)
        return {"data": [_file(platform, project, file) for file in found]}

    @routes.get(f"{base}/blobs/{{key}}", response_class=StreamingResponse, responses=BINARY)
    def get_blob(owner: str, name: str, key: str) -> Response:
        """Give the content of a file by its key."""
        project = platform.project_named(owner, name)
        try:
            content = platform.repository(project.id).content(key)
            return StreamingResponse(started(content), media_type="application/octet-stream")
        except KeyError as error:
            raise NotFound(f"There is no content with the key {key}") from error

    @routes.put(f"{base}/{{path:file}}", status_code=201, response_model=answers_v1.File, openapi_extra=_RAW_BODY)
    async def upload_file(owner: str, name: str, path: str, request: Request, response: Response) -> dict[str, Any]:
        """Put a file into a project, as a new commit."""
        project = await run_in_threadpool(platform.project_named, owner, name, Permission.EDIT)
        with tempfile.NamedTemporaryFile(dir=platform.root) as copy:
            async for chunk in request.stream():
                await run_in_threadpool(copy.write, chunk)
            await run_in_threadpool(copy.flush)
            file = await run_in_threadpool(put_file, platform, project.id, path, Path(copy.name))
        shape = _file(platform, project, file)
        response.headers["Location"] = shape["url"]
        return shape


def _start_request(platform: Platform, body: StartRun) -> StartRequest:
    if body.is_direct:
        if len(body.command) != 1:
            raise BadRequest("With isDirect the command must be one text in a list, for the shell")
        command, arguments = body.command[0], ["bash", "-c", body.command[0]] if body.command[0].strip() else []
    elif len(body.command) == 1:
        # A single text may be a whole command line, since clients send both.
        command, arguments = body.command[0], split_command(body.command[0])
    else:
        command, arguments = shlex.join(body.command), body.command
    return StartRequest(
        command=command,
        arguments=arguments,
        title=body.title,
        tier_id=platform.tier_named(body.tier).id,
        commit_id=body.commit_id,
    )


def _run_of(platform: Platform, owner: str, name: str, run_id: str) -> Run:
    project = platform.project_named(owner, name)
    run = platform.run(run_id)
    if run.project_id != project.id:
        raise NotFound(f"There is no run with the id {run_id} in project {project.full_name}")
    return run


def _run_status(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "number": run.number,
        "projectId": run.project_id,
        "startingUserId": user_id(run.started_by),
        "status": run.status,
        "isCompleted": run.is_completed,
        "isArchived": run.is_archived,
        "queued": run.submitted_at,
        "started": run.started_at,
        # Domino's own examples wait for this, and take it that the status is the last one then.
        "completed": run.completed_at if run.is_completed else None,
        "postProcessedTimestamp": run.saved_at,
        "commitId": run.input_commit,
        "outputCommitId": run.output_commit,
        "executor": None if run.status == statuses.QUEUED else _EXECUTOR,
        "title": run.title,
        "hardwareTierId": run.tier_id,
        "diagnosticStatistics": {
            "isError": run.stats_are_broken,
            "data": [{"key": stat["name"], "value": stat["value"]} for stat in run.stats],
        },
    }


def _file(platform: Platform, project: Project, file: FileInfo) -> dict[str, Any]:
    url = f"{platform.runner.user_host}/v1/projects/{project.owner}/{project.name}/blobs/{file.key}"
    return {
        "path": file.path,
        "lastModified": file.last_modified,
        "size": file.size,
        "key": file.key,
        "url": url,
    }


def _as_html(lines: list[Line]) -> str:
    if not lines:
        return ""
    # Only lines of the error stream are marked: python-domino cannot take a closing span off.
    marked = (
        f"<span class='text-danger'>{html.escape(line.text)}</span>"
        if line.stream == STDERR
        else html.escape(line.text)
        for line in lines
    )
    return f"{_PRE}{chr(10).join(marked)}</pre>"


def started(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Take the first piece now, so that a missing content shows before the answer has begun."""
    first = next(pieces, b"")

    def all_pieces() -> Iterator[bytes]:
        yield first
        yield from pieces

    return all_pieces()
