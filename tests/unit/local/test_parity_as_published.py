"""What docs/local-domino.md says of how far the local Domino goes is how far it goes.

The table of operations is written anew by this test where AIRFLOW_DOMINO_WRITE_PARITY is set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from airflow_domino.local import described
from airflow_domino.local.gate import Access
from airflow_domino.local.platform import Platform
from airflow_domino.local.server import create_app

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "local-domino.md"
DRIVEN = ROOT / "tests" / "contract" / "asked_by_dominos_client.txt"
PROJECT = "/v4/projects/{project}"
# Served since Domino's client asks for it.
UNDOCUMENTED = ("GET /v4/jobs/project/{projectId}/defaultSparkSettings",)
START = {"projectId": "{project}", "commandToRun": "true"}
CLUSTER = {
    "clusterType": "Ray",
    "computeEnvironmentId": "{environment}",
    "workerCount": 1,
    "workerHardwareTierId": {"value": "small-k8s"},
}
IMAGE = {"name": "Mine", "image": "python:3.12", "visibility": "private"}
# For each row of the table of what is not emulated: requests, and how they are answered.
PROBES: dict[str, list[tuple[str, str, Any, int]]] = {
    "Scheduled jobs": [("GET", f"{PROJECT}/scheduledjobs", None, 404)],
    "Jobs of Flows": [("POST", "/v4/jobs/startWorkflowJob", START, 405)],
    "Datasets and their snapshots": [("GET", "/api/datasetrw/v1/datasets", None, 404)],
    "NetApp volumes": [("GET", "/remotefs/v1/volumes", None, 404)],
    "External volumes": [("POST", "/v4/jobs/start", {**START, "externalVolumeMounts": ["x"]}, 400)],
    "Compute clusters (Spark, Ray, Dask, MPI)": [
        ("POST", "/v4/jobs/start", {**START, "computeClusterProperties": CLUSTER}, 200)
    ],
    "Workspaces": [("GET", f"/v4/workspace/project/{'{project}'}/workspace", None, 404)],
    "Model APIs and apps": [
        ("GET", "/api/modelServing/v1/modelApis", None, 404),
        ("GET", "/api/apps/beta/apps", None, 404),
    ],
    "Building environments from images": [("POST", "/api/environments/beta/environments", IMAGE, 400)],
    "Users, projects and hardware tiers in the public API": [
        ("GET", "/api/users/v1/self", None, 404),
        ("GET", "/api/projects/beta/projects", None, 404),
        ("GET", "/api/hardwaretiers/v1/hardwaretiers", None, 404),
        ("POST", "/api/hardwaretiers/v1/hardwaretiers", {}, 404),
    ],
    "Comments on jobs, their tags, and other titles for them": [
        ("GET", "/v4/jobs/{project}/comments", None, 404),
        ("POST", "/v4/jobs/{project}/tag", {"tagName": "x", "projectId": "{project}"}, 404),
        ("POST", "/v4/jobs/{project}/name", {"name": "x"}, 404),
    ],
    "Governance and audit trail": [
        ("GET", "/api/governance/v1/bundles", None, 404),
        ("GET", "/api/audittrail/v1/auditevents", None, 404),
    ],
    "Budgets and billing tags": [
        ("GET", "/v4/cost/budgets/defaults", None, 404),
        ("GET", "/v4/cost/billingtags", None, 404),
    ],
    "Organizations and service accounts": [
        ("GET", "/api/organizations/v1/organizations", None, 404),
        ("GET", "/api/serviceAccounts/v1/serviceAccounts", None, 404),
    ],
    "Goals of projects and jobs": [
        ("GET", "/api/jobs/v1/goals", None, 404),
        ("POST", f"/api/projects/v1{PROJECT.removeprefix('/v4')}/goals", {"title": "x"}, 404),
    ],
    "Environment variables of projects and users": [
        ("GET", f"{PROJECT}/environmentVariables", None, 404),
        ("GET", "/v4/users/environmentVariables", None, 404),
    ],
    "Portfolio, status and transfer of projects": [
        ("GET", "/v4/projects/portfolio/getProjectPortfolio", None, 404),
        ("PUT", f"/api/projects/v1{PROJECT.removeprefix('/v4')}/status", {}, 404),
    ],
    "Metrics and alerts of models": [
        ("POST", "/api/metricAlerts/v1", {}, 404),
        ("POST", "/api/metricValues/v1", {}, 404),
    ],
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A local Domino that executes nothing."""
    made = Platform(root=tmp_path_factory.mktemp("parity") / "root", token="secret")
    made.add_project("domino/quick-start")
    yield made
    made.close()


