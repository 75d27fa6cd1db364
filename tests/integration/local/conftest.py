"""Judges of requests and answers: Domino's own OpenAPI documents where they are at hand, and a contract of our own.
And Domino's own client, with a server of ours that it asks.

Domino's documents are not part of this repository. Each Domino serves its own at `/assets/swagger.json` (v4) and
`/assets/public-api.json`; put them as `v4-6.3.json` and `public-6.3.json` in the folder that DOMINO_OPENAPI_DIR names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema
import pygit2
import pytest
import requests
import yaml

_FOLDER = os.environ.get("DOMINO_OPENAPI_DIR")
_CONTRACT = Path(__file__).parents[2] / "contract" / "domino.yaml"
_OWN_TYPES = {"text": "string", "int": "integer", "number": "number", "bool": "boolean"}
# Refusals that a Domino gives although its documents do not list them for the operation.
_UNLISTED = (400, 401, 404)


@dataclass(frozen=True)
class Judged:
    """An operation of a document that a request belongs to."""

    template: str
    operation: dict[str, Any]
    path_values: dict[str, str]


class Judge:
    """One OpenAPI document, to which requests and answers are held.

    :param document: the document, in the dialect of OpenAPI 3.0 or 3.1.
    :param prefix: what its addresses leave out.
    """

    def __init__(self, document: dict[str, Any], prefix: str = "") -> None:
        self._document = _without_nullable(document)
        self._components = self._document.get("components", {})
        is_31 = str(document.get("openapi", "")).startswith("3.1")
        self._dialect = jsonschema.Draft202012Validator if is_31 else jsonschema.Draft4Validator
        self._prefix = prefix
        self._patterns = [(_pattern(template), template) for template in self._document["paths"]]
        self._validator = cache(self._make_validator)

    def find(self, method: str, path: str) -> Judged | None:
        """The operation of a path; the one with the fewest placeholders when several fit."""
        if not path.startswith(f"{self._prefix}/"):
            return None
        fitting = [
            Judged(template, self._document["paths"][template][method.lower()], match.groupdict())
            for pattern, template in self._patterns
            if method.lower() in self._document["paths"][template]
            and (match := pattern.fullmatch(path.removeprefix(self._prefix)))
        ]
        return min(fitting, key=lambda one: one.template.count("{"), default=None)

    def operations(self) -> Iterator[tuple[str, str]]:
        """Every operation, by method and template."""
        for template, methods in self._document["paths"].items():
            yield from ((method.upper(), template) for method in methods if method in ("get", "put", "post", "delete"))

    def problems_of_answer(self, judged: Judged, answer: requests.Response) -> Iterator[str]:
        """Say what is wrong with an answer."""
        responses = judged.operation["responses"]
        status = str(answer.status_code)
        if status not in responses and answer.status_code in _UNLISTED:
            # It is worded as the refusals of its kind that are listed.
            status = next((listed for listed in ("400", "404", "500") if listed in responses), "")
        elif status not in responses:
            yield f"the status {answer.status_code} is not listed: {answer.content[:300]!r}"
        if status not in responses:
            return
        schema = _schema(self._resolved(responses[status]))
        if schema is not None:
            yield from self._problems(schema, json.loads(answer.content))

    def problems_of_request(self, judged: Judged, request: requests.PreparedRequest) -> Iterator[str]:
        """Say what is wrong with a request; unknown parameters and fields are."""
        query = parse_qs(urlsplit(str(request.url)).query, keep_blank_values=True)
        places = {"path": {name: [unquote(value)] for name, value in judged.path_values.items()}, "query": query}
        known: dict[str, set[str]] = {"path": set(), "query": set()}
        for raw in judged.operation.get("parameters", ()):
            parameter = self._resolved(raw)
            if parameter["in"] not in places:
                continue
            name = parameter["name"]
            known[parameter["in"]].add(name)
            values = places[parameter["in"]].get(_word(name) if parameter["in"] == "path" else name)
            if values is None:
                if parameter.get("required"):
                    yield f"the parameter {name} is missing"
                continue
            for value in values:
                yield from (f"{name}: {one}" for one in self._problems_of_text(parameter["schema"], value))
        yield from (f"the parameter {name} is unknown" for name in set(query) - known["query"])
        yield from self._problems_of_body(judged.operation, request)

    def _problems_of_body(self, operation: dict[str, Any], request: requests.PreparedRequest) -> Iterator[str]:
        body = self._resolved(operation.get("requestBody", {}))
        if not body:
            if request.body:
                yield "there is a body, and none is listed"
            return
        schema = _schema(body)
        if schema is None:
            return
        yield from self._problems(_closed(self._resolved(schema)), json.loads(request.body or b"null"))

    def _problems_of_text(self, schema: dict[str, Any], text: str) -> Iterator[str]:
        kind = self._resolved(schema).get("type")
        kinds = kind if isinstance(kind, list) else [kind]
        value: Any = text
        if {"integer", "number", "boolean"} & set(kinds):
            try:
                value = json.loads(text)
            except ValueError:
                value = text
        elif "array" in kinds:
            value = [text]
        yield from self._problems(schema, value)

    def _problems(self, schema: dict[str, Any], value: Any) -> Iterator[str]:
        for error in self._validator(json.dumps(schema)).iter_errors(value):
            yield f"{error.json_path}: {error.message[:300]}"

    def _make_validator(self, schema: str) -> Any:
        return self._dialect({**json.loads(schema), "components": self._components})

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in part:
            found: Any = self._document
            for word in part["$ref"].removeprefix("#/").split("/"):
                # Some of Domino's own references lead nowhere.
                found = found.get(word, {})
            part = found
        return part


@dataclass(frozen=True)
class Judges:
    """All judges there are."""

    dominos: list[Judge]
    own: Judge

    def problems(self, answer: requests.Response, *, with_request: bool = False) -> list[str]:
        """Say what is wrong with an answer, and with the request if that is wanted, in the eyes of any judge."""
        path, method = urlsplit(str(answer.request.url)).path, str(answer.request.method)
        found = []
        for judge in (*self.dominos, self.own):
            judged = judge.find(method, path)
            if judged is None:
                continue
            found += list(judge.problems_of_answer(judged, answer))
            if with_request:
                found += list(judge.problems_of_request(judged, answer.request))
        return [f"{method} {path}: {problem}" for problem in found]

    def is_known(self, method: str, path: str, *, by_domino: bool) -> bool:
        """Tell whether a judge knows an operation."""
        return any(judge.find(method, path) for judge in (self.dominos if by_domino else [self.own]))


def _load(name: str, prefix: str) -> Judge:
    return Judge(json.loads((Path(_FOLDER or "") / name).read_text()), prefix)


@pytest.fixture(scope="session")
def judges() -> Judges:
    """Domino's own documents, if they are at hand, and our contract."""
    dominos = [] if _FOLDER is None else [_load("v4-6.3.json", "/v4"), _load("public-6.3.json", "")]
    return Judges(dominos, Judge(_openapi(yaml.safe_load(_CONTRACT.read_text()))))


