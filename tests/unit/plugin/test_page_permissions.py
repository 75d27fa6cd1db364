"""Who may see what: Airflow's authentication on every route, and Airflow's permissions for every DAG."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from fastapi.routing import APIRoute

EXAMPLES = {
    "/": ["/"],
    "/runs": ["/runs"],
    "/api/runs": ["/api/runs"],
    "/dag-run": ["/dag-run?dag_id=ours&run_id=manual__1"],
    "/dag-run/live": ["/dag-run/live?dag_id=ours&run_id=manual__1"],
    "/task": ["/task?dag_id=ours&run_id=manual__1&task_id=fit"],
    "/task/live": ["/task/live?dag_id=ours&run_id=manual__1&task_id=fit"],
    "/timeline": ["/timeline"],
    "/timeline/live": ["/timeline/live?period=week"],
    "/api/timeline": ["/api/timeline"],
    "/costs": ["/costs"],
    "/costs/live": ["/costs/live"],
    "/api/costs": ["/api/costs?by=tier"],
    "/costs.csv": ["/costs.csv"],
    "/tiers": ["/tiers"],
    "/tiers/live": ["/tiers/live"],
    "/api/tiers": ["/api/tiers"],
    "/luigi": ["/luigi", "/luigi?dag_id=ours&run_id=manual__1"],
    "/luigi/graph": ["/luigi/graph?dag_id=ours&run_id=manual__1"],
    "/static/{name}": ["/static/page.css", "/static/page.js", "/static/icon-light.svg", "/static/nothing"],
}
"""Addresses to try of each route that reads."""

ACTIONS: dict[str, dict[str, object]] = {
    "/orphans/stop": {"conn_id": "domino_default", "run_id": "65f0c0ffee00000000000001"},
}
"""The JSON body of a request that is in order, for each route that does something."""

PATHS = [path for examples in EXAMPLES.values() for path in examples]
PAGES = [path for path in PATHS if not path.startswith("/static")]
HERE = {"Origin": "http://testserver"}


def test_the_application_has_no_route_but_those_tested_here(plugin_app):
    assert all(isinstance(route, APIRoute) for route in plugin_app.routes)
    assert {route.path for route in plugin_app.routes if route.methods == {"GET"}} == set(EXAMPLES)
    assert {route.path for route in plugin_app.routes if route.methods == {"POST"}} == set(ACTIONS)
    assert len(plugin_app.routes) == len(EXAMPLES) + len(ACTIONS)


@pytest.mark.parametrize("path", [*PATHS, "/?state=nonsense", "/runs?limit=0"])
def test_who_is_not_signed_in_is_sent_away(anonymous, path):
    answer = anonymous.get(path)

    assert answer.status_code == 401
    assert answer.json() == {"detail": "Not authenticated"}


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_can_be_changed(anonymous, method):
    assert getattr(anonymous, method)("/runs").status_code == 405


def test_a_person_who_is_not_signed_in_is_told_so_in_words(anonymous):
    answer = anonymous.get("/", headers={"Accept": "text/html,application/xhtml+xml"})

    assert answer.status_code == 401
    assert "You are not signed in" in answer.text


@pytest.mark.parametrize("entity", [DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM])
@pytest.mark.parametrize("path", PATHS)
def test_an_account_that_may_not_read_what_the_page_is_made_of_is_refused(ann, permissions, entity, path):
    permissions.forbidden.add(entity)

    assert ann.get(path).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_told_of_dags_that_one_may_not_read(ann, permissions, store, path):
    store.add_finished("ours", "fit", number=7)
    store.add_finished("theirs", "steal", number=8, tier="Secret tier")
    permissions.dag_ids = {"ours"}

    answer = ann.get(path)

    assert answer.status_code in {200, 404}
    for word in ("theirs", "steal", "Secret tier"):
        assert word not in answer.text


@pytest.mark.parametrize("path", ["/", "/runs", "/api/runs"])
def test_the_runs_of_readable_dags_are_shown(ann, permissions, store, path):
    store.add_finished("ours", "fit", number=7)
    permissions.dag_ids = {"ours"}

    assert "ours" in ann.get(path).text


@pytest.mark.parametrize("path", PAGES)
def test_asking_for_a_dag_that_one_may_not_read_is_refused(ann, permissions, store, path):
    store.add_finished("theirs")
    permissions.dag_ids = {"ours"}

    assert ann.get(path.replace("ours", "theirs"), params={"dag_id": "theirs"}).status_code == 403


def test_who_may_read_no_dag_sees_no_run(ann, store):
    store.add_finished("theirs")

    answer = ann.get("/api/runs")

    assert answer.json() == {"runs": [], "tiers": []}


@pytest.mark.parametrize("path", ACTIONS)
def test_who_is_not_signed_in_can_do_nothing(anonymous, path):
    assert anonymous.post(path, json=ACTIONS[path], headers=HERE).status_code == 401


@pytest.mark.parametrize("entity", [DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM])
@pytest.mark.parametrize("path", ACTIONS)
def test_an_account_that_may_not_see_what_it_would_change_is_refused(ann, permissions, entity, path):
    permissions.forbidden.add(entity)

    assert ann.post(path, json=ACTIONS[path], headers=HERE).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
@pytest.mark.parametrize("path", ACTIONS)
def test_another_site_cannot_make_a_browser_do_anything(ann, permissions, path, headers):
    permissions.dag_ids = {"ours"}

    answer = ann.post(path, json=ACTIONS[path], headers=headers)

    assert answer.status_code == 403
    assert "own pages" in answer.json()["detail"]


@pytest.mark.parametrize("path", ACTIONS)
def test_a_plain_form_can_do_nothing(ann, permissions, path):
    permissions.dag_ids = {"ours"}

    answer = ann.post(path, content="{}", headers={**HERE, "Content-Type": "text/plain"})

    assert answer.status_code == 415


@pytest.mark.parametrize("path", ACTIONS)
def test_actions_are_never_done_by_following_a_link(ann, path):
    assert ann.get(path).status_code == 405


@pytest.mark.parametrize(
    "headers",
    [{}, HERE, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "https://airflow.example.com"}],
)
@pytest.mark.parametrize("path", ACTIONS)
def test_a_program_and_airflows_own_pages_are_listened_to(ann, permissions, monkeypatch, path, headers):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/airflow")
    permissions.dag_ids = {"ours"}

    assert ann.post(path, json=ACTIONS[path], headers=headers).status_code not in {401, 403, 415}


@pytest.mark.parametrize("path", ["/", "/runs", "/api/runs", "/static/page.css"])
def test_only_airflow_may_frame_the_page_and_nothing_outside_is_loaded(ann, permissions, path):
    policy = ann.get(path).headers["Content-Security-Policy"]

    assert "frame-ancestors 'self'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_refusals_carry_the_same_headers(anonymous):
    answer = anonymous.get("/")

    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["..%2Fapp.py", "app.py", "%2e%2e%2fdomino.py", "page.css%00"])
def test_only_the_pages_own_files_are_served(ann, name):
    assert ann.get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nothing", "has no such address"),
        ("/static/nothing", "There is no file nothing"),
        ("/luigi?dag_id=ours&run_id=nothing", "nothing"),
    ],
)
def test_a_person_is_told_in_words_what_is_not_there(ann, permissions, path, words):
    permissions.dag_ids = {"ours"}

    answer = ann.get(path, headers={"Accept": "text/html"})

    assert answer.status_code == 404
    assert words in answer.text
