"""Git repositories that hold the code of git-based projects: what is known of them, and the secrets to reach them."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import pygit2

from airflow_domino.local.code_copy import CodeCopy
from airflow_domino.local.database import Database
from airflow_domino.local.git_credentials import GitCredentials, Login
from airflow_domino.local.ids import new_object_id

# Version 4 of the API says ``{type, value}`` in these words; each is in the plural, and a singular one fails a run.
HEAD_REF: dict[str, Any] = {"type": "head"}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS code_repositories (id TEXT PRIMARY KEY, uri TEXT NOT NULL, login TEXT, password TEXT);
"""
_SCHEMES = ("https", "http", "ssh", "git", "file")
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:(?!/?/).+")
_PROVIDERS = {"github.com": "github", "gitlab.com": "gitlab", "bitbucket.org": "bitbucket"}
SERVICE_PROVIDERS = (
    "github",
    "githubEnterprise",
    "gitlab",
    "gitlabEnterprise",
    "bitbucket",
    "bitbucketServer",
    "unknown",
)


@dataclass(frozen=True)
class CodeRepository:
    """One git repository that a project takes its code from.

    :param id: its id.
    :param uri: where it is, without any credentials.
    :param name: the name that people see.
    :param service_provider: who hosts it, in Domino's words.
    :param default_ref: the code of runs that name none, as version 4's ``{type, value}``.
    """

    id: str
    uri: str
    name: str
    service_provider: str
    default_ref: dict[str, Any] = field(default_factory=lambda: dict(HEAD_REF))

    def as_document(self) -> dict[str, Any]:
        """Give what a project remembers of it."""
        return {
            "id": self.id,
            "uri": self.uri,
            "name": self.name,
            "serviceProvider": self.service_provider,
            "defaultRef": self.default_ref,
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> CodeRepository:
        """Read what a project remembers of it."""
        return cls(
            document["id"], document["uri"], document["name"], document["serviceProvider"], document["defaultRef"]
        )


class CodeRepositories:
    """The secrets and the local copies of all code repositories.

    :param database: where the secrets are kept; it is closed to everybody but the owner of the server.
    :param folder: where the copies are kept.
    :param credentials: a file of further secrets, in the form of git's own credential store.
    """

    def __init__(self, database: Database, folder: Path, credentials: Path | None = None) -> None:
        self._database = database
        self._folder = folder
        self._credentials = credentials
        self._copies: dict[str, CodeCopy] = {}
        self._lock = threading.Lock()
        database.create(_SCHEMA)

    def add(
        self,
        uri: str,
        *,
        name: str | None = None,
        service_provider: str | None = None,
        default_ref: Mapping[str, Any] | None = None,
        known: CodeRepository | None = None,
    ) -> CodeRepository:
        """Take up a repository.

        :param uri: where it is: ``https://``, ``ssh://``, ``git@host:path``, ``file://`` or a folder. A login in it is
            kept apart and never shown.
        :param name: the name that people see; None is the last part of the address.
        :param service_provider: who hosts it; None is what the address tells.
        :param default_ref: the code of runs that name none; None is what the repository's HEAD points at.
        :param known: the repository that this one takes the place of. With the same address it stays the same one.
        :raises ValueError: when it is no address of a git repository.
        """
        shown, login = parted(uri)
        if service_provider is not None and service_provider not in SERVICE_PROVIDERS:
            raise ValueError(f"serviceProvider must be one of {', '.join(SERVICE_PROVIDERS)}, not {service_provider!r}")
        stays = known is not None and known.uri == shown
        repository = CodeRepository(
            known.id if known is not None and stays else new_object_id(),
            shown,
            name or _name_of(shown),
            service_provider or _PROVIDERS.get(urlsplit(shown).hostname or "", "unknown"),
            dict(default_ref or (known.default_ref if known is not None and stays else HEAD_REF)),
        )
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO code_repositories VALUES (?, ?, NULL, NULL)", (repository.id, shown)
            )
            if login is not None:
                values = (login.user, login.password, repository.id)
                connection.execute("UPDATE code_repositories SET login = ?, password = ? WHERE id = ?", values)
        return repository

    def copy(self, repository: CodeRepository) -> CodeCopy:
        """Give this server's own copy of a repository."""
        with self._lock:
            if repository.id not in self._copies:
                path = self._folder / f"{repository.id}.git"
                credentials = GitCredentials(self._login(repository.id), self._credentials)
                self._copies[repository.id] = CodeCopy(path, repository.uri, credentials)
            return self._copies[repository.id]

    def load(self) -> None:
        """Forget what was read from the database before."""
        with self._lock:
            self._copies.clear()

    def _login(self, repository_id: str) -> Login | None:
        rows = self._database.rows("SELECT login, password FROM code_repositories WHERE id = ?", (repository_id,))
        return Login(rows[0]["login"], rows[0]["password"]) if rows and rows[0]["login"] is not None else None


def parted(uri: str) -> tuple[str, Login | None]:
    """Part the address of a git repository from the login that may be in it.

    :raises ValueError: when it is no address of a git repository that this server can reach.
    """
    if not uri or not uri.isprintable() or uri.startswith("-"):
        raise ValueError("not an address of a git repository; write https://host/owner/name.git, or a folder")
    if "://" in uri:
        return _parted_url(uri)
    if _SCP_LIKE.fullmatch(uri):
        return uri, None
    path = Path(uri).expanduser().absolute()
    _check_local(path)
    return str(path), None


def _parted_url(uri: str) -> tuple[str, Login | None]:
    try:
        parts = urlsplit(uri)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        # The address itself is not repeated here nor below: it may hold a password.
        raise ValueError(
            "the address of the git repository cannot be read; write https://host/owner/name.git"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise ValueError(
            f"a git repository is reached by {', '.join(_SCHEMES)} or as a folder, not by {parts.scheme}; "
            "change its address"
        )
    if parts.scheme == "file":
        _check_local(Path(unquote(parts.path)))
        return urlunsplit(("file", "", parts.path, "", "")), None
    if not parts.hostname:
        raise ValueError("the address of the git repository names no host; write https://host/owner/name.git")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    # What stands before the @ of an https address may be a token by itself; with ssh it is just the name git.
    is_login = bool(user) and (parts.scheme.startswith("http") or bool(password))
    kept_user = f"{user}@" if user and not is_login else ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = urlunsplit((parts.scheme, f"{kept_user}{host}{port}", parts.path, "", ""))
    return shown, Login(user, password) if is_login else None


def _check_local(path: Path) -> None:
    if pygit2.discover_repository(str(path)) is None:
        raise ValueError(f"{path} is not a git repository; make one there by `git init`")


def _name_of(uri: str) -> str:
    last = re.split(r"[/:]", uri.rstrip("/").removesuffix("/.git").rstrip("/"))[-1]
    return last.removesuffix(".git") or "code"
