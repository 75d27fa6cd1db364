"""Domino's own Python client, unchanged, makes, shares and archives projects, for several people."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def projects(dominos_client):
    return dominos_client.drive("projects")


def test_a_project_is_made_with_everything_that_can_be_said_of_it(projects):
    made = projects["made"]
    assert made["description"] == "made by the client"
    assert made["ownerUsername"] == "domino"
    assert made["visibility"] == "Private"
    assert [one["projectRole"] for one in made["collaborators"]] == ["ResultsConsumer"]
    assert [tag["name"] for tag in made["tags"]] == ["first"]


def test_a_project_is_made_by_the_form_of_old_releases(projects):
    assert projects["old"] == "old"


def test_a_fork_has_the_files(projects):
    assert projects["forked"]["name"] == "forked"
    assert "hello.py" in projects["files of the fork"]


def test_projects_are_listed_by_what_they_are_to_the_user(projects):
    assert {"projects", "made", "old", "forked"} <= set(projects["listed"]["Owned"])
    assert projects["listed"]["Collaborating"] == []
    assert projects["listed"]["Suggesting"] == []


def test_an_archived_project_is_gone(projects):
    assert "old" not in projects["listed after"]
    assert projects["not there"] == "ProjectNotFoundException"


def test_tags_are_put_on_and_taken_off(projects):
    assert projects["tags"] == {"put on": ["one", "two"], "details": "two", "left": ["one"], "unknown": None}


def test_somebody_who_is_let_in_sees_the_project_and_starts_jobs_in_it(projects):
    shared = projects["shared"]
    assert shared["before"] == 404
    assert shared["listed"] == ["ada"]
    assert shared["started by"] == "ada"
    assert shared["hers"] == ["made", "projects"] or shared["hers"] == ["projects", "made"]


def test_somebody_who_is_let_in_no_longer_does_not(projects):
    shared = projects["shared"]
    assert shared["listed after"] == []
    assert shared["without right"] == 404
    assert shared["wrong token"] == 401


def test_somebody_unknown_cannot_be_let_in(projects):
    assert projects["shared"]["unknown"] == "UserNotFoundException"
    assert projects["shared"]["nobody"] is None
