"""A real Chromium that looks at a real Airflow.

The browser is the one that CHROMIUM names, or the first on PATH. Pictures of what was seen are written to the folder
that AIRFLOW_DOMINO_SCREENSHOTS names, else to a temporary one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LAPTOP = {"width": 1366, "height": 850}
PHONE = {"width": 390, "height": 844}
PATIENCE_MS = 30_000


@pytest.fixture(scope="session")
def chromium() -> Path:
    """Where Chromium is."""
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        what = f"CHROMIUM names {named}, which is no program" if named else f"none of {', '.join(NAMES)} is on PATH"
        pytest.skip(f"no Chromium to look with: {what}")
    return Path(found)


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Any]:
    """A running Chromium; no longer than a module, since Playwright keeps an event loop going meanwhile."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=str(chromium), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pictures."""
    named = os.environ.get("AIRFLOW_DOMINO_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def open_airflow(browser: Any, airflow: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page of Airflow in a window of its own: `open_airflow("/dags", scheme="dark", small=True)`."""
    windows = []

    def open_page(path: str, *, scheme: str = "light", small: bool = False) -> Any:
        window = browser.new_context(
            base_url=airflow.url, color_scheme=scheme, viewport=PHONE if small else LAPTOP, timezone_id="Europe/Berlin"
        )
        window.set_default_timeout(PATIENCE_MS)
        windows.append(window)
        page = window.new_page()
        page.goto(path)
        return page

    yield open_page
    for window in windows:
        window.close()


@pytest.fixture(scope="session")
def ensemble_run(airflow: Any) -> str:
    """The run id of a successful run of the sample DAG `ensemble`."""
    airflow.api.wait_for_dags(["ensemble", "hello_world"])
    run_id = airflow.api.trigger("ensemble")
    assert airflow.api.wait_for_dag_run("ensemble", run_id, timeout=600) == "success"
    return str(run_id)
