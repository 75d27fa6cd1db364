"""Addresses: what people type as a host, and when two addresses are the same origin."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from airflow_domino.domino.errors import ConfigurationError

_DEFAULT_PORTS = {"http": 80, "https": 443}


def normalise_host(host: str) -> str:
    """Make `https://host[:port][/prefix]` of what a person typed.

    :param host: `https://` is put before it when it names no scheme; a path prefix is kept.
    :raises ConfigurationError: when it cannot be an address, or holds credentials, a query or a fragment.
    """
    text = host.strip()
    if not text:
        raise ConfigurationError("The Domino host is empty; say for instance https://domino.example.com")
    address = text if "://" in text else f"https://{text}"
    parts = _split(address)
    if parts is None or not parts.hostname or any(character.isspace() or character == "\\" for character in text):
        shown = "that was given" if "@" in text else repr(host)
        raise ConfigurationError(f"The Domino host {shown} is no address; say for instance https://domino.example.com")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "The Domino host must not hold a user name or a password; give the credentials in a place of their own"
        )
    if parts.scheme not in _DEFAULT_PORTS:
        raise ConfigurationError(f"The Domino host {host!r} is no web address; begin it with https:// or http://")
    if parts.query or parts.fragment:
        raise ConfigurationError("The Domino host must not hold a ? or a #; leave that out with all that follows it")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        return None
    return parts


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host name and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)


def is_loopback(url: str) -> bool:
    """Whether an address is this machine itself."""
    name = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
