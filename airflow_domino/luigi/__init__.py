"""The Luigi side: Domino runs as Luigi tasks, and Luigi tasks run from outside Luigi. Works without Airflow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_domino.luigi.run_task import DominoRunTask
    from airflow_domino.luigi.targets import DominoFileTarget

__all__ = ["DominoFileTarget", "DominoRunTask"]

_HOMES = {
    "DominoFileTarget": "airflow_domino.luigi.targets",
    "DominoRunTask": "airflow_domino.luigi.run_task",
}


def __getattr__(name: str) -> Any:
    # Lazy, so that Airflow's processes, which import this package for its launcher, never load Luigi itself.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
