"""Domino's own Python client, unchanged, finds its way among environments and tiers of the local Domino."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def environments(dominos_client):
    return dominos_client.drive("environments")


def test_an_environment_is_made_of_the_default_ones_interpreter(environments):
    assert environments["default"] == "Local Python"
    assert environments["made"]["name"] == "made"
    assert environments["made"]["visibility"] == "private"


def test_a_further_revision_is_the_active_one_and_can_be_the_restricted_one(environments):
    revision = environments["revision"]
    assert revision["number"] == 2
    assert environments["changed"]["selectedRevision"]["id"] == revision["id"]
    assert environments["changed"]["restrictedRevision"]["id"] == revision["id"]
    assert environments["used"]["environmentName"] == "made"
    assert environments["used"]["revisionNumber"] == 2


def test_an_archived_environment_is_listed_no_more(environments):
    assert environments["archived"] is True
    assert environments["listed"] == ["Local Python"]


def test_tiers_are_found_by_name(environments):
    assert environments["tiers"] == ["Small", "Medium", "Large", "X-Large", "GPU"]
    assert environments["tier"] == "gpu-small-k8s"
    assert environments["no tier"] is None


def test_the_deployment_tells_its_version(environments):
    assert environments["version"].startswith("6.")
    assert environments["is new"] is True
