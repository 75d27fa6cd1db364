"""Projects of the local Domino: made, copied, shared and archived, by whoever may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_domino.local import project_life
from airflow_domino.local.errors import BadRequest, Forbidden, NotFound
from airflow_domino.local.people import Caller, calling
from airflow_domino.local.platform import Platform
from airflow_domino.local.project_life import NewProject
from airflow_domino.local.projects import Projects


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(tmp_path / "root", first_user="root")
    for name in ("ada", "bob", "eve"):
        platform.people.ensure(name)
    yield platform
    platform.close()


def by(platform: Platform, name: str):
    """Let what is done be done by somebody."""
    return calling(Caller(platform.people.named(name)))


def test_a_project_belongs_to_who_makes_it(platform):
    with by(platform, "ada"):
        assert project_life.create(platform, NewProject("own")).full_name == "ada/own"
        with pytest.raises(Forbidden):
            project_life.create(platform, NewProject("his", platform.people.named("bob")))


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".git", "ä"])
def test_a_name_that_no_address_could_have_is_refused(platform, name):
    with by(platform, "ada"), pytest.raises(BadRequest, match="letters"):
        project_life.create(platform, NewProject(name))


def test_a_name_is_given_once_for_each_owner(platform):
    for owner in ("ada", "bob"):
        with by(platform, owner):
            project_life.create(platform, NewProject("same"))
            with pytest.raises(BadRequest, match="already"):
                project_life.create(platform, NewProject("same"))


def test_a_project_whose_repository_cannot_be_is_not_made(platform):
    with by(platform, "ada"):
        with pytest.raises(BadRequest):
            project_life.create(platform, NewProject("code", code={"uri": "no address"}))
        project_life.create(platform, NewProject("code"))


def test_a_copy_has_files_with_their_history_and_no_collaborators(platform, tmp_path):
    (tmp_path / "file.txt").write_text("content")
    with by(platform, "ada"):
        project = project_life.create(platform, NewProject("one", collaborators={"bob": "Contributor"}, tags=["x"]))
        platform.repository(project.id).put_file("file.txt", tmp_path / "file.txt", "ada")
    with by(platform, "bob"):
        copied = project_life.copy(platform, project, NewProject("two"))
        assert copied.full_name == "bob/two"
        assert (copied.tags, copied.collaborators) == (["x"], {})
        assert platform.repository(copied.id).head() == platform.repository(project.id).head()
        platform.repository(copied.id).put_file("more.txt", tmp_path / "file.txt", "bob")
        assert platform.repository(copied.id).head() != platform.repository(project.id).head()


def test_files_that_one_may_not_read_cannot_be_copied(platform):
    with by(platform, "ada"):
        project = project_life.create(platform, NewProject("one", visibility="Searchable"))
    with by(platform, "bob"), pytest.raises(Forbidden):
        project_life.copy(platform, project, NewProject("two"))


def test_contributors_let_people_in_but_make_no_owners(platform):
    with by(platform, "ada"):
        project = project_life.create(platform, NewProject("one", collaborators={"bob": "Contributor"}))
    with by(platform, "bob"):
        project_life.set_role(platform, project.id, platform.people.named("eve"), "ResultsConsumer")
        with pytest.raises(Forbidden):
            project_life.set_role(platform, project.id, platform.people.named("root"), "Owner")
        with pytest.raises(BadRequest, match="owns"):
            project_life.set_role(platform, project.id, platform.people.named("ada"), "LauncherUser")


def test_everybody_may_leave_a_project(platform):
    bob = platform.people.named("bob")
    with by(platform, "ada"):
        project = project_life.create(platform, NewProject("one", collaborators={"bob": "ResultsConsumer"}))
    with by(platform, "bob"):
        assert project_life.remove_collaborator(platform, project.id, bob.id).collaborators == {}
        with pytest.raises(NotFound):
            platform.project(project.id)


def test_what_is_known_of_a_project_is_known_after_a_restart(platform):
    with by(platform, "ada"):
        project = project_life.create(platform, NewProject("one", description="text", tags=["x"]))
    assert Projects(platform.database).find(project.id) == project
    changed = platform.projects.change(project.id, lambda known: replace(known, description="other"))
    assert Projects(platform.database).find(project.id) == changed


def test_a_database_of_an_earlier_version_is_understood(platform):
    platform.database.create(
        "DROP TABLE projects; CREATE TABLE projects (id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, "
        "results TEXT NOT NULL, created_at INTEGER NOT NULL, UNIQUE (owner, name));"
        "INSERT INTO projects VALUES ('0123456789abcdef01234567', 'ada', 'old', 'main', 1);"
    )
    (project,) = Projects(platform.database).all()
    assert (project.full_name, project.visibility, project.collaborators) == ("ada/old", "Private", {})
