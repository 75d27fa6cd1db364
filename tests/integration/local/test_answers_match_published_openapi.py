"""Every answer has the shape that Domino's own OpenAPI documents give it.

The documents are Domino's and not part of this repository. Each Domino serves its own at `/assets/swagger.json` (v4)
and `/assets/public-api.json`; put them as `v4-6.3.json` and `public-6.3.json` in the folder that DOMINO_OPENAPI_DIR
names.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import requests

FOLDER = os.environ.get("DOMINO_OPENAPI_DIR")

pytestmark = pytest.mark.skipif(FOLDER is None, reason="DOMINO_OPENAPI_DIR names no folder with Domino's documents")


class Document:
    """One of Domino's OpenAPI documents."""

    def __init__(self, name: str, prefix: str) -> None:
        self.document = json.loads((Path(FOLDER or "") / name).read_text())
        self.prefix = prefix

    def check(self, answer: requests.Response) -> None:
        """Fail unless the answer has the status and the shape of one of the operation's responses."""
        method = str(answer.request.method)
        path = urlsplit(str(answer.request.url)).path.removeprefix(self.prefix)
        operation = self.operation(method.lower(), path)
        responses = operation["responses"]
        assert str(answer.status_code) in responses, f"{method} {path}: {answer.status_code} {answer.text}"
        response = responses[str(answer.status_code)]
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        schema = response.get("content", {}).get("application/json", {}).get("schema")
        if schema is not None:
            whole = {**schema, "components": self.document["components"]}
            jsonschema.Draft4Validator(whole).validate(answer.json())

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """The operation of a path; the one with the fewest placeholders when several fit."""
        fitting = [
            template
            for template, operations in self.document["paths"].items()
            if method in operations and re.fullmatch(re.sub(r"{[^}]*path}", ".+", _pattern(template)), path)
        ]
        assert fitting, f"the document has no {method} {path}"
        return self.document["paths"][min(fitting, key=lambda template: template.count("{"))][method]


def _pattern(template: str) -> str:
    return re.sub(r"{(?![^}]*path})[^}]*}", "[^/]+", template)


@pytest.fixture(scope="module")
def v4() -> Document:
    return Document("v4-6.3.json", "/v4")


@pytest.fixture(scope="module")
def public() -> Document:
    return Document("public-6.3.json", "")


@pytest.fixture(scope="module")
def jobs(local_domino) -> list[str]:
    """Ids of a run that succeeded, one that failed and one that was stopped."""
    stopped = local_domino.start("sleep.py 60", title="stopped")["id"]
    local_domino.wait_for_status(stopped, "Running")
    local_domino.post("/v4/jobs/stop", jobId=stopped, commitResults=True)
    good = local_domino.run("hello.py", title="good", mainRepoGitRef={"type": "head"})["id"]
    local_domino.post(f"/v4/jobs/{good}/tag", tagName="best", projectId=local_domino.project_id)
    return [good, local_domino.run("fail.py")["id"], local_domino.wait(stopped)["id"]]


def test_jobs_of_version_4(local_domino, v4, jobs):
    project_id = local_domino.project_id
    for job_id in jobs:
        for path in (
            f"/v4/jobs/{job_id}",
            f"/v4/jobs/{job_id}/logsWithProblemSuggestions?logType=prepareoutput",
            f"/v4/jobs/{job_id}/logsWithProblemSuggestions",
            f"/v4/jobs/{job_id}/runtimeExecutionDetails",
            f"/v4/jobs/{job_id}/results?projectId={project_id}",
            f"/v4/jobs/{job_id}/tags",
        ):
            v4.check(local_domino.request("GET", path))
    v4.check(local_domino.request("GET", f"/v4/jobs?projectId={project_id}&page_size=100"))
    v4.check(local_domino.request("GET", "/v4/jobs/getStatus/values"))


def test_verbs_of_jobs_of_version_4(local_domino, v4, jobs):
    project_id, job_id = local_domino.project_id, jobs[0]
    environment_id = local_domino.get(f"/v4/projects/{project_id}/settings")["defaultEnvironmentId"]
    cluster = {
        "clusterType": "Ray",
        "computeEnvironmentId": environment_id,
        "workerCount": 2,
        "workerHardwareTierId": {"value": "small-k8s"},
        "masterHardwareTierId": {"value": "small-k8s"},
        "workerStorage": {"value": 5, "unit": "GiB"},
    }
    start = {"projectId": project_id, "commandToRun": "true", "computeClusterProperties": cluster}
    started = local_domino.request("POST", "/v4/jobs/start", json=start)
    v4.check(started)
    for path, body in (
        ("/v4/jobs/stop", {"jobId": started.json()["id"], "commitResults": False}),
        ("/v4/jobs/restart", {"jobId": job_id, "shouldUseOriginalInputCommit": True}),
        ("/v4/jobs/archive", {"jobId": started.json()["id"]}),
        (f"/v4/jobs/{job_id}/name", {"name": "renamed"}),
        (f"/v4/jobs/{project_id}/resolveJobDefaults", {}),
        (f"/v4/jobs/{project_id}/resolveJobDefaults", {"computeClusterProperties": cluster}),
    ):
        v4.check(local_domino.request("POST", path, json=body))
    tag = local_domino.request("POST", f"/v4/jobs/{job_id}/tag", json={"tagName": "new", "projectId": project_id})
    v4.check(tag)
    body = {"tagId": tag.json()["tagId"], "projectId": project_id}
    v4.check(local_domino.request("DELETE", f"/v4/jobs/{job_id}/tag", json=body))


