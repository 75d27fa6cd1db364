"""What a person reads who starts a local Domino in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_domino.local.greeting import greeting
from airflow_domino.local.platform import Platform

URL = "http://127.0.0.1:8890"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(root=tmp_path / "root")
    yield made
    made.close()


def test_it_says_where_things_are_and_names_the_token_by_its_file(platform: Platform) -> None:
    platform.add_project("domino/quick-start")
    said = greeting(platform, {"url": URL, "token": platform.secret, "projects": []})
    assert platform.secret not in said
    assert f"in the file {platform.root}/token" in said
    assert f"DOMINO_TOKEN_FILE={platform.root}/token DOMINO_API_HOST={URL} DOMINO_PROJECT_OWNER=domino" in said
    for part in ("domino/quick-start", "X-Large ($1.92 an hour, 4 at once)", f"{URL}/  (projects and runs)"):
        assert part in said


def test_it_names_the_files_that_hold_the_tokens(platform: Platform) -> None:
    users = [{"name": "ada", "token_files": ["/run/ada"]}]
    said = greeting(platform, {"url": URL, "token_file": "/run/token", "users": users})
    assert "in the file /run/token\n" in said
    assert "of ada in /run/ada\n" in said
    assert "--project OWNER/NAME=FOLDER makes one" in said


def test_a_token_that_was_given_is_neither_shown_nor_looked_for(tmp_path: Path) -> None:
    given = Platform(root=tmp_path / "root", token="canary-5f0c")
    try:
        said = greeting(given, {"url": URL, "token": "canary-5f0c"})
    finally:
        given.close()
    assert "canary" not in said
    assert "the one that was given" in said
