"""Domino's own Python client, unchanged, puts files into projects of the local Domino and reads them."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def files(dominos_client):
    return dominos_client.drive("files")


def test_an_uploaded_file_is_a_new_commit(files):
    assert files["status"] == 201
    assert files["answer"]["path"] == "data/new ü.bin"
    assert files["location"] == files["answer"]["url"]
    assert files["before"] == ["data/new ü.bin"]
    assert files["below"] == ["data/new ü.bin", "data/second.txt"]
    assert files["sizes"]["data/new ü.bin"] == 256


def test_a_file_is_read_by_key_and_by_path(files):
    assert files["by_key"] == files["by_path"] == list(range(256))
    assert files["downloaded"] == "second"


def test_the_client_cannot_download_without_a_commit_since_it_takes_the_list_of_ids_for_a_list_of_objects(files):
    """Its other methods need the ids to be texts, as Domino's documents say; no answer would suit both."""
    assert "indices must be integers" in files["without_commit"]


def test_a_crooked_path_is_refused_by_the_client(files):
    assert files["crooked"] == "MalformedInputException"
