"""Runs can be lost, shown in another status, without their results, or with a log that lags or stands still."""

from __future__ import annotations

import pytest

SUCCEEDED = {"isCompleted": True, "isArchived": False, "isScheduled": False, "executionStatus": "Succeeded"}


def every_way_to_ask_for(domino, run_id: str) -> dict[str, int]:
    paths = (
        f"/v4/jobs/{run_id}",
        f"/v4/jobs/{run_id}/logsWithProblemSuggestions",
        f"/v4/jobs/{run_id}/runtimeExecutionDetails",
        f"/api/jobs/beta/jobs/{run_id}",
        f"/api/jobs/beta/jobs/{run_id}/logs",
        f"/v1/projects/{domino.project}/runs/{run_id}",
        f"/v1/projects/{domino.project}/run/{run_id}/stdout",
    )
    return {path: domino.request("GET", path).status_code for path in paths}


def listed(domino) -> set[str]:
    jobs = domino.get("/v4/jobs", projectId=domino.project_id, page_size=1000)["jobs"]
    public = domino.get("/api/jobs/beta/jobs", projectId=domino.project_id, limit=1000)["jobs"]
    v1 = domino.get(f"/v1/projects/{domino.project}/runs")["data"]
    ids = [{run["id"] for run in runs} for runs in (jobs, public, v1)]
    assert ids[0] == ids[1] == ids[2]
    return ids[0]


def test_a_lost_run_is_unknown_to_every_route_and_goes_on_until_it_is_found_again(local_domino):
    with local_domino.fault("lose", run="to be lost"):
        run_id = local_domino.start("hello.py", title="to be lost")["id"]
    assert set(every_way_to_ask_for(local_domino, run_id).values()) == {404}
    assert run_id not in listed(local_domino)
    assert (
        local_domino.request("POST", "/v4/jobs/stop", json={"jobId": run_id, "commitResults": True}).status_code == 404
    )
    ended = local_domino.ledger(run=run_id, event="state", wait=30)
    while ended[-1]["to"] != "Succeeded":
        ended = local_domino.ledger(run=run_id, event="state", wait=30, after=ended[-1]["sequence"])
    state = local_domino.get(f"/_local/runs/{run_id}")
    assert (state["isLost"], state["status"]) == (True, "Succeeded")
    local_domino.answer("DELETE", f"/_local/runs/{run_id}/faults")
    assert set(every_way_to_ask_for(local_domino, run_id).values()) == {200}
    assert run_id in listed(local_domino)


def test_a_run_that_is_there_already_can_be_lost(local_domino):
    run_id = local_domino.run("true")["id"]
    local_domino.run_fault(run_id, "lose")
    assert set(every_way_to_ask_for(local_domino, run_id).values()) == {404}


def test_an_output_commit_can_be_kept_back_for_ever(local_domino):
    with local_domino.fault("no_output", run="no output"):
        job = local_domino.run("write.py kept.txt=back", title="no output")
    assert job["statuses"] == SUCCEEDED
    assert "outputCommitId" not in job["commitDetails"]
    run = local_domino.get(f"/v1/projects/{local_domino.project}/runs/{job['id']}")
    assert run["outputCommitId"] is None
    commit = local_domino.get(f"/_local/runs/{job['id']}")["outputCommitId"]
    assert local_domino.content(commit, "kept.txt") == b"back"


def test_an_unknown_status_word_is_shown_by_all_generations_and_does_not_end_the_run(local_domino):
    with local_domino.fault("word", run="strange", word="Levitating", phase="active"):
        run_id = local_domino.start("sleep.py 600", title="strange")["id"]
    local_domino.wait(run_id, lambda job: local_domino.statuses(run_id)[-1] == "Running")
    shown = (
        local_domino.job(run_id)["statuses"],
        local_domino.get(f"/api/jobs/beta/jobs/{run_id}")["job"]["status"],
    )
    assert [(status["executionStatus"], status["isCompleted"]) for status in shown] == [("Levitating", False)] * 2
    v1 = local_domino.get(f"/v1/projects/{local_domino.project}/runs/{run_id}")
    assert (v1["status"], v1["isCompleted"]) == ("Levitating", False)
    stopped = local_domino.post("/v4/jobs/stop", jobId=run_id, commitResults=False)
    assert stopped["statuses"]["executionStatus"] == "Levitating"
    assert local_domino.wait(run_id)["statuses"]["executionStatus"] == "Stopped"


