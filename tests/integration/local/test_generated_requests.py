"""Requests that nobody thought of: made from the served descriptions, good ones and bad ones.

None is answered by a fault of the server, none otherwise than it is described, and none without a token. Two good
requests for each operation by default, and two bad ones for some, the same every time; DOMINO_GENERATED_REQUESTS names
another number of both for each operation, and draws others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from airflow_domino.local import described

WISHED = os.environ.get("DOMINO_GENERATED_REQUESTS")
# To make up bad requests takes long: every how many operations get some.
SOME = 6
CHECKS = [
    schemathesis.checks.not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
TIERS = """[
    {"id": "only", "name": "Only", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "capacity": 1, "default": true}
]"""


@dataclass
class Target:
    """A server to ask, and what it knows, by the names that parameters have."""

    url: str
    headers: dict[str, str]
    known: dict[str, list[Any]]
    session: requests.Session
    described: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def target(serve_domino, tmp_path_factory) -> Iterator[Target]:
    """A server whose only place is taken, so that no generated command is carried out."""
    folder = tmp_path_factory.mktemp("generated")
    files = folder / "files"
    (files / "folder").mkdir(parents=True)
    (files / "hello.py").write_text("print('hello')\nopen('made.txt', 'w').write('made')\n")
    (files / "folder" / "sleep.py").write_text("import time\ntime.sleep(3600)\n")
    (folder / "tiers.json").write_text(TIERS)
    arguments = [f"--tiers={folder / 'tiers.json'}", "--stop-grace=0.1"]
    domino = serve_domino(folder / "root", {"domino/generated": files}, arguments)
    done = domino.run("hello.py", title="done")
    domino.wait_for_status(domino.start("folder/sleep.py")["id"], "Running")
    waiting = domino.start("hello.py", title="waiting")
    environment = domino.get(f"/v4/projects/{domino.project_id}/useableEnvironments")["currentlySelectedEnvironment"]
    user = domino.get("/v4/users/self")
    known = {
        "owner": ["domino"],
        "project": ["generated"],
        "projectid": [domino.project_id],
        "jobid": [done["id"], waiting["id"]],
        "commitid": [domino.head(), "head"],
        "tierid": ["only"],
        "tiername": ["Only"],
        "environmentid": [environment["id"]],
        "userid": [user["id"]],
        "username": [user["userName"]],
        "key": list(domino.files(domino.head()).values()),
        "path": ["/", "hello.py", "folder", "folder/new.txt", "./hello.py", "../outside"],
    }
    headers = {"X-Domino-Api-Key": domino.token}
    documents = {
        generation.address: requests.get(f"{domino.url}{generation.address}", timeout=30).json()
        for generation in described.GENERATIONS
    }
    yield Target(domino.url, headers, known, domino.session, documents)
    domino.stop()


SAME = {
    "runid": "jobid",
    "ownername": "owner",
    "ownerusername": "owner",
    "name": "project",
    "projectname": "project",
    "hardwaretierid": "tierid",
    "overridehardwaretierid": "tierid",
    "hardwaretier": "tierid",
    "tier": "tiername",
    "filepath": "path",
}


def use_known(case: Any, known: dict[str, list[Any]], choice: int) -> None:
    """Put things that there are in place of most made-up ones; `choice` decides which."""
    body = case.body if isinstance(case.body, dict) else {}
    for place in (case.path_parameters or {}, case.query or {}, body):
        for position, name in enumerate(list(place)):
            values = known.get(SAME.get(name.lower(), name.lower()), [])
            number = (choice >> (2 * position)) % 4
            if values and number:
                place[name] = values[number % len(values)]


def asked(target: Target, address: str, mode: GenerationMode, judges: Any) -> None:
    """Ask what is generated for each operation of a description."""
    schema = schemathesis.openapi.from_dict(target.described[address])
    schema.config.update(base_url=f"{target.url}{target.described[address]['servers'][0]['url'].rstrip('/')}")
    is_good = mode is GenerationMode.POSITIVE
    checks = CHECKS if is_good else [*CHECKS, negative_data_rejection]
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations if is_good or WISHED else operations[::SOME]:

        @settings(
            max_examples=int(WISHED or 2),
            derandomize=WISHED is None,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), choice=st.integers(0, 2**12))
        def ask(case: Any, choice: int) -> None:
            if is_good:
                use_known(case, target.known, choice)
            response = case.call(headers=target.headers, session=target.session)
            case.validate_response(response, checks=checks, excluded_checks=[])
            assert judges.problems(response) == []

        if is_good or operation.body or any(True for _ in operation.iter_parameters()):
            ask()


@pytest.mark.parametrize("address", [generation.address for generation in described.GENERATIONS])
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name.lower())
def test_generated_requests_are_answered_as_described(target, judges, address, mode):
    asked(target, address, mode, judges)


def without_credentials(target: Target) -> Iterator[tuple[str, dict[str, str]]]:
    """Requests to every operation with credentials that are none."""
    token = target.headers["X-Domino-Api-Key"]
    for document in target.described.values():
        for operation in described.operations(document):
            if operation.path == "/version":
                continue
            path = re.sub(r"{([^}]*)}", lambda match: in_path(target, match[1]), operation.path)
            request = f"{operation.method} {path}"
            yield request, {}
            yield request, {"X-Domino-Api-Key": token[:-1]}
            yield request, {"Authorization": "Bearer "}
            yield request, {"Authorization": f"Token {token}"}
            yield request, {"Cookie": f"token={token}"}
            yield request, {"X-Forwarded-For": "127.0.0.1", "X-Original-URL": "/health"}
            yield f"{request}?X-Domino-Api-Key={token}&api_key={token}", {}


def in_path(target: Target, name: str) -> str:
    """Something that there is, for a place in an address."""
    known = target.known.get(SAME.get(name.lower(), name.lower()), ["x"])
    return str(known[-1] if name == "path" else known[0])


def test_no_operation_is_carried_out_without_a_token(target):
    tried = list(without_credentials(target))
    assert len(tried) > 300
    before = target.session.get(f"{target.url}/_local/ledger", headers=target.headers, timeout=30).json()
    with requests.Session() as session:
        for request, headers in tried:
            method, _, path = request.partition(" ")
            answer = session.request(method, f"{target.url}{path}", headers=headers, json={}, timeout=30)
            assert answer.status_code == 401, f"{request} {headers}"
    after = target.session.get(f"{target.url}/_local/ledger", headers=target.headers, timeout=30).json()
    assert after == before


@pytest.mark.parametrize(
    "path",
    [
        "//v4/users/self",
        "/v4//users/self",
        "/V4/users/self",
        "/%764/users/self",
        "/%2Fv4/users/self",
        "/health/../v4/users/self",
        "/assets/swagger.json/../../v4/users/self",
        "/assets/..%2Fv4/users/self",
        "/health;/v4/users/self",
        "/v4/users/self/",
        "/v4/users/self%00",
        "/_local/ledger",
    ],
)
def test_no_way_of_writing_an_address_leads_past_the_token(target, path):
    request = requests.Request("GET", f"{target.url}/").prepare()
    request.url = f"{target.url}{path}"
    with requests.Session() as session:
        answer = session.send(request, allow_redirects=False, timeout=30)
    assert answer.status_code in (303, 401)
    assert "domino" not in answer.text.lower().replace("x-domino-api-key", "")
