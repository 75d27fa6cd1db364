"""``airflow-domino check`` of deployments that lack something, refuse something, or are no Domino at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_domino import cli
from airflow_domino.domino.checkup import Access, Checked, Tried, Verdict
from airflow_domino.domino.described import Found
from airflow_domino.domino.used import UNNOTICED, Field, Operation

CANARY = "canary-5f0c-secret"
PROJECT = {"id": "p", "name": "fraud", "owner": {"userName": "ada"}, "requestingUserRole": "Contributor"}
TIER = {"hardwareTier": {"id": "small-k8s", "name": "Small", "centsPerMinute": 0.5}}
START = {"type": "object", "properties": {"projectId": {}, "commandToRun": {}, "overrideHardwareTierId": {}}}


def described(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}}


@pytest.fixture
def deployment(domino: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A small deployment of which everything can be changed, and the variables that lead to it."""
    for name in ("DOMINO_API_PROXY", "DOMINO_TOKEN_FILE", "DOMINO_USER_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOMINO_API_HOST", domino.url)
    monkeypatch.setenv("DOMINO_USER_API_KEY", CANARY)
    monkeypatch.setenv("DOMINO_PROJECT_OWNER", "ada")
    monkeypatch.setenv("DOMINO_PROJECT_NAME", "fraud")
    domino.says("/version", {"version": "5.0.0"})
    domino.says("/v4/users/self", {"id": "u", "userName": "ada"})
    domino.says("/v4/gateway/projects/findProjectByOwnerAndName", PROJECT)
    domino.says("/v4/projects/p/hardwareTiers", [TIER])
    domino.says("/v4/projects/p/useableEnvironments", {"environments": []})
    domino.says("/v4/projects/p/commits", [])
    domino.says("/v4/jobs", {"jobs": [], "totalCount": 0})
    domino.says("/v1/projects/ada/fraud/commits", [])
    return domino


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = cli.main(["check", "--json", *arguments])
    said = capsys.readouterr()
    assert CANARY not in said.out + said.err
    return code, json.loads(said.out)


def operation(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in report["operations"] if one["operation"] == name)


def test_a_deployment_without_descriptions_is_tried_instead(deployment: Any, capsys: Any) -> None:
    code, report = check(capsys)
    assert code == 0
    assert operation(report, "GET /v4/jobs") == {
        "operation": "GET /v4/jobs",
        "purpose": "runs of a project",
        "verdict": "ok",
        "described": None,
        "lacks": [],
        "access": "allowed",
        "why": None,
    }
    assert operation(report, "GET /v4/jobs/{jobId}")["why"] == "the project has no run yet"
    assert {asked.method for asked in deployment.asked} == {"GET"}


def test_fields_that_a_release_does_not_have_are_named_with_what_goes_without_them(
    deployment: Any, capsys: Any
) -> None:
    body = {"content": {"application/json": {"schema": START}}}
    paths = {"/jobs/start": {"post": {"requestBody": body, "responses": {}}}, "/users/self": {"get": described(id={})}}
    deployment.says("/assets/swagger.json", {"servers": [{"url": "/v4"}], "paths": paths})
    code, report = check(capsys)
    start = operation(report, "POST /v4/jobs/start")
    assert start["verdict"] == "note"
    assert {"field": "externalVolumeMounts", "loss": "Runs get no external volumes."} in start["lacks"]
    assert operation(report, "GET /v4/users/self")["lacks"][0]["field"] == "userName"
    # Stopping is not described, was not tried, and nothing works without it.
    assert operation(report, "POST /v4/jobs/stop")["verdict"] == "FAILED"
    # Not described either, but it answers.
    assert operation(report, "GET /v4/jobs")["verdict"] == "ok"
    assert code == 1


def test_a_role_that_may_not_run_is_told_with_what_to_do(deployment: Any, capsys: Any) -> None:
    deployment.says("/v4/gateway/projects/findProjectByOwnerAndName", PROJECT | {"requestingUserRole": "Viewer"})
    code, report = check(capsys)
    assert code == 1
    assert "make you a Contributor" in operation(report, "POST /v4/jobs/start")["why"]


def test_an_operation_that_is_refused_is_told_apart_from_the_others(deployment: Any, capsys: Any) -> None:
    deployment.says("/v4/jobs", {"message": "not for you"}, status=403)
    code, report = check(capsys)
    assert code == 1
    assert operation(report, "GET /v4/jobs")["access"] == "refused"
    assert "not for you" in operation(report, "GET /v4/jobs")["why"]
    assert operation(report, "GET /v4/projects/{projectId}/commits")["access"] == "allowed"


