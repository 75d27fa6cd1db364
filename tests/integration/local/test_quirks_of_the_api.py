"""Domino's three generations of one API, with what each of them does in its own way."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

V1 = "/v1/projects/domino/quirks"
TIERS = """[
    {"id": "small-k8s", "name": "Small", "cores": 1, "memory_gib": 4, "cents_per_minute": 0.2, "capacity": 8,
     "default": true},
    {"id": "large-k8s", "name": "Large", "cores": 2, "memory_gib": 8, "cents_per_minute": 0.4, "capacity": 1}
]"""
PROGRAM = """\
import sys
print("to <stdout>")
print("to <stderr>", file=sys.stderr)
open("made.txt", "w").write("made")
open("dominostats.json", "w").write('{"accuracy": 0.5, "word": "x"}')
"""


@pytest.fixture(scope="module")
def domino(serve_domino, tmp_path_factory):
    """A server with eleven runs: one that is over, and others that wait or are stopped."""
    folder = tmp_path_factory.mktemp("quirks")
    (folder / "files" / "sub folder").mkdir(parents=True)
    (folder / "files" / "program.py").write_text(PROGRAM)
    (folder / "files" / "sub folder" / "a.txt").write_text("a")
    (folder / "tiers.json").write_text(TIERS)
    server = serve_domino(folder / "root", {"domino/quirks": folder / "files"}, [f"--tiers={folder / 'tiers.json'}"])
    server.wait_for_status(server.start("sleep 600", overrideHardwareTierId="large-k8s")["id"], "Running")
    server.done = server.run("program.py", title="b done")
    for number in range(9):
        server.start("true", title=f"a waits {number}", overrideHardwareTierId="large-k8s")
    yield server
    server.stop()


def listed(domino, **query):
    return domino.get("/v4/jobs", projectId=domino.project_id, **query)


def status_of(domino, method, path, **options):
    return domino.request(method, path, **options).status_code


def test_the_job_list_of_version_4_has_three_jobs_a_page(domino):
    page = listed(domino)
    assert len(page["jobs"]) == 3
    assert page["totalCount"] == 11
    assert page["pagination"] == {"offset": 0, "limit": 3, "sortBy": "desc", "orderBy": "number"}
    assert [job["number"] for job in page["jobs"]] == [11, 10, 9]


def test_pages_of_version_4_are_counted_from_one(domino):
    assert [job["number"] for job in listed(domino, page_no=2)["jobs"]] == [8, 7, 6]
    assert status_of(domino, "GET", f"/v4/jobs?projectId={domino.project_id}&page_no=0") == 400


def test_order_by_is_the_field_and_sort_by_the_direction(domino):
    titles = [job.get("title", "") for job in listed(domino, order_by="title", sort_by="asc", page_size=50)["jobs"]]
    assert titles == sorted(titles)
    assert status_of(domino, "GET", f"/v4/jobs?projectId={domino.project_id}&order_by=asc&sort_by=title") == 400


def test_the_public_list_has_ten_jobs_from_an_offset(domino):
    path = "/api/jobs/beta/jobs"
    assert len(domino.get(path, projectId=domino.project_id)["jobs"]) == 10
    rest = domino.get(path, projectId=domino.project_id, offset=10)
    assert len(rest["jobs"]) == 1
    assert rest["metadata"]["totalCount"] == 11


def test_the_list_of_version_1_has_no_pages(domino):
    assert len(domino.get(f"{V1}/runs", limit=1, page_size=1)["data"]) == 11


def test_a_run_has_one_id_in_all_generations(domino):
    run_id = domino.done["id"]
    assert domino.get(f"{V1}/runs/{run_id}")["id"] == run_id
    assert domino.get(f"/v4/jobs/{run_id}")["id"] == run_id
    assert domino.get(f"/api/jobs/beta/jobs/{run_id}")["job"]["id"] == run_id


def test_times_are_milliseconds_in_two_generations_and_iso_in_the_public_one(domino):
    run_id = domino.done["id"]
    v1, v4 = domino.get(f"{V1}/runs/{run_id}"), domino.get(f"/v4/jobs/{run_id}")["stageTime"]
    public = domino.get(f"/api/jobs/beta/jobs/{run_id}")["job"]["stageTimes"]
    assert (v1["queued"], v1["started"], v1["completed"]) == tuple(
        v4[name] for name in ("submissionTime", "runStartTime", "completedTime")
    )
    for name, told in zip(("submissionTime", "startTime", "completedTime"), v4.values(), strict=True):
        assert public[name] == datetime.fromtimestamp(told / 1000, UTC).isoformat(timespec="milliseconds").replace(
            "+00:00", "Z"
        )
    assert v1["postProcessedTimestamp"] >= v1["completed"]


def test_the_whole_log_is_below_a_singular_run_and_is_html(domino):
    run_id = domino.done["id"]
    log = domino.get(f"{V1}/run/{run_id}/stdout")
    assert log["stdout"].startswith("<pre ")
    assert log["stdout"].endswith("</pre>")
    assert "to &lt;stdout&gt;" in log["stdout"]
    assert "<span class='text-danger'>to &lt;stderr&gt;</span>" in log["stdout"]
    assert status_of(domino, "GET", f"{V1}/runs/{run_id}/stdout") in (404, 405)


def test_a_start_is_200_in_every_generation_and_an_upload_201(domino):
    body = {"projectId": domino.project_id, "overrideHardwareTierId": "large-k8s", "hardwareTier": "large-k8s"}
    starts = [
        ("/v4/jobs/start", {**body, "commandToRun": "true"}),
        ("/api/jobs/v1/jobs", {**body, "runCommand": "true"}),
        (f"{V1}/runs", {"command": ["true"], "isDirect": False, "tier": "Large"}),
    ]
    for path, start in starts:
        answer = domino.request("POST", path, json=start)
        assert answer.status_code == 200
        data = answer.json()
        run_id = data.get("runId") or data.get("id") or data["job"]["id"]
        domino.post("/v4/jobs/stop", jobId=run_id, commitResults=False)
        domino.post("/v4/jobs/archive", jobId=run_id)
    raw = domino.request("PUT", f"{V1}/uploaded/raw.bin", data=b"x")
    assert raw.status_code == 201
    assert raw.json()["path"] == "uploaded/raw.bin"
    assert domino.session.get(raw.headers["Location"], timeout=30).content == b"x"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{V1}/runs", {"command": ["true"], "isDirect": False, "tier": "large-k8s"}),
        ("/v4/jobs/start", {"projectId": "{id}", "commandToRun": "true", "overrideHardwareTierId": "Large"}),
        ("/api/jobs/v1/jobs", {"projectId": "{id}", "runCommand": "true", "hardwareTier": "Large"}),
    ],
)
def test_a_tier_goes_by_its_name_in_old_starts_and_by_its_id_in_new_ones(domino, path, body):
    filled = {key: domino.project_id if value == "{id}" else value for key, value in body.items()}
    answer = domino.request("POST", path, json=filled)
    assert answer.status_code == 400
    assert "Hardware tier" in answer.text


def test_fields_that_a_generation_does_not_know_are_ignored(domino):
    """So that `hardwareTierId`, which no generation has, silently means the default tier, as on a real Domino."""
    body = {"projectId": domino.project_id, "runCommand": "true", "hardwareTierId": "large-k8s"}
    run_id = domino.post("/api/jobs/v1/jobs", **body)["job"]["id"]
    assert domino.get(f"/v4/jobs/{run_id}/runtimeExecutionDetails")["hardwareTier"]["id"] == "small-k8s"
    domino.wait(run_id)
    domino.post("/v4/jobs/archive", jobId=run_id)


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/v4/jobs/start", {"projectId": "x"}, {"message"}),
        (f"{V1}/runs", {"command": ["x"]}, {"message"}),
        ("/api/jobs/v1/jobs", {}, {"error"}),
    ],
)
def test_409_asks_to_log_in_again_in_the_words_of_each_generation(domino, path, body, told):
    domino.post("/_local/faults", action="status", status=409, path=path)
    answer = domino.request("POST", path, json=body)
    assert answer.status_code == 409
    assert set(answer.json()) == told


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/v4/jobs/nonsense", 400, {"message"}),
        (f"{V1}/runs/nonsense", 400, {"message"}),
        ("/api/jobs/beta/jobs/nonsense", 400, {"error"}),
        (f"/v4/jobs/{'0' * 24}", 404, {"message"}),
        (f"/api/jobs/beta/jobs/{'0' * 24}", 404, {"error"}),
    ],
)
def test_refusals_have_the_form_of_their_generation(domino, path, status, told):
    answer = domino.request("GET", path)
    assert (answer.status_code, set(answer.json())) == (status, told)


def test_being_unknown_has_the_form_of_its_generation_too(domino):
    bad = {"X-Domino-Api-Key": "wrong"}
    assert set(domino.request("GET", "/v4/users/self", headers=bad).json()) == {"message"}
    assert set(domino.request("GET", "/api/pat/v1/tokens", headers=bad).json()) == {"requestId", "errors"}


def test_double_slashes_in_addresses_of_files_are_one(domino):
    head = domino.head()
    whole = domino.get(f"{V1}/files/{head}//")["data"]
    assert whole == domino.get(f"{V1}/files/{head}/")["data"]
    assert "sub folder/a.txt" in [file["path"] for file in whole]
    content = f"/api/projects/v1/projects/{domino.project_id}/files/{head}"
    assert domino.request("GET", f"{content}//sub%20folder/a.txt/content").content == b"a"
    assert domino.request("GET", f"{content}/sub%20folder/a.txt/content").content == b"a"


def test_commits_are_plain_ids_in_version_1_and_objects_in_version_4(domino):
    ids = domino.get(f"{V1}/commits")
    assert ids == [commit["id"] for commit in domino.get(f"/v4/projects/{domino.project_id}/commits")]


def test_statistics_of_a_run_have_other_names_in_version_1(domino):
    run_id = domino.done["id"]
    v1 = domino.get(f"{V1}/runs/{run_id}")["diagnosticStatistics"]
    assert v1 == {"isError": False, "data": [{"key": "accuracy", "value": "0.5"}, {"key": "word", "value": "x"}]}
    expected = [{"name": "accuracy", "value": "0.5"}, {"name": "word", "value": "x"}]
    assert domino.get(f"/v4/jobs/{run_id}")["dominoStats"] == expected
    assert domino.get(f"/api/jobs/beta/jobs/{run_id}")["job"]["dominoStats"] == expected


def test_one_revision_of_an_environment_is_spelled_in_two_ways(domino):
    used = domino.get(f"/v4/jobs/{domino.done['id']}/runtimeExecutionDetails")["environment"]
    revision = used["environmentRevisionId"]
    tier = {"overrideHardwareTierId": "large-k8s", "hardwareTier": "large-k8s", "projectId": domino.project_id}
    v4 = domino.start("true", **tier, environmentRevisionSpec={"revisionId": revision})
    body = {**tier, "runCommand": "true", "environmentRevisionSpec": f"SomeRevision({revision})"}
    public = domino.post("/api/jobs/v1/jobs", **body)["job"]
    for run_id in (v4["id"], public["id"]):
        details = domino.get(f"/v4/jobs/{run_id}/runtimeExecutionDetails")["environment"]
        assert details["environmentRevisionSpec"] == {"revisionId": revision}
        domino.post("/v4/jobs/stop", jobId=run_id, commitResults=False)
        domino.post("/v4/jobs/archive", jobId=run_id)


def test_a_log_is_read_on_from_where_it_was_read_to(domino):
    base = f"/v4/jobs/{domino.done['id']}/logsWithProblemSuggestions"
    first = domino.get(base, limit=1)["logset"]
    assert (len(first["logContent"]), first["isComplete"]) == (1, False)
    rest = domino.get(base, latestTimeNano=first["pagination"]["latestTimeNano"])["logset"]
    assert (len(rest["logContent"]), rest["isComplete"]) == (1, True)
    assert {line["log"] for line in first["logContent"] + rest["logContent"]} == {"to <stdout>", "to <stderr>"}
    public = domino.get(f"/api/jobs/beta/jobs/{domino.done['id']}/logs", logType="STDERR")["logs"]["logContent"]
    assert [(line["logType"], line["log"]) for line in public] == [("stdErr", "to <stderr>")]
