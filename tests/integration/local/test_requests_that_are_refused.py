"""What cannot be done is refused with a reason, and starts nothing."""

from __future__ import annotations

import pytest

UNKNOWN_ID = "0" * 24
UNKNOWN_COMMIT = "f" * 40


def refusal(domino, method: str, path: str, **options):
    answer = domino.request(method, path, **options)
    assert not answer.ok
    return answer.status_code, answer.json()["message" if not path.startswith("/api/") else "error"]


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"commandToRun": ""}, 400, "must not be empty"),
        ({"commandToRun": "   "}, 400, "must not be empty"),
        ({"commandToRun": 'say "hi'}, 400, "cannot be split"),
        ({"commandToRun": "a\0b"}, 400, "a NUL"),
        ({"commandToRun": None}, 400, "commandToRun"),
        ({"projectId": "nonsense"}, 400, "projectId"),
        ({"projectId": UNKNOWN_ID}, 404, UNKNOWN_ID),
        ({"overrideHardwareTierId": "Huge"}, 400, "small-k8s"),
        ({"overrideHardwareTierId": "X-Large"}, 400, "x-large-k8s"),
        ({"environmentId": UNKNOWN_ID}, 400, UNKNOWN_ID),
        ({"environmentId": "nonsense"}, 400, "environmentId"),
        ({"environmentRevisionSpec": {"revisionId": UNKNOWN_ID}}, 400, UNKNOWN_ID),
        ({"environmentRevisionSpec": "SomeRevision"}, 400, "environmentRevisionSpec"),
        ({"commitId": UNKNOWN_COMMIT}, 400, UNKNOWN_COMMIT),
        ({"commitId": "head"}, 400, "head"),
        ({"commitId": "f" * 7}, 400, "f" * 7),
        ({"mainRepoGitRef": {"type": "branches", "value": "other"}}, 400, "other"),
        ({"mainRepoGitRef": {"type": "commitId", "value": UNKNOWN_COMMIT}}, 400, UNKNOWN_COMMIT),
        ({"mainRepoGitRef": {"value": "main"}}, 400, "mainRepoGitRef"),
        ({"externalVolumeMounts": [UNKNOWN_ID]}, 400, UNKNOWN_ID),
    ],
)
def test_a_start_that_cannot_be_is_refused_and_starts_nothing(local_domino, changes, status, reason):
    before = local_domino.get("/v4/jobs", projectId=local_domino.project_id)["totalCount"]
    body = {"projectId": local_domino.project_id, "commandToRun": "hello.py", **changes}
    found, message = refusal(local_domino, "POST", "/v4/jobs/start", json=body)
    assert (found, reason in message) == (status, True), message
    assert local_domino.get("/v4/jobs", projectId=local_domino.project_id)["totalCount"] == before


