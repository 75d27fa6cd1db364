"""A server that only simulates runs: its clock, its simulation and its runs are driven over the control plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

TRAIN = {"command": "train.py *", "seconds": 3600, "log": ["epoch 1", "epoch 2"], "exit_code": 1}


@pytest.fixture(scope="module")
def server(serve_domino: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("simulated") / "root"
    domino = serve_domino(root, {"domino/quick-start": None}, ["--depth=simulate"])
    yield domino
    domino.stop()


@pytest.fixture
def domino(server: Any) -> Any:
    """The server as it was started, with its clock frozen."""
    server.post("/_local/reset")
    server.post("/_local/clock", frozen=True)
    return server


def status(domino: Any, run_id: str) -> str:
    return str(domino.job(run_id)["statuses"]["executionStatus"])


def test_hours_pass_at_once(domino):
    domino.post("/_local/simulation", rules=[TRAIN])
    run_id = domino.start("train.py 30")["id"]
    assert status(domino, run_id) == "Running"
    assert domino.post("/_local/clock", advance=1800)["isFrozen"]
    assert domino.log(run_id) == ["epoch 1"]
    domino.post("/_local/clock", advance=1800)
    job = domino.job(run_id)
    assert job["statuses"]["executionStatus"] == "Failed"
    assert job["stageTime"]["completedTime"] - job["stageTime"]["runStartTime"] == 3_600_000
    assert domino.log(run_id) == ["epoch 1", "epoch 2", "Failed with exit code: 1"]
    assert domino.get("/_local/simulation")["applied"] == [1]
    page = domino.get(f"/v4/jobs/{run_id}/logsWithProblemSuggestions")["logset"]
    assert page["isComplete"]


def test_all_generations_of_the_api_tell_of_a_simulated_run(domino):
    run_id = domino.start("hello.py")["id"]
    domino.post("/_local/clock", advance=5)
    assert domino.get(f"/v1/projects/{domino.project}/runs/{run_id}")["status"] == "Succeeded"
    assert domino.get(f"/api/jobs/beta/jobs/{run_id}")["job"]["status"]["executionStatus"] == "Succeeded"
    assert "This run is simulated" in domino.get(f"/v1/projects/{domino.project}/run/{run_id}/stdout")["setup"]


def test_a_run_is_moved_by_hand(domino):
    domino.post("/_local/simulation", default={"pace": "manual"})
    run_id = domino.start("hello.py")["id"]
    assert domino.post(f"/_local/runs/{run_id}/move")["status"] == "Preparing"
    assert domino.post(f"/_local/runs/{run_id}/move", to="Succeeded")["isCompleted"]
    answer = domino.request("POST", f"/_local/runs/{run_id}/move")
    assert answer.status_code == 400
    assert "not on its way" in answer.text


def test_what_cannot_be_played_is_refused_with_the_reason(domino):
    answer = domino.request("POST", "/_local/simulation", json=[{"seconds": {"Queued": 3}}])
    assert answer.status_code == 400
    assert "rules.0.seconds.Queued" in answer.text
    assert domino.get("/_local/simulation")["simulation"] == {}


def test_a_tier_is_changed_while_the_server_runs(domino):
    first, second = (domino.start("hello.py")["id"] for _ in range(2))
    assert [status(domino, run_id) for run_id in (first, second)] == ["Running", "Running"]
    changed = domino.post("/_local/tiers/small-k8s", capacity=2)
    assert (changed["capacity"], changed["executing"], changed["isFull"]) == (2, 2, True)
    third = domino.start("hello.py")["id"]
    assert status(domino, third) == "Queued"
    domino.post("/_local/tiers/small-k8s", capacity=3)
    assert status(domino, third) == "Running"
    domino.post("/_local/tiers/medium-k8s", archived=True)
    refused = {"projectId": domino.project_id, "commandToRun": "x.py", "overrideHardwareTierId": "medium-k8s"}
    assert domino.request("POST", "/v4/jobs/start", json=refused).status_code == 400
    assert domino.request("POST", "/_local/tiers/none", json={}).status_code == 404


def test_a_reset_brings_back_the_tiers_the_clock_and_the_first_simulation(domino):
    domino.post("/_local/simulation", rules=[TRAIN])
    domino.post("/_local/tiers/small-k8s", capacity=0)
    domino.post("/_local/clock", advance=86400)
    run_id = domino.start("hello.py")["id"]
    domino.post("/_local/reset")
    assert domino.get("/_local/simulation")["simulation"] == {}
    clock = domino.get("/_local/clock")
    assert not clock["isFrozen"]
    assert clock["aheadSeconds"] == pytest.approx(0, abs=1)
    assert not domino.get("/_local/tiers")["tiers"][0]["isFull"]
    assert domino.request("GET", f"/v4/jobs/{run_id}").status_code == 404
    assert domino.run("hello.py")["statuses"]["executionStatus"] == "Succeeded"


@pytest.mark.parametrize("order", [{"advance": -1}, {"advance": "x"}, {"now": 3}])
def test_an_order_that_the_clock_does_not_know_is_refused(domino, order):
    assert domino.request("POST", "/_local/clock", json=order).status_code == 400