@pytest.fixture(scope="module")
def app(platform: Platform) -> Any:
    return create_app(platform, Access())


def served(app: Any) -> list[str]:
    """The operations that are served, generation by generation."""
    while not hasattr(app, "include_router"):
        app = next(value for name, value in vars(app).items() if name.strip("_") == "app")
    return [f"{one.method} {one.path}" for one in described.served(app)]


def without_names(operation: str) -> str:
    return re.sub(r"{[^}]*}", "{}", operation)


def held_to(operation: str, contract: set[str]) -> str:
    """What answers of an operation are validated against; that Domino documents it is tried where answers are."""
    if operation.partition(" ")[2].startswith(("/v4/", "/api/")) and operation not in UNDOCUMENTED:
        return "Domino's document"
    return "our contract" if without_names(operation) in contract else "its own description"


def table(app: Any) -> str:
    """The table as it should be."""
    known = yaml.safe_load((ROOT / "tests" / "contract" / "domino.yaml").read_text())["operations"]
    contract = {without_names(operation) for operation in known}
    driven = {without_names(line) for line in DRIVEN.read_text().splitlines()}
    rows = [(one, held_to(one, contract), "yes" if without_names(one) in driven else "") for one in served(app)]
    documented, asked = (
        sum(row[place] == word for row in rows) for place, word in ((1, "Domino's document"), (2, "yes"))
    )
    summary = (
        f"{len(rows)} operations are served: {documented} are held to Domino's documents, and {asked} are driven by "
        "Domino's own client.\n\n"
    )
    lines = ["| operation | held to | Domino's client |", "|---|---|---|"]
    lines += [f"| `{operation}` | {judge} | {driver} |" for operation, judge, driver in rows]
    return summary + "\n".join(lines)


def part(name: str) -> str:
    """What stands between two marks of the page."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- end of {name} -->", PAGE.read_text(), re.DOTALL)
    assert found is not None, f"{PAGE} has lost its marks of {name}"
    return found[1]


def test_the_table_of_operations_is_what_is_served(app: Any) -> None:
    if os.environ.get("AIRFLOW_DOMINO_WRITE_PARITY"):
        before, after = (f"<!-- {mark}parity -->" for mark in ("", "end of "))
        head, _, rest = PAGE.read_text().partition(before)
        PAGE.write_text(f"{head}{before}\n{table(app)}\n{after}{rest.partition(after)[2]}")
    assert part("parity").strip() == table(app)


def test_what_dominos_client_asks_for_is_served(app: Any) -> None:
    operations = {without_names(one) for one in served(app)}
    asked = DRIVEN.read_text().splitlines()
    assert asked == sorted(asked)
    assert {without_names(one) for one in asked} <= operations


def test_each_thing_that_is_not_emulated_is_tried(platform: Platform, app: Any) -> None:
    rows = dict(line.strip("| ").split(" | ") for line in part("not emulated").splitlines()[2:])
    assert list(rows) == list(PROBES)
    known = {"project": platform.projects.all()[0].id, "environment": platform.environments[0].id}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        return value.format(**known) if isinstance(value, str) else value

    with TestClient(app, base_url="http://127.0.0.1", headers={"X-Domino-Api-Key": "secret"}) as client:
        for what, probes in PROBES.items():
            for method, path, body, status in probes:
                answer = client.request(method, filled(path), json=filled(body))
                assert answer.status_code == status, f"{what}: {method} {path}: {answer.text}"
                assert str(status) in rows[what] or status == 200
