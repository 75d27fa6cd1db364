"""The local Domino describes its own API, at Domino's addresses and to everybody: all of it, and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from airflow_domino.local import described
from airflow_domino.local.gate import Access
from airflow_domino.local.platform import Platform
from airflow_domino.local.server import create_app

ADDRESSES = [generation.address for generation in described.GENERATIONS]


@pytest.fixture(scope="module")
def documents(local_domino) -> dict[str, Any]:
    """The served descriptions, got without credentials."""
    return {address: requests.get(f"{local_domino.url}{address}", timeout=30).json() for address in ADDRESSES}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The server's routes, without a server."""
    platform = Platform(root=tmp_path_factory.mktemp("described"))
    found: Any = create_app(platform, Access())
    while not hasattr(found, "routes"):
        found = found._app
    yield found
    platform.close()


def operations(documents: dict[str, Any]) -> list[tuple[dict[str, Any], described.Operation, dict[str, Any]]]:
    """Every described operation, with its document and its description."""
    found = []
    for document in documents.values():
        prefix = document["servers"][0]["url"].rstrip("/")
        for operation in described.operations(document):
            path = operation.path.removeprefix(prefix)
            found.append((document, operation, document["paths"][path][operation.method.lower()]))
    return found


def test_every_served_operation_is_described_and_no_other(documents, app):
    served = described.served(app)
    told = [operation for document in documents.values() for operation in described.operations(document)]
    assert len(served) > 50
    assert sorted(map(repr, served)) == sorted(map(repr, told))


def test_operations_have_different_names_within_a_document(documents):
    for document in documents.values():
        names = [operation.name for operation in described.operations(document)]
        assert sorted(names) == sorted(set(names))


def test_every_operation_says_what_it_is_for_and_what_it_answers(documents):
    untold = [
        operation
        for _, operation, told in operations(documents)
        if not told["summary"].endswith(".")
        or (
            not any("content" in told["responses"].get(ok, {}) for ok in ("200", "201"))
            and "204" not in told["responses"]
        )
    ]
    assert untold == []


def test_no_answer_is_described_as_just_anything(documents):
    vague = [
        operation
        for _, operation, told in operations(documents)
        for status, response in told["responses"].items()
        for media in response.get("content", {}).values()
        if media.get("schema", {}) in ({}, {"type": "object", "additionalProperties": True}, {"type": "object"})
    ]
    assert vague == []


def test_every_operation_needs_a_token_and_says_so(documents):
    for document, operation, told in operations(documents):
        if operation.path == "/version":
            assert told["security"] == []
        else:
            assert "401" in told["responses"]
            assert told.get("security", document["security"]) == [{"DominoApiKey": []}, {"BearerAuthentication": []}]


def test_parts_that_are_referred_to_are_there_and_all_parts_are_used(documents):
    for document in documents.values():
        text = json.dumps(document)
        referred = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
        assert referred == set(document["components"]["schemas"])


def test_the_descriptions_speak_of_no_machine(documents, local_domino):
    text = json.dumps(documents)
    assert local_domino.token not in text
    assert "127.0.0.1" not in text


def test_every_described_operation_is_there(documents, local_domino):
    """Whatever is asked, the answer is one of the operation and not of a server that has no such route."""
    for _, operation, told in operations(documents):
        path = re.sub(r"{[^}]*}", "0" * 24, operation.path)
        answer = local_domino.request(operation.method, path)
        assert answer.status_code != 405, operation
        assert str(answer.status_code) in told["responses"], operation
        assert '"Not Found"' not in answer.text, operation


def test_what_dominos_documents_have_and_ours_do_not_is_not_served(documents, local_domino, judges):
    told = {(operation.method, re.sub(r"{[^}]*}", "{}", operation.path)) for _, operation, _ in operations(documents)}
    for judge, prefix in zip(judges.dominos, ("/v4", ""), strict=False):
        # A sample of some hundred is enough: none is served by chance.
        for method, path in list(judge.operations())[::4]:
            template = re.sub(r"{[^}]*}", "{}", prefix + path)
            if method == "GET" and (method, template) not in told:
                answer = local_domino.request(method, template.replace("{}", "0" * 24))
                # Some templates of ours have a placeholder where Domino's has a word.
                assert not answer.ok, f"{method} {template}"


def test_the_host_is_checked_for_descriptions_too(local_domino):
    for address in ADDRESSES:
        answer = requests.get(f"{local_domino.url}{address}", headers={"Host": "evil.example"}, timeout=30)
        assert answer.status_code == 403
