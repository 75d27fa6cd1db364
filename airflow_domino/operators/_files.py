"""Files that go into the project before a run, and files of the run that come back after it."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import unquote, urlsplit

from airflow.sdk import ObjectStoragePath

from airflow_domino.compat import default_output_dir
from airflow_domino.domino.errors import ConfigurationError, NotFoundError, UnsafePathError
from airflow_domino.domino.files import Moved
from airflow_domino.domino.paths import contained, project_path, safe_join
from airflow_domino.progress import Line, LineCount

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, ProjectFile, Run

MOST_NAMES_SHOWN = 20
STAGING_ATTEMPTS = 4

Place = Path | ObjectStoragePath


@dataclass(frozen=True)
class CommittedFile:
    """A file of a project at some commit, such as what an upstream run wrote.

    :param project: `owner/name`; None means the run's own project.
    """

    commit_id: str
    path: str
    project: str | None = None


@dataclass(frozen=True)
class Input:
    """A file to put into the project.

    :param path: its name in the project.
    """

    path: str
    source: Place | CommittedFile


@dataclass(frozen=True)
class Output:
    """A file of the run to bring back.

    :param path: its name in the run's files.
    :param within: folder that the destination must not leave; None where the destination was given as an absolute path.
    """

    path: str
    destination: Place
    within: Path | None = None


def place(value: Any) -> Place:
    """Read a local path, a URL or an ObjectStoragePath.

    :raises ConfigurationError: when it is none of these, or Airflow has no file system for the URL.
    """
    if isinstance(value, ObjectStoragePath):
        return Path(value.path) if value.protocol in ("", "file") else _reachable(value)
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(
            f"Not a path or a URL of a file: {value!r}; give one such as /data/in.csv or s3://bucket/in.csv"
        )
    if "://" not in value:
        return Path(value)
    parts = urlsplit(value)
    return Path(unquote(parts.path)) if parts.scheme == "file" else _reachable(ObjectStoragePath(value))


def _is_local(where: Place) -> TypeGuard[Path]:
    return not isinstance(where, ObjectStoragePath)  # which is a Path itself in Airflow 3.1


def _reachable(found: ObjectStoragePath) -> ObjectStoragePath:
    try:
        _ = found.fs
    except (ValueError, ImportError) as error:
        raise ConfigurationError(
            f"{found} cannot be read or written here: {error}; install the Airflow provider for it, or correct "
            "the address"
        ) from None
    return found


def base_folder(output_dir: Any) -> Place | None:
    """Return where relative local paths begin: the task's `output_dir`, or else ``[domino] output_dir``.

    :raises ConfigurationError: when it is a relative path, which would mean another folder on each worker.
    """
    value = output_dir or default_output_dir()
    if not value:
        return None
    base = place(value)
    if _is_local(base) and not base.is_absolute():
        raise ConfigurationError(
            f"output_dir must be an absolute path or a URL, not {str(base)!r}, which each worker takes for "
            "another folder"
        )
    return base


def _below(base: Place | None, name: str, argument: str) -> tuple[Place, Path | None]:
    if base is None:
        raise ConfigurationError(
            f"{argument} has the relative path {name!r}, which begins nowhere: give output_dir, "
            "set [domino] output_dir, or give a dict with absolute paths or URLs"
        )
    if _is_local(base):
        return safe_join(base, name), base
    safe_join(Path("/"), name)
    return base / name, None


def _resolved(base: Place | None, value: Any, argument: str) -> tuple[Place, Path | None]:
    found = place(value)
    if _is_local(found) and not found.is_absolute():
        return _below(base, found.as_posix() if isinstance(value, Path) else str(value), argument)
    return found, None


def plan_outputs(outputs: Mapping[str, Any] | Sequence[str] | None, output_dir: Any) -> list[Output]:
    """Decide where each file goes, before anything is launched.

    :param outputs: names in the run's files, kept below `output_dir`; or a mapping of them to local paths, URLs or
        ObjectStoragePaths.
    :raises ConfigurationError: when it cannot be decided.
    :raises UnsafePathError: when a name leads out of the project or of `output_dir`.
    """
    pairs = _pairs(outputs, "outputs")
    base = base_folder(output_dir)
    planned = []
    for name, destination in pairs:
        path = _name_in_project(name)
        where, within = _resolved(base, destination, "outputs")
        planned.append(Output(path, where, within))
    return planned


def plan_inputs(inputs: Mapping[str, Any] | Sequence[str] | None, output_dir: Any) -> list[Input]:
    """Decide which file becomes which file of the project, and refuse those that are not there.

    :param inputs: names that are the same in the project and below `output_dir`; or a mapping of names in the project
        to local paths, URLs, ObjectStoragePaths, or, for a file of an upstream run, to `{"commit_id": …, "path": …}` or
        to that run's whole result, where the file has the same name.
    :raises ConfigurationError: when a file to upload does not exist.
    :raises UnsafePathError: when a name leads out of the project or of `output_dir`.
    """
    pairs = _pairs(inputs, "inputs")
    base = base_folder(output_dir)
    planned = [Input(_name_in_project(name), _source(base, name, value)) for name, value in pairs]
    for item in planned:
        if not isinstance(item.source, CommittedFile) and not item.source.is_file():
            raise ConfigurationError(
                f"The input {item.path!r} cannot be staged: there is no file {item.source}; let an earlier "
                "task write it"
            )
    return planned


def _source(base: Place | None, name: str, value: Any) -> Place | CommittedFile:
    if not isinstance(value, Mapping):
        return _resolved(base, value, "inputs")[0]
    commit = value.get("commit_id") or value.get("output_commit")
    if not commit:
        raise ConfigurationError(
            f"The input {name!r} has {sorted(value)} and no commit_id; give the result of an upstream run, or a path"
        )
    return CommittedFile(str(commit), _name_in_project(str(value.get("path") or name)), value.get("project"))


def _pairs(files: Mapping[str, Any] | Sequence[str] | None, argument: str) -> list[tuple[str, Any]]:
    if not files:
        return []
    if isinstance(files, str):
        raise ConfigurationError(f"{argument} must be a list or a mapping of files, not the text {files!r}")
    if isinstance(files, Mapping):
        return [(str(name), value) for name, value in files.items()]
    return [(str(name), str(name)) for name in files]


def _name_in_project(name: str) -> str:
    path = project_path(name)
    if not path or name.endswith("/"):
        raise UnsafePathError(f"Not a file of a project: {name!r}; name a file and not a folder")
    return path


def stage(client: DominoClient, project: Project, inputs: Sequence[Input], tell: Line | None = None) -> str:
    """Put files into the project and return the one commit that holds them all, with this content.

    Another task may stage the same names at the same time; then they are staged again, a few times.

    :param tell: takes a line now and then about a transfer that takes long.

    :raises ConfigurationError: when no commit held them as they were uploaded.
    """
    for attempt in range(STAGING_ATTEMPTS):
        time.sleep(attempt * random.random())  # noqa: S311  lets two tasks get out of step, guards nothing
        uploaded = {item.path: _upload(client, project, item, _told(item.path, tell)) for item in inputs}
        commit = client.head_commit(project)
        there = {file.path: file for file in client.files(project, commit)}
        lost = sorted(path for path, file in uploaded.items() if not _is_same(file, there.get(path)))
        if not lost:
            return commit
    raise ConfigurationError(
        f"The commit {commit} of {project.full_name} does not hold the inputs as they were staged "
        f"({', '.join(lost)}), {STAGING_ATTEMPTS} times: somebody else writes the same files; give them other names"
    )


def _is_same(uploaded: ProjectFile, listed: ProjectFile | None) -> bool:
    if listed is None:
        return False
    if uploaded.key and listed.key:
        return uploaded.key == listed.key
    return uploaded.size == listed.size


def _told(path: str, tell: Line | None) -> Moved | None:
    return None if tell is None else LineCount(path, "bytes", line=tell).reach


def _upload(client: DominoClient, project: Project, item: Input, on_moved: Moved | None) -> ProjectFile:
    if not isinstance(item.source, CommittedFile) and _is_local(item.source):
        return client.upload_file(project, item.path, item.source, on_moved=on_moved)
    with tempfile.TemporaryDirectory(prefix="airflow-domino-") as folder:
        copy = Path(folder) / "input"
        if isinstance(item.source, CommittedFile):
            origin = client.project(item.source.project) if item.source.project else project
            client.download_file(origin, item.source.commit_id, item.source.path, copy, on_moved=on_moved)
        else:
            _copy(item.source, copy)
        return client.upload_file(project, item.path, copy, on_moved=on_moved)


def bring_back(
    client: DominoClient, project: Project, run: Run, outputs: Sequence[Output], tell: Line | None = None
) -> dict[str, str]:
    """Copy a run's files from its results commit to their places.

    :param tell: takes a line now and then about a transfer that takes long.
    :returns: each file's place, by its name in the run.
    :raises NotFoundError: when the run left no such file; the message names what it did write.
    """
    commit = run.results_commit
    brought = {}
    for output in outputs:
        try:
            if commit is None:
                raise NotFoundError("the run has no commit")
            _fetch(client, project, commit, output, _told(output.path, tell))
        except NotFoundError as error:
            raise NotFoundError(_missing(client, project, run, output, error), status=error.status) from None
        brought[output.path] = str(output.destination)
    return brought


def _fetch(client: DominoClient, project: Project, commit: str, output: Output, on_moved: Moved | None) -> None:
    if _is_local(output.destination):
        if output.within is not None:
            contained(output.destination, output.within)
        place, within = output.destination, output.within
        client.download_file(project, commit, output.path, place, within=within, on_moved=on_moved)
        return
    with tempfile.TemporaryDirectory(prefix="airflow-domino-") as folder:
        copy = Path(folder) / "output"
        client.download_file(project, commit, output.path, copy, on_moved=on_moved)
        _copy(copy, output.destination)


def _copy(source: Place, target: Place) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        shutil.copyfileobj(reader, writer)


def _missing(client: DominoClient, project: Project, run: Run, output: Output, error: NotFoundError) -> str:
    wrote = files_written(client, project, run)
    names = ", ".join(wrote[:MOST_NAMES_SHOWN]) + (
        f" and {len(wrote) - MOST_NAMES_SHOWN} more" if len(wrote) > 20 else ""
    )
    did = f"it wrote: {names}" if wrote else "it wrote no files"
    url = client.run_url(project, run.id)
    return (
        f"Domino run {run.number} succeeded, but left no file {output.path!r}; {did} ({error}). Let its command write "
        f"that file, or correct its name. See {url}"
    )


def files_written(client: DominoClient, project: Project, run: Run) -> list[str]:
    """Return the files that differ between a run's input commit and its output commit.

    :raises DominoError: when Domino cannot be asked.
    """
    if run.output_commit is None or run.output_commit == run.input_commit:
        return []
    before: set[tuple[str, str | None, int]] = set()
    if run.input_commit:
        before = {(file.path, file.key, file.size) for file in client.files(project, run.input_commit)}
    after = client.files(project, run.output_commit)
    return sorted(file.path for file in after if (file.path, file.key, file.size) not in before)