@pytest.fixture(scope="session")
def make_judge() -> type[Judge]:
    """What holds to any other document."""
    return Judge


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _pattern(template: str) -> re.Pattern[str]:
    def group(match: re.Match[str]) -> str:
        name = match[1]
        return f"(?P<{_word(name)}>{'.*' if name.lower().endswith('path') else '[^/]+'})"

    return re.compile(re.sub(r"{([^}]*)}", group, template))


def _schema(part: dict[str, Any]) -> dict[str, Any] | None:
    schema: dict[str, Any] | None = part.get("content", {}).get("application/json", {}).get("schema")
    return schema


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "additionalProperties": False} if "properties" in schema else schema


def _without_nullable(part: Any) -> Any:
    """Put OpenAPI 3.0's `nullable` as JSON Schema does."""
    if isinstance(part, list):
        return [_without_nullable(one) for one in part]
    if not isinstance(part, dict):
        return part
    plain = {key: _without_nullable(value) for key, value in part.items() if key != "nullable"}
    if part.get("nullable") is True and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
        if "enum" in plain:
            plain["enum"] = [*plain["enum"], None]
    return plain


def _openapi(contract: dict[str, Any]) -> dict[str, Any]:
    """Write our contract as an OpenAPI document."""
    paths: dict[str, Any] = {}
    for title, told in contract["operations"].items():
        method, _, path = title.partition(" ")
        refusal = {"content": {"application/json": {"schema": _own_schema({"message": "text"})}}}
        responses = {str(status): {} if path.startswith("/api/") else refusal for status in (400, 401, 403, 404)}
        answer = told["answer"]
        good = {} if answer == "bytes" else {"content": {"application/json": {"schema": _own_schema(answer)}}}
        parameters = [{"in": "path", "name": name, "schema": {}} for name in re.findall(r"{([^}]*)}", path)]
        for name, kind in told.get("query", {}).items():
            is_required = not name.endswith("~")
            schema = _own_schema(kind)
            parameters.append({"in": "query", "name": name.rstrip("~"), "required": is_required, "schema": schema})
        operation: dict[str, Any] = {
            "parameters": parameters,
            "responses": {**responses, str(told.get("status", 200)): good},
        }
        if "body" in told:
            operation["requestBody"] = {"content": {"application/json": {"schema": _own_schema(told["body"])}}}
        elif "content" in told:
            operation["requestBody"] = {"content": {told["content"]: {}}}
        paths.setdefault(path, {})[method.lower()] = operation
    types = {name: _own_schema(told) for name, told in contract["types"].items()}
    return {"paths": paths, "components": {"schemas": types}}


