"""What our client asks, in all its ways, and what it gets, is as Domino's documents and our own contract have it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_domino.domino import DominoClient, GitRef, NotFoundError, RunRequest, auth

# Domino's documents do not list what its own Python client sends as well.
UNLISTED = "POST /v4/jobs/stop: $: Additional properties are not allowed ('projectId' was unexpected)"
# These ask nothing.
SILENT = {"close", "use", "run_url", "files_url", "from_environment"}


@pytest.fixture(scope="module")
def asked(serve_domino, tmp_path_factory) -> Iterator[tuple[list[requests.Response], set[str]]]:
    """Every answer to a client of which each method was called, and the names of these."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "files").mkdir()
    (folder / "files" / "hello.py").write_text("open('out put.txt', 'w').write('x')\nprint('hello')\n")
    domino = serve_domino(folder / "root", {"domino/client": folder / "files"})
    called: set[str] = set()

    class Noted(DominoClient):
        def __getattribute__(self, name: str):
            called.add(name)
            return super().__getattribute__(name)

    answers: list[requests.Response] = []
    send = requests.Session.send

    def noted(session: requests.Session, *arguments: Any, **options: Any) -> requests.Response:
        answers.append(send(session, *arguments, **options | {"stream": False}))
        return answers[-1]

    with pytest.MonkeyPatch.context() as patch, Noted(domino.url, auth.ApiKey(domino.token)) as client:
        patch.setattr(requests.Session, "send", noted)
        use_everything(client, domino.project, folder)
    yield answers, called
    domino.stop()


def use_everything(client: DominoClient, full_name: str, folder) -> None:
    client.version()
    client.current_user()
    client.personal_tokens()
    project = client.project(full_name)
    with pytest.raises(NotFoundError):
        client.project("nobody/nothing")
    (tier, *_) = client.tiers(project.id)
    client.resolve_tier(project, None)
    (environment, *_) = client.environments(project.id)
    client.resolve_environment(project, environment.name)
    commit = client.head_commit(project)
    client.commits(project)
    client.dated_commits(project)
    cluster = {
        "clusterType": "Ray",
        "computeEnvironmentId": environment.id,
        "workerCount": 1,
        "workerHardwareTierId": tier.id,
        "masterHardwareTierId": tier.id,
    }
    plain = client.start_run(RunRequest(project.id, "hello.py"))
    full = client.start_run(
        RunRequest(
            project.id,
            "hello.py --of all",
            title="with everything",
            tier_id=tier.id,
            commit_id=commit,
            environment_id=environment.id,
            environment_revision="LatestRevision",
            compute_cluster=cluster,
        )
    )
    by_reference = client.start_run(RunRequest(project.id, "sleep 60", git_ref=GitRef("head")))
    client.stop_run(by_reference.id)
    client.stop_run(by_reference.id, keep_results=False, project_id=project.id)
    client.stop_run(client.restart_run(full.id).id)
    client.stop_run(client.restart_run(full.id, same_commit=False).id)
    list(client.runs(project.id, status="active", include_archived=True))
    list(client.runs(project.id, page_size=2))
    while not (run := client.run(plain.id)).status.is_completed:
        pass
    client.run_details(plain.id)
    client.log_page(plain.id)
    client.log_page(by_reference.id)
    client.log_tail(plain.id)
    results = str(run.output_commit)
    client.files(project, results)
    client.files(project, results, "results")
    client.download_file(project, results, "out put.txt", folder / "out put.txt")
    with pytest.raises(NotFoundError):
        client.download_file(project, results, "no such.txt", folder / "no such.txt")
    client.upload_file(project, "data/a b.txt", b"content")


def test_every_method_was_tried(asked):
    methods = {name for name, _ in inspect.getmembers(DominoClient, callable) if not name.startswith("_")}
    assert methods - SILENT - asked[1] == set()


def test_every_request_and_answer_is_as_documented(asked, judges):
    answers, _ = asked
    assert len(answers) > 30
    problems = [problem for one in answers for problem in judges.problems(one, with_request=True)]
    assert [problem for problem in problems if problem != UNLISTED] == []


def test_our_contract_knows_every_request_and_nothing_else(asked, judges):
    answers, _ = asked
    asked_for = {(one.request.method, one.url.split("?")[0].split("/", 3)[3]) for one in answers}
    assert [one for one in sorted(asked_for) if not judges.is_known(one[0], f"/{one[1]}", by_domino=False)] == []


def answer(method: str, path: str, sent: bytes, status: int, body: bytes) -> requests.Response:
    """An answer that no server has given."""
    made = requests.Response()
    made.request = requests.Request(method, f"http://domino{path}", data=sent).prepare()
    made.url, made.status_code, made._content = str(made.request.url), status, body
    return made


@pytest.mark.parametrize(
    ("method", "url", "body", "problem"),
    [
        ("POST", "/v4/jobs/start", b'{"projectId": "' + b"0" * 24 + b'"}', "'commandToRun' is a required property"),
        ("POST", "/v4/jobs/stop", b'{"jobId": "x", "commitResults": "yes"}', "is not of type 'boolean'"),
        ("POST", "/v4/jobs/stop", b'{"jobId": "x", "commitResults": true, "forced": 1}', "'forced' was unexpected"),
        ("GET", "/v4/jobs", b"", "projectId is missing"),
        ("GET", f"/v4/jobs?projectId={'0' * 24}&pageSize=3", b"", "pageSize is unknown"),
        ("GET", f"/v4/jobs?projectId={'0' * 24}&page_size=three", b"", "page_size"),
        ("GET", "/v4/users/self", b"{}", "there is a body"),
    ],
)
def test_the_judges_find_what_is_wrong_with_a_request(judges, method, url, body, problem):
    found = judges.problems(answer(method, url, body, 400, b'{"message": ""}'), with_request=True)
    assert problem in " ".join(found)


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (200, b"{}", "'id' is a required property"),
        (200, b'{"id": 1}', "1 is not of type 'string'"),
        (302, b"", "the status 302 is not listed"),
        (400, b'{"error": "x"}', "'message' is a required property"),
    ],
)
def test_the_judges_find_what_is_wrong_with_an_answer(judges, status, body, problem):
    found = judges.problems(answer("GET", "/v4/users/self", b"", status, body))
    assert problem in " ".join(found)
