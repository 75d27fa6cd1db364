"""Lets the processes of one DAG run see each other's ``RunAnywayTarget``."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

SHARED_FOLDER = "AIRFLOW_DOMINO_LUIGI_SHARED"
KEPT_SECONDS = 7 * 24 * 3600
_SUBFOLDER = "luigi-simulate"
_LARGEST = 2**31 - 1


def share(dag_run: str | None) -> None:
    """Give ``luigi.contrib.simulate.RunAnywayTarget`` the same place in all processes of a DAG run.

    Luigi keeps its marks below the id of the first process that makes such a target, so that a process which is not
    forked from that one never finds them. Here the DAG run takes that id's place: what one process or machine has done
    counts as done in the others, also when a task is cleared; the next DAG run begins anew. Marks that other machines
    shall see go below the folder that the variable ``AIRFLOW_DOMINO_LUIGI_SHARED`` names.

    Luigi removes marks of yesterday whenever such a target is made. A DAG run may wait longer than that, and two
    processes that remove the same ones disturb each other, so here they are kept for a week and removed at the start.

    :param dag_run: names the DAG run, such as ``dag_id/run_id``; without it Luigi's own way is left as it is
    """
    if not dag_run:
        return
    from luigi.contrib.simulate import RunAnywayTarget

    target: Any = RunAnywayTarget
    target.unique.value = number_of(dag_run)
    target.temp_time = float("inf")
    if folder := os.environ.get(SHARED_FOLDER):
        target.temp_dir = str(Path(folder).absolute() / _SUBFOLDER)
    remove_old(Path(target.temp_dir))


def number_of(dag_run: str) -> int:
    """A number for a DAG run, equal everywhere; positive, and no larger than a C int holds.

    :param dag_run: names the DAG run
    """
    digest = hashlib.sha256(dag_run.encode()).digest()
    return int.from_bytes(digest[:8], "big") % _LARGEST + 1


def remove_old(folder: Path) -> None:
    """Remove the folders within a folder that have not changed for a week."""
    oldest = time.time() - KEPT_SECONDS
    with suppress(OSError):
        for marks in list(folder.iterdir()):
            with suppress(FileNotFoundError):
                if marks.is_dir() and marks.stat().st_mtime < oldest:
                    shutil.rmtree(marks, ignore_errors=True)
