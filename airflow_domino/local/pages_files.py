"""The pages of files: folders of a commit, and the download of a file."""

from urllib.parse import quote

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from airflow_domino.local.errors import NotFound
from airflow_domino.local.page_templates import Pages
from airflow_domino.local.parameters import clean_folder, found_file
from airflow_domino.local.routes_v1 import started


def add_to(routes: APIRouter, pages: Pages) -> None:
    """Add the pages of files.

    :param routes: what they are added to.
    :param pages: what they are made with.
    """
    _add_looking(routes, pages)
    _add_content(routes, pages)


def _add_looking(routes: APIRouter, pages: Pages) -> None:
    platform = pages.platform

    @routes.get("/u/{owner}/{name}/browse")
    @routes.get("/u/{owner}/{name}/browse/{path:file}")
    def browse(owner: str, name: str, path: str = "", commitId: str = "head") -> Response:  # noqa: N803
        project, commit = pages.commit(owner, name, commitId)
        repository = platform.repository(project.id)
        try:
            cleaned = clean_folder(path)
            entries = repository.folder(commit, cleaned)
        except (KeyError, ValueError) as error:
            raise NotFound(f"Commit {commit} has no folder {path}") from error
        return pages.render(
            "files.html",
            project=project,
            commit=repository.commit(commit),
            is_latest=commit == repository.head(),
            path=cleaned,
            entries=entries,
        )


def _add_content(routes: APIRouter, pages: Pages) -> None:
    platform = pages.platform

    @routes.get("/u/{owner}/{name}/download/{path:file}")
    def download(owner: str, name: str, path: str, commitId: str = "head") -> Response:  # noqa: N803
        project, commit = pages.commit(owner, name, commitId)
        file = found_file(platform, project.id, commit, path)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.path.rpartition('/')[2], safe='')}",
            "Content-Length": str(file.size),
            "X-Content-Type-Options": "nosniff",
        }
        pieces = started(platform.repository(project.id).content(file.key))
        return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)
