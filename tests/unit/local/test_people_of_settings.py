"""The people that the settings of a local Domino name, on the command line or in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_domino.local.people_settings import (
    PeopleError,
    PeopleSettings,
    collaborator_of,
    load_people,
    settle_projects,
    user_of,
    visibility_of,
)
from airflow_domino.local.platform import Platform

FILE = """
[[users]]
name = "ada"
full_name = "Ada Lovelace"
email = "ada@example.org"
token_file = "secrets/ada"

[[users]]
name = "bob"
roles = ["LiteUser"]

[projects."ada/forecast"]
visibility = "searchable"
collaborators = { bob = "ResultsConsumer" }
"""


def test_a_user_has_a_name_and_perhaps_a_file():
    assert user_of("ada").token_files == ()
    assert user_of("ada=keys/ada").token_files == (Path("keys/ada").absolute(),)


@pytest.mark.parametrize("text", ["", "a b", "=file", "ada="])
def test_a_user_without_a_usable_name_or_file_is_refused(text):
    with pytest.raises(PeopleError, match="--user"):
        user_of(text)


def test_a_collaborator_is_a_contributor_where_no_role_is_named():
    assert collaborator_of("ada/forecast=bob").collaborators == {"bob": "Contributor"}
    assert collaborator_of("ada/forecast=bob:launcheruser").collaborators == {"bob": "LauncherUser"}


@pytest.mark.parametrize("text", ["ada/forecast", "=bob", "ada/forecast=", "ada/forecast=bob:King"])
def test_a_collaborator_that_cannot_be_is_refused(text):
    with pytest.raises(PeopleError, match="--collaborator"):
        collaborator_of(text)


def test_a_visibility_is_one_of_dominos():
    assert visibility_of("ada/forecast=PUBLIC").visibility == "Public"
    with pytest.raises(PeopleError, match="Searchable"):
        visibility_of("ada/forecast=hidden")


def test_a_file_names_users_and_collaborators(tmp_path):
    (tmp_path / "people.toml").write_text(FILE)
    settings = load_people(tmp_path / "people.toml")
    assert [user.name for user in settings.users] == ["ada", "bob"]
    assert settings.users[0].token_files == (tmp_path / "secrets" / "ada",)
    (project,) = settings.projects
    assert (project.visibility, project.collaborators) == ("Searchable", {"bob": "ResultsConsumer"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "must be a table"),
        ({"people": []}, "unknown key 'people'"),
        ({"users": {}}, "must be a list"),
        ({"users": [{"name": "a b"}]}, "user name"),
        ({"users": [{"name": "ada", "password": "x"}]}, "unknown key 'password'"),
        ({"projects": {"a/b": {"collaborators": {"ada": "King"}}}}, "Contributor"),
        ({"projects": {"a/b": {"visibility": "hidden"}}}, "Searchable"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path, content, said):
    (tmp_path / "people.json").write_text(json.dumps(content))
    with pytest.raises(PeopleError, match=said):
        load_people(tmp_path / "people.json")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for name in ("missing.toml", "people.ini"):
        with pytest.raises(PeopleError, match="cannot be read"):
            load_people(tmp_path / name)


def test_users_of_the_command_line_come_first_and_add_to_those_of_the_file(tmp_path):
    (tmp_path / "people.toml").write_text(FILE)
    settings = load_people(tmp_path / "people.toml").with_users([user_of("eve"), user_of("ada=other")])
    assert [user.name for user in settings.users] == ["eve", "ada", "bob"]
    assert len(settings.users[1].token_files) == 2
    assert settings.users[1].email == "ada@example.org"


def test_everybody_of_the_settings_is_there_with_tokens_and_roles(tmp_path):
    (tmp_path / "people.toml").write_text(FILE)
    settings = load_people(tmp_path / "people.toml")
    platform = Platform(tmp_path / "root", first_user="ada", people_settings=settings)
    try:
        platform.add_project("ada/forecast")
        platform.add_project("acme/shared")
        settle_projects(platform)
        assert platform.people.named("ada").is_admin
        assert not platform.people.named("bob").is_admin
        assert platform.rights.authenticate((tmp_path / "secrets" / "ada").read_text().strip()).person.name == "ada"
        assert platform.rights.authenticate(platform.secret).person.name == "ada"
        (file,) = platform.token_files["bob"]
        assert file == platform.root / "tokens" / "bob"
        assert file.stat().st_mode & 0o077 == 0
        assert platform.people.named("acme") is not None
        project = platform.projects.named("ada", "forecast")
        assert (project.visibility, project.collaborators) == ("Searchable", {"bob": "ResultsConsumer"})
    finally:
        platform.close()


@pytest.mark.parametrize(
    ("text", "said"), [("ada/none=bob", "no project ada/none"), ("ada/forecast=nobody", "no user nobody")]
)
def test_collaborators_of_what_is_not_there_are_refused(tmp_path, text, said):
    settings = PeopleSettings([user_of("ada"), user_of("bob")]).with_projects([collaborator_of(text)])
    platform = Platform(tmp_path / "root", first_user="ada", people_settings=settings)
    try:
        platform.add_project("ada/forecast")
        with pytest.raises(PeopleError, match=said):
            settle_projects(platform)
    finally:
        platform.close()
