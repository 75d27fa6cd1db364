"""Keeping what a worker has of a target while a forced Domino run's result takes its place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_domino.hooks.runs import Logger
from airflow_domino.luigi.engine.naming import aside_name, time_stamp


@contextmanager
def kept_aside(path: Path, logger: Logger) -> Iterator[None]:
    """Move a file or folder aside for good; an exception in the block brings it back, unless something new is there.

    :param path: the target; nothing happens when it is not there
    """
    if not os.path.lexists(path):
        yield
        return
    aside = Path(aside_name(str(path), time_stamp(), os.path.lexists))
    path.rename(aside)
    try:
        yield
    except BaseException:
        if not os.path.lexists(path):
            aside.rename(path)
        raise
    logger.info("The old %s is kept as %s", path, aside)
