"""The process of a local Domino: its arguments, its start, and what it says when it is ready."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_domino.testing.asking import PATIENCE, DominoTestError

# Files of a project: content by path.
Files = Mapping[str, str | bytes]

_TOKEN_VARIABLE = "DOMINO_LOCAL_TOKEN"  # noqa: S105 - the name of a variable
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Started:
    """A server that is ready; ``projects`` has their ids by ``owner/name``."""

    url: str
    token: str
    projects: dict[str, str]
    root: Path
    process: subprocess.Popen[str]
    log_file: Path


def write_files(folder: Path, files: Files) -> None:
    """Write files into a folder that may not exist yet.

    :param folder: where to.
    :param files: content by path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def project_arguments(projects: Mapping[str, Files | Path | str | None], litter: Path) -> Iterator[str]:
    """Give the arguments of ``serve`` for projects.

    :param projects: a folder, files, or nothing, by ``owner/name``.
    :param litter: folder for files that are given by their content.
    """
    for name, files in projects.items():
        if files is None:
            yield f"--project={name}"
        elif isinstance(files, Mapping):
            write_files(litter / "projects" / name, files)
            yield f"--project={name}={litter / 'projects' / name}"
        else:
            yield f"--project={name}={Path(files).absolute()}"


def tier_arguments(tiers: Sequence[Mapping[str, Any]] | Path | None, litter: Path) -> Iterator[str]:
    """Give the arguments of ``serve`` for tiers.

    :param tiers: the tiers or a file of them; None for the default ones.
    :param litter: folder for a file of them.
    """
    if isinstance(tiers, Path):
        yield f"--tiers={tiers.absolute()}"
    elif tiers is not None:
        file = litter / "tiers.json"
        file.write_text(json.dumps(list(tiers)))
        yield f"--tiers={file}"


def start(root: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Started:
    """Start a server on a free port and wait until it is ready.

    :param root: folder of all its state; its log is written beside it.
    :param arguments: arguments of ``serve``.
    :param environment: environment variables that it has beside those of this process.
    :raises DominoTestError: when it does not start, with the reason that it gave.
    """
    root = root.absolute()
    root.parent.mkdir(parents=True, exist_ok=True)
    log_file = root.with_name(f"{root.name}.log")
    with log_file.open("a") as log:
        # It ends with its standard input, and so with this process, however that ends.
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "airflow_domino.local",
                "--port=0",
                f"--root={root}",
                "--until-eof",
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=_environment() | dict(environment),
            start_new_session=True,
        )
    line = _first_line(process)
    if not line:
        process.kill()
        process.communicate()
        raise DominoTestError(f"The local Domino did not start; its log {log_file} tells why:\n{log_file.read_text()}")
    ready = json.loads(line)
    projects = {f"{project['owner']}/{project['name']}": str(project["id"]) for project in ready["projects"]}
    return Started(str(ready["url"]), _told_token(ready, environment), projects, root, process, log_file)


def _environment() -> dict[str, str]:
    """Give the environment of this process without what is meant for Airflow and for clients of Domino."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DOMINO_"))}
    if _PACKAGE.parent.name not in ("site-packages", "dist-packages"):
        # A checkout that is not installed, or one of several: the server is the one that these tests belong to.
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGE.parent), kept.get("PYTHONPATH")]))
    return kept


def _first_line(process: subprocess.Popen[str]) -> str:
    if process.stdout is None:
        raise ValueError("the process has no pipe for its output")
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(PATIENCE) else ""


def _told_token(ready: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    if "token_file" in ready:
        return Path(ready["token_file"]).read_text().strip()
    return str(ready["token"]) if "token" in ready else environment[_TOKEN_VARIABLE]
