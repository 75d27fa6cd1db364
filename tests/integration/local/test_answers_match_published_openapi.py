"""Every answer of every operation, good or not, has the shape that Domino's own OpenAPI documents give it.

Where the documents are not at hand, a contract of our own and the served descriptions are what is left to judge by; see
conftest.py. A new operation needs a row in tests/contract/exercises.yaml.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml

from airflow_domino.local import described

ROWS = Path(__file__).parents[2] / "contract" / "exercises.yaml"
UNKNOWN = "0" * 24
TIERS = """[
    {"id": "small-k8s", "name": "Small", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "capacity": 2,
     "default": true},
    {"id": "gpu-k8s", "name": "GPU", "cores": 1, "memory_gib": 1, "cents_per_minute": 0, "capacity": 1, "gpus": 1}
]"""


@dataclass
class Answered:
    """All answers, the served descriptions, and the judges made of these."""

    answers: list[requests.Response]
    documents: list[dict[str, Any]]
    own_judges: list[Any]
    not_refused: list[str]


@pytest.fixture(scope="module")
def answered(serve_domino, tmp_path_factory, make_judge) -> Iterator[Answered]:
    """Ask for everything."""
    folder = tmp_path_factory.mktemp("answers")
    files = folder / "files"
    files.mkdir()
    (files / "hello.py").write_text("print('hello')\nopen('dominostats.json', 'w').write('{\"x\": 1}')\n")
    (files / "fail.py").write_text("raise SystemExit('no')\n")
    (folder / "tiers.json").write_text(TIERS)
    domino = serve_domino(
        folder / "root", {"domino/answers": files}, [f"--tiers={folder / 'tiers.json'}", "--stop-grace=0.1"]
    )
    try:
        yield asked(domino, make_judge)
    finally:
        domino.stop()


def asked(domino: Any, make_judge: Any) -> Answered:
    """Ask well and badly, and give what was answered."""
    context = prepared(domino)
    documents = [
        requests.get(f"{domino.url}{generation.address}", timeout=30).json() for generation in described.GENERATIONS
    ]
    answers: list[requests.Response] = []
    domino.session.hooks["response"].append(lambda answer, **_: answers.append(answer))
    not_refused: list[str] = []
    for row in yaml.safe_load(ROWS.read_text()):
        not_refused += spoiled(domino, context, row)
        exercise(domino, context, row)
    for document in documents:
        answers += refuse(domino, document)
    own = [make_judge(document, document["servers"][0]["url"].rstrip("/")) for document in documents]
    return Answered(answers, documents, own, not_refused)


def prepared(domino: Any) -> dict[str, Any]:
    """Have runs in several states, and give what rows may name."""
    good = domino.run("hello.py", title="good", mainRepoGitRef={"type": "head"})
    failed = domino.run("fail.py")
    stopped = domino.start("sleep 60")["id"]
    domino.wait_for_status(stopped, "Running")
    domino.post("/v4/jobs/stop", jobId=stopped, commitResults=True)
    domino.wait(stopped)
    for _ in range(2):
        waiting = domino.start("sleep 60", overrideHardwareTierId="gpu-k8s")["id"]
    environment = domino.get(f"/v4/projects/{domino.project_id}/useableEnvironments")["currentlySelectedEnvironment"]
    owner, name = domino.project.split("/")
    return {
        "python": sys.executable,
        "owner": owner,
        "name": name,
        "project_id": domino.project_id,
        "good": good["id"],
        "failed": failed["id"],
        "stopped": stopped,
        "waiting": waiting,
        "head": domino.head(),
        "key": domino.files(domino.head())["hello.py"],
        "environment_id": environment["id"],
    }


def exercise(domino: Any, context: dict[str, Any], row: dict[str, Any]) -> None:
    """Carry a row out; it must be answered well."""
    method, _, path = row["ask"].partition(" ")
    body: dict[str, Any] = {"json": filled(row.get("send"), context)}
    if "raw" in row:
        body = {"data": row["raw"].encode()}
    answer = domino.request(method, filled(path, context), **body)
    assert answer.ok, f"{row['ask']}: {answer.status_code} {answer.text}"
    for name, place in row.get("keep", {}).items():
        context[name] = part(answer.json(), place)


def spoiled(domino: Any, context: dict[str, Any], row: dict[str, Any]) -> Iterator[str]:
    """Send the body of a row with what is no text in place of one of its texts, and give what is not refused."""
    method, _, path = row["ask"].partition(" ")
    body = filled(row.get("send"), context)
    for place in places(body):
        for text in ("\ud800", "a\0b"):
            sent = json.dumps(replaced(body, place, text))
            answer = domino.request(
                method, filled(path, context), data=sent, headers={"Content-Type": "application/json"}
            )
            if answer.status_code != 400:
                yield f"{row['ask']}: {place} {text!r}: {answer.status_code}"


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """Where the texts of a body are."""
    parts: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in parts:
        yield from [(key,)] if isinstance(one, str) else ((key, *below) for below in places(one))


def replaced(value: Any, place: tuple[Any, ...], text: str) -> Any:
    """A copy of a body with another text somewhere."""
    if not place:
        return text
    copy = value.copy()
    copy[place[0]] = replaced(value[place[0]], place[1:], text)
    return copy


def part(value: Any, place: str) -> Any:
    """Follow a way of dots into an answer."""
    for word in place.split("."):
        value = value[int(word) if word.isdigit() else word]
    return value


def filled(value: Any, context: dict[str, Any]) -> Any:
    """Put ids in place of names in braces."""
    if isinstance(value, str):
        return re.sub(r"{(\w+)}", lambda match: str(context[match[1]]), value)
    if isinstance(value, dict):
        return {key: filled(one, context) for key, one in value.items()}
    return [filled(one, context) for one in value] if isinstance(value, list) else value


def refuse(domino: Any, document: dict[str, Any]) -> Iterator[requests.Response]:
    """Ask every operation of a description for what does not exist, for nonsense, and without a token."""
    for operation in described.operations(document):
        for word in (UNKNOWN, "nonsense"):
            path = re.sub(r"{[^}]*}", word, operation.path)
            domino.request(operation.method, path, json={"projectId": word, "jobId": word})
        yield requests.request(operation.method, f"{domino.url}{path}", timeout=30)


def told(document: dict[str, Any], judge: Any, answer: requests.Response) -> str | None:
    """The described operation that a request belongs to."""
    found = judge.find(answer.request.method, urlsplit(answer.url).path)
    return (
        None
        if found is None
        else f"{answer.request.method} {document['servers'][0]['url'].rstrip('/')}{found.template}"
    )


def test_every_operation_was_answered_well_and_refused(answered):
    seen: Counter[tuple[str | None, bool]] = Counter()
    for document, judge in zip(answered.documents, answered.own_judges, strict=True):
        for answer in answered.answers:
            seen[told(document, judge, answer), answer.ok] += 1
    operations = [one for document in answered.documents for one in described.operations(document)]
    names = [f"{one.method} {one.path}" for one in operations]
    assert [name for name in names if not seen[name, True]] == [], f"each needs a row in {ROWS.name}"
    never_refused = {"GET /version"}
    assert [name for name in names if not seen[name, False] and name not in never_refused] == []


def test_every_answer_is_as_domino_documents_it(answered, judges):
    assert [problem for one in answered.answers for problem in judges.problems(one)] == []


def test_every_answer_is_as_it_is_described_here(answered):
    problems = []
    for judge in answered.own_judges:
        for answer in answered.answers:
            found = judge.find(answer.request.method, urlsplit(answer.url).path)
            if found is not None:
                problems += [f"{answer.url}: {one}" for one in judge.problems_of_answer(found, answer)]
    assert problems == []


def test_what_cannot_be_kept_is_refused_in_every_text_of_every_body(answered):
    assert answered.not_refused == []


def test_no_answer_is_an_error_of_the_server(answered):
    assert {answer.status_code for answer in answered.answers} == {200, 201, 400, 401, 404}


def test_refusals_are_worded_as_their_generation_words_them(answered):
    for answer in answered.answers:
        if answer.ok:
            continue
        body = answer.json()
        if "/api/" not in answer.url:
            assert set(body) == {"message"}
        elif answer.status_code == 401:
            assert set(body) == {"requestId", "errors"}
        else:
            assert set(body) == {"error"}


def test_most_operations_are_dominos_own(answered, judges):
    """What Domino's documents do not know is told here, so that nothing is made up by mistake."""
    if not judges.dominos:
        pytest.skip("DOMINO_OPENAPI_DIR names no folder with Domino's documents")
    unknown = {
        f"{one.method} {one.path}"
        for document in answered.documents[1:]
        for one in described.operations(document)
        if not judges.is_known(one.method, re.sub(r"{[^}]*}", "x", one.path), by_domino=True)
    }
    # python-domino asks for this, and older documents have it.
    assert unknown == {"GET /v4/jobs/project/{projectId}/defaultSparkSettings"}
