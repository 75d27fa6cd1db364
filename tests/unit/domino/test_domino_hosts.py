"""What people type as a host."""

from __future__ import annotations

import pytest

from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.domino.hosts import is_loopback, normalise_host, origin


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("domino.example.com", "https://domino.example.com"),
        (" https://Domino.Example.com/ ", "https://domino.example.com"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("localhost:8080/Prefix/", "https://localhost:8080/Prefix"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://d.example.com/a/b/", "https://d.example.com/a/b"),
    ],
)
def test_an_address_gets_its_scheme_and_keeps_its_prefix(typed: str, address: str) -> None:
    assert normalise_host(typed) == address


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "  ",
        "https://",
        "exa mple.com",
        "ftp://d",
        "http://d:99999",
        "http://[::1",
        "https://d?x=1",
        "https://d#x",
        "a\\b",
    ],
)
def test_nonsense_is_refused_with_a_sentence(typed: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Domino host"):
        normalise_host(typed)


@pytest.mark.parametrize("typed", ["https://ada:canary@d.example.com", "canary@d.example.com", "https://:canary@"])
def test_credentials_in_an_address_are_refused_without_showing_them(typed: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        normalise_host(typed)

    assert "canary" not in str(caught.value)


def test_origins_are_compared_with_their_default_ports() -> None:
    assert origin("https://d/x") == origin("https://d:443/y")
    assert origin("http://d/x") != origin("https://d/x")


@pytest.mark.parametrize(
    ("url", "expected"), [("http://127.0.0.1:1", True), ("http://localhost", True), ("https://d", False)]
)
def test_this_machine_is_known(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
