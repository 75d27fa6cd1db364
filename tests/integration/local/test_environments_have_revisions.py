"""Environments are interpreters with revisions; what a project requires beside them is installed where asked for."""

from __future__ import annotations

import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

GREETING = {
    "greeting/__init__.py": "WORD = 'hello'\n",
    "greeting-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
    "greeting-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "greeting-1.0.dist-info/RECORD": "greeting/__init__.py,,\ngreeting-1.0.dist-info/METADATA,,\n"
    "greeting-1.0.dist-info/WHEEL,,\ngreeting-1.0.dist-info/RECORD,,\n",
}
USE = "import greeting, sys; print(greeting.WORD, sys.prefix)\n"
USE_BOTH = f"import pygit2\n{USE}"
NAME = "Standard"


@pytest.fixture(scope="module")
def interpreters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of two bare virtual environments."""
    folder = tmp_path_factory.mktemp("interpreters")
    for name in ("first", "second"):
        venv.create(folder / name, with_pip=False)
    return {name: folder / name for name in ("first", "second")}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    with zipfile.ZipFile(folder / "greeting-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in GREETING.items():
            wheel.writestr(name, text)
    return folder


@pytest.fixture(scope="module")
def start(serve_domino, interpreters, wheels, tmp_path_factory: pytest.TempPathFactory):
    """Starts the module's server, or starts it again with other arguments."""
    folder = tmp_path_factory.mktemp("environments")
    files = folder / "files"
    files.mkdir()
    (files / "where.py").write_text("import sys; print(sys.prefix)\n")
    (files / "use.py").write_text(USE)
    (files / "use_both.py").write_text(USE_BOTH)
    started: list[Any] = []

    def start(*arguments: str):
        if started:
            started[-1].stop()
        environment = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
        environment |= {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels)}
        domino = serve_domino(folder / "root", {"domino/quick-start": files}, arguments, environment)
        started.append(domino)
        return domino

    yield start
    started[-1].stop()


@pytest.fixture(scope="module")
def domino(start, interpreters):
    """A server whose environment has two revisions; it installs what projects require."""
    first, second = (f"--environment={NAME}={interpreters[name]}" for name in ("first", "second"))
    return start(
        first, second, f"--environment=Old={interpreters['first']}", "--install-requirements", "--largest-file=0.01"
    )


def environment(domino, name: str = NAME) -> dict[str, Any]:
    listed = domino.get(f"/v4/projects/{domino.project_id}/useableEnvironments")["environments"]
    return next(known for known in listed if known["name"] == name)


def prefix(domino, **fields: Any) -> str:
    job = domino.run("where.py", environmentId=environment(domino)["id"], **fields)
    return str(domino.log(job["id"], "stdout")[0])


def put(domino, path: str, text: str) -> None:
    answer = domino.request("PUT", f"/v1/projects/{domino.project}/{path}", data=text.encode())
    assert answer.status_code == 201, answer.text


def revisions(domino) -> dict[int, str]:
    listed = domino.get(f"/v4/environments/{environment(domino)['id']}/page/0/pageSize/1000/revisions")["revisions"]
    return {revision["number"]: revision["id"] for revision in listed}


def test_the_interpreter_that_is_named_last_is_the_active_revision(domino, interpreters):
    assert environment(domino)["activeRevisionNumber"] == 2
    assert prefix(domino) == str(interpreters["second"])


def test_a_run_names_a_revision_by_its_id_or_by_a_word(domino, interpreters):
    known = revisions(domino)
    assert prefix(domino, environmentRevisionSpec={"revisionId": known[1]}) == str(interpreters["first"])
    assert prefix(domino, environmentRevisionSpec="LatestRevision") == str(interpreters["second"])
    body = {"projectId": domino.project_id, "runCommand": "where.py", "environmentId": environment(domino)["id"]}
    answer = domino.post("/api/jobs/v1/jobs", **body, environmentRevisionSpec=f"SomeRevision({known[1]})")
    job = domino.wait(answer["job"]["id"])
    assert domino.log(job["id"], "stdout") == [str(interpreters["first"])]
    used = domino.get(f"/v4/jobs/{job['id']}/runtimeExecutionDetails")["environment"]
    assert (used["revisionNumber"], used["environmentRevisionId"]) == (1, known[1])


