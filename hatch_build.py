"""Puts the chart library of the page in Airflow's UI into the package while that is built.

The library is plotly.js, by the file that the PyPI package `plotly` brings along: nothing of others is kept in this
repository, and nobody's browser asks another site for it.
"""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("airflow_domino", "plugin", "static")
LIBRARY = "plotly.min.js"
LICENSE = "plotly.LICENSE.txt"


class ChartLibrary(BuildHookInterface[Any]):
    """Called by hatchling for each wheel, also for the small one of an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Copy the library and its licence to where the wheel and a checkout have them."""
        folder = Path(self.root) / FOLDER
        for source, name in zip(_files(), (LIBRARY, LICENSE), strict=True):
            target = folder / name
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copyfile(source, target)
            build_data["artifacts"].append(f"/{(FOLDER / name).as_posix()}")


def _files() -> tuple[Path, Path]:
    """Return where the installed package `plotly` has the library and its licence."""
    try:
        files = distribution("plotly").files or []
    except PackageNotFoundError:
        raise SystemExit(
            "Building airflow-domino takes the PyPI package plotly: pip installs it by itself, "
            "unless it was told --no-build-isolation; then: pip install plotly"
        ) from None
    library = next(path for path in files if path.parts[-2:] == ("package_data", LIBRARY))
    license_file = next(path for path in files if path.name.startswith("LICENSE") and ".dist-info" in path.parts[0])
    return Path(str(library.locate())), Path(str(license_file.locate()))
