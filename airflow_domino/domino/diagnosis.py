"""What is wrong between here and Domino: one step after the other, each with what to do about it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from airflow_domino.domino.errors import (
    AuthenticationError,
    ConfigurationError,
    DominoError,
    DominoUnavailableError,
    NotFoundError,
    PermissionDeniedError,
    ReloginRequiredError,
)
from airflow_domino.domino.failures import UntrustedConnectionError
from airflow_domino.domino.hosts import is_loopback

if TYPE_CHECKING:
    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, User, Version
    from airflow_domino.domino.tiers import HardwareTier

# The roles of Domino that may start runs and change files.
WORKING_ROLES = frozenset({"Admin", "Owner", "Contributor"})
KNOWN_ROLES = WORKING_ROLES | {"Viewer", "ResultsConsumer", "LauncherUser", "ProjectImporter"}

_HANDSHAKE_SECONDS = 5.0
_BROWSER = "open the same address in a browser on this machine"
_ADVICE: tuple[tuple[type[Exception], str, str], ...] = (
    (ReloginRequiredError, "", "log in to Domino in a browser with the account that the credentials stand for"),
    (AuthenticationError, "", "make a new token or key in Domino's account settings, and say which kind it is"),
    (PermissionDeniedError, "", "ask the owner of the project, or Domino's administrator, for access"),
    (NotFoundError, "project", "compare the name with the address of the project's page: .../u/OWNER/NAME"),
    (DominoUnavailableError, "connection", _BROWSER),
    (DominoError, "connection", f"{_BROWSER}: it must be Domino's"),
)


class NoNameError(ConfigurationError):
    """The name of the host does not resolve."""


@dataclass(frozen=True)
class Step:
    """One thing that later ones need.

    :param name: such as "credentials".
    :param text: what was found, or what went wrong.
    :param advice: what to do, where something went wrong.
    """

    name: str
    text: str
    is_well: bool = True
    advice: str = ""

    @property
    def sentence(self) -> str:
        """The whole of it."""
        return f"{self.text}. What to do: {self.advice}" if self.advice else self.text


class Diagnosis:
    """Goes from the name of the host to the hardware tiers, and ends at the first step that fails.

    What was found is there afterwards; None where it did not come to that.

    :param client: asks.
    :param address: the host that is asked: Domino's, or that of its API proxy.
    :param project: tells the `owner/name` of the project to look up, None where none is named.
    :param credential_advice: what to do where Domino does not accept the credentials, where more is known than their
        being refused.
    :param refusals: further exceptions of `project` that are the user's mistake.
    """

    def __init__(
        self,
        client: DominoClient,
        address: str,
        project: Callable[[], str | None],
        *,
        credential_advice: str = "",
        refusals: tuple[type[Exception], ...] = (),
    ) -> None:
        self._client = client
        self._address = address
        self._project_name = project
        self._credential_advice = credential_advice
        self._refusals: tuple[type[Exception], ...] = (DominoError, *refusals)
        self._found: Any = None
        self.version: Version | None = None
        self.user: User | None = None
        self.project: Project | None = None
        self.tiers: list[HardwareTier] | None = None

    def steps(self) -> Iterator[Step]:
        """Take the steps, one whenever the next is asked for."""
        client = self._client
        yield self._take("host name", lambda: resolve(self._address), str)
        if self._found is None:
            return
        yield self._take("connection", client.version, lambda found: f"Domino {found.version}")
        self.version = self._found
        if self.version is None:
            return
        yield self._take("credentials", client.current_user, lambda user: f"user {user.user_name}")
        self.user = self._found
        if self.user is None:
            return
        yield self._take("project", self._look_up, lambda found: described(found) if found else "none is named")
        project = self.project = self._found or None
        if project is None:
            return
        yield self._take("tiers", lambda: self._usable_tiers(project), lambda found: ", ".join(t.name for t in found))
        self.tiers = self._found

    def _look_up(self) -> Project | bool:
        """Return the project; False where none is named."""
        name = self._project_name()
        return self._client.project(name) if name else False

    def _usable_tiers(self, project: Project) -> list[HardwareTier]:
        found = [tier for tier in self._client.tiers(project.id) if not tier.is_archived]
        if not found:
            raise ConfigurationError(
                f"the project {project.full_name} has no hardware tier that could be used; ask Domino's "
                "administrator for one"
            )
        return found

    def _take(self, name: str, ask: Callable[[], Any], tell: Callable[[Any], str]) -> Step:
        """Take a step; what it found is None when it failed."""
        try:
            self._found = ask()
        except UntrustedConnectionError as error:
            self._found = None
            return _distrust(self._address, error)
        except self._refusals as error:
            self._found = None
            return Step(name, str(error), is_well=False, advice=self._advice(name, error))
        return Step(name, tell(self._found))

    def _advice(self, name: str, error: Exception) -> str:
        if isinstance(error, NoNameError):
            return "correct the name, or connect to the network (a VPN, say) in which it is known"
        is_plain = isinstance(error, AuthenticationError) and not isinstance(error, ReloginRequiredError)
        if is_plain and self._credential_advice:
            return self._credential_advice
        return next((advice for kind, at, advice in _ADVICE if isinstance(error, kind) and at in ("", name)), "")


def described(project: Project) -> str:
    """Say which project it is, in which role the user sees it, and where its code is."""
    kind = ", its code in a git repository" if project.is_git_based else ""
    return project.full_name + (f", as {project.role}" if project.role else "") + kind


def role_trouble(project: Project) -> str | None:
    """Say that the user's role in a project does not allow to start runs; None where it does, or is not known."""
    if project.role in KNOWN_ROLES - WORKING_ROLES:
        return f"a {project.role} may not; ask the owner of {project.full_name} to make you a Contributor"
    return None


