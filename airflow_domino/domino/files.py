"""Files of a project: listing, bringing one here whole or not at all, putting one there."""

from __future__ import annotations

import difflib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import requests

from airflow_domino.domino.errors import (
    DominoError,
    DominoUnavailableError,
    NotFoundError,
    RequestError,
    UnsafePathError,
)
from airflow_domino.domino.lenient import many, one
from airflow_domino.domino.models import Project, ProjectFile
from airflow_domino.domino.paths import contained, project_path
from airflow_domino.domino.transport import OpenContent, Transport

CHUNK = 1 << 18

#: Takes how many bytes of a file have been moved so far, and of how many where that is known; the first number begins
#: anew where a broken transfer is tried again.
Moved = Callable[[int, int | None], object]


def listing(transport: Transport, base: str, project: Project, commit_id: str, path: str) -> list[ProjectFile]:
    """All files below a folder at a commit; see :meth:`DominoClient.files`.

    :param base: the project's v1 route.
    """
    subject = f"commit {commit_id} of the project {project.full_name}"
    folders = [project_path(path)]
    visited: set[str] = set()
    found: dict[str, ProjectFile] = {}
    while folders:
        folder = folders.pop()
        visited.add(folder)
        route = f"{base}/files/{quote(commit_id, safe='')}/{quote(folder)}"
        for entry, is_folder in transport.get(route, many(one(_read_entry)), subject=subject):
            if not is_folder:
                found[entry.path] = entry
            elif entry.path.rstrip("/") not in visited:
                folders.append(entry.path.rstrip("/"))
    return list(found.values())


def _read_entry(data: Mapping[str, Any]) -> tuple[ProjectFile, bool]:
    file = ProjectFile.from_api(data)
    return file, data.get("isDirectory") is True or file.path.endswith("/")


def download(
    transport: Transport,
    base: str,
    project: Project,
    commit_id: str,
    path: str,
    destination: Path,
    within: Path | None,
    on_moved: Moved | None = None,
) -> int:
    """Bring one file here; see :meth:`DominoClient.download_file`."""
    name = project_path(path)
    if not name:
        raise UnsafePathError("The root of a project is a folder, not a file to download; name a file in it")
    contained(destination, within or destination.parent)
    if destination.is_dir():
        raise UnsafePathError(f"{str(destination)!r} is a folder; name the file to write")
    destination.parent.mkdir(parents=True, exist_ok=True)
    route = f"/api/projects/v1/projects/{quote(project.id, safe='')}/files/{quote(commit_id, safe='')}"
    subject = f"file {name} at commit {commit_id} of the project {project.full_name}"
    try:
        return transport.consume(
            f"{route}/{quote(name, safe='')}/content",
            lambda answer: _save(answer, destination, on_moved),
            subject=subject,
        )
    except RequestError as error:
        hint = _what_is_there(transport, base, project, commit_id, name) if error.status in (400, 404) else None
        if hint is None:
            raise
        raise NotFoundError(
            f"The project {project.full_name} has no file {name!r} at commit {commit_id}{hint}", status=error.status
        ) from None


def _save(answer: requests.Response, destination: Path, on_moved: Moved | None) -> int:
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{destination.name[:100]}.", suffix=".part", dir=destination.parent
    )
    try:
        size, promised = 0, _promised(answer)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in answer.iter_content(CHUNK):
                size += file.write(chunk)
                if on_moved is not None:
                    on_moved(size, promised)
            _check_length(answer, size, destination.name)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(destination)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return size


def _promised(answer: requests.Response) -> int | None:
    """How many bytes are to come, where that is told."""
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and "Content-Encoding" not in answer.headers else None


def _check_length(answer: requests.Response, size: int, name: str) -> None:
    promised = _promised(answer)
    if promised not in (None, size):
        raise DominoUnavailableError(f"The file {name} was cut off: {size} of {promised} bytes came; try again")


def _umask() -> int:
    """Read from the kernel, since asking os.umask would change it for all threads for a moment."""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        return 0o022
    return next((int(line.split()[1], 8) for line in status.splitlines() if line.startswith("Umask:")), 0o022)


def _what_is_there(transport: Transport, base: str, project: Project, commit_id: str, name: str) -> str | None:
    """Say what there is instead of a file; None when it is there after all."""
    try:
        names = [file.path for file in listing(transport, base, project, commit_id, "")]
    except DominoError as error:
        return "; the commit itself is unknown: check its SHA" if isinstance(error, NotFoundError) else ""
    if name in names:
        return None
    below = [known for known in names if known.startswith(f"{name}/")]
    if below:
        return f": it is a folder with {len(below)} files, such as {below[0]!r}; name one file"
    near = (
        difflib.get_close_matches(name, names, n=3)
        or [known for known in names if known.rpartition("/")[2] == name.rpartition("/")[2]][:3]
    )
    return (
        f"; choose one of the near names: {', '.join(map(repr, near))}"
        if near
        else "; the page of the run lists what there is"
    )


def upload(
    transport: Transport,
    base: str,
    project: Project,
    path: str,
    source: Path | BinaryIO | bytes,
    on_moved: Moved | None = None,
) -> ProjectFile:
    """Put one file into a project; see :meth:`DominoClient.upload_file`."""
    name = project_path(path)
    if not name:
        raise UnsafePathError(
            "The root of a project is a folder, not a file to upload; name the file that it becomes there"
        )
    with _reopening(source) as opened:
        content = opened if on_moved is None else _counted(opened, on_moved)
        return transport.put(
            f"{base}/{quote(name)}",
            content,
            one(lambda data: ProjectFile.from_api({"path": name, **data})),
            subject=f"project {project.full_name}",
        )


@contextmanager
def _reopening(source: Path | BinaryIO | bytes) -> Iterator[OpenContent]:
    """Make a source that can be read again from its beginning for each attempt."""
    if isinstance(source, bytes):
        yield lambda: nullcontext(source)
    elif isinstance(source, Path):
        yield lambda: _opened(source)
    elif source.seekable():
        begin = source.tell()
        yield lambda: _rewound(source, begin)
    else:
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(source, copy)
            yield lambda: _rewound(copy, 0)


@contextmanager
def _opened(path: Path) -> Iterator[bytes | BinaryIO]:
    with path.open("rb") as file:
        yield file if path.stat().st_size else b""


def _rewound(file: BinaryIO, begin: int) -> AbstractContextManager[bytes | BinaryIO]:
    end = file.seek(0, io.SEEK_END)
    file.seek(begin)
    return nullcontext(file if end > begin else b"")


def _counted(open_content: OpenContent, on_moved: Moved) -> OpenContent:
    """Count what is read of an upload."""

    @contextmanager
    def opened() -> Iterator[Any]:
        with open_content() as content:
            yield content if isinstance(content, bytes) else _Counted(content, on_moved)

    return opened


class _Counted:
    """A binary file that tells how much of it has been read. What it does not do itself, the file does."""

    def __init__(self, file: BinaryIO, on_moved: Moved) -> None:
        self._file = file
        self._on_moved = on_moved
        self._begin = file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read as the file does."""
        content = self._file.read(size)
        self._on_moved(self._file.tell() - self._begin, None)
        return content

    def __iter__(self) -> Iterator[bytes]:
        while content := self.read(CHUNK):
            yield content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
