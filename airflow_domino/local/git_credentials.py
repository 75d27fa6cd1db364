"""Logins for git repositories: where they come from, and to whom they are told."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pygit2
from pygit2.enums import CredentialType

_KEY_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
_LOGIN_IN_ADDRESS = re.compile(r"(?<=://)[^/\s@]+@")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HOW = "give it in the repository's address, or in the file that --git-credentials names"


class CodeError(Exception):
    """The code of a run cannot be had; the message says why, without any secret.

    :param reason: the reason in one word, as the API gives it.
    """

    def __init__(self, message: str, reason: str = "CodeNotAvailable") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Login:
    """A user's name and password at a git server; a token can stand for either. Neither is ever shown."""

    user: str = field(repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class GitCredentials:
    """The logins that may be used for one repository.

    :param login: the one that came with its address.
    :param file: a file of logins for many servers, in the form of git's own credential store: an address with a login
        in each line.
    """

    login: Login | None = None
    file: Path | None = None

    def of(self, url: str) -> Login | None:
        """Give the login for an address, which may lie on another server than the repository's own after a redirect.

        :raises CodeError: when the file of logins cannot be read.
        """
        return self.login or self._of_file(url)

    def _of_file(self, url: str) -> Login | None:
        if self.file is None:
            return None
        try:
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            raise CodeError(
                f"the logins for git in {self.file} cannot be read; put them into a file that git understands"
            ) from None
        wanted = _server(url)
        for line in lines:
            if line.strip() and _server(line.strip()) == wanted:
                parts = urlsplit(line.strip())
                return Login(unquote(parts.username or ""), unquote(parts.password or ""))
        return None


class Callbacks(pygit2.RemoteCallbacks):
    """Answers what libgit2 asks while it talks to a git server.

    :param uri: address of the repository.
    :param credentials: the logins that may be used.
    :param is_stopped: tells whether nobody waits for the answer any more.
    """

    def __init__(self, uri: str, credentials: GitCredentials, is_stopped: Callable[[], bool]) -> None:
        super().__init__()
        self._uri = uri
        self._logins = credentials
        self._is_stopped = is_stopped
        self._tries = 0

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.UserPass | pygit2.Keypair | pygit2.KeypairFromAgent:
        """Give a login, once or, for ssh, one key after the other."""
        self._tries += 1
        if allowed_types & CredentialType.USERPASS_PLAINTEXT:
            return self._password(url)
        if allowed_types & CredentialType.SSH_KEY:
            return self._key(username_from_url or "git")
        raise CodeError(
            f"{self._uri} asks for a sort of login that is not known here; use a user with a token, or a key of ssh"
        )

    def _password(self, url: str) -> pygit2.UserPass:
        login = self._logins.of(url) if _server(url) == _server(self._uri) else None
        if login is None:
            raise CodeError(f"{self._uri} asks for a login, and there is none: {_HOW}")
        if self._tries > 1:
            raise CodeError(f"{self._uri} does not accept the login that there is for it; renew that")
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise CodeError(f"the login for {self._uri} is sent over https only; let its address begin so")
        return pygit2.UserPass(login.user, login.password)

    def _key(self, user: str) -> pygit2.Keypair | pygit2.KeypairFromAgent:
        folder = Path.home() / ".ssh"
        files = [folder / name for name in _KEY_FILES if (folder / name).is_file()]
        has_agent = "SSH_AUTH_SOCK" in os.environ
        if has_agent and self._tries == 1:
            return pygit2.KeypairFromAgent(user)
        place = self._tries - (2 if has_agent else 1)
        if place >= len(files):
            raise CodeError(f"{self._uri} accepts no key of the ssh agent or of {folder}; put one there")
        return pygit2.Keypair(user, str(files[place].with_name(f"{files[place].name}.pub")), str(files[place]), "")

    def transfer_progress(self, stats: object) -> None:
        """Give up when nobody waits any more."""
        if self._is_stopped():
            raise CodeError("the fetching of the code was stopped; start the run again if that was a mistake")


def without_logins(text: str, credentials: GitCredentials) -> str:
    """Take every login out of a text that a git server may have had a part in."""
    text = _LOGIN_IN_ADDRESS.sub("", text)
    login = credentials.login
    secret = "" if login is None else login.password or login.user
    return text.replace(secret, "****") if secret else text


def _server(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return "", "", None
