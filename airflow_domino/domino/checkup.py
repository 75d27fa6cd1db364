"""Whether a deployment has, and lets us do, what this package does: operation by operation, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import requests

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.described import Document, Found
from airflow_domino.domino.diagnosis import WORKING_ROLES, role_trouble
from airflow_domino.domino.errors import AuthenticationError, DominoError, PermissionDeniedError, RequestError
from airflow_domino.domino.models import Project, ProjectFile, Run
from airflow_domino.domino.used import PUBLIC, UNNOTICED, USED, V4, Field, Operation

LARGEST_TRIED = 1 << 20


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"
    FAILED = "FAILED"


class Access(StrEnum):
    """What the credentials were seen to be good for."""

    ALLOWED = "allowed"
    BY_ROLE = "allowed by role"
    REFUSED = "refused"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Tried:
    """What became of asking.

    :param why: what was said, or why nothing was asked.
    """

    access: Access
    why: str = ""


@dataclass(frozen=True)
class Checked:
    """One operation after its check.

    :param found: what the deployment's description says of it; None where there is no description to ask.
    """

    operation: Operation
    found: Found | None
    tried: Tried

    @property
    def lacks(self) -> list[Field]:
        """The fields that the description does not have and that are missed."""
        if self.found is None:
            return []
        return [one for one in (*self.found.lacks_sent, *self.found.lacks_read) if one.loss != UNNOTICED]

    @property
    def verdict(self) -> Verdict:
        """Whether all is well, something is lost, or nothing works."""
        is_missing = self.found is not None and not self.found.is_there and self.tried.access != Access.ALLOWED
        if is_missing or self.tried.access in (Access.REFUSED, Access.FAILED):
            return Verdict.NOTE if self.operation.loss else Verdict.FAILED
        if any(not one.loss for one in self.lacks):
            return Verdict.FAILED
        return Verdict.NOTE if self.lacks or (self.found and self.found.lacks_query) else Verdict.OK

    def _described(self) -> str:
        used = [one for one in (*self.operation.sent, *self.operation.read) if one.loss != UNNOTICED]
        count = len(used) + len(self.operation.query)
        if self.lacks or (self.found and self.found.lacks_query) or not count:
            return "described"
        return f"described with all {count} fields that are used" if count > 1 else "described with the field used"

    def sentences(self) -> Iterator[str]:
        """Say what there is to say."""
        if self.found is None:
            described = "Domino publishes no description of it" if self.operation.document is None else "not described"
        elif self.found.is_there:
            described = self._described()
        else:
            described = f"not in {self.operation.document}"
        yield f"{described}; {self.tried.access}" + (f": {self.tried.why}" if self.tried.why else "")
        if self.found is not None and self.found.is_there:
            for name in self.found.lacks_query:
                yield f"the parameter {name} is not described"
        for one in self.lacks:
            yield f"the field {one.path} is not described: {one.loss or 'nothing works without it.'}"
        if self.verdict == Verdict.NOTE and self.operation.loss not in ("", UNNOTICED) and not self.lacks:
            yield self.operation.loss


@dataclass
class Checkup:
    """The check of one deployment, as one user sees one project. Nothing is changed by it.

    :param client: asks.
    :param project: for which everything is asked.
    :param documents: what the deployment publishes about itself, by path; see :func:`read_documents`.
    """

    client: DominoClient
    project: Project
    documents: Mapping[str, Document]
    _known: dict[str, str] = field(default_factory=dict)
    _why_unknown: str = ""

    def __post_init__(self) -> None:
        self._known = {"projectId": self.project.id, "owner": self.project.owner, "project": self.project.name}

    def checked(self, done: Mapping[str, Tried] | None = None) -> Iterator[Checked]:
        """Check all operations that are used.

        :param done: what was tried already, by the operation's name.
        """
        self._look_around()
        for operation in USED:
            document = self.documents.get(operation.document or "")
            tried = (done or {}).get(operation.name) or self._try(operation)
            yield Checked(operation, document.find(operation) if document else None, tried)

    def _look_around(self) -> None:
        """Find a run, a commit and a file to ask about."""
        for find in (self._find_run, self._find_file):
            try:
                find()
            except DominoError:
                # The operation itself is asked later, and tells the same with its name.
                continue

    def _find_run(self) -> None:
        run: Run | None = next(self.client.runs(self.project.id, limit=1, page_size=1), None)
        if run is not None:
            self._known |= {"jobId": run.id, "runId": run.id}

    def _find_file(self) -> None:
        commit = self.client.head_commit(self.project)
        self._known["commitId"] = commit
        files: list[ProjectFile] = self.client.files(self.project, commit)
        smallest = min(files, key=lambda file: file.size, default=None)
        if smallest is not None and smallest.size <= LARGEST_TRIED:
            self._known["path"] = smallest.path

    def _try(self, operation: Operation) -> Tried:
        if operation.method != "GET":
            return self._by_role()
        known = self._known | ({"path": ""} if operation.path.endswith("/{path}") else {})
        missing = [name for name in _parameters(operation.path) if name not in known]
        if missing:
            return Tried(Access.NOT_TRIED, f"the project has no {_THINGS[missing[0]]} yet")
        path = operation.path
        for name in _parameters(operation.path):
            path = path.replace(f"{{{name}}}", quote(known[name], safe=""))
        query = {name: value for name, value in {**_QUERY, **self._query()}.items() if name in operation.query}
        return attempt(lambda: self._ask(operation, path, query))

    def _ask(self, operation: Operation, path: str, query: Mapping[str, str | int]) -> object:
        transport = self.client._transport
        if operation.path.endswith("/content"):
            return transport.consume(path, _read_little, subject="file")
        return transport.get(path, lambda data: data, params=query, subject=operation.purpose)

    def _query(self) -> dict[str, str | int]:
        return {
            "projectId": self.project.id,
            "ownerName": self.project.owner,
            "projectName": self.project.name,
        }

    def _by_role(self) -> Tried:
        role = self.project.role
        if role in WORKING_ROLES:
            return Tried(Access.BY_ROLE, f"{role} of {self.project.full_name}, not tried")
        if why := role_trouble(self.project):
            return Tried(Access.REFUSED, why)
        return Tried(Access.NOT_TRIED, "it would change something")


_THINGS = {"jobId": "run", "runId": "run", "commitId": "commit", "path": "file"}
_QUERY: dict[str, str | int] = {
    "status": "all",
    "order_by": "number",
    "sort_by": "desc",
    "page_no": 1,
    "page_size": 1,
    "show_archived": "false",
    "logType": "console",
    "limit": 1,
    "offset": 0,
    "latestTimeNano": "0",
}


def _parameters(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _read_little(answer: requests.Response) -> int:
    return len(next(answer.iter_content(1 << 16), b""))


def attempt(ask: Callable[[], object]) -> Tried:
    """Ask something, and tell what that says of the credentials.

    :param ask: asks; an error of :mod:`airflow_domino.domino.errors` is an answer, too.
    """
    try:
        ask()
    except (AuthenticationError, PermissionDeniedError) as error:
        return Tried(Access.REFUSED, str(error))
    except DominoError as error:
        return Tried(Access.FAILED, str(error))
    return Tried(Access.ALLOWED)


def read_documents(client: DominoClient) -> tuple[dict[str, Document], dict[str, str]]:
    """Read what a deployment publishes about its API.

    :returns: the documents, and why others could not be read, both by their paths.
    """
    documents: dict[str, Document] = {}
    troubles: dict[str, str] = {}
    for path in (V4, PUBLIC):
        try:
            documents[path] = client._transport.get(path, _document, subject=f"description {path}")
        except AuthenticationError:
            troubles[path] = "a login page stands before it"
        except RequestError as error:
            troubles[path] = f"there is none (HTTP {error.status})"
        except DominoError as error:
            troubles[path] = str(error)
    return documents, troubles


def _document(data: Any) -> Document:
    if not isinstance(data, Mapping):
        raise ValueError("it is no OpenAPI document")
    return Document(data)
