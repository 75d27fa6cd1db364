"""The pages of files: folders of a commit, one file, and what differs between two commits."""

from urllib.parse import quote

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from airflow_domino.local.errors import NotFound
from airflow_domino.local.page_templates import Pages
from airflow_domino.local.parameters import clean_folder, found_file
from airflow_domino.local.previews import IMAGE_TYPES, ending, preview
from airflow_domino.local.routes_v1 import started


def add_to(routes: APIRouter, pages: Pages) -> None:
    """Add the pages of files.

    :param routes: what they are added to.
    :param pages: what they are made with.
    """
    _add_looking(routes, pages)
    _add_content(routes, pages)
    _add_comparison(routes, pages)


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

    @routes.get("/u/{owner}/{name}/view/{path:file}")
    def view(owner: str, name: str, path: str, commitId: str = "head", plain: bool = False) -> Response:  # noqa: N803
        project, commit = pages.commit(owner, name, commitId)
        file = found_file(platform, project.id, commit, path)
        content = platform.repository(project.id).content(file.key)
        shown = preview(file.path, file.size, content, plain=plain)
        return pages.render(
            "file.html", project=project, commit=commit, file=file, preview=shown, kind=ending(file.path), plain=plain
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

    @routes.get("/u/{owner}/{name}/image/{path:file}")
    def image(owner: str, name: str, path: str, commitId: str = "head") -> Response:  # noqa: N803
        project, commit = pages.commit(owner, name, commitId)
        file = found_file(platform, project.id, commit, path)
        if ending(file.path) not in IMAGE_TYPES:
            raise NotFound(f"{file.path} is no image that can be shown")
        headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
        pieces = started(platform.repository(project.id).content(file.key))
        return StreamingResponse(pieces, media_type=IMAGE_TYPES[ending(file.path)], headers=headers)


def _add_comparison(routes: APIRouter, pages: Pages) -> None:
    platform = pages.platform

    @routes.get("/u/{owner}/{name}/compare")
    def compare(
        owner: str,
        name: str,
        commitId: str = "head",  # noqa: N803
        baseCommitId: str = "",  # noqa: N803
        path: str = "",
    ) -> Response:
        project, commit = pages.commit(owner, name, commitId)
        repository = platform.repository(project.id)
        base = platform.commit_id(project, baseCommitId) if baseCommitId else repository.parent(commit)
        found = repository.comparisons(base, commit, path.strip("/")) if base is not None else []
        return pages.render(
            "compare.html", project=project, commit=commit, base=base, path=path.strip("/"), comparisons=found
        )
