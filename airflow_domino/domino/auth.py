"""Credentials: how a request shows Domino who asks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.domino.expiry import jwt_expiry


class Credentials(Protocol):
    """What a client needs to know of credentials."""

    def headers(self) -> dict[str, str]:
        """Headers for one request, made anew each time since tokens are renewed under way.

        :raises ConfigurationError: when the secret is missing or cannot be a header.
        """
        ...


def _secret(value: str, what: str) -> str:
    value = value.strip()
    if not value:
        raise ConfigurationError(
            f"The {what} is empty; make a new one in the settings of your Domino account, and put it there"
        )
    if any(not "!" <= character <= "~" for character in value):
        raise ConfigurationError(
            f"The {what} holds a line break, a space or another character that no header may hold; copy it again, alone"
        )
    return value


def _bearer(value: str, what: str) -> dict[str, str]:
    scheme, _, rest = value.strip().partition(" ")
    return {"Authorization": f"Bearer {_secret(rest if scheme.lower() == 'bearer' else value, what)}"}


class ApiKey:
    """A user's API key, sent as `X-Domino-Api-Key`. Domino is phasing these out in favour of tokens.

    :raises ConfigurationError: when the key is empty or cannot be a header.
    """

    def __init__(self, key: str) -> None:
        self._key = _secret(key, "API key")

    def headers(self) -> dict[str, str]:
        """The key's header."""
        return {"X-Domino-Api-Key": self._key}

    def __repr__(self) -> str:
        return "ApiKey(***)"


class BearerToken:
    """A service account token, personal access token or JWT; a leading "Bearer " is accepted.

    :raises ConfigurationError: when the token is empty or cannot be a header.
    """

    def __init__(self, token: str) -> None:
        self._headers = _bearer(token, "token")

    @property
    def expires_at(self) -> datetime | None:
        """When the token expires, as far as it says so itself."""
        return jwt_expiry(self._headers["Authorization"])

    def headers(self) -> dict[str, str]:
        """The token's header."""
        return dict(self._headers)

    def __repr__(self) -> str:
        return "BearerToken(***)"


class TokenFile:
    """A file whose first line is a token that somebody else keeps fresh: it is read for every request.

    :param path: such as the value of `DOMINO_TOKEN_FILE` inside a Domino run.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def headers(self) -> dict[str, str]:
        """The header for the token that the file holds now."""
        try:
            lines = self.path.read_text("utf-8").strip().splitlines()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(
                f"The token file {self.path} cannot be read: {reason}; check its path, and who may read it"
            ) from None
        return _bearer(lines[0] if lines else "", f"token in the file {self.path}")

    @property
    def expires_at(self) -> datetime | None:
        """When the token that the file holds now expires, as far as it says so itself."""
        return jwt_expiry(self.headers()["Authorization"])

    def __repr__(self) -> str:
        return f"TokenFile({str(self.path)!r})"


class ApiProxy:
    """Domino's API proxy inside a run: it adds the credentials itself and takes the place of scheme and host.

    :param url: `host:port` or `http://host:port`, such as the value of `DOMINO_API_PROXY`.
    """

    def __init__(self, url: str) -> None:
        self.url = url if "://" in url else f"http://{url}"

    def headers(self) -> dict[str, str]:
        """None: the proxy adds them."""
        return {}

    def __repr__(self) -> str:
        return f"ApiProxy({self.url!r})"


def from_environment(environ: Mapping[str, str]) -> Credentials:
    """Choose credentials from Domino's own variables, in the order of Domino's client.

    `DOMINO_API_PROXY`, then `DOMINO_TOKEN_FILE`, then `DOMINO_USER_API_KEY`: the first that is set is used, and a
    stale one is not silently replaced by the next.

    :raises ConfigurationError: when none is set.
    """
    if url := environ.get("DOMINO_API_PROXY"):
        return ApiProxy(url)
    if path := environ.get("DOMINO_TOKEN_FILE"):
        return TokenFile(path)
    if key := environ.get("DOMINO_USER_API_KEY"):
        return ApiKey(key)
    raise ConfigurationError(
        "No credentials for Domino: set DOMINO_API_PROXY, DOMINO_TOKEN_FILE or DOMINO_USER_API_KEY, "
        "or give the client credentials"
    )


def client_settings(environ: Mapping[str, str], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for a client, from Domino's own variables; see :meth:`DominoClient.from_environment`.

    :param overrides: arguments that go before the variables; None counts as not given.
    :raises ConfigurationError: when there is no host or no credentials.
    """
    settings = {name: value for name, value in overrides.items() if value is not None}
    if "credentials" not in settings:
        settings["credentials"] = from_environment(environ)
    if "host" not in settings:
        proxy = settings["credentials"].url if isinstance(settings["credentials"], ApiProxy) else None
        settings["host"] = environ.get("DOMINO_API_HOST") or proxy or environ.get("DOMINO_USER_HOST")
    if not settings["host"]:
        raise ConfigurationError("No Domino host: set DOMINO_API_HOST, or give the client a host")
    settings.setdefault("ui_host", environ.get("DOMINO_USER_HOST"))
    if "verify" not in settings:
        is_off = environ.get("DOMINO_VERIFY_CERTIFICATE", "").strip().lower() in ("false", "0")
        if is_off or environ.get("DOMINO_CA_FILE"):
            settings["verify"] = False if is_off else environ["DOMINO_CA_FILE"]
    return settings
