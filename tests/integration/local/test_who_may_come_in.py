"""The API needs the token, the pages a login, and requests that a foreign web page causes are refused."""

from __future__ import annotations

import http.client
import re
import stat
from urllib.parse import urlsplit

import pytest
import requests


def ask(domino, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """Ask without any help: no token, no redirects, the Host as given."""
    connection = http.client.HTTPConnection(urlsplit(domino.url).netloc, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named)
    answer = connection.getresponse()
    answer.text = answer.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "/v4/users/self",
        "/v4/jobs/start",
        "/v4/no/such/route",
        "/v1/projects/domino/luigi-multi-run/runs",
        "/v1/environments",
        "/api/pat/v1/tokens",
        "/_local/ledger",
        "/_local/faults",
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Domino_Api_Key": "wrong"},
        {"Authorization": "Bearer wrong"},
        {"X_Domino_Api_Key": ""},
        {"Authorization": "Bearer "},
        {"X_Domino_Api_Key": "é"},
    ],
)
def test_the_api_answers_401_in_json_without_the_token(local_domino, path, headers):
    answer = ask(local_domino, path, **headers)
    assert answer.status == 401
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("header", ["X_Domino_Api_Key", "Authorization"])
def test_the_token_is_taken_as_key_and_as_bearer(local_domino, header):
    value = local_domino.token if header == "X_Domino_Api_Key" else f"Bearer {local_domino.token}"
    assert ask(local_domino, "/v4/users/self", **{header: value}).status == 200


@pytest.mark.parametrize("path", ["/version", "/health"])
def test_the_version_is_told_to_everybody(local_domino, path):
    assert ask(local_domino, path).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[", "localhost.evil"]
)
def test_a_name_that_is_not_the_servers_is_refused_even_with_the_token(local_domino, host):
    answer = ask(local_domino, "/v4/users/self", Host=host, X_Domino_Api_Key=local_domino.token)
    assert answer.status in (400, 403)


def test_plain_addresses_and_loopback_names_are_the_servers(local_domino):
    for host in ("localhost", "127.0.0.1:1", "[::1]:80", "10.0.0.7"):
        assert ask(local_domino, "/version", Host=host).status == 200


def test_further_names_can_be_allowed(start_local_domino):
    domino = start_local_domino(arguments=["--allow-host=domino-local"])
    assert ask(domino, "/version", Host="domino-local:80").status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_requests_of_other_web_sites_are_refused(local_domino, origin):
    answer = ask(local_domino, "/v4/jobs/start", "POST", Origin=origin, X_Domino_Api_Key=local_domino.token)
    assert answer.status == 403


def test_the_token_file_is_for_its_owner_only(start_local_domino, tmp_path):
    domino = start_local_domino(arguments=[f"--token-file={tmp_path / 'token'}"])
    assert (tmp_path / "token").read_text().strip() == domino.token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600


def test_a_given_token_is_the_token(start_local_domino, tmp_path):
    (tmp_path / "token").write_text("from-a-file\n")
    assert start_local_domino(arguments=[f"--token-file={tmp_path / 'token'}"]).token == "from-a-file"
    other = start_local_domino(root=tmp_path / "other", environment={"DOMINO_LOCAL_TOKEN": "from-the-environment"})
    assert other.token == "from-the-environment"


def test_pages_lead_to_the_login_and_from_there_back(local_domino):
    page = f"/jobs/{local_domino.project}?status=completed"
    with requests.Session() as browser:
        browser.headers["Origin"] = local_domino.url
        browser.trust_env = False
        form = browser.get(local_domino.url + page, timeout=30)
        assert "Log in" in form.text
        path = re.search(r'name="redirectPath" value="([^"]*)"', form.text)[1]
        assert path == page
        wrong = browser.post(f"{local_domino.url}/login", {"token": "wrong", "redirectPath": path}, timeout=30)
        assert wrong.status_code == 401
        assert "not the token" in wrong.text
        right = browser.post(
            f"{local_domino.url}/login", {"token": local_domino.token, "redirectPath": path}, timeout=30
        )
        assert right.url == local_domino.url + page
        assert "Jobs of" in right.text
        assert browser.get(f"{local_domino.url}/v4/users/self", timeout=30).status_code == 401


def test_the_login_cookie_is_hidden_from_scripts_and_is_not_the_token(local_domino):
    body = {"token": local_domino.token, "redirectPath": "/"}
    answer = requests.post(f"{local_domino.url}/login", body, allow_redirects=False, timeout=30)
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert local_domino.token not in cookie


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_the_login_leads_nowhere_else(local_domino, target):
    body = {"token": local_domino.token, "redirectPath": target}
    answer = requests.post(f"{local_domino.url}/login", body, allow_redirects=False, timeout=30)
    assert answer.headers["Location"] == "/"


def test_open_pages_need_no_login_but_the_api_still_the_token(start_local_domino):
    domino = start_local_domino(arguments=["--open-pages"])
    assert ask(domino, "/").status == 200
    assert ask(domino, f"/jobs/{domino.project}").status == 200
    assert ask(domino, "/v4/users/self").status == 401
