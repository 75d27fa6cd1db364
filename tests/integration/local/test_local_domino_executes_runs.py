"""Runs of the local Domino really execute: command, environment, status, statistics, log."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

SHOW_ENVIRONMENT = "import json, os\njson.dump(dict(os.environ), open('environment.json', 'w'))\n"
ASK_FOR_ITSELF = """\
import json, os, urllib.request
address = os.environ["DOMINO_API_HOST"] + "/v4/jobs/" + os.environ["DOMINO_RUN_ID"]
request = urllib.request.Request(address, headers={"X-Domino-Api-Key": os.environ["DOMINO_USER_API_KEY"]})
print(json.load(urllib.request.urlopen(request))["statuses"]["executionStatus"])
"""


def states(domino, run_id: str) -> list[str]:
    return [entry["to"] for entry in domino.ledger() if entry["event"] == "state" and entry["runId"] == run_id]


def test_a_run_executes_its_command_and_its_files_are_in_its_output_commit(start_local_domino):
    domino = start_local_domino()
    job = domino.run("hello.py")
    assert job["statuses"]["executionStatus"] == "Succeeded"
    assert domino.log(job["id"]) == ["hello"]
    output = job["commitDetails"]["outputCommitId"]
    assert domino.content(output, "hello.txt") == b"hello\nworld\n"
    assert domino.content(output, "results%2Fstdout.txt") == b"hello\n"
    assert domino.head() == output


def test_a_run_goes_through_the_statuses_in_dominos_order(local_domino):
    job = local_domino.run("hello.py")
    assert states(local_domino, job["id"]) == [
        "Queued",
        "Scheduled",
        "Preparing",
        "Running",
        "Finishing",
        "Succeeded",
    ]
    times = job["stageTime"]
    assert times["submissionTime"] <= times["runStartTime"] <= times["completedTime"]


def test_a_nonzero_exit_code_is_a_failed_run_that_says_so_in_its_log(local_domino):
    job = local_domino.run("fail.py")
    assert job["statuses"]["executionStatus"] == "Failed"
    assert local_domino.log(job["id"]) == ["about to fail", "Failed with exit code: 3"]
    assert "exit code 3" in job["abnormalStatus"]["runFailureMessage"]


def test_what_a_failed_run_wrote_is_in_its_output_commit(local_domino):
    job = local_domino.run("sh -c 'echo half > half.txt; exit 1'")
    assert job["statuses"]["executionStatus"] == "Failed"
    assert local_domino.content(job["commitDetails"]["outputCommitId"], "half.txt") == b"half\n"


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("no-such-program", "no-such-program: no such program"),
        ("VARIABLE=x python hello.py", "VARIABLE=x: no such program"),
        ("./hello.py.missing", "./hello.py.missing: no such program"),
    ],
)
def test_a_program_that_does_not_exist_fails_the_run_and_is_named(local_domino, command, complaint):
    job = local_domino.run(command)
    assert job["statuses"]["executionStatus"] == "Failed"
    assert any(complaint in line for line in local_domino.log(job["id"]))


@pytest.mark.parametrize(
    "words",
    [
        ["two words", "it's", 'say "hi"', "é ü 漢字", "a\nb", "$HOME", "*", "; echo no shell", "back\\slash", ""],
    ],
)
def test_words_of_a_command_reach_the_program_unchanged(local_domino, words):
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    job = local_domino.run(shlex.join(["python", "-c", program, *words]))
    assert json.loads(local_domino.log(job["id"])[0]) == words


def test_a_shell_script_of_the_project_is_run_by_bash(start_local_domino):
    domino = start_local_domino({"greet.sh": "echo hello $1 from ${BASH_VERSION:+bash}\n"})
    assert domino.log(domino.run("greet.sh you")["id"]) == ["hello you from bash"]


def test_an_executable_of_the_project_can_be_run_by_its_path(start_local_domino, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "greet").write_text("#!/bin/sh\necho hello\n")
    (folder / "greet").chmod(0o755)
    domino = start_local_domino(projects={"domino/tools": folder})
    assert domino.log(domino.run("./greet")["id"]) == ["hello"]


def test_a_run_knows_what_domino_tells_runs_and_nothing_of_the_servers_own(start_local_domino):
    secrets = {"AIRFLOW__CORE__FERNET_KEY": "canary-1", "AWS_SECRET_ACCESS_KEY": "canary-2"}
    domino = start_local_domino({"show.py": SHOW_ENVIRONMENT}, environment=secrets)
    job = domino.run("show.py", overrideHardwareTierId="medium-k8s")
    text = domino.content(job["commitDetails"]["outputCommitId"], "environment.json").decode()
    environment = json.loads(text)
    assert "canary" not in text
    assert domino.token not in text
    assert environment["DOMINO_USER_API_KEY"]
    expected = {
        "DOMINO_RUN_ID": job["id"],
        "DOMINO_RUN_NUMBER": str(job["number"]),
        "DOMINO_PROJECT_ID": domino.project_id,
        "DOMINO_PROJECT_OWNER": "domino",
        "DOMINO_PROJECT_NAME": "quick-start",
        "DOMINO_STARTING_USERNAME": "domino",
        "DOMINO_USER_NAME": "domino",
        "DOMINO_API_HOST": domino.url,
        "DOMINO_USER_HOST": domino.url,
        "DOMINO_HARDWARE_TIER_ID": "medium-k8s",
        "DOMINO_IS_GIT_BASED": "false",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert not Path(environment["DOMINO_WORKING_DIR"]).exists()


def test_a_run_can_ask_the_api_with_its_own_key_which_ends_with_it(start_local_domino):
    program = ASK_FOR_ITSELF + 'open("key", "w").write(os.environ["DOMINO_USER_API_KEY"])\n'
    domino = start_local_domino({"ask.py": program})
    job = domino.run("ask.py")
    assert domino.log(job["id"]) == ["Running"]
    key = domino.content(job["commitDetails"]["outputCommitId"], "key").decode()
    assert domino.request("GET", "/v4/users/self", headers={"X-Domino-Api-Key": key}).status_code == 401


def test_statistics_of_a_run_are_read_and_those_of_its_input_are_not(start_local_domino):
    program = (
        'import json, sys\nif len(sys.argv) > 1:\n    json.dump({"accuracy": 0.9}, open("dominostats.json", "w"))\n'
    )
    domino = start_local_domino({"learn.py": program, "dominostats.json": '{"old": 1}'})
    assert domino.run("learn.py")["dominoStats"] == []
    assert domino.run("learn.py well")["dominoStats"] == [{"name": "accuracy", "value": "0.9"}]


@pytest.mark.parametrize("content", ["no json", "[1]"])
def test_broken_statistics_do_not_fail_the_run_and_are_told(start_local_domino, content):
    domino = start_local_domino({"learn.py": f"open('dominostats.json', 'w').write({content!r})\n"})
    job = domino.run("learn.py")
    assert job["statuses"]["executionStatus"] == "Succeeded"
    assert any("dominostats.json cannot be used" in line for line in domino.log(job["id"], "prepareoutput"))
    status = domino.get(f"/v1/projects/{domino.project}/runs/{job['id']}")
    assert status["diagnosticStatistics"] == {"isError": True, "data": []}


def test_a_run_of_another_environment_has_its_interpreter(start_local_domino, tmp_path):
    interpreter = tmp_path / "other" / "python"
    interpreter.parent.mkdir()
    interpreter.write_text("#!/bin/sh\necho another interpreter\n")
    interpreter.chmod(0o755)
    domino = start_local_domino(arguments=[f"--environment=Other={interpreter}"])
    environments = domino.get(f"/v4/projects/{domino.project_id}/useableEnvironments")["environments"]
    other = next(environment for environment in environments if environment["name"] == "Other")
    job = domino.run(
        "hello.py", environmentId=other["id"], environmentRevisionSpec={"revisionId": other["activeRevisionId"]}
    )
    assert domino.log(job["id"]) == ["another interpreter"]
    details = domino.get(f"/v4/jobs/{job['id']}/runtimeExecutionDetails")
    assert details["environment"]["environmentName"] == "Other"


def test_an_unknown_type_of_git_reference_is_accepted_and_ends_the_run_in_error(local_domino):
    job = local_domino.run("hello.py", mainRepoGitRef={"type": "branch", "value": "main"})
    assert job["statuses"]["executionStatus"] == "Error"
    assert "unknown reference type" in job["abnormalStatus"]["runFailureMessage"]


def test_a_run_can_start_another_run_and_wait_for_it(start_local_domino):
    program = """\
import json, os, time, urllib.request
def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"X-Domino-Api-Key": os.environ["DOMINO_USER_API_KEY"], "Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["DOMINO_API_HOST"] + path, data, headers)
    return json.load(urllib.request.urlopen(request))
job = ask("/v4/jobs/start", {"projectId": os.environ["DOMINO_PROJECT_ID"], "commandToRun": "hello.py"})
while not job["statuses"]["isCompleted"]:
    time.sleep(0.05)
    job = ask("/v4/jobs/" + job["id"])
print("nested:", job["statuses"]["executionStatus"])
"""
    domino = start_local_domino({"outer.py": program, "hello.py": "print('hello')\n"})
    outer = [domino.start("outer.py")["id"] for _ in range(3)]
    assert [domino.wait(run_id)["statuses"]["executionStatus"] for run_id in outer] == ["Succeeded"] * 3
    assert all(domino.log(run_id) == ["nested: Succeeded"] for run_id in outer)