def _own_schema(told: Any) -> dict[str, Any]:
    if isinstance(told, list):
        return {"type": "array", "items": _own_schema(told[0])}
    if isinstance(told, dict):
        if set(told) == {"pattern"}:
            return {"type": "string", **told}
        return {
            "type": "object",
            "properties": {name.rstrip("~"): _own_schema(kind) for name, kind in told.items()},
            "required": [name for name in told if not name.endswith("~")],
        }
    if told == "any":
        return {}
    if "|" in told:
        return {"enum": told.split("|")}
    return {"type": _OWN_TYPES[told]} if told in _OWN_TYPES else {"$ref": f"#/components/schemas/{told}"}


# Domino's own client

CLIENT = "dominodatalab==2.2.0"
_PROGRAMS = Path(__file__).with_name("dominos_client")
_FILES = {
    "hello.py": "print('hello')\nopen('hello.txt', 'w').write('hello\\nworld\\n')\n",
    "write.py": "import sys\nname, _, text = sys.argv[1].partition('=')\nopen(name, 'w').write(text)\n",
    "main.py": "print('main')\n",
    "copy.py": "import shutil, sys, time\ntime.sleep(0.5)\nshutil.copy(*sys.argv[1:])\n",
    "fail.py": "raise SystemExit(3)\n",
    "sleep.py": "import sys, time\nprint('sleeping', flush=True)\ntime.sleep(float(sys.argv[1]))\n",
}
_PEOPLE = """
[[users]]
name = "domino"
[[users]]
name = "ada"
full_name = "Ada Lovelace"
email = "ada@example.org"
token_file = "token-of-ada"
"""


@dataclass
class DominosClient:
    """A process that has Domino's own client, and a server of ours that it asks.

    It is started once for all tests; what each program gives is kept.
    """

    server: Any
    process: subprocess.Popen[str]
    given: dict[str, Any]
    called: set[str]
    methods: set[str]

    def drive(self, subject: str) -> Any:
        """What a program of the folder `dominos_client` gives."""
        if subject not in self.given:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(f"{subject}\n")
            self.process.stdin.flush()
            told = json.loads(self.process.stdout.readline() or '{"error": "the client has ended"}')
            assert "error" not in told, told["error"]
            self.given[subject] = told["answer"]
            self.called |= set(told["called"])
            self.methods |= set(told["methods"])
        return self.given[subject]


@pytest.fixture(scope="session")
def clients_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has Domino's client and nothing of this package."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    folder = tmp_path_factory.mktemp("client") / "environment"
    python = folder / "bin" / "python"
    if uv is not None:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), CLIENT], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", CLIENT], check=True)
    return python


@pytest.fixture(scope="session")
def dominos_client(
    clients_python: Path, serve_domino: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DominosClient]:
    """Domino's own client, unchanged, with a server that has a project for each subject, one of them git-based."""
    folder = tmp_path_factory.mktemp("dominos-client")
    files = folder / "files"
    files.mkdir()
    for name, text in _FILES.items():
        (files / name).write_text(text)
    (folder / "people.toml").write_text(_PEOPLE)
    _make_code(folder / "code")
    subjects = [path.stem for path in _PROGRAMS.glob("*.py") if path.stem != "driver"]
    arguments = [
        f"--users={folder / 'people.toml'}",
        f"--repository=domino/code={folder / 'code'}",
        "--stop-grace=0.2",
    ]
    server = serve_domino(folder / "root", {f"domino/{subject}": files for subject in subjects}, arguments)
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [str(clients_python), str(_PROGRAMS / "driver.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **kept,
            "DOMINO_API_HOST": server.url,
            "DOMINO_USER_API_KEY": server.token,
            "TOKEN_OF_ADA": (folder / "token-of-ada").read_text().strip(),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    yield DominosClient(server, process, {}, set(), set())
    process.communicate(timeout=60)
    server.stop()


def _make_code(folder: Path) -> None:
    repository = pygit2.init_repository(str(folder), initial_head="main")
    author = pygit2.Signature("Ada Lovelace", "ada@example.org")
    parents: list[Any] = []
    for branch, said in (("main", "first"), ("main", "second"), ("feature", "third")):
        tree = repository.TreeBuilder()
        content = f"print('this is the {said} version')\n".encode()
        tree.insert("say.py", repository.create_blob(content), pygit2.enums.FileMode.BLOB)
        reference = f"refs/heads/{branch}"
        if reference not in repository.references and parents:
            repository.references.create(reference, parents[0])
        parents = [repository.create_commit(reference, author, author, said, tree.write(), parents)]
        if said == "first":
            repository.references.create("refs/tags/first", parents[0])