@pytest.mark.parametrize(
    ("path", "body", "status", "step", "said"),
    [
        ("/version", b"<html>Log in</html>", 200, "connection", "web page"),
        ("/version", {"message": "gone"}, 404, "connection", "it must be Domino's"),
        ("/v4/users/self", {"message": f"bad token {CANARY}"}, 401, "credentials", "make a new token"),
        ("/v4/users/self", {"message": "no"}, 403, "credentials", "ask the owner"),
        ("/v4/gateway/projects/findProjectByOwnerAndName", {}, 200, "project", "compare the name"),
        ("/v4/projects/p/hardwareTiers", [], 200, "tiers", "no hardware tier"),
    ],
)
def test_the_first_thing_that_fails_is_told_with_what_to_do(
    deployment: Any, capsys: Any, path: str, body: Any, status: int, step: str, said: str
) -> None:
    deployment.says(path, body, status=status)
    code, report = check(capsys)
    assert code == 1
    assert report["ok"] is False
    assert report["operations"] == []
    last = report["steps"][-1]
    assert (last["name"], last["ok"]) == (step, False)
    assert said in last["text"]


def test_the_run_that_was_wished_is_started_once_and_stopped(
    deployment: Any, capsys: Any, job: Any, answer: Any
) -> None:
    deployment.on("POST", "/v4/jobs/start", answer(job("run1", "Queued")))
    deployment.on("POST", "/v4/jobs/stop", answer(job("run1", "StopRequested")))
    deployment.on("GET", "/v4/jobs/run1", [answer(job("run1", "Stopping")), answer(job("run1", "Stopped"))])
    code, report = check(capsys, "--launch")
    assert code == 0
    assert report["launch"]["run"]["status"] == "Stopped"
    assert [deployment.count("POST", f"/v4/jobs/{verb}") for verb in ("start", "stop")] == [1, 1]
    sent = next(asked for asked in deployment.asked if asked.path == "/v4/jobs/stop").json
    assert sent["commitResults"] is False
    assert operation(report, "POST /v4/jobs/stop")["access"] == "allowed"


def test_a_start_that_is_refused_is_told_and_nothing_is_stopped(deployment: Any, capsys: Any, answer: Any) -> None:
    deployment.on("POST", "/v4/jobs/start", answer({"message": "no runs for you"}, 403))
    code, report = check(capsys, "--launch")
    assert code == 1
    assert "no runs for you" in report["launch"]["text"]
    assert operation(report, "POST /v4/jobs/start")["access"] == "refused"
    assert deployment.count("POST", "/v4/jobs/stop") == 0


def test_a_run_that_cannot_be_stopped_is_named(deployment: Any, capsys: Any, job: Any, answer: Any) -> None:
    deployment.on("POST", "/v4/jobs/start", answer(job("run1", "Queued")))
    deployment.on("POST", "/v4/jobs/stop", answer({"message": "not yours"}, 403))
    code, report = check(capsys, "--launch")
    assert code == 1
    assert "run 7 was started and cannot be stopped" in report["launch"]["text"]
    assert report["launch"]["run"]["url"].endswith("/jobs/ada/fraud/run1/logs?status=all")


def verdict(loss: str, found: Found | None, access: Access = Access.ALLOWED) -> Verdict:
    return Checked(Operation("GET", "/x", "", "d", loss=loss), found, Tried(access)).verdict


def test_what_can_be_gone_without_is_a_note_and_everything_else_a_failure() -> None:
    there = Found(True)
    assert verdict("", None) == verdict("", there) == verdict("", Found(False)) == Verdict.OK
    assert verdict("", there, Access.REFUSED) == verdict("", Found(False), Access.NOT_TRIED) == Verdict.FAILED
    assert verdict("A pity.", there, Access.REFUSED) == verdict("A pity.", Found(False), Access.FAILED) == Verdict.NOTE
    assert verdict("", Found(True, lacks_read=(Field("id"),))) == Verdict.FAILED
    assert verdict("", Found(True, lacks_read=(Field("id", "A pity."),))) == Verdict.NOTE
    assert verdict("", Found(True, lacks_sent=(Field("id", UNNOTICED),))) == Verdict.OK
