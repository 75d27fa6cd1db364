"""Who may do what in a project of the local Domino is what Domino's table of collaborator permissions says."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_domino.local.database import Database
from airflow_domino.local.memberships import Permission, operations, permissions_of, role_of
from airflow_domino.local.people import SYSTEM_ADMIN, People, Person
from airflow_domino.local.projects import PRIVATE, PUBLIC, SEARCHABLE, Project

P = Permission
SEE = {P.DISCOVER, P.READ_FILES, P.VIEW_RUNS}
WORK = {*SEE, P.RUN, P.EDIT, P.CHANGE_SETTINGS, P.MANAGE_COLLABORATORS}


@pytest.fixture
def people(tmp_path: Path):
    database = Database(tmp_path / "people.sqlite")
    yield People(database)
    database.close()


def project(visibility: str = PRIVATE, owner: str = "owner", **collaborators: str) -> Project:
    return Project("0" * 24, owner, "name", "main", 0, visibility=visibility, collaborators=collaborators)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("Owner", set(Permission)),
        ("Contributor", WORK),
        ("ResultsConsumer", SEE),
        ("LauncherUser", {P.DISCOVER, P.VIEW_RUNS}),
        ("ProjectImporter", {P.DISCOVER}),
    ],
)
def test_a_role_allows_what_dominos_table_says(people, role, allowed):
    ada = people.ensure("ada")
    assert permissions_of(project(ada=role), ada) == allowed
    assert role_of(project(ada=role), ada) == role


@pytest.mark.parametrize(("visibility", "allowed"), [(PUBLIC, SEE), (SEARCHABLE, {P.DISCOVER}), (PRIVATE, set())])
def test_others_see_of_a_project_what_its_visibility_says(people, visibility, allowed):
    ada = people.ensure("ada")
    assert permissions_of(project(visibility), ada) == allowed
    assert role_of(project(visibility), ada) == "Viewer"


def test_a_public_project_shows_a_small_role_as_much_as_everybody(people):
    ada = people.ensure("ada")
    assert permissions_of(project(PUBLIC, ada="ProjectImporter"), ada) == SEE


def test_visitors_without_a_name_see_nothing_not_even_public_projects(people):
    assert permissions_of(project(PUBLIC), None) == set()


def test_owners_and_administrators_may_do_everything(people):
    admin = people.save(Person("root", roles=(SYSTEM_ADMIN,)))
    assert permissions_of(project(), people.ensure("owner")) == set(Permission)
    assert permissions_of(project(), admin) == set(Permission)
    assert role_of(project(), admin) == "Admin"


def test_permissions_are_told_in_version_4s_words(people):
    told = operations(permissions_of(project(ada="ResultsConsumer"), people.ensure("ada")))
    assert told == ["BrowseReadFiles", "ViewRuns", "ProjectSearchPreview"]


def test_people_are_known_again_after_a_restart_and_keep_their_ids(people, tmp_path):
    ada = people.save(Person("ada", full_name="Ada Lovelace", email="ada@example.org"))
    again = Database(tmp_path / "people.sqlite")
    assert People(again).find(ada.id) == ada
    again.close()


@pytest.mark.parametrize("name", ["", "a/b", "a b", ".hidden", "-x"])
def test_nobody_has_a_name_that_no_address_could_have(people, name):
    with pytest.raises(ValueError, match="user name"):
        people.ensure(name)