@pytest.mark.parametrize("spec", ["RestrictedRevision", {"revisionId": "0" * 24}])
def test_a_revision_that_is_not_there_is_refused(domino, spec):
    body = {"projectId": domino.project_id, "commandToRun": "where.py", "environmentId": environment(domino)["id"]}
    answer = domino.request("POST", "/v4/jobs/start", json={**body, "environmentRevisionSpec": spec})
    assert answer.status_code == 400
    assert "has no revision" in answer.json()["message"]


def test_a_missing_package_is_the_failure_of_the_run(domino):
    job = domino.run("use.py", environmentId=environment(domino)["id"])
    assert job["statuses"]["executionStatus"] == "Failed"
    assert "ModuleNotFoundError: No module named 'greeting'" in domino.log(job["id"])


def test_what_a_project_requires_is_installed_once_over_its_environment(domino, wheels):
    put(domino, "requirements.txt", "greeting==1.0\n")
    first, second = domino.run("use_both.py"), domino.run("use_both.py")
    assert first["statuses"]["executionStatus"] == "Succeeded", domino.log(first["id"], "prepareoutput")
    assert domino.log(first["id"], "stdout") == domino.log(second["id"], "stdout")
    assert domino.log(first["id"], "stdout")[0].startswith(f"hello {domino.root / 'layers'}")
    assert "Successfully installed greeting-1.0" in "\n".join(domino.log(first["id"], "prepareoutput"))
    assert "installed already" in "\n".join(domino.log(second["id"], "prepareoutput"))


def test_requirements_that_cannot_be_installed_fail_the_run_before_its_program(domino):
    put(domino, "requirements.txt", "greeting==2.0\n")
    job = domino.run("use.py", environmentId=environment(domino)["id"])
    assert job["statuses"]["executionStatus"] == "Failed"
    assert job["abnormalStatus"]["runFailureReason"] == "SetupFailed"
    assert "results/stdout.txt" in domino.files(job["commitDetails"]["outputCommitId"])
    assert "greeting==2.0" in "\n".join(domino.log(job["id"], "prepareoutput"))
    assert domino.log(job["id"], "stdout") == []


def test_a_package_out_of_the_project_itself_is_installed_for_one_run(domino, wheels):
    wheel = next(wheels.iterdir())
    answer = domino.request("PUT", f"/v1/projects/{domino.project}/own/{wheel.name}", data=wheel.read_bytes())
    assert answer.status_code == 201
    put(domino, "requirements.txt", f"./own/{wheel.name}\n")
    known = sorted((domino.root / "layers").iterdir())
    # This interpreter has no pip, so that the uv of the server is what installs.
    job = domino.run("use.py", environmentId=environment(domino)["id"])
    assert job["statuses"]["executionStatus"] == "Succeeded", domino.log(job["id"], "prepareoutput")
    assert domino.log(job["id"], "stdout") == [f"hello {domino.root / 'work' / job['id']}.layer"]
    assert sorted((domino.root / "layers").iterdir()) == known


