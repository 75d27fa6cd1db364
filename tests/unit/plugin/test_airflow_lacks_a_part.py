"""The page *Domino* in a version of Airflow that lacks something that the page is built on."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import airflow_domino
from airflow_domino import compat_server

PACKAGE = Path(airflow_domino.__file__).parent
PAGES = {
    "Runs": "/",
    "DAG run": "/dag-run?dag_id=ensemble&run_id=manual__1",
    "Task": "/task?dag_id=ensemble&run_id=manual__1&task_id=train",
    "Timeline": "/timeline",
    "Costs": "/costs",
    "Tiers": "/tiers",
    "Luigi": "/luigi?dag_id=ensemble&run_id=manual__1",
}
RELOADED = re.compile(r"airflow_domino\.(plugin|compat_server|orphans)(\..*)?")
PRIVATE = ("airflow.models", "airflow.api_fastapi", "airflow.utils", "airflow.settings", "airflow.jobs")


def parts() -> dict[str, str]:
    """Every name that is looked for in Airflow, with its module."""
    source = Path(compat_server.__file__).read_text()
    return {name: module for module, name in re.findall(r'_part\("([\w.]+)", "(\w+)"\)', source)} | dict(
        compat_server._OF_API_SERVER
    )


@pytest.fixture
def without(
    monkeypatch: pytest.MonkeyPatch, store: Any, permissions: Any
) -> Iterator[Callable[[str], tuple[Any, TestClient]]]:
    """The plugin and its application, read anew in an Airflow without a module."""

    def load(module: str) -> tuple[Any, TestClient]:
        from airflow.api_fastapi.core_api.security import get_user

        def import_all_but_it(name: str, package: str | None = None) -> Any:
            if name == module:
                raise ModuleNotFoundError(f"No module named {name!r}")
            return import_module(name, package)

        # Not in sys.modules: Airflow itself, which in this test has the module, goes on with it.
        monkeypatch.setattr(importlib, "import_module", import_all_but_it)
        from airflow_domino.plugin import look
        from airflow_domino.plugin.domino import DominoPlugin

        monkeypatch.setattr(look, "latest", lambda *place: look.Look(*place))
        plugin = DominoPlugin()
        (mounted,) = plugin.fastapi_apps
        mounted["app"].dependency_overrides[get_user] = lambda: "ann"
        return plugin, TestClient(mounted["app"], raise_server_exceptions=False)

    permissions.dag_ids.add("ensemble")
    store.add_finished()
    store.add_dag_run("ensemble", "manual__1", state="success")
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if RELOADED.fullmatch(name)}
    attributes = {name: vars(airflow_domino).get(name) for name in ("plugin", "compat_server", "orphans")}
    yield load
    for name in [name for name in sys.modules if RELOADED.fullmatch(name)]:
        del sys.modules[name]
    sys.modules.update(kept)
    for name, value in attributes.items():
        setattr(airflow_domino, name, value) if value else delattr(airflow_domino, name)


# What does not work, and what works but says what it lacks; nothing else may change.
OF_API_SERVER = {name: (set(PAGES), set()) for name in compat_server._OF_API_SERVER}
CHANGED: dict[str, tuple[set[str], set[str]]] = OF_API_SERVER | {
    "TaskInstance": (set(PAGES), set()),
    "XComModel": (set(PAGES), set()),
    "DagRun": ({"Luigi"}, set()),
    "DBDagBag": (set(), {"Tiers"}),
    "SerializedDagModel": (set(), {"Luigi"}),
    "TaskInstanceHistory": (set(), {"Task"}),
    "TaskStateStoreModel": (set(), {"Task"}),
    "create_session": (set(), {"Tiers"}),
}


@pytest.mark.parametrize("name", parts())
def test_where_airflow_lacks_a_part_each_page_works_or_says_what_is_missing(
    without: Callable[[str], tuple[Any, TestClient]], name: str
) -> None:
    broken, changed = CHANGED[name]
    if name == "TaskInstanceHistory" and find_spec("airflow.models.taskinstancehistory") is None:
        changed = set()  # this Airflow does not have it, and has another way

    plugin, client = without(parts()[name])

    assert [view["name"] for view in plugin.external_views] == ["Domino", "Domino", "Luigi", "Domino"]
    answers = {page: client.get(address, headers={"accept": "text/html"}) for page, address in PAGES.items()}
    assert {page for page, answer in answers.items() if answer.status_code == 501} == broken
    assert {page for page, answer in answers.items() if answer.status_code == 200} == set(PAGES) - broken
    assert {page for page, answer in answers.items() if "notice odd" in answer.text} == changed
    for page in broken:
        assert "This page does not work here" in answers[page].text
        assert f"has no {parts()[name]}." in answers[page].text
        assert "ensemble" not in answers[page].text
        assert "default-src" in answers[page].headers["content-security-policy"]


def test_a_page_that_fails_for_another_reason_says_where_to_look_and_the_others_work(
    ann: TestClient, monkeypatch: pytest.MonkeyPatch, store: Any, permissions: Any
) -> None:
    """Such as a column that is called otherwise in a later version of Airflow."""

    def fail(*arguments: object) -> None:
        raise AttributeError("TaskInstance has no max_tries, and here a secret")

    from airflow_domino.plugin import routes_costs

    monkeypatch.setattr(routes_costs, "find_history", fail)
    client = TestClient(ann.app, raise_server_exceptions=False)

    page = client.get("/costs", headers={"accept": "text/html"})
    program = client.get("/api/costs")

    assert page.status_code == program.status_code == 500
    assert "AttributeError: look into the log of Airflow&#39;s api-server" in page.text
    assert "AttributeError: look into" in program.json()["detail"]
    assert "secret" not in page.text + program.text
    assert "default-src" in page.headers["content-security-policy"]
    assert client.get("/timeline").status_code == 200


def test_what_is_private_in_airflow_is_reached_in_one_place_alone() -> None:
    found = []
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [f"{file.relative_to(PACKAGE)}: {name}" for name in names if name.startswith(PRIVATE)]
    assert [each for each in found if not each.startswith(("compat.py:", "compat_server.py:"))] == []
