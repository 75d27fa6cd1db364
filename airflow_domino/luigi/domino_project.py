"""The Domino project that this process works for, and where its files are."""

from __future__ import annotations

import os
from pathlib import Path, PurePath

from airflow_domino.domino.errors import ConfigurationError

TIER_VARIABLE = "AIRFLOW_DOMINO_RUN_TIER"
"""Names the tier of the one run that a process is for, in place of the one that its DominoRunTask names."""


def current_project() -> str:
    """Full name of the project that this process works for, from Domino's own environment variables.

    :raises ConfigurationError: not inside a Domino run and nothing set
    """
    owner, name = os.environ.get("DOMINO_PROJECT_OWNER"), os.environ.get("DOMINO_PROJECT_NAME")
    if not owner or not name:
        raise ConfigurationError(
            "Which Domino project? Give project='owner/name', or set DOMINO_PROJECT_OWNER and DOMINO_PROJECT_NAME"
        )
    return f"{owner}/{name}"


def project_file(path: str) -> str:
    """Where a local path lies inside the Domino project, with forward slashes.

    The project's files are those below ``DOMINO_WORKING_DIR`` inside a Domino run, else below the current directory.

    :param path: relative to the current directory, or absolute
    :raises ConfigurationError: the path lies outside
    """
    absolute = os.path.abspath(path)  # noqa: PTH100  (Path.resolve would follow links, Path.absolute keeps "..")
    here = str(Path.cwd())
    roots = [root for root in (os.environ.get("DOMINO_WORKING_DIR"), here) if root]
    for root in [*roots, *map(os.path.realpath, roots)]:
        inside = PurePath(os.path.relpath(absolute, root))
        if inside.parts and inside.parts[0] != "..":
            return inside.as_posix()
    raise ConfigurationError(
        f"The output {path!r} lies outside the project's files: give a path relative to the working directory"
        f" ({roots[0]}), so that the same file can be found in the run's results"
    )
