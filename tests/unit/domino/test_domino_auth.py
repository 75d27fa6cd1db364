"""Credentials and the settings of a client: where they come from, and that they never show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.domino import (
    ApiKey,
    ApiProxy,
    BearerToken,
    ConfigurationError,
    DominoClient,
    TokenFile,
)
from airflow_domino.domino.auth import from_environment


def test_an_api_key_goes_into_its_own_header() -> None:
    assert ApiKey("k").headers() == {"X-Domino-Api-Key": "k"}


@pytest.mark.parametrize("token", ["t0k", "Bearer t0k", "bearer t0k", " t0k\n"])
def test_a_token_may_already_begin_with_bearer(token: str) -> None:
    assert BearerToken(token).headers() == {"Authorization": "Bearer t0k"}


def test_a_token_file_is_read_for_every_request(
    domino: Any, connect: Callable[..., DominoClient], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    domino.says("/version", {"version": "6.3.0"})
    file.write_text("first\nsecond line")
    client = connect(credentials=TokenFile(file))
    client.version()
    file.write_text("Bearer renewed\n")
    client.version()

    assert [asked.headers["authorization"] for asked in domino.asked] == ["Bearer first", "Bearer renewed"]


@pytest.mark.parametrize("content", ["", "\n\n", "to ken", "tök"])
def test_a_token_file_without_a_usable_token_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content, "utf-8")

    with pytest.raises(ConfigurationError, match=r"token in the file .*token"):
        TokenFile(file).headers()


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere cannot be read: No such file"):
        TokenFile(tmp_path / "nowhere").headers()


@pytest.mark.parametrize("kind", [ApiKey, BearerToken])
@pytest.mark.parametrize("secret", ["canary\r\nX-Evil: 1", "can\nary", "canary\0", "canäry", "", "   "])
def test_a_secret_that_no_header_can_hold_is_refused_without_showing_it(
    kind: Callable[[str], Any], secret: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(secret)

    assert "canary" not in str(caught.value)


def test_no_repr_shows_a_secret(canary: str) -> None:
    shown = f"{ApiKey(canary)!r} {BearerToken(canary)!r} {DominoClient('https://d', ApiKey(canary))!r}"

    assert canary not in shown


def test_the_api_proxy_takes_the_place_of_scheme_and_host_and_adds_the_credentials_itself(
    domino: Any, connect: Callable[..., DominoClient]
) -> None:
    domino.says("/prefix/version", {"version": "6.3.0"})
    client = connect("https://domino.example.com/prefix", ApiProxy(domino.url.removeprefix("http://")))

    assert client.version().version == "6.3.0"
    assert client.host == "https://domino.example.com/prefix"
    assert not {"authorization", "x-domino-api-key"} & domino.asked[0].headers.keys()


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"DOMINO_API_PROXY": "localhost:8899", "DOMINO_TOKEN_FILE": "/t", "DOMINO_USER_API_KEY": "k"}, ApiProxy),
        ({"DOMINO_TOKEN_FILE": "/t", "DOMINO_USER_API_KEY": "k"}, TokenFile),
        ({"DOMINO_USER_API_KEY": "k", "DOMINO_TOKEN_FILE": ""}, ApiKey),
    ],
)
def test_the_proxy_goes_before_the_token_file_and_that_before_the_key(environ: dict[str, str], kind: type) -> None:
    assert isinstance(from_environment(environ), kind)


def test_a_client_needs_nothing_but_dominos_own_variables() -> None:
    client = DominoClient.from_environment(
        {
            "DOMINO_API_HOST": "http://nucleus-frontend.domino-platform:80",
            "DOMINO_USER_HOST": "https://domino.example.com/",
            "DOMINO_USER_API_KEY": "k",
        }
    )

    assert client.host == "http://nucleus-frontend.domino-platform:80"
    assert client.ui_host == "https://domino.example.com"


def test_arguments_go_before_the_variables_and_none_does_not() -> None:
    environ = {"DOMINO_API_HOST": "https://one", "DOMINO_USER_API_KEY": "k", "DOMINO_USER_HOST": "https://ui"}

    client = DominoClient.from_environment(environ, host="https://two", ui_host=None)

    assert (client.host, client.ui_host) == ("https://two", "https://ui")


def test_inside_a_run_the_proxy_alone_is_enough() -> None:
    assert DominoClient.from_environment({"DOMINO_API_PROXY": "localhost:8899"}).host == "http://localhost:8899"


def test_certificates_go_unchecked_only_when_the_variable_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(DominoClient, "__init__", lambda self, **settings: seen.append(settings.get("verify")))
    environ = {"DOMINO_API_HOST": "https://d", "DOMINO_USER_API_KEY": "k"}

    DominoClient.from_environment(environ)
    DominoClient.from_environment({**environ, "DOMINO_VERIFY_CERTIFICATE": "False"})
    DominoClient.from_environment({**environ, "DOMINO_VERIFY_CERTIFICATE": "false"}, verify="/ca.pem")

    DominoClient.from_environment({**environ, "DOMINO_CA_FILE": "/domino-ca.pem"})
    assert seen == [None, False, "/ca.pem", "/domino-ca.pem"]


@pytest.mark.parametrize("environ", [{}, {"DOMINO_API_HOST": "https://d"}])
def test_missing_credentials_are_said_with_the_variables_to_set(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="DOMINO_TOKEN_FILE"):
        DominoClient.from_environment(environ)


def test_a_missing_host_is_said_with_the_variable_to_set() -> None:
    with pytest.raises(ConfigurationError, match="DOMINO_API_HOST"):
        DominoClient.from_environment({"DOMINO_USER_API_KEY": "k"})


def test_a_missing_file_of_certificates_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        DominoClient("https://d", ApiKey("k"), verify=str(tmp_path / "ca.pem"))


def test_an_empty_file_name_never_means_that_certificates_go_unchecked() -> None:
    with pytest.raises(ConfigurationError, match="CA certificates"):
        DominoClient("https://d", ApiKey("k"), verify="")
