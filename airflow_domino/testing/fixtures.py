"""Fixtures of pytest: a local Domino for the tests of a session, and an Airflow connection to it.

Settings in pytest's own configuration file, all of them optional:

``domino_projects``
    One project a line, ``owner/name`` or ``owner/name = folder``; folders from pytest's root folder.
``domino_tiers``
    A file of hardware tiers.
``domino_arguments``
    Further arguments of ``airflow-domino serve``.

What they cannot say, a fixture ``local_domino_settings`` of your own can: it gives the arguments of
:meth:`airflow_domino.testing.LocalDomino.serve`.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.testing.asking import DominoTestError
from airflow_domino.testing.local_domino import LocalDomino

_MARKER = (
    "domino_project(name, files=None, folder=None, results=None): a project of the local Domino with these files, "
    "which the fixture domino_connection names"
)
_SHOWN_ENTRIES = 30
_BEGAN = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings."""
    parser.addini("domino_projects", "projects of the local Domino: owner/name, or owner/name = folder", "linelist")
    parser.addini("domino_tiers", "file of the hardware tiers of the local Domino", default="")
    parser.addini("domino_arguments", "further arguments of airflow-domino serve", "args")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def local_domino_settings(pytestconfig: pytest.Config) -> dict[str, Any]:
    """Arguments of `LocalDomino.serve` for the session's server: override this to say more than settings can."""
    projects: dict[str, Path | None] = {}
    for line in pytestconfig.getini("domino_projects"):
        name, _, folder = (part.strip() for part in line.partition("="))
        projects[name] = pytestconfig.rootpath / folder if folder else None
    tiers = pytestconfig.getini("domino_tiers")
    return {
        "projects": projects or None,
        "tiers": pytestconfig.rootpath / tiers if tiers else None,
        "arguments": pytestconfig.getini("domino_arguments"),
    }


@pytest.fixture(scope="session")
def local_domino(
    local_domino_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalDomino]:
    """A local Domino in a process of its own, for all tests of the session."""
    root = tmp_path_factory.mktemp("local-domino") / "root"
    with LocalDomino.serve(**({"root": root} | local_domino_settings)) as domino:
        yield domino


@pytest.fixture
def fresh_domino(local_domino: LocalDomino) -> LocalDomino:
    """The session's local Domino, with everything back as it was started: no runs, and its first files."""
    local_domino.reset()
    return local_domino


@pytest.fixture
def domino_connection(
    request: pytest.FixtureRequest,
    local_domino: LocalDomino,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """Id of an Airflow connection to the session's local Domino, ``domino_default``.

    Its project is the one of the marker `domino_project`, otherwise the first one.
    """
    project = None
    if marker := request.node.get_closest_marker("domino_project"):
        project = _marked_project(local_domino, **_named_arguments(marker))
    connection = local_domino.connection(project)
    monkeypatch.setenv("AIRFLOW_CONN_DOMINO_DEFAULT", json.dumps(connection))
    return "domino_default"


@pytest.fixture(autouse=True)
def _no_fault_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    domino = request.node.funcargs.get("local_domino") if isinstance(request.node, pytest.Function) else None
    if isinstance(domino, LocalDomino) and domino.has_faults:
        domino.clear_faults()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, with a test that fails, what its local Domino accepted meanwhile."""
    report = yield
    domino = item.funcargs.get("local_domino") if isinstance(item, pytest.Function) else None
    if call.when == "setup":
        item.stash[_BEGAN] = round(call.start * 1000)
    if call.when == "call" and report.failed and isinstance(domino, LocalDomino):
        report.sections.append(("Local Domino", _what_happened(domino, item.stash.get(_BEGAN, 0))))
    return report


def _named_arguments(marker: pytest.Mark) -> dict[str, Any]:
    return {**dict(zip(("name", "files", "folder", "results"), marker.args, strict=False)), **marker.kwargs}


def _marked_project(domino: LocalDomino, name: str, **options: Any) -> str:
    domino.add_project(name, **options)
    return name


def _what_happened(domino: LocalDomino, since: int) -> str:
    if domino.process.poll() is not None:
        return f"It has ended with {domino.process.returncode}. Its log:\n{domino.log_file.read_text()}"
    try:
        entries = [entry for entry in domino.ledger() if entry["at"] >= since]
    except (DominoTestError, OSError) as error:
        return f"It cannot be asked what happened: {error}"
    hidden = {"sequence", "at", "projectId"}
    lines = [
        ", ".join(f"{name}={value!r}" for name, value in entry.items() if name not in hidden)
        for entry in entries[-_SHOWN_ENTRIES:]
    ]
    return "\n".join([f"Entries in its ledger during the test: {len(entries)}", *lines])