def test_a_run_may_end_in_an_unknown_status(local_domino):
    with local_domino.fault("word", run="strange end", word="Evaporated", phase="completed"):
        job = local_domino.run("true", title="strange end")
    assert job["statuses"] == SUCCEEDED | {"executionStatus": "Evaporated"}
    listed = local_domino.get("/v4/jobs", projectId=local_domino.project_id, page_size=1)["jobs"]
    assert listed[0]["statuses"] == job["statuses"]


def test_a_log_that_stands_still_shows_its_first_lines_and_never_comes_to_its_end(local_domino):
    with local_domino.fault("stuck_log", run="standing still", lines=4):
        run_id = local_domino.run("sh -c 'for n in 1 2 3 4 5 6; do echo $n; done'", title="standing still")["id"]
    answer = local_domino.get(f"/v4/jobs/{run_id}/logsWithProblemSuggestions")["logset"]
    shown = len(answer["logContent"]) + len(local_domino.log(run_id, "prepareoutput"))
    assert shown == 4
    assert not answer["isComplete"]
    local_domino.answer("DELETE", f"/_local/runs/{run_id}/faults")
    assert local_domino.log(run_id) == list("123456")


def test_a_slow_log_shows_lines_late_and_is_complete_only_then(local_domino):
    with local_domino.fault("slow_log", run="slow log", seconds=3600):
        run_id = local_domino.run("echo late", title="slow log")["id"]
    path = f"/v4/jobs/{run_id}/logsWithProblemSuggestions"
    assert (local_domino.get(path)["logset"]["logContent"], local_domino.get(path)["logset"]["isComplete"]) == (
        [],
        False,
    )
    assert local_domino.get(f"/v1/projects/{local_domino.project}/run/{run_id}/stdout")["stdout"] == ""
    local_domino.answer("DELETE", f"/_local/runs/{run_id}/faults")
    local_domino.run_fault(run_id, "slow_log", seconds=0.001)
    assert local_domino.log(run_id) == ["late"]
    assert local_domino.get(path)["logset"]["isComplete"]


@pytest.mark.parametrize("command", ["sleep.py 600", "hello.py"])
def test_a_run_can_end_as_faulty(local_domino, command):
    with local_domino.fault("faulty", run=f"faulty {command}"):
        job = local_domino.run(command, title=f"faulty {command}")
    assert job["statuses"]["executionStatus"] == "Faulty"
    assert job["abnormalStatus"]["runFailureReason"]
    assert "outputCommitId" not in job["commitDetails"]


def test_only_runs_that_are_meant_meet_a_fault_and_only_so_many(local_domino):
    with local_domino.fault("lose", run="^echo chosen", times=2) as fault:
        ids = [local_domino.start(f"echo {word}")["id"] for word in ("chosen", "other", "chosen", "chosen")]
        assert fault.met == 2
    known = [local_domino.request("GET", f"/v4/jobs/{run_id}").ok for run_id in ids]
    assert known == [False, True, False, True]


def test_a_fault_of_answers_is_none_of_a_run(local_domino):
    run_id = local_domino.run("true")["id"]
    answer = local_domino.request("POST", f"/_local/runs/{run_id}/faults", json={"action": "drop"})
    assert answer.status_code == 400
    assert local_domino.request("POST", f"/_local/runs/{'0' * 24}/faults", json={"action": "lose"}).status_code == 404
