"""Compute environments: on a real Domino container images, here Python interpreters."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from airflow_domino.local.ids import named_object_id

DEFAULT_NAME = "Local Python"


@dataclass(frozen=True)
class Environment:
    """One environment, with the single revision that it has here.

    :param name: the name that people see.
    :param python: interpreter of runs in this environment; its folder comes first in their PATH.
    :param is_default: whether runs that name no environment get this one.
    """

    name: str
    python: Path
    is_default: bool = False

    @property
    def id(self) -> str:
        """Id of the environment, the same after every restart."""
        return named_object_id("environment", self.name)

    @property
    def revision_id(self) -> str:
        """Id of its only revision."""
        return named_object_id("environment revision", self.name)


def default_environment(python: Path | None = None) -> Environment:
    """Give the environment of runs that name none.

    :param python: its interpreter; default is the one that runs this server.
    """
    return Environment(DEFAULT_NAME, python or Path(sys.executable), is_default=True)
