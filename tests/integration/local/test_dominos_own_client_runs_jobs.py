"""Domino's own Python client, unchanged, runs jobs on the local Domino, in version 4 and in version 1 of the API."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def jobs(dominos_client):
    return dominos_client.drive("jobs")


@pytest.fixture
def runs(dominos_client):
    return dominos_client.drive("runs")


def test_a_job_of_a_commit_an_environment_and_a_tier_is_awaited_and_read(jobs):
    done = jobs["done"]
    assert done["statuses"]["executionStatus"] == "Succeeded"
    assert done["title"] == "from the client"
    assert done["commitDetails"]["inputCommitId"] == jobs["commit"]
    assert jobs["details"]["hardwareTier"]["name"] == "Medium"
    assert jobs["stdout"] == "hello"
    assert "hello.py" in jobs["log"]
    assert "hello.py" not in jobs["output"]
    assert jobs["file"] == "hello\nworld\n"


def test_a_job_is_stopped_and_started_again(jobs):
    stopped, again, fresh = jobs["stopped"], jobs["again"], jobs["fresh"]
    assert jobs["stopping"]["id"] == stopped["id"]
    assert "outputCommitId" not in stopped["commitDetails"]
    assert again["id"] != stopped["id"]
    assert again["jobRunCommand"] == stopped["jobRunCommand"] == "sleep.py 300"
    assert fresh["commitDetails"]["inputCommitId"] == jobs["done"]["commitDetails"]["outputCommitId"]


def test_jobs_take_clusters_although_none_is_started(jobs):
    assert jobs["cluster"]["computeCluster"]["clusterType"] == "Ray"
    assert jobs["spark"]["jobRunCommand"] == "hello.py"


def test_jobs_are_listed_in_pages_that_have_three_where_no_size_is_asked_for(jobs):
    assert jobs["pages"] == [[1, 2], [3, 4]]
    assert jobs["three"] == 3
    assert jobs["done"]["id"] in jobs["stopped_first"]
    assert jobs["completed"] >= 2
    assert jobs["tagged"] == 0


def test_jobs_of_a_git_based_project_have_the_code_that_was_asked_for(jobs):
    assert jobs["branch"] == [f"this is the {said} version" for said in ("third", "first", "second")]


def test_refused_and_failed_jobs_raise_in_the_client(jobs):
    assert jobs["refused"] == {
        "failed": "RunFailedException",
        "no such tier": "HardwareTierNotFoundException",
        "no such tier id": "HardwareTierNotFoundException",
        "no such commit": "CommitNotFoundException",
        "no such environment": "EnvironmentNotFoundException",
        "nothing to run": "HTTPError",
        "no such branch": "HTTPError",
    }


def test_a_run_is_started_awaited_and_read(runs):
    assert runs["run"]["status"] == "Succeeded"
    assert runs["run"]["isCompleted"] is True
    assert runs["run"]["title"] == "old"
    assert runs["run"]["id"] in runs["message"]
    assert runs["file"] == "one two"
    assert runs["stdout"] == ""


def test_a_run_can_be_a_line_for_a_shell(runs):
    assert runs["shell"] == "from 2 shells\n"


def test_a_failed_run_raises_in_the_client(runs):
    assert "did not succeed" in runs["failed"]


def test_runs_are_listed_newest_first_and_stopped(runs):
    assert [one for one in runs["listed"] if one in runs["ids"]] == runs["ids"]
    assert runs["stopped"]["status"] == "Stopped"