def test_an_environment_is_made_through_the_api_and_archived(domino, interpreters):
    put(domino, "requirements.txt", "# nothing\n")
    base = "/api/environments/beta/environments"
    made = domino.post(base, name="Mine", image=str(interpreters["first"]), visibility="private")["environment"]
    assert (made["visibility"], made["owner"]["username"]) == ("private", "domino")
    image = str(interpreters["second"] / "bin" / "python")
    added = domino.post(f"{base}/{made['id']}/revisions", image=image)["environmentRevision"]
    assert added["number"] == 2
    first = made["latestRevision"]["id"]
    restricted = domino.request("PATCH", f"{base}/{made['id']}/revisions/{first}", json={"isRestricted": True})
    assert restricted.json() == {"id": first}
    fields = {"environmentId": made["id"]}
    job = domino.run("where.py", **fields, environmentRevisionSpec="RestrictedRevision")
    assert domino.log(job["id"], "stdout") == [str(interpreters["first"])]
    listed = domino.get(f"/v4/environments/{made['id']}/page/0/pageSize/1/revisions")
    assert [(revision["number"], revision["active"]) for revision in listed["revisions"]] == [(2, True)]
    assert listed["pageInfo"] == {"currentPage": 0, "totalPages": 2, "pageSize": 1}
    last = domino.get(f"/v4/environments/{made['id']}/page/1/pageSize/1/revisions")["revisions"]
    assert [revision["id"] for revision in last] == [first]
    assert domino.request("DELETE", f"/api/environments/v1/environments/{made['id']}").json()["environment"]["archived"]
    refused = domino.request(
        "POST", "/v4/jobs/start", json={"projectId": domino.project_id, "commandToRun": "where.py", **fields}
    )
    assert refused.status_code == 400
    assert "archived" in refused.json()["message"]
    assert made["id"] not in [known["id"] for known in domino.get("/v4/environments/self")]


def test_a_run_whose_interpreter_is_gone_ends_in_error(domino, interpreters, tmp_path):
    image = tmp_path / "python"
    image.symlink_to(interpreters["first"] / "bin" / "python")
    base = "/api/environments/beta/environments"
    made = domino.post(base, name="Gone", image=str(image), visibility="private")["environment"]
    image.unlink()
    job = domino.run("where.py", environmentId=made["id"])
    assert job["statuses"]["executionStatus"] == "Error"
    assert job["abnormalStatus"]["runFailureReason"] == "EnvironmentNotAvailable"
    domino.answer("DELETE", f"/api/environments/v1/environments/{made['id']}")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "Mine"}, "a name and an image"),
        ({"name": "Mine", "image": "python:3.12"}, "is no interpreter"),
        ({"name": "Mine", "image": "PYTHON", "dockerfileInstructions": "RUN true"}, "dockerfileInstructions"),
    ],
)
def test_an_environment_that_cannot_be_here_is_refused_with_the_reason(domino, fields, message):
    fields = {name: sys.executable if value == "PYTHON" else value for name, value in fields.items()}
    answer = domino.request("POST", "/api/environments/beta/environments", json={"visibility": "global", **fields})
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_results_that_cannot_be_kept_end_the_run_in_error_and_the_others_are_kept(domino):
    put(domino, "requirements.txt", "# nothing\n")
    job = domino.run("sh -c 'head -c 12000000 /dev/zero > large; echo 1 > small'")
    assert job["statuses"]["executionStatus"] == "Error"
    assert job["abnormalStatus"]["runFailureReason"] == "ResultsNotSaved"
    kept = domino.files(job["commitDetails"]["outputCommitId"])
    assert "small" in kept
    assert "large" not in kept
    assert "'large' was not kept: it has 11.44 MiB" in "\n".join(domino.log(job["id"], "prepareoutput"))


def test_revisions_and_what_runs_used_are_remembered_and_a_rollback_is_a_name_without_the_newer_one(
    domino, start, interpreters
):
    put(domino, "requirements.txt", "# nothing\n")
    job = domino.run("where.py", environmentId=environment(domino)["id"])
    old = domino.run("where.py", environmentId=environment(domino, "Old")["id"])
    known, third = revisions(domino), sys.executable
    again = start(f"--environment={NAME}={interpreters['first']}", f"--environment=New@7={third}")
    assert environment(again)["activeRevisionNumber"] == 1
    assert revisions(again) == known
    assert environment(again, "New")["activeRevisionNumber"] == 7
    used = again.get(f"/v4/jobs/{job['id']}/runtimeExecutionDetails")["environment"]
    assert used["revisionNumber"] == 2
    told = again.run("where.py")
    assert "without --install-requirements" in "\n".join(again.log(told["id"], "prepareoutput"))
    assert {known["name"] for known in again.get("/v1/environments")["data"]} == {"Local Python", NAME, "New"}
    details = again.get(f"/v4/jobs/{old['id']}/runtimeExecutionDetails")
    assert details["environment"]["environmentName"] == "Old"
