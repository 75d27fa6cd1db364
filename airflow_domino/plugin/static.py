# No postponed annotations here: FastAPI must be able to resolve those of the routes.
"""The pages' own files: all of the folder ``static``, and nothing else."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse

FOLDER = Path(__file__).parent / "static"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
AN_HOUR = "private, max-age=3600"
A_YEAR = "private, max-age=31536000, immutable"

router = APIRouter()


@router.get("/static/{name}")
def static_file(name: str, request: Request) -> FileResponse:
    """One of the files, kept by browsers for a year where its address names its content (:func:`address`)."""
    path = _files().get(name)
    if path is None:
        raise HTTPException(404, f"There is no file {name} of the page; reload the page")
    headers = {"Cache-Control": A_YEAR if "v" in request.query_params else AN_HOUR}
    return FileResponse(path, media_type=MEDIA_TYPES[path.suffix], headers=headers)


def has(name: str) -> bool:
    """Say whether a file is there: one that comes from elsewhere may be missing."""
    return name in _files()


@cache
def address(name: str) -> str:
    """Where a page finds a file; another one as soon as the file's content is another."""
    return f"static/{name}?v={sha256((FOLDER / name).read_bytes()).hexdigest()[:12]}"


def _files() -> dict[str, Path]:
    return {path.name: path for path in FOLDER.iterdir() if path.suffix in MEDIA_TYPES}
