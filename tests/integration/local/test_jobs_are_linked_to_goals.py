"""A job can be linked to goals of its project, and is told with them in both generations."""

from __future__ import annotations

import pytest


@pytest.fixture
def goal(local_domino):
    """A goal of the first project."""
    made = local_domino.post(f"/api/projects/v1/projects/{local_domino.project_id}/goals", title="reach it")["goal"]
    yield made["id"]
    local_domino.request("DELETE", f"/api/projects/v1/projects/{local_domino.project_id}/goals/{made['id']}")


@pytest.fixture
def job(local_domino):
    """A job that is over."""
    return local_domino.run("hello.py")["id"]


def linked(domino, job):
    return domino.get(f"/v4/jobs/{job}")["goalIds"], domino.get("/api/jobs/v1/goals", jobId=job)["goals"]


def test_a_link_shows_in_both_generations_once_and_goes_again(local_domino, job, goal):
    for _ in range(2):
        local_domino.post(f"/v4/jobs/{job}/linkJobToGoal", goalId=goal)
    ids, told = linked(local_domino, job)
    assert ids == [goal]
    assert [(one["goalId"], one["title"], one["jobId"]) for one in told] == [(goal, "reach it", job)]
    assert local_domino.get(f"/api/jobs/beta/jobs/{job}")["job"]["goalIds"] == [goal]
    assert local_domino.request("DELETE", f"/api/jobs/v1/goals/{goal}?jobId={job}").ok
    assert linked(local_domino, job) == ([], [])


def test_a_goal_that_is_not_there_cannot_be_linked_to(local_domino, job, goal):
    unknown = "0" * 24
    assert local_domino.request("POST", f"/v4/jobs/{job}/linkJobToGoal", json={"goalId": unknown}).status_code == 404
    answer = local_domino.request("POST", f"/v4/jobs/{job}/unlinkJobGoal", json={"goalId": goal})
    assert answer.status_code == 404
    assert "is not linked" in answer.json()["message"]
    assert linked(local_domino, job) == ([], [])
