"""The list of what is used of Domino's API is what the client really asks for, sends and reads."""

from __future__ import annotations

import inspect
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_domino.domino import DominoClient, GitRef, Project, RunRequest, transport
from airflow_domino.domino.described import Document
from airflow_domino.domino.used import USED, V4, Field, Operation
from airflow_domino.local import described
from airflow_domino.local.gate import Access
from airflow_domino.local.platform import Platform
from airflow_domino.local.server import DOMINO_VERSION, create_app

PROJECT = Project("project-id", "ada", "fraud")
EVERYTHING = RunRequest(
    project_id="project-id",
    command="train.py",
    title="title",
    tier_id="tier",
    commit_id="commit",
    git_ref=GitRef.parse("main"),
    environment_id="environment",
    environment_revision="LatestRevision",
    compute_cluster={"clusterType": "Ray"},
    external_volumes=["volume"],
)
CALLS: dict[str, Callable[[DominoClient, Path], object]] = {
    "version": lambda client, _: client.version(),
    "current_user": lambda client, _: client.current_user(),
    "personal_tokens": lambda client, _: client.personal_tokens(),
    "project": lambda client, _: client.project("ada/fraud"),
    "tiers": lambda client, _: client.tiers("project-id"),
    "environments": lambda client, _: client.environments("project-id"),
    "start_run": lambda client, _: client.start_run(EVERYTHING),
    "restart_run": lambda client, _: client.restart_run("run"),
    "stop_run": lambda client, _: client.stop_run("run", project_id="project-id"),
    "run": lambda client, _: client.run("run"),
    "run_details": lambda client, _: client.run_details("run"),
    "runs": lambda client, _: list(client.runs("project-id", limit=1)),
    "log_page": lambda client, _: client.log_page("run"),
    "log_tail": lambda client, _: client.log_tail("run"),
    "commits": lambda client, _: client.commits(PROJECT),
    "dated_commits": lambda client, _: client.dated_commits(PROJECT),
    "head_commit": lambda client, _: client.head_commit(PROJECT),
    "files": lambda client, _: client.files(PROJECT, "commit"),
    "download_file": lambda client, folder: client.download_file(PROJECT, "commit", "a.txt", folder / "a.txt"),
    "upload_file": lambda client, _: client.upload_file(PROJECT, "a.txt", io.BytesIO(b"a")),
}
ASK_NOTHING = {"from_environment", "use", "close", "run_url", "files_url"}
ASK_BY_OTHERS = {"resolve_tier", "resolve_environment"}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The descriptions of all that the local Domino serves, version 1 of the API too."""
    platform = Platform(root=tmp_path_factory.mktemp("used") / "root", token="secret")
    app = create_app(platform, Access())
    while not hasattr(app, "include_router"):
        app = next(value for name, value in vars(app).items() if name.strip("_") == "app")
    yield {one.prefix: described.document(app, one, DOMINO_VERSION) for one in described.GENERATIONS}
    platform.close()


class Seen(dict[str, Any]):
    """An object of an answer that notes which of its fields are looked at."""

    def __init__(self, content: Mapping[str, Any], path: str, looked_at: set[str]) -> None:
        super().__init__({name: _seen(value, f"{path}{name}", looked_at) for name, value in content.items()})
        self._path, self._looked_at = path, looked_at

    def get(self, name: str, default: Any = None) -> Any:
        if name in self:
            self._looked_at.add(f"{self._path}{name}")
        return super().get(name, default)

    __getitem__ = get


def _seen(value: Any, path: str, looked_at: set[str]) -> Any:
    if isinstance(value, dict):
        return Seen(value, f"{path}." if path else "", looked_at)
    return [_seen(one, path, looked_at) for one in value] if isinstance(value, list) else value


class Everything:
    """Makes, of a description, answers that have every field there is."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    def answer(self, operation: Mapping[str, Any]) -> Any:
        good = next(one for status, one in operation["responses"].items() if status.startswith("2"))
        content = good.get("content", {}).get("application/json")
        return None if content is None else self.value(content["schema"])

    def value(self, schema: Mapping[str, Any]) -> Any:
        if "$ref" in schema:
            return self.value(self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
        if "properties" in schema:
            return {name: self.value(one) for name, one in schema["properties"].items()}
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                return self.value(max(schema[key], key=lambda one: "$ref" in one or "properties" in one))
        if schema.get("type") == "array":
            return [self.value(schema["items"])]
        plain = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "object": {"any": "thing"}}
        return plain.get(schema.get("type", ""))


def fits(path: str, template: str) -> bool:
    pattern = re.sub(r"{path}$", ".*", template)
    return re.fullmatch(re.sub(r"{[^}]*}", "[^/]+", pattern), path) is not None


def used_operation(method: str, path: str) -> Operation:
    found = [one for one in USED if one.method == method and fits(path, one.path)]
    assert found, f"{method} {path} is asked for, and the list of what is used does not have it"
    return min(found, key=lambda one: one.path.count("{"))