def test_nulls_are_as_good_as_nothing(local_domino):
    fields = ("title", "commitId", "mainRepoGitRef", "overrideHardwareTierId", "environmentId", "externalVolumeMounts")
    assert local_domino.start("hello.py", **dict.fromkeys(fields))["id"]


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(local_domino, body):
    assert refusal(local_domino, "POST", "/v4/jobs/start", data=body)[0] == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v4/jobs/nonsense", 400),
        ("GET", f"/v4/jobs/{UNKNOWN_ID}", 404),
        ("GET", f"/v4/jobs/{UNKNOWN_ID}/logsWithProblemSuggestions", 404),
        ("GET", f"/v4/jobs/{UNKNOWN_ID}/runtimeExecutionDetails", 404),
        ("GET", f"/v4/jobs?projectId={UNKNOWN_ID}", 404),
        ("GET", "/v4/jobs", 400),
        ("GET", "/v4/jobs?projectId={project_id}&order_by=nonsense", 400),
        ("GET", "/v4/jobs?projectId={project_id}&sort_by=number", 400),
        ("GET", "/v4/jobs?projectId={project_id}&status=nonsense", 400),
        ("GET", "/v4/jobs?projectId={project_id}&page_no=0", 400),
        ("GET", "/v4/gateway/projects/findProjectByOwnerAndName?ownerName=no&projectName=such", 404),
        ("GET", "/v4/gateway/projects?relationship=Enemy", 400),
        ("GET", f"/v4/projects/{UNKNOWN_ID}/hardwareTiers", 404),
        ("GET", "/v1/projects/no/such/runs", 404),
        ("GET", f"/v1/projects/{{project}}/runs/{UNKNOWN_ID}", 404),
        ("GET", f"/v1/projects/{{project}}/files/{UNKNOWN_COMMIT}//", 404),
        ("GET", "/v1/projects/{project}/files/{head}/no/such/folder", 404),
        ("GET", "/v1/projects/{project}/files/{head}/..%2F..", 400),
        ("GET", f"/v1/projects/{{project}}/blobs/{UNKNOWN_COMMIT}", 404),
        ("GET", "/v1/projects/{project}/blobs/nonsense", 404),
        ("PUT", "/v1/projects/{project}/..%2Foutside.txt", 400),
        ("PUT", "/v1/projects/{project}/a%2F..%2F..%2Foutside.txt", 400),
        ("PUT", "/v1/projects/{project}/.git%2Fconfig", 400),
        ("PUT", "/v1/projects/{project}/%00", 400),
        ("PUT", "/v1/projects/{project}/", 400),
        ("GET", "/api/jobs/beta/jobs/nonsense", 400),
        ("GET", f"/api/projects/v1/projects/{UNKNOWN_ID}", 404),
        ("GET", f"/api/projects/v1/projects/{{project_id}}/files/{UNKNOWN_COMMIT}/hello.py/content", 404),
        ("GET", "/api/projects/v1/projects/{project_id}/files/{head}/no-such-file/content", 404),
        ("GET", "/api/projects/v1/projects/{project_id}/files/{head}/..%2F..%2Fetc%2Fpasswd/content", 400),
        ("GET", "/v4/no/such/route", 404),
    ],
)
def test_what_does_not_exist_or_is_malformed_is_refused(local_domino, method, path, status):
    values = {"project": local_domino.project, "project_id": local_domino.project_id, "head": local_domino.head()}
    found, message = refusal(local_domino, method, path.format(**values), data=b"x" if method == "PUT" else None)
    assert found == status
    assert message


def test_a_folder_is_no_file(local_domino):
    local_domino.request("PUT", f"/v1/projects/{local_domino.project}/some/folder/file.txt", data=b"x")
    path = f"/api/projects/v1/projects/{local_domino.project_id}/files/{local_domino.head()}/some%2Ffolder/content"
    assert refusal(local_domino, "GET", path)[0] == 404


@pytest.mark.parametrize(
    ("path", "reason"),
    [("kept", "kept is a folder"), ("kept/file.txt/below.txt", "kept/file.txt is a file, not a folder")],
)
def test_an_upload_does_not_replace_a_folder_or_lie_below_a_file(local_domino, path, reason):
    base = f"/v1/projects/{local_domino.project}"
    local_domino.request("PUT", f"{base}/kept/file.txt", data=b"x")
    status, message = refusal(local_domino, "PUT", f"{base}/{path}", data=b"y")
    assert (status, reason in message) == (400, True), message
    assert local_domino.content(local_domino.head(), "kept/file.txt") == b"x"


def test_a_run_of_another_project_is_unknown_to_this_one(start_local_domino, tmp_path):
    domino = start_local_domino(projects={"domino/one": None, "domino/two": None})
    run_id = domino.start("true")["id"]
    assert refusal(domino, "GET", f"/v1/projects/domino/two/runs/{run_id}")[0] == 404


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"command": "hello.py"}, "command"),
        ({"command": []}, "must not be empty"),
        ({"command": ["a", "b"], "isDirect": True}, "one text"),
        ({"command": [" "], "isDirect": True}, "must not be empty"),
        ({"command": ["hello.py"], "tier": "small-k8s"}, "X-Large"),
        ({"command": ["hello.py"], "commitId": UNKNOWN_COMMIT}, UNKNOWN_COMMIT),
    ],
)
def test_a_start_in_version_1_that_cannot_be_is_refused(local_domino, body, reason):
    status, message = refusal(local_domino, "POST", f"/v1/projects/{local_domino.project}/runs", json=body)
    assert status == 400
    assert reason in message
