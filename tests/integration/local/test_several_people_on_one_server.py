"""Several people work on one local Domino: each sees and does what his role allows, by tokens of his own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.timeout(300)

PEOPLE = {
    "worker": "Contributor",
    "reader": "ResultsConsumer",
    "launcher": "LauncherUser",
    "importer": "ProjectImporter",
}
WHO_AM_I = """
import os, urllib.request
request = urllib.request.Request(
    os.environ["DOMINO_API_HOST"] + "/v4/users/self", headers={"X-Domino-Api-Key": os.environ["DOMINO_USER_API_KEY"]}
)
print(urllib.request.urlopen(request).read().decode())
print(os.environ["DOMINO_STARTING_USERNAME"], os.environ["DOMINO_USER_NAME"])
open("key.txt", "w").write(os.environ["DOMINO_USER_API_KEY"])
"""


@pytest.fixture(scope="module")
def domino(serve_domino: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("people")
    files = folder / "files"
    files.mkdir()
    (files / "who.py").write_text(WHO_AM_I)
    users = [f"--user={name}={folder / name}" for name in ("root", "owner", *PEOPLE, "stranger")]
    roles = [
        f"--collaborator=owner/{project}={name}:{role}" for project in ("one", "open") for name, role in PEOPLE.items()
    ]
    projects = {f"owner/{name}": files for name in ("one", "open", "findable")}
    shown = ["--visibility=owner/open=public", "--visibility=owner/findable=searchable"]
    domino = serve_domino(folder / "root-folder", projects, [*users, *roles, *shown])
    domino.folder = folder
    yield domino
    domino.stop()


@pytest.fixture
def ask(domino: Any) -> Callable[..., requests.Response]:
    """Ask as somebody: `ask("reader", "GET", "/v4/users/self")`; any other text is taken for a token."""

    def ask(who: str, method: str, path: str, **body: Any) -> requests.Response:
        file: Path = domino.folder / who
        token = file.read_text().strip() if file.is_file() else who
        options: dict[str, Any] = {"json": body} if body else {}
        return requests.request(method, domino.url + path, headers={"X-Domino-Api-Key": token}, timeout=60, **options)

    return ask


@pytest.fixture(scope="module")
def run(domino: Any) -> Any:
    """A run that has ended, in the private project."""
    return domino.run("true", projectId=domino.projects["owner/one"])


def test_everybody_is_who_his_token_says(ask):
    for name in ("root", "owner", "reader"):
        assert ask(name, "GET", "/v4/users/self").json()["userName"] == name


def test_everybody_finds_everybody(ask):
    names = [person["userName"] for person in ask("stranger", "GET", "/v4/users").json()]
    assert names[:7] == ["root", "owner", *PEOPLE, "stranger"]
    (found,) = ask("reader", "GET", "/v4/users?userName=stranger").json()
    assert [one["id"] for one in ask("reader", "GET", f"/v4/users?userId={found['id']}").json()] == [found["id"]]


# What is asked, and how the owner, each collaborator and a stranger are answered.
MATRIX = [
    ("GET", "/v4/projects/{project}", {}, "200 200 200 200 200 404"),
    ("GET", "/v4/jobs/{run}", {}, "200 200 200 200 403 404"),
    ("GET", "/api/jobs/beta/jobs/{run}/logs", {}, "200 200 200 200 403 404"),
    ("GET", "/v4/jobs?projectId={project}", {}, "200 200 200 200 403 404"),
    ("GET", "/api/jobs/beta/jobs?projectId={project}", {}, "200 200 200 200 403 404"),
    ("GET", "/v1/projects/owner/one/runs", {}, "200 200 200 200 403 404"),
    ("GET", "/v1/projects/owner/one/run/{run}/stdout", {}, "200 200 200 200 403 404"),
    ("GET", "/v1/projects/owner/one/commits", {}, "200 200 200 403 403 404"),
    ("GET", "/v4/files/browseFiles?ownerUsername=owner&projectName=one&filePath=/", {}, "200 200 200 403 403 404"),
    ("GET", "/api/projects/v1/projects/{project}/files/head/who.py/content", {}, "200 200 200 403 403 404"),
    ("PUT", "/v1/projects/owner/one/new.txt", {"a": "file"}, "201 201 403 403 403 404"),
    ("POST", "/v4/jobs/start", {"projectId": "{project}", "commandToRun": "true"}, "200 200 403 403 403 404"),
    ("POST", "/api/jobs/v1/jobs", {"projectId": "{project}", "runCommand": "true"}, "200 200 403 403 403 404"),
    ("POST", "/v1/projects/owner/one/runs", {"command": ["true"]}, "200 200 403 403 403 404"),
    ("POST", "/v4/jobs/stop", {"jobId": "{run}", "commitResults": True}, "200 200 403 403 403 404"),
    ("POST", "/v4/jobs/archive", {"jobId": "{run}"}, "200 200 403 403 403 404"),
    ("POST", "/v4/projects/{project}/tags", {"tagNames": ["a"]}, "200 200 403 403 403 404"),
]


@pytest.mark.parametrize(("method", "path", "body", "answers"), MATRIX, ids=[f"{row[0]} {row[1]}" for row in MATRIX])
def test_a_role_may_what_domino_documents(domino, ask, run, method, path, body, answers):
    known = {"project": domino.projects["owner/one"], "run": run["id"]}
    filled = {key: value.format(**known) if isinstance(value, str) else value for key, value in body.items()}
    told = [ask(who, method, path.format(**known), **filled).status_code for who in ("owner", *PEOPLE, "stranger")]
    assert " ".join(map(str, told)) == answers


def test_a_project_that_one_may_not_find_is_answered_for_as_one_that_is_not_there(domino, ask):
    hidden, missing = domino.projects["owner/one"], "0" * 24
    for path in ("/v4/projects/{}", "/v4/jobs?projectId={}"):
        told = [ask("stranger", "GET", path.format(project)) for project in (hidden, missing)]
        assert told[0].status_code == told[1].status_code == 404
        assert told[0].text.replace(hidden, missing) == told[1].text


def test_a_public_project_can_be_read_by_everybody_and_a_searchable_one_found(domino, ask):
    public, searchable = domino.projects["owner/open"], domino.projects["owner/findable"]
    assert ask("stranger", "GET", f"/v4/projects/{public}/commits").status_code == 200
    assert ask("stranger", "POST", "/v4/jobs/start", projectId=public, commandToRun="true").status_code == 403
    assert ask("stranger", "GET", f"/v4/projects/{searchable}").json()["name"] == "findable"
    assert ask("stranger", "GET", f"/v4/projects/{searchable}/commits").status_code == 403
    found = ask("stranger", "GET", "/v4/gateway/projects/findProjectByOwnerAndName?ownerName=owner&projectName=open")
    assert found.json()["requestingUserRole"] == "Viewer"
    listed = [
        project["name"]
        for relationship in ("Popular", "Suggested")
        for project in ask("stranger", "GET", f"/v4/gateway/projects?relationship={relationship}").json()
    ]
    assert {"findable", "open"} <= set(listed)
    assert "one" not in listed


def test_a_run_acts_as_who_started_it_by_a_key_that_ends_with_it(domino, ask):
    project = domino.projects["owner/one"]
    started = ask("worker", "POST", "/v4/jobs/start", projectId=project, commandToRun="who.py").json()
    assert started["startedBy"]["username"] == "worker"
    done = domino.wait(started["id"])
    log = domino.log(done["id"])
    assert '"userName":"worker"' in log[0].replace(" ", "")
    assert log[1] == "worker worker"
    path = f"/api/projects/v1/projects/{project}/files/{done['commitDetails']['outputCommitId']}/key.txt/content"
    key = ask("owner", "GET", path).text
    assert ask(key, "GET", "/v4/users/self").status_code == 401


def test_a_personal_access_token_acts_until_it_expires(domino, ask):
    made = ask("reader", "POST", "/api/pat/v1/tokens", name="short", expiresIn=3600).json()
    assert ask(made["token"], "GET", "/v4/users/self").json()["userName"] == "reader"
    (listed,) = ask("reader", "GET", "/api/pat/v1/tokens").json()
    assert listed["isValid"] is True
    assert "token" not in listed
    domino.post("/_local/clock", advance=3601)
    try:
        refused = ask(made["token"], "GET", "/v4/users/self")
        assert (refused.status_code, refused.json()["message"]) == (401, "The token has expired")
        assert ask("reader", "GET", "/api/pat/v1/tokens").json()[0]["isValid"] is False
    finally:
        domino.post("/_local/clock", reset=True)


def test_the_control_plane_is_for_administrators(ask):
    assert ask("root", "GET", "/_local/ledger").status_code == 200
    assert ask("owner", "GET", "/_local/ledger").status_code == 403
    assert ask("owner", "POST", "/_local/faults", action="drop").status_code == 403


def test_users_are_made_while_the_server_runs(ask):
    made = ask("root", "POST", "/_local/users", name="new", email="new@example.org").json()
    assert ask(made["token"], "GET", "/v4/users/self").json()["id"] == made["id"]
    assert "new" in [user["name"] for user in ask("root", "GET", "/_local/users").json()["users"]]
    assert ask(made["token"], "GET", "/_local/users").status_code == 403


@pytest.mark.parametrize("body", [{"name": "a/b"}, {"name": "root"}, {"name": "x", "roles": ["King"]}, {}])
def test_users_that_cannot_be_are_not_made(ask, body):
    assert ask("root", "POST", "/_local/users", **body).status_code in (400, 422)


def test_pages_show_what_the_visitor_may_see(domino):
    def visit(who: str) -> requests.Session:
        browser = requests.Session()
        browser.trust_env = False
        browser.headers["Origin"] = domino.url
        token = (domino.folder / who).read_text().strip()
        assert browser.post(f"{domino.url}/login", {"token": token, "redirectPath": "/"}, timeout=60).ok
        return browser

    with visit("stranger") as stranger, visit("reader") as reader:
        assert "owner/one" not in stranger.get(domino.url, timeout=60).text
        assert stranger.get(f"{domino.url}/jobs/owner/one", timeout=60).status_code == 404
        assert "owner/one" in reader.get(domino.url, timeout=60).text
        assert reader.get(f"{domino.url}/jobs/owner/one", timeout=60).status_code == 200


def test_an_archived_project_is_gone_for_all_and_its_name_is_free(domino, ask):
    owner = ask("owner", "GET", "/v4/users/self").json()["id"]
    new = {"name": "short", "description": "", "visibility": "Private", "ownerId": owner, "collaborators": []}
    project = ask("owner", "POST", "/v4/projects", **new, tags={"tagNames": []}).json()["id"]
    waiting = ask("owner", "POST", "/v4/jobs/start", projectId=project, commandToRun="sleep 60").json()
    assert ask("worker", "DELETE", f"/v4/projects/{project}").status_code == 404
    assert ask("owner", "DELETE", f"/v4/projects/{project}").status_code == 200
    assert ask("owner", "GET", f"/v4/projects/{project}").status_code == 404
    assert ask("owner", "GET", f"/v4/jobs/{waiting['id']}").status_code == 404
    assert domino.wait(waiting["id"])["statuses"]["executionStatus"] == "Stopped"
    again = ask("owner", "POST", "/v4/projects", **new, tags={"tagNames": []})
    assert again.status_code == 200
    assert again.json()["id"] != project


def test_simulated_runs_of_different_people_do_not_come_in_each_others_way(serve_domino, tmp_path):
    """A request of one moves the runs of all; that must not be done with his rights."""
    simulation = tmp_path / "simulation.json"
    simulation.write_text('{"rules": [{"seconds": 0, "files": {"made.txt": "made"}}]}')
    users = [f"--user={name}={tmp_path / name}" for name in ("root", "ada", "bob")]
    arguments = [*users, "--depth=simulate", f"--simulation={simulation}"]
    domino = serve_domino(tmp_path / "root-folder", {"ada/one": None, "bob/two": None}, arguments)
    try:
        started = []
        for name, project in (("ada", "ada/one"), ("bob", "bob/two")) * 10:
            answer = requests.post(
                f"{domino.url}/v4/jobs/start",
                json={"projectId": domino.projects[project], "commandToRun": "x"},
                headers={"X-Domino-Api-Key": (tmp_path / name).read_text().strip()},
                timeout=60,
            )
            assert answer.ok, answer.text
            started.append(answer.json()["id"])
        ended = [domino.wait(run)["statuses"]["executionStatus"] for run in started]
        assert ended == ["Succeeded"] * len(started)
    finally:
        domino.stop()