def test_every_method_of_the_client_is_tried_here() -> None:
    methods = {name for name, _ in inspect.getmembers(DominoClient, callable) if not name.startswith("_")}
    assert methods == set(CALLS) | ASK_NOTHING | ASK_BY_OTHERS


def test_what_is_used_is_what_is_asked_sent_and_read(
    documents: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: dict[str, tuple[set[str], set[str], set[str]]] = {}

    def once(self: transport.Transport, method: str, path: str, use: Any, *, subject: str, **given: Any) -> Any:
        operation = used_operation(method, path)
        query, sent, read = asked.setdefault(operation.name, (set(), set(), set()))
        query |= set(given.get("params") or {})
        sent |= set(given.get("json") or {})
        monkeypatch.setattr(transport, "json", SimpleNamespace(loads=lambda _: _seen(_sample(operation), "", read)))
        return use(_Answer())

    def _sample(operation: Operation) -> Any:
        for document in documents.values():
            prefix = document["servers"][0]["url"].rstrip("/")
            for path, methods in document["paths"].items():
                same = re.sub("{[^}]*}", "{}", f"{prefix}{path}") == re.sub("{[^}]*}", "{}", operation.path)
                if same and operation.method.lower() in methods:
                    return Everything(document).answer(methods[operation.method.lower()])
        raise AssertionError(f"the local Domino does not serve {operation.name}")

    monkeypatch.setattr(transport.Transport, "_once", once)
    for call in CALLS.values():
        with DominoClient("https://domino.invalid", _Nobody()) as client:
            call(client, tmp_path)
    with DominoClient("https://domino.invalid", _Nobody()) as client:
        client.project("ada/fraud")
        client._v1_log("run")

    def leaves(paths: set[str]) -> set[str]:
        return {path for path in paths if not any(other.startswith(f"{path}.") for other in paths)}

    found = {name: (query, sent, leaves(read)) for name, (query, sent, read) in asked.items()}
    assert found == {
        one.name: (set(one.query), {field.path for field in one.sent}, {field.path for field in one.read})
        for one in USED
    }


class _Nobody:
    def headers(self) -> dict[str, str]:
        return {}


class _Answer:
    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def iter_content(self, size: int) -> Iterator[bytes]:
        yield b"{}"


DOCUMENT = {
    "servers": [{"url": "https://domino.example/v4"}],
    "paths": {
        "/jobs": {
            "get": {"parameters": [{"name": "projectId"}], "responses": {"200": {"$ref": "#/components/answers/Jobs"}}}
        },
        "/jobs/{id}": {"get": {"responses": {"500": {}}}},
        "/open/{x}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "object"}}}}}}},
    },
    "components": {
        "answers": {
            "Jobs": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Jobs"}}}},
            "Open": {"content": {"application/json": {"schema": {"type": "object"}}}},
        },
        "schemas": {
            "Jobs": {"properties": {"jobs": {"type": "array", "items": {"$ref": "#/components/schemas/Job"}}}},
            "Job": {"allOf": [{"properties": {"id": {"type": "string"}}}, {"$ref": "#/components/schemas/More"}]},
            "More": {"properties": {"tags": {"oneOf": [{"type": "string"}, {"properties": {"name": {}}}]}}},
            "Itself": {"$ref": "#/components/schemas/Itself"},
        },
    },
}


def missing(path: str, *fields: str) -> list[str]:
    operation = Operation("GET", path, "", V4, read=tuple(map(Field, fields)))
    return [one.path for one in Document(DOCUMENT).find(operation).lacks_read]


def test_a_field_is_looked_for_through_references_lists_and_alternatives() -> None:
    assert missing("/v4/jobs", "jobs.id", "jobs.tags.name", "jobs.tags") == []
    assert missing("/v4/jobs", "id", "jobs.name", "jobs.id.value", "jobs.tags.id") == [
        "id",
        "jobs.name",
        "jobs.id.value",
        "jobs.tags.id",
    ]


def test_an_answer_whose_fields_are_left_open_can_have_any() -> None:
    assert missing("/v4/open/{y}", "anything.at.all") == []
    assert missing("/v4/jobs/{jobId}", "id") == []


def test_an_operation_is_found_whatever_its_parameters_are_called() -> None:
    document = Document(DOCUMENT)
    assert document.find(Operation("GET", "/v4/jobs/{anything}", "")).is_there
    assert not document.find(Operation("POST", "/v4/jobs/{anything}", "")).is_there
    assert not document.find(Operation("GET", "/jobs", "")).is_there
    assert document.find(Operation("GET", "/v4/jobs", "", query=("projectId", "tag"))).lacks_query == ("tag",)


def test_what_describes_nothing_is_no_description() -> None:
    with pytest.raises(ValueError, match="no paths"):
        Document(json.loads('{"openapi": "3.0.0"}'))
