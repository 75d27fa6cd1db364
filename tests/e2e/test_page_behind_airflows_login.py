"""The page "Domino" behind the login of a real api-server, which is served below a path."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from airflow_domino.demo.airflow_stack import AirflowStack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROUTES = ["/", "/runs", "/api/runs", "/dag-run", "/task?dag_id=x&run_id=y&task_id=z"]
ROUTES += ["/timeline", "/costs", "/tiers", "/luigi", "/static/page.css", "/static/page.js", "/static/icon-dark.svg"]
BASE_PATH = "/data/airflow"
OTHERS = frozenset({"scheduler", "dag-processor", "triggerer"})


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the page in an api-server that knows one viewer, and lets nobody in without a login."""
    folder = tmp_path_factory.mktemp("guarded")
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({"vera": "a-password"}))
    settings = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "vera:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }
    stack = AirflowStack(folder / "home", folder, environment=settings, without=OTHERS)
    stack.environment["AIRFLOW__API__BASE_URL"] = stack.url + BASE_PATH
    with stack:
        yield f"{stack.url}{BASE_PATH}/domino"


@pytest.fixture(scope="module")
def token(pages: str) -> str:
    login = pages.removesuffix("/domino") + "/auth/token"
    answer = requests.post(login, json={"username": "vera", "password": "a-password"}, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


@pytest.mark.parametrize("route", ROUTES)
def test_an_anonymous_caller_gets_nothing(pages: str, route: str) -> None:
    assert requests.get(pages + route, timeout=30).status_code == 401


@pytest.mark.parametrize("route", ROUTES)
def test_a_made_up_token_gets_nothing(pages: str, route: str) -> None:
    answer = requests.get(pages + route, headers={"Authorization": "Bearer made.up.token"}, timeout=30)

    assert answer.status_code == 403


@pytest.mark.parametrize("route", ROUTES)
def test_a_viewer_sees_the_page(pages: str, token: str, route: str) -> None:
    answer = requests.get(pages + route, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    assert answer.status_code == 200
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]


def test_a_browsers_cookie_is_enough(pages: str, token: str) -> None:
    answer = requests.get(pages + "/", cookies={"_token": token}, timeout=30)

    assert answer.status_code == 200
    assert "No runs to show" in answer.text


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_there_is_no_description_of_the_application_for_strangers(pages: str, path: str) -> None:
    assert requests.get(pages + path, timeout=30).status_code == 404


def test_airflow_offers_the_page_in_its_navigation(pages: str, token: str) -> None:
    address = pages.removesuffix("/domino") + "/api/v2/plugins"
    answer = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    views = [view for plugin in answer.json()["plugins"] for view in plugin["external_views"]]
    assert ("Domino", "nav", f"{BASE_PATH}/domino/") in [(v["name"], v["destination"], v["href"]) for v in views]
