"""Every answer of every operation, good or not, has the shape that Domino's own OpenAPI documents give it.

Where the documents are not at hand, a contract of our own and the served descriptions are what is left to judge by; see
conftest.py. A new operation needs a row in `EXERCISES`.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from airflow_domino.local import described
from airflow_domino.local.recordings import Exchange, load

CLUSTER_V4 = {
    "clusterType": "Ray",
    "computeEnvironmentId": "{environment_id}",
    "workerCount": 2,
    "workerHardwareTierId": {"value": "small-k8s"},
    "masterHardwareTierId": {"value": "small-k8s"},
    "workerStorage": {"value": 5, "unit": "GiB"},
}
CLUSTER_PUBLIC = {
    "clusterType": "dask",
    "computeEnvironmentId": "{environment_id}",
    "workerCount": 1,
    "workerHardwareTier": "small-k8s",
    "masterHardwareTierId": "small-k8s",
    "workerStorageMB": 100,
}
V1 = "/v1/projects/{owner}/{name}"
FILES = "/projects/{project_id}/files/{head}/hello.py/content"
PATS = "/api/pat/v1/tokens"
ENVIRONMENTS = "/api/environments/beta/environments"
ACCOUNTS = "/api/serviceAccounts/v1/serviceAccounts"
ORGANIZATIONS = "/api/organizations/v1/organizations"
GOALS = "/api/projects/v1/projects/{made}/goals"
NEW_V4 = {
    "name": "made",
    "description": "made by a test",
    "visibility": "Private",
    "ownerId": "{user}",
    "collaborators": [],
    "tags": {"tagNames": ["first"]},
    "billingTag": {"tag": "research"},
}
NEW_PUBLIC = {
    "name": "public",
    "description": "made by a test",
    "visibility": "Searchable",
    "mainRepository": {"uri": "https://example.org/code.git", "defaultRef": {"refType": "Branch", "value": "main"}},
}
FORM = {"files": {"upfile": ("new.txt", b"content")}}

# What is asked, in this order: method, address, and the body (or what else goes into the request). A fourth word
# keeps something of the answer for later rows: its name there, and where it is in the answer.
EXERCISES: list[tuple[Any, ...]] = [
    ("GET", "/version", None),
    # Version 1
    ("GET", "/v1/environments", None),
    ("POST", f"{V1}/runs", {"command": ["hello.py", "an argument"], "isDirect": False, "tier": "Small", "title": "v1"}),
    ("POST", f"{V1}/runs", {"command": ["echo a | cat"], "isDirect": True, "commitId": None, "title": None}),
    ("GET", f"{V1}/runs", None),
    ("GET", f"{V1}/runs/{{good}}", None),
    ("GET", f"{V1}/run/{{good}}/stdout", None),
    ("GET", f"{V1}/run/{{failed}}/stdout?previewNumberOfLines=1", None),
    ("GET", f"{V1}/commits", None),
    ("GET", f"{V1}/files/{{head}}//", None),
    ("GET", f"{V1}/blobs/{{key}}", None),
    ("PUT", f"{V1}/put.txt", {"data": b"content"}),
    # Version 4: jobs
    (
        "POST",
        "/v4/jobs/start",
        {
            "projectId": "{project_id}",
            "commandToRun": "true",
            "title": "with everything",
            "commitId": "{head}",
            "mainRepoGitRef": {"type": "head"},
            "overrideHardwareTierId": "small-k8s",
            "environmentId": "{environment_id}",
            "environmentRevisionSpec": "LatestRevision",
            "computeClusterProperties": CLUSTER_V4,
        },
    ),
    ("POST", "/v4/runs", {"projectId": "{project_id}", "commandToRun": "true", "hardwareTierName": "Small"}),
    ("POST", "/v4/jobs/restart", {"jobId": "{good}", "shouldUseOriginalInputCommit": True}),
    ("POST", "/v4/jobs/stop", {"jobId": "{failed}", "commitResults": False}),
    ("POST", "/v4/jobs/archive", {"jobId": "{failed}"}),
    ("POST", "/v4/jobs/{good}/name", {"name": "renamed"}),
    ("POST", "/v4/jobs/{good}/tag", {"tagName": "new", "projectId": "{project_id}"}),
    ("DELETE", "/v4/jobs/{good}/tag", {"tagId": "{tag}", "projectId": "{project_id}"}),
    ("POST", "/v4/jobs/{project_id}/resolveJobDefaults", {}),
    ("POST", "/v4/jobs/{project_id}/resolveJobDefaults", {"computeClusterProperties": CLUSTER_V4}),
    ("GET", "/v4/jobs/{project_id}/retrieveValidProperties", None),
    ("GET", "/v4/jobs?projectId={project_id}&page_size=100&show_archived=true", None),
    ("GET", "/v4/jobs?projectId={project_id}&order_by=dominoStatsField&dominoStatsSortFieldName=x", None),
    ("GET", "/v4/jobs/getStatus/values", None),
    *[
        ("GET", f"/v4/jobs/{{{job}}}{detail}", None)
        for job in ("good", "failed", "stopped", "waiting")
        for detail in (
            "",
            "/tags",
            "/logsWithProblemSuggestions",
            "/logsWithProblemSuggestions?logType=prepareoutput",
            "/runtimeExecutionDetails",
            "/results?projectId={project_id}",
        )
    ],
    # Version 4: the rest
    ("GET", "/v4/gateway/projects/findProjectByOwnerAndName?ownerName={owner}&projectName={name}", None),
    ("GET", "/v4/gateway/projects?relationship=Owned", None),
    ("GET", "/v4/projects/{project_id}/hardwareTiers?showArchived=true", None),
    ("GET", "/v4/projects/{project_id}/useableEnvironments", None),
    ("GET", "/v4/projects/{project_id}/settings", None),
    ("GET", "/v4/projects/{project_id}/commits", None),
    ("GET", "/v4/projects/{project_id}/commits/head", None),
    ("GET", "/v4/projects/{project_id}/commits/{head}/files/hello.py", None),
    ("GET", "/v4/files/browseFiles?ownerUsername={owner}&projectName={name}&filePath=/", None),
    ("POST", "/v4/projects/{project_id}/commits/head/files/uploaded/new.txt", FORM),
    ("GET", "/v4/users/self", None, "user=id"),
    ("GET", "/v4/users?userName={owner}", None),
    # Version 4: making and changing projects
    ("POST", "/v4/projects", NEW_V4, "made=id"),
    ("GET", "/v4/projects/{made}", None),
    ("PATCH", "/v4/projects/{made}/description", {"description": "changed"}),
    ("PATCH", "/v4/projects/{made}/visibility", {"visibility": "Public"}),
    ("PATCH", "/v4/projects/{made}/name", {"newName": "renamed"}),
    ("POST", "/v4/projects/{project_id}/copy", {"name": "copied"}, "copied=id"),
    ("POST", "/v4/projects/{project_id}/fork", {"name": "forked"}),
    ("POST", "/v4/projects/{made}/tags", {"tagNames": ["one", "two"]}, "project_tag=id"),
    ("DELETE", "/v4/projects/{made}/tags/{project_tag}", None),
    ("GET", "/v4/projects/{made}/resultsBranchSetting", None),
    ("PATCH", "/v4/projects/{made}/resultsBranchSetting", {"branch": "Isolated"}),
    ("POST", "/v4/projects/portfolio/markProjectComplete", {"projectId": "{made}", "completeReason": "done"}),
    ("POST", "/v4/projects/portfolio/markProjectActive", {"projectId": "{made}"}),
    ("POST", "/v4/projects/{made}/environmentVariables", {"name": "A", "value": "b"}),
    ("GET", "/v4/projects/{made}/environmentVariables", None),
    ("DELETE", "/v4/projects/{made}/environmentVariables/A", None),
    ("PUT", "/v4/users/environmentVariables", {"A": "b"}),
    ("GET", "/v4/users/environmentVariables", None),
    ("DELETE", "/v4/users/environmentVariables", None),
    # The public API: tokens, service accounts and organizations
    ("POST", PATS, {"name": "first", "expiresIn": 3600, "description": "for a test"}, "pat=patId"),
    ("GET", f"{PATS}?limit=10&offset=0", None),
    ("POST", f"{PATS}/{{pat}}/invalidate", None),
    ("DELETE", f"{PATS}/{{pat}}", None),
    ("POST", f"{PATS}/invalidate", None),
    ("DELETE", PATS, None),
    ("POST", PATS, {"name": "second", "expiresIn": 3600}, "pat=patId"),
    ("GET", "/api/pat/v1/users/tokens", None),
    ("GET", "/api/pat/v1/users/{user}/tokens", None),
    ("POST", "/api/pat/v1/users/{user}/tokens/{pat}/invalidate", None),
    ("DELETE", "/api/pat/v1/users/{user}/tokens/{pat}", None),
    ("POST", "/api/pat/v1/users/{user}/tokens/invalidate", None),
    ("DELETE", "/api/pat/v1/users/{user}/tokens", None),
    ("POST", ACCOUNTS, {"username": "robot", "email": "robot@example.org"}, "account=serviceAccount.idpId"),
    ("GET", f"{ACCOUNTS}?includeDeactivated=true", None),
    ("POST", f"{ACCOUNTS}/{{account}}/deactivate", None),
    ("POST", f"{ACCOUNTS}/{{account}}/activate", None),
    ("POST", f"{ACCOUNTS}/{{account}}/tokens", {"name": "first"}),
    ("GET", f"{ACCOUNTS}/{{account}}/tokens", None),
    ("GET", f"{ACCOUNTS}/{{account}}/tokens/first", None),
    ("POST", f"{ACCOUNTS}/{{account}}/tokens/first/invalidate", None),
    ("DELETE", f"{ACCOUNTS}/{{account}}/tokens/first", None),
    ("GET", "/v4/users?userName=robot", None, "robot=0.id"),
    ("GET", "/v4/users/roles/{robot}", None),
    ("POST", "/v4/users/roles/{robot}", {"roles": ["Practitioner", "Librarian"]}),
    ("POST", ORGANIZATIONS, {"name": "team", "members": []}, "team=org.id"),
    ("PUT", f"{ORGANIZATIONS}/{{team}}/user", {"userId": "{robot}", "organizationRole": "member"}),
    ("GET", f"{ORGANIZATIONS}/{{team}}", None),
    ("DELETE", f"{ORGANIZATIONS}/{{team}}/user?memberToRemoveId={{robot}}", None),
    ("GET", ORGANIZATIONS, None),
    ("GET", f"{ORGANIZATIONS}/all", None),
    ("GET", "/v4/organizations/self", None),
    # Collaborators, now that there are more people
    ("POST", "/v4/projects/{made}/collaborators", {"collaboratorId": "{robot}", "projectRole": "Contributor"}),
    ("GET", "/v4/projects/{made}/collaborators?getUsers=true", None),
    ("PATCH", "/v4/projects/{made}/collaboratorRole", {"collaboratorId": "{robot}", "projectRole": "LauncherUser"}),
    ("GET", "/v4/projects/{made}", None),
    ("GET", "/api/projects/v1/projects/{made}", None),
    ("DELETE", "/v4/projects/{made}/collaborators/{robot}", None),
    ("POST", "/api/projects/v1/projects/{made}/collaborators", {"id": "{robot}", "role": "resultsConsumer"}),
    ("DELETE", "/api/projects/v1/projects/{made}/collaborators/{robot}", None),
    ("POST", "/v4/projects/transferOwnership", {"projectId": "{copied}", "newOwnerUsernameOrEmail": "robot"}),
    # The public API: projects
    ("POST", "/api/projects/beta/projects", {**NEW_PUBLIC, "name": "beta"}, "beta=project.id"),
    ("POST", "/api/projects/v2/projects", NEW_PUBLIC),
    ("DELETE", "/api/projects/beta/projects/{beta}", None),
    ("POST", "/api/projects/v1/projects/{made}/copy-project", {"copyDatasets": False, "name": "copied-again"}),
    ("PUT", "/api/projects/v1/projects/{made}/status", {"status": "active", "isBlocked": True, "blockedReason": "x"}),
    ("POST", GOALS, {"title": "reach it", "description": "soon"}, "goal=goal.id"),
    ("GET", GOALS, None),
    ("PATCH", f"{GOALS}/{{goal}}", {"isComplete": True}),
    ("DELETE", f"{GOALS}/{{goal}}", None),
    ("DELETE", "/v4/projects/{made}", None),
    # The public API
    (
        "POST",
        "/api/jobs/v1/jobs",
        {
            "projectId": "{project_id}",
            "runCommand": "true",
            "hardwareTier": "small-k8s",
            "environmentRevisionSpec": "LatestRevision",
            "mainRepoGitRef": {"refType": "head"},
            "computeCluster": CLUSTER_PUBLIC,
        },
    ),
    ("GET", "/api/jobs/beta/jobs?projectId={project_id}&limit=50", None),
    ("GET", "/api/jobs/beta/jobs/{good}", None),
    ("GET", "/api/jobs/beta/jobs/{waiting}", None),
    ("GET", "/api/jobs/beta/jobs/{good}/logs?logType=complete", None),
    ("GET", "/api/jobs/beta/jobs/{failed}/logs?logType=STDERR", None),
    ("POST", "/api/jobs/v1/jobs/{good}/tags", {"projectId": "{project_id}", "tagName": "public"}),
    ("DELETE", "/api/jobs/v1/jobs/{good}/tags/{tag}?projectId={project_id}", None),
    ("GET", "/api/projects/beta/projects", None),
    ("GET", "/api/projects/v1/projects/{project_id}", None),
    ("GET", "/api/projects/beta/projects/{project_id}/results-settings", None),
    ("PUT", "/api/projects/beta/projects/{project_id}/results-settings", {"branch": "main"}),
    ("GET", f"/api/projects/v1{FILES}", None),
    ("GET", f"/api/projects/beta{FILES}", None),
    ("GET", "/api/hardwaretiers/v1/hardwaretiers?includeArchived=true", None),
    ("GET", "/api/hardwaretiers/v1/hardwaretiers/small-k8s", None),
    ("GET", "/api/environments/beta/environments", None),
    ("GET", "/api/environments/v1/environments/{environment_id}", None),
    ("POST", ENVIRONMENTS, {"name": "Mine", "image": sys.executable, "visibility": "private"}, "mine=environment.id"),
    ("POST", f"{ENVIRONMENTS}/{{mine}}/revisions", {"image": sys.executable}, "revision=environmentRevision.id"),
    ("PATCH", f"{ENVIRONMENTS}/{{mine}}/revisions/{{revision}}", {"isRestricted": True}),
    ("POST", "/v4/environments/{mine}/setactive?revisionId={revision}", None),
    ("GET", "/v4/environments/self", None),
    ("GET", "/v4/environments/defaultEnvironment", None),
    ("GET", "/v4/environments/{mine}", None),
    ("GET", "/v4/environments/{mine}/page/1/pageSize/1/revisions", None),
    ("GET", "/v4/projects/{project_id}/environment/{mine}", None),
    ("DELETE", "/api/environments/v1/environments/{mine}", None),
    ("GET", "/api/users/v1/self", None),
    ("GET", "/api/users/v1/users", None),
]
UNKNOWN = "0" * 24
TIERS = """[
    {"id": "small-k8s", "name": "Small", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "capacity": 2,
     "default": true},
    {"id": "gpu-k8s", "name": "GPU", "cores": 1, "memory_gib": 1, "cents_per_minute": 0, "capacity": 1, "gpus": 1}
]"""


@dataclass
class Answered:
    """Everything that was asked and answered, the served descriptions, and the judges made of these."""

    exchanges: list[Exchange]
    documents: list[dict[str, Any]]
    own_judges: list[Any]


@pytest.fixture(scope="module")
def answered(serve_domino, tmp_path_factory, make_judge) -> Iterator[Answered]:
    """Ask for everything, with the recorder on."""
    folder = tmp_path_factory.mktemp("answers")
    files = folder / "files"
    files.mkdir()
    (files / "hello.py").write_text("print('hello')\nopen('dominostats.json', 'w').write('{\"x\": 1}')\n")
    (files / "fail.py").write_text("raise SystemExit('no')\n")
    (folder / "tiers.json").write_text(TIERS)
    domino = serve_domino(
        folder / "root", {"domino/answers": files}, [f"--tiers={folder / 'tiers.json'}", "--stop-grace=0.1"]
    )
    context = prepared(domino)
    documents = [
        requests.get(f"{domino.url}{generation.address}", timeout=30).json() for generation in described.GENERATIONS
    ]
    domino.post("/_local/recording/start")
    for row in EXERCISES:
        exercise(domino, context, *row)
    for document in documents:
        refuse(domino, document)
    domino.post("/_local/recording/stop")
    (folder / "answers.har").write_bytes(domino.request("GET", "/_local/recording/download").content)
    own = [make_judge(document, document["servers"][0]["url"].rstrip("/")) for document in documents]
    yield Answered(load(folder / "answers.har"), documents, own)
    domino.stop()


def prepared(domino: Any) -> dict[str, Any]:
    """Have runs in several states, and give what rows may name."""
    good = domino.run("hello.py", title="good", mainRepoGitRef={"type": "head"})
    failed = domino.run("fail.py")
    stopped = domino.start("sleep 60")["id"]
    domino.wait_for_status(stopped, "Running")
    domino.post("/v4/jobs/stop", jobId=stopped, commitResults=True)
    domino.wait(stopped)
    for _ in range(2):
        waiting = domino.start("sleep 60", overrideHardwareTierId="gpu-k8s")["id"]
    environment = domino.get(f"/v4/projects/{domino.project_id}/useableEnvironments")["currentlySelectedEnvironment"]
    owner, name = domino.project.split("/")
    return {
        "owner": owner,
        "name": name,
        "project_id": domino.project_id,
        "good": good["id"],
        "failed": failed["id"],
        "stopped": stopped,
        "waiting": waiting,
        "head": domino.head(),
        "key": domino.files(domino.head())["hello.py"],
        "environment_id": environment["id"],
    }


def exercise(domino: Any, context: dict[str, Any], method: str, path: str, body: Any, kept: str = "") -> None:
    """Carry a row out; it must be answered well."""
    is_plain = isinstance(body, dict) and set(body) <= {"data", "files"} and body
    options = body if is_plain else {"json": filled(body, context)}
    answer = domino.request(method, filled(path, context), **options)
    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
    if path.endswith(("/tag", "/tags")) and "/jobs/" in path and method == "POST":
        context["tag"] = answer.json().get("tagId") or answer.json()["tag"]["id"]
    name, _, place = kept.partition("=")
    if name:
        found = answer.json()
        for word in place.split("."):
            found = found[int(word) if word.isdigit() else word]
        context[name] = found


def filled(value: Any, context: dict[str, Any]) -> Any:
    """Put ids in place of names in braces."""
    if isinstance(value, str):
        return re.sub(r"{(\w+)}", lambda match: str(context[match[1]]), value)
    if isinstance(value, dict):
        return {key: filled(one, context) for key, one in value.items()}
    return [filled(one, context) for one in value] if isinstance(value, list) else value


def refuse(domino: Any, document: dict[str, Any]) -> None:
    """Ask every operation of a description for what does not exist, for nonsense, and without a token."""
    for operation in described.operations(document):
        for word in (UNKNOWN, "nonsense"):
            path = re.sub(r"{[^}]*}", word, operation.path)
            domino.request(operation.method, path, json={"projectId": word, "jobId": word})
        requests.request(operation.method, f"{domino.url}{path}", timeout=30)


def told(document: dict[str, Any], judge: Any, exchange: Exchange) -> str | None:
    """The described operation that a request belongs to."""
    found = judge.find(exchange.method, urlsplit(exchange.url).path)
    return None if found is None else f"{exchange.method} {document['servers'][0]['url'].rstrip('/')}{found.template}"


def test_every_operation_was_answered_well_and_refused(answered):
    seen: Counter[tuple[str | None, bool]] = Counter()
    for document, judge in zip(answered.documents, answered.own_judges, strict=True):
        for exchange in answered.exchanges:
            seen[told(document, judge, exchange), exchange.status < 400] += 1
    operations = [one for document in answered.documents for one in described.operations(document)]
    names = [f"{one.method} {one.path}" for one in operations]
    assert [name for name in names if not seen[name, True]] == [], "each needs a row in EXERCISES"
    never_refused = {"GET /version"}
    assert [name for name in names if not seen[name, False] and name not in never_refused] == []


def test_every_answer_is_as_domino_documents_it(answered, judges):
    assert [problem for one in answered.exchanges for problem in judges.problems(one)] == []


def test_every_answer_is_as_it_is_described_here(answered):
    problems = []
    for judge in answered.own_judges:
        for exchange in answered.exchanges:
            found = judge.find(exchange.method, urlsplit(exchange.url).path)
            if found is not None:
                problems += [f"{exchange.url}: {one}" for one in judge.problems_of_answer(found, exchange)]
    assert problems == []


def test_no_answer_is_an_error_of_the_server(answered):
    assert {exchange.status for exchange in answered.exchanges} == {200, 201, 204, 400, 401, 404}


def test_refusals_are_worded_as_their_generation_words_them(answered):
    for exchange in answered.exchanges:
        if exchange.status < 400:
            continue
        body = json.loads(exchange.body)
        if "/api/" not in exchange.url:
            assert set(body) == {"message"}
        elif exchange.status == 401:
            assert set(body) == {"requestId", "errors"}
        else:
            assert set(body) == {"error"}


def test_most_operations_are_dominos_own(answered, judges):
    """What Domino's documents do not know is told here, so that nothing is made up by mistake."""
    if not judges.dominos:
        pytest.skip("DOMINO_OPENAPI_DIR names no folder with Domino's documents")
    unknown = {
        f"{one.method} {one.path}"
        for document in answered.documents[1:]
        for one in described.operations(document)
        if not judges.is_known(one.method, re.sub(r"{[^}]*}", "x", one.path), by_domino=True)
    }
    assert unknown == set()