def resolve(address: str) -> str:
    """Say what the name in an address stands for.

    :raises NoNameError: when it does not resolve.
    """
    url = address if "://" in address else f"https://{address}"
    name = urlsplit(url).hostname or ""
    proxy = None if is_loopback(url) else requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    if proxy:
        # The proxy resolves it, and its address may hold credentials.
        return f"{name} is left to the HTTP proxy {urlsplit(proxy).hostname}"
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no name"
        raise NoNameError(
            f"The name of {address} cannot be resolved: the DNS of this machine does not know {name!r} ({reason})"
        ) from None
    ip = found[0][4][0]
    return f"{name} is {ip}" if name != ip else f"{name} needs no name"


def _distrust(address: str, error: UntrustedConnectionError) -> Step:
    """Say why the other side is not trusted, by a look at the certificate that it shows."""
    text, reason = str(error), str(error).lower()
    if "wrong version" in reason or "record layer" in reason:
        advice = "nothing speaks TLS there: begin the address with http:// if that is meant, or correct the port"
        return Step("certificate", text, is_well=False, advice=advice)
    shown = certificate_of(address)
    if shown:
        text = f"{text}. {shown}"
    if "expired" in reason:
        advice = "have it renewed by those who look after Domino, and look at this machine's clock"
    elif "mismatch" in reason or "doesn't match" in reason:
        advice = "use a name that the certificate is for"
    else:
        advice = (
            "name a file with the certificate of the authority that issued it (PEM) as CA file, "
            "on every machine that talks to Domino"
        )
    return Step("certificate", text, is_well=False, advice=advice)


def certificate_of(address: str) -> str | None:
    """Describe the certificate that a host shows, whether or not it is trusted; None where that cannot be found out."""
    parts = urlsplit(address if "://" in address else f"https://{address}")
    context = ssl.create_default_context()
    context.check_hostname = False
    # Nothing is sent to it but the handshake: what it shows is to be described, not believed.
    context.verify_mode = ssl.CERT_NONE
    try:
        from cryptography import x509

        with (
            socket.create_connection((parts.hostname or "", parts.port or 443), _HANDSHAKE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as tls,
        ):
            shown = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    except (ImportError, OSError, ValueError):
        return None
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        of = ", ".join(str(name.value) for name in names)
    except x509.ExtensionNotFound:
        of = shown.subject.rfc4514_string()
    issuer = shown.issuer.rfc4514_string() or "nobody"
    until = shown.not_valid_after_utc
    valid = "was valid until" if until < datetime.now(UTC) else "is valid until"
    by = "itself" if shown.issuer == shown.subject else issuer
    return f"The certificate shown is for {of}, was issued by {by} and {valid} {until:%Y-%m-%d}"
