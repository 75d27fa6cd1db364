"""A server can be brought back to what it was when it was started, and made to give the same ids every time."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from airflow_domino.testing import LocalDomino

FILES = {"tell.py": "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n", "a.txt": "1"}


@pytest.fixture(scope="module")
def domino() -> Iterator[LocalDomino]:
    with LocalDomino.serve({"me/first": FILES}, arguments=["--seed=3"]) as domino:
        yield domino


def test_runs_files_faults_and_further_projects_are_gone_and_running_programs_have_ended(domino):
    started, head = dict(domino.projects), domino.head()
    domino.run("sh -c 'echo 2 > a.txt'")
    run_id = domino.start("tell.py")["id"]
    domino.wait(run_id, lambda _: domino.log(run_id))
    program = psutil.Process(int(domino.log(run_id)[0]))
    domino.add_project("me/second", {"b.txt": "b"})
    domino.order_fault("status", path="/v4", times=None)
    domino.reset()
    assert domino.projects == started
    assert domino.head() == head
    assert domino.content(domino.head(), "a.txt") == b"1"
    assert domino.get("/v4/jobs", projectId=domino.project_id)["totalCount"] == 0
    assert domino.request("GET", f"/v4/jobs/{run_id}").status_code == 404
    assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE
    assert [entry["event"] for entry in domino.ledger()] == ["reset"]
    assert [path.name for path in (domino.root / "projects").iterdir()] == [f"{domino.project_id}.git"]
    assert list((domino.root / "logs").iterdir()) == []
    assert list((domino.root / "work").iterdir()) == []


def test_numbers_of_the_ledger_are_not_given_again(domino):
    domino.run("true")
    last = domino.get("/_local/ledger/totals")["last"]
    domino.reset()
    assert domino.ledger()[0]["sequence"] > last


def test_runs_begin_at_one_again_and_work(domino):
    domino.reset()
    job = domino.run("sh -c 'echo new > new.txt'")
    assert job["number"] == 1
    assert job["statuses"]["executionStatus"] == "Succeeded"
    assert domino.content(domino.head(), "new.txt") == b"new\n"


def played(domino: LocalDomino) -> list[str]:
    domino.reset(seed=11)
    domino.answer("PUT", f"/v1/projects/{domino.project}/up.txt", data=b"up")
    jobs = [domino.run("sh -c 'echo same > same.txt'"), domino.run("true")]
    return [domino.head(), *(str(job["id"]) for job in jobs), jobs[0]["commitDetails"]["outputCommitId"]]


def test_with_a_seed_ids_of_runs_and_commits_are_the_same_every_time(domino):
    assert played(domino) == played(domino)
    domino.reset(seed=12)
    other = domino.run("true")["id"]
    domino.reset()
    assert domino.run("true")["id"] != other


def test_a_seed_can_be_used_again_without_giving_an_id_twice(domino):
    domino.reset(seed=5)
    first = domino.run("true")["id"]
    domino.post("/_local/seed", seed=5)
    second = domino.run("true")["id"]
    assert first != second
    domino.reset()


def test_a_project_can_be_added_and_brought_up_to_date(domino):
    domino.add_project("you/third", {"c.txt": "1", "write.py": "open('d.txt', 'w').write('1')"}, results="isolated")
    project_id = domino.add_project("you/third", {"c.txt": "2", "write.py": "open('d.txt', 'w').write('1')"})
    head = domino.get("/v1/projects/you/third/commits")[0]
    assert domino.answer("GET", f"/api/projects/v1/projects/{project_id}/files/{head}/c.txt/content").text == "2"
    domino.run("write.py", projectId=project_id)
    assert domino.get("/v1/projects/you/third/commits")[0] == head
    for order in ({"name": "nonsense"}, {"name": "a/b", "folder": "relative"}, {"name": "a/b", "folder": "/no/such"}):
        assert domino.request("POST", "/_local/projects", json=order).status_code == 400


def asked_with(domino: LocalDomino, token: str) -> int:
    return domino.request("GET", "/v4/users/self", headers={"X-Domino-Api-Key": token}).status_code


def test_a_token_can_expire_in_the_middle_of_a_test(domino):
    made = domino.post("/_local/tokens")
    assert asked_with(domino, made["token"]) == 200
    assert domino.post(f"/_local/tokens/{made['id']}/expire")["isExpired"]
    assert asked_with(domino, made["token"]) == 401


def test_a_token_expires_by_the_servers_clock(domino):
    token = domino.new_token(seconds=3600)
    assert asked_with(domino, token) == 200
    domino.advance(3601)
    assert asked_with(domino, token) == 401
    domino.reset()


def test_nobody_has_no_token(domino):
    assert domino.request("POST", "/_local/tokens", json={"user": "nobody"}).status_code == 404
    assert domino.request("POST", f"/_local/tokens/{'0' * 24}/expire").status_code == 404