def test_projects_users_and_files_of_version_4(local_domino, v4, jobs):
    project_id = local_domino.project_id
    owner, name = local_domino.project.split("/")
    for path in (
        f"/v4/gateway/projects/findProjectByOwnerAndName?ownerName={owner}&projectName={name}",
        "/v4/gateway/projects?relationship=Owned",
        f"/v4/projects/{project_id}/hardwareTiers",
        f"/v4/projects/{project_id}/useableEnvironments",
        f"/v4/projects/{project_id}/settings",
        f"/v4/projects/{project_id}/commits",
        f"/v4/projects/{project_id}/commits/head",
        f"/v4/projects/{project_id}/commits/{local_domino.head()}/files/hello.py",
        f"/v4/files/browseFiles?ownerUsername={owner}&projectName={name}&filePath=/",
        f"/v4/jobs/{project_id}/retrieveValidProperties",
        "/v4/users/self",
        "/v4/users?userName=domino",
    ):
        v4.check(local_domino.request("GET", path))
    path = f"/v4/projects/{project_id}/commits/head/files/uploaded/new.txt"
    v4.check(local_domino.request("POST", path, files={"upfile": ("new.txt", b"content")}))


def test_refusals_of_version_4(local_domino, v4, jobs):
    unknown = "0" * 24
    for method, path, body in (
        ("GET", "/v4/jobs/nonsense", None),
        ("POST", "/v4/jobs/start", {"projectId": "nonsense", "commandToRun": "true"}),
        ("POST", "/v4/jobs/stop", {"jobId": "nonsense", "commitResults": True}),
        ("GET", f"/v4/jobs?projectId={local_domino.project_id}&order_by=nonsense", None),
    ):
        answer = local_domino.request(method, path, json=body)
        assert answer.status_code == 400
        v4.check(answer)
    assert local_domino.request("GET", f"/v4/jobs/{unknown}").status_code == 404


def test_the_public_api(local_domino, public, jobs):
    project_id = local_domino.project_id
    environment_id = local_domino.get(f"/v4/projects/{project_id}/settings")["defaultEnvironmentId"]
    for job_id in jobs:
        public.check(local_domino.request("GET", f"/api/jobs/beta/jobs/{job_id}"))
        public.check(local_domino.request("GET", f"/api/jobs/beta/jobs/{job_id}/logs?logType=complete"))
    body = {
        "projectId": project_id,
        "runCommand": "true",
        "environmentRevisionSpec": "LatestRevision",
        "mainRepoGitRef": {"refType": "head"},
        "computeCluster": {
            "clusterType": "dask",
            "computeEnvironmentId": environment_id,
            "workerCount": 1,
            "workerHardwareTier": "small-k8s",
            "masterHardwareTierId": "small-k8s",
            "workerStorageMB": 100,
        },
    }
    started = local_domino.request("POST", "/api/jobs/v1/jobs", json=body)
    public.check(started)
    assert started.json()["job"]["computeCluster"] == body["computeCluster"]
    tagged = local_domino.request(
        "POST", f"/api/jobs/v1/jobs/{jobs[0]}/tags", json={"projectId": project_id, "tagName": "public"}
    )
    public.check(tagged)
    path = f"/api/jobs/v1/jobs/{jobs[0]}/tags/{tagged.json()['tag']['id']}?projectId={project_id}"
    public.check(local_domino.request("DELETE", path))
    for path in (
        f"/api/jobs/beta/jobs?projectId={project_id}&limit=50",
        "/api/hardwaretiers/v1/hardwaretiers",
        "/api/hardwaretiers/v1/hardwaretiers/small-k8s",
        "/api/projects/beta/projects",
        f"/api/projects/v1/projects/{project_id}",
        f"/api/projects/beta/projects/{project_id}/results-settings",
        "/api/environments/beta/environments",
        f"/api/environments/v1/environments/{environment_id}",
        "/api/users/v1/self",
        "/api/users/v1/users",
        f"/api/projects/v1/projects/{project_id}/files/{local_domino.head()}/hello.py/content",
    ):
        public.check(local_domino.request("GET", path))
    public.check(
        local_domino.request(
            "PUT", f"/api/projects/beta/projects/{project_id}/results-settings", json={"branch": "main"}
        )
    )


def test_refusals_of_the_public_api(local_domino, public):
    for path, status in (
        ("/api/jobs/beta/jobs/nonsense", 400),
        (f"/api/jobs/beta/jobs/{'0' * 24}", 404),
        (f"/api/projects/v1/projects/{'0' * 24}", 404),
    ):
        answer = local_domino.request("GET", path)
        assert answer.status_code == status
        public.check(answer)
    anonymous = requests.get(f"{local_domino.url}/api/users/v1/self", timeout=30)
    assert anonymous.status_code == 401
    public.check(anonymous)
