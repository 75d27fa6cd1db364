"""What is asked and answered can be recorded, without credentials, and a server can answer from that alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_domino.domino import DominoClient, RunRequest, auth

TOKEN = "the-token-of-the-recorded-server"
LEAK = """\
import os
open("key.txt", "w").write("my key is " + os.environ["DOMINO_USER_API_KEY"])
print("written")
"""


@pytest.fixture(scope="module")
def recorded(serve_domino, tmp_path_factory):
    """A small session with a real server, its HTTP Archive, and what was got from the server."""
    folder = tmp_path_factory.mktemp("recorded")
    files = folder / "files"
    files.mkdir()
    (files / "leak.py").write_text(LEAK)
    domino = serve_domino(folder / "root", {"domino/recorded": files}, environment={"DOMINO_LOCAL_TOKEN": TOKEN})
    try:
        domino.get("/version")
        assert domino.request("GET", "/_local/recording/download").status_code == 404
        begun = domino.post("/_local/recording/start")
        assert begun == {"isRecording": True, "isFull": False, "entries": 0, "bytes": 0}
        got = session(DominoClient(domino.url, auth.ApiKey(TOKEN)), folder)
        assert domino.request("GET", "/v4/users/self", headers={"X-Domino-Api-Key": "wrong-token"}).status_code == 401
        upload(domino.request, domino.project_id)
        domino.post("/_local/faults", action="drop", path="/v4/users")
        with pytest.raises(requests.ConnectionError):
            domino.get("/v4/users/self")
        ended = domino.post("/_local/recording/stop")
        domino.get("/version")
        archive = domino.request("GET", "/_local/recording/download")
        (folder / "recording.har").write_bytes(archive.content)
        key = (folder / "key.txt").read_text().split()[-1]
        yield {"folder": folder, "got": got, "ended": ended, "text": archive.text, "key": key, "domino": domino}
    finally:
        domino.stop()


@pytest.fixture(scope="module")
def replay(recorded, serve_domino):
    """A server that answers from the archive, and has neither projects nor runs."""
    domino = serve_domino(recorded["folder"] / "other", {}, [f"--replay={recorded['folder'] / 'recording.har'}"])
    yield domino
    domino.stop()


def session(client: DominoClient, folder: Path) -> dict[str, Any]:
    """What somebody does with a client; the same every time."""
    project = client.project("domino/recorded")
    run = client.start_run(RunRequest(project_id=project.id, command="leak.py", title="recorded"))
    seen = [run.status]
    while not seen[-1].is_completed:
        seen.append(client.run(run.id).status)
    commit = str(client.run(run.id).output_commit)
    client.download_file(project, commit, "key.txt", folder / "key.txt")
    return {
        "run": run.id,
        "seen": seen,
        "tiers": client.tiers(project.id),
        "log": client.log_page(run.id).lines,
        "files": client.files(project, commit),
        "uploaded": client.upload_file(project, "data/binary.bin", bytes(range(256))).path,
    }


def upload(request: Any, project_id: str) -> requests.Response:
    """A form, whose boundary is another one every time."""
    path = f"/v4/projects/{project_id}/commits/head/files/uploaded/new.txt"
    answer = request("POST", path, files={"upfile": ("new.txt", b"content")})
    assert isinstance(answer, requests.Response)
    return answer


def entries(recorded: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(recorded["text"])["log"]["entries"]
    return found


def test_a_recording_is_an_http_archive_of_every_request_to_the_api(recorded):
    log = json.loads(recorded["text"])["log"]
    assert log["version"] == "1.2"
    assert recorded["ended"]["entries"] == len(log["entries"]) > 10
    asked = [(entry["request"]["method"], entry["request"]["url"].split("/", 3)[3]) for entry in log["entries"]]
    assert ("POST", "v4/jobs/start") in asked
    assert all("_local" not in url and "version" not in url for _, url in asked)
    (start,) = (entry for entry in log["entries"] if entry["request"]["url"].endswith("/v4/jobs/start"))
    assert json.loads(start["request"]["postData"]["text"])["title"] == "recorded"
    assert start["response"]["status"] == 200
    assert json.loads(start["response"]["content"]["text"])["id"] == recorded["got"]["run"]


@pytest.mark.parametrize("secret", [TOKEN, "wrong-token"])
def test_no_credential_is_in_a_recording(recorded, secret):
    assert secret not in recorded["text"]


def test_the_key_of_a_run_that_shows_it_is_not_in_a_recording(recorded):
    assert len(recorded["key"]) > 20
    assert recorded["key"] not in recorded["text"]
    assert "my key is ***" in recorded["text"]


def test_a_recording_can_be_read_by_its_owner_only(recorded):
    assert (recorded["domino"].root / "recording.jsonl").stat().st_mode & 0o077 == 0


def test_a_request_that_got_no_answer_is_recorded_as_browsers_do(recorded):
    last = entries(recorded)[-1]
    assert last["response"]["status"] == 0
    assert "without an answer" in last["response"]["_error"]


def test_a_client_gets_the_same_from_a_recording(recorded, replay, tmp_path):
    again = session(DominoClient(replay.url, auth.ApiKey(replay.token)), tmp_path)
    got = recorded["got"]
    assert again | {"files": None} == got | {"files": None}
    assert [file.path for file in again["files"]] == [file.path for file in got["files"]]
    assert (tmp_path / "key.txt").read_text() == "my key is ***"
    assert upload(replay.request, replay_project(recorded)).status_code == 201
    assert replay.request("GET", "/v4/users/self").status_code == 401, "as it was answered first"
    with pytest.raises(requests.ConnectionError):
        replay.get("/v4/users/self")


def replay_project(recorded: dict[str, Any]) -> str:
    (start,) = (entry for entry in entries(recorded) if entry["request"]["url"].endswith("/v4/jobs/start"))
    return str(json.loads(start["request"]["postData"]["text"])["projectId"])


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("GET", "/v4/jobs/000000000000000000000000", None, "The recording has no GET /v4/jobs/0000"),
        ("POST", "/v4/jobs/start", {"commandToRun": "other.py"}, "only with another body"),
        ("GET", "/v4/gateway/projects/findProjectByOwnerAndName?ownerName=x", None, "only with another query"),
        ("GET", "/api/users/v1/self", None, "The recording has no GET /api/users/v1/self"),
    ],
)
def test_what_was_not_recorded_is_refused_with_the_reason(replay, method, path, body, reason):
    answer = replay.request(method, path, json=body)
    assert answer.status_code == 404
    assert answer.headers["X-Local-Domino-Replay"] == "unknown"
    assert reason in answer.text
    assert reason in replay.get("/_local/replay")["unknown"][-1]["reason"]


def test_a_replay_needs_its_own_token(replay):
    assert requests.get(f"{replay.url}/v4/users/self", timeout=30).status_code == 401
    assert requests.get(f"{replay.url}/_local/replay", timeout=30).status_code == 401
    assert requests.get(f"{replay.url}/health", timeout=30).json() == {"status": "ok"}


def test_a_replay_says_what_was_not_asked_for(replay):
    state = replay.get("/_local/replay")
    assert state["recorded"] > 10
    assert all({"method", "path", "times"} == set(one) for one in state["unused"])
