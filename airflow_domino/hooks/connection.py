"""An Airflow connection of type `domino`, read into what the client needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_domino.compat import expiry_warning_days
from airflow_domino.domino.auth import ApiKey, ApiProxy, BearerToken, Credentials, TokenFile
from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import ConfigurationError, DominoError
from airflow_domino.domino.expiry import Expiry, expiry_of, personal_token_expiry
from airflow_domino.hooks.places import Limits

if TYPE_CHECKING:
    from airflow.sdk import Connection

CREDENTIALS = ("api_key", "bearer", "token_file", "api_proxy")
TRUE, FALSE = frozenset({"true", "1", "yes", "on"}), frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True)
class ConnectionSettings:
    """How to reach one Domino.

    :param conn_id: the connection's id, for messages.
    :param host: URL of Domino's API.
    :param credential: one of :data:`CREDENTIALS`.
    :param secret: the API key or token; never shown.
    :param project: default project, `owner/name`.
    :param verify: whether to verify certificates, or the path of a file of trusted ones.
    :param connect_timeout: seconds.
    :param read_timeout: seconds.
    :param max_active_runs: how many runs of Airflow's may be in flight at a time; None for any number.
    :param max_active_runs_per_tier: the same by the name or id of a tier.
    :param expires_on: the day on which the credential expires, where somebody has noted it.
    """

    conn_id: str
    host: str
    credential: str
    secret: str = field(repr=False)
    token_file: str | None = None
    api_proxy: str | None = None
    project: str | None = None
    ui_host: str | None = None
    verify: bool | str = True
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    max_active_runs: int | None = None
    max_active_runs_per_tier: Mapping[str, int] = field(default_factory=dict)
    expires_on: date | None = None

    @classmethod
    def from_connection(cls, connection: Connection) -> ConnectionSettings:
        """Read a connection, refusing what cannot work.

        :raises ConfigurationError: with the name of the connection and of the field to change.
        """
        conn_id = connection.conn_id
        if connection.conn_type not in (None, "", "domino"):
            raise ConfigurationError(
                f"The connection {conn_id!r} is of type {connection.conn_type!r}; choose the type 'domino' (Domino)"
            )
        extra = {name: value for name, value in connection.extra_dejson.items() if value not in (None, "")}
        settings = cls(
            conn_id=conn_id,
            host=_host(connection, extra),
            credential=str(extra.get("credential", CREDENTIALS[0])),
            secret=connection.password or "",
            token_file=extra.get("token_file"),
            api_proxy=extra.get("api_proxy"),
            project=extra.get("project"),
            ui_host=extra.get("ui_host"),
            verify=extra.get("ca_file") or _boolean(conn_id, "verify", extra.get("verify", True)),
            connect_timeout=_seconds(conn_id, "connect_timeout", extra.get("connect_timeout", 10.0)),
            read_timeout=_seconds(conn_id, "read_timeout", extra.get("read_timeout", 60.0)),
            max_active_runs=_number_of_runs(conn_id, "max_active_runs", extra.get("max_active_runs")),
            max_active_runs_per_tier=_runs_per_tier(conn_id, extra.get("max_active_runs_per_tier")),
            expires_on=_day(conn_id, "expires_on", extra.get("expires_on")),
        )
        settings.refuse_missing()
        return settings

    def refuse_missing(self) -> None:
        """Refuse settings without a host or without the credential that they promise.

        :raises ConfigurationError: saying which field is empty.
        """
        needed = {"api_key": self.secret, "bearer": self.secret, "token_file": self.token_file}
        if self.credential not in CREDENTIALS:
            raise ConfigurationError(
                f"The connection {self.conn_id!r} has credential {self.credential!r}; "
                f"use one of {', '.join(CREDENTIALS)}"
            )
        if self.credential == "api_proxy":
            if not self.api_proxy:
                raise ConfigurationError(
                    f"The connection {self.conn_id!r} has credential api_proxy but no api_proxy; give its URL"
                )
        elif not self.host:
            raise ConfigurationError(f"The connection {self.conn_id!r} names no host: give the URL of your Domino")
        elif not needed[self.credential]:
            name = "token_file" if self.credential == "token_file" else "password"
            raise ConfigurationError(
                f"The connection {self.conn_id!r} has credential {self.credential} but its {name} is empty; fill it in"
            )

    @property
    def fingerprint(self) -> str:
        """Short digest of all settings, by which a changed connection is noticed; it tells nothing of the secret."""
        fields = (getattr(self, name) for name in self.__dataclass_fields__)
        return sha256("\0".join(map(str, fields)).encode()).hexdigest()[:16]

    def credentials(self) -> Credentials:
        """Return what signs the requests."""
        if self.credential == "token_file":
            return TokenFile(str(self.token_file))
        if self.credential == "api_proxy":
            return ApiProxy(str(self.api_proxy))
        return BearerToken(self.secret) if self.credential == "bearer" else ApiKey(self.secret)

    def expiry(self) -> Expiry | None:
        """Return when the credential expires, as far as it says so itself or it is noted; nobody is asked."""
        noted = datetime.combine(self.expires_on, time.min, UTC) if self.expires_on else None
        return expiry_of(self.credentials(), noted, f"The credential of the connection {self.conn_id!r}")

    def expiry_by(self, client: DominoClient) -> Expiry | None:
        """Ask Domino when it expires; only some tokens are told of, and not by all releases."""
        if self.credential != "bearer":
            return None
        try:
            return personal_token_expiry(client)
        except DominoError:
            # A release without such tokens, or a credential that may not list them.
            return None

    def expiry_warning(self) -> str | None:
        """Return what to tell people about a credential that expires soon; nobody is asked."""
        expiry = self.expiry()
        return expiry.warning(expiry_warning_days()) if expiry else None

    @property
    def credential_advice(self) -> str:
        """What to do where Domino does not accept the credential, where its kind tells."""
        expiry = self.expiry()
        if expiry is not None and expiry.seconds_left() < 0:
            return str(expiry.warning())
        looks_like_token = self.secret.count(".") == 2 and self.secret.startswith("eyJ")
        if self.credential == "api_key" and looks_like_token:
            return "the password looks like a token (a JWT), but the connection says api_key: choose bearer"
        kinds = {"api_key": "an API key; for a token choose bearer", "bearer": "a token; for an API key choose api_key"}
        sent = f" (it is sent as {kinds[self.credential]})" if self.credential in kinds else ""
        return f"make a new token or key in Domino's account settings, and say which kind it is{sent}"

    def project_name(self, name: str | None) -> str:
        """Return the project named, or else the connection's default.

        :param name: `owner/name` or None.
        :raises ConfigurationError: when neither names one.
        """
        if not (found := name or self.project):
            raise ConfigurationError(
                f"No Domino project: give project='owner/name', or set one in the connection {self.conn_id!r}"
            )
        return found

    def limits(self, per_task: int | None = None) -> Limits:
        """Return how many runs may be in flight at a time.

        :param per_task: the task's own limit.
        """
        return Limits(self.max_active_runs, self.max_active_runs_per_tier, per_task)

    def make_client(self, retries: int = 4) -> DominoClient:
        """Return a new client; the caller closes it.

        :param retries: how often it repeats a question that Domino could not answer.
        """
        return DominoClient(
            self.host or str(self.api_proxy),
            self.credentials(),
            verify=self.verify,
            connect_timeout=self.connect_timeout,
            read_timeout=self.read_timeout,
            ui_host=self.ui_host,
            retries=retries,
            known_by=f"connection {self.conn_id!r}",
        )

    def client_for(self, project: str) -> DominoClient:
        """Return a new client that has looked a project up: Domino's older log route asks for its name.

        :param project: `owner/name`; one that cannot be looked up now is no obstacle, its runs are asked for by id.
        """
        client = self.make_client()
        with suppress(DominoError):
            client.project(project)
        return client


def _host(connection: Connection, extra: dict[str, Any]) -> str:
    host = (connection.host or "").strip().rstrip("/")
    if not host:
        return str(extra.get("host", ""))
    if "://" not in host:
        scheme = connection.schema if connection.schema in ("http", "https") else "https"
        host = f"{scheme}://{host}"
    return _with_port(host, connection.port)


def _with_port(url: str, port: int | None) -> str:
    """Put a port into an address that has none; the usual one of its scheme goes without saying."""
    scheme, _, rest = url.partition("://")
    name, slash, path = rest.partition("/")
    usual = {"https": 443, "http": 80}.get(scheme)
    if not port or port == usual or ":" in name.rpartition("@")[2].rpartition("]")[2]:
        return url
    return f"{scheme}://{name}:{port}{slash}{path}"


def _boolean(conn_id: str, name: str, value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in TRUE | FALSE:
        raise ConfigurationError(f"The connection {conn_id!r} has {name}={value!r}; use true or false")
    return word in TRUE


def _seconds(conn_id: str, name: str, value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if seconds <= 0:
        raise ConfigurationError(f"The connection {conn_id!r} has {name}={value!r}; use a number of seconds above 0")
    return seconds


def _day(conn_id: str, name: str, value: Any) -> date | None:
    if value is None:
        return None
    try:
        return datetime.fromisoformat(str(value).strip()).date()
    except ValueError:
        raise ConfigurationError(
            f"The connection {conn_id!r} has {name}={value!r}; use a day such as 2027-03-01"
        ) from None


def _number_of_runs(conn_id: str, name: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise ConfigurationError(f"The connection {conn_id!r} has {name}={value!r}; use a whole number above 0")
    return number


def _runs_per_tier(conn_id: str, value: Any) -> Mapping[str, int]:
    name, found = "max_active_runs_per_tier", value
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except ValueError:
            found = value
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ConfigurationError(
            f'The connection {conn_id!r} has {name}={value!r}; use a JSON object such as {{"GPU": 2, "X-Large": 5}}'
        )
    return {str(tier): _number_of_runs(conn_id, f"{name}[{tier!r}]", limit) or 1 for tier, limit in found.items()}
