"""DominoHook: an Airflow connection made into a client, and what it says when it cannot work."""

from __future__ import annotations

import json
import stat

import pytest

from airflow_domino.domino.client import DominoClient
from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.hooks.domino import DominoHook

SECRET = "s3cret-token-value"


@pytest.fixture
def connect(monkeypatch):
    def define(**fields):
        fields = {"conn_type": "domino", "host": "https://domino.example.com", "password": SECRET} | fields
        monkeypatch.setenv("AIRFLOW_CONN_DOMINO_DEFAULT", json.dumps(fields))
        return DominoHook()

    return define


def test_a_working_connection_tells_release_user_and_tiers(domino_connection):
    assert DominoHook().test_connection() == (True, "ok: Domino 6.2.0, user ada, 4 tiers in domino/quick-start")


def test_a_connection_without_a_project_works_too(domino_connection):
    domino_connection(extra={})
    assert DominoHook().test_connection() == (True, "ok: Domino 6.2.0, user ada, no default project")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "http://no-such-host.invalid"}, ["no-such-host.invalid cannot be resolved", "DNS"]),
        ({"host": "http://127.0.0.1:1"}, ["http://127.0.0.1:1 could not be connected to", "the port"]),
        ({"host": "https"}, ["No trusted TLS connection", "check the certificate"]),
        ({"password": "wrong-token"}, ["does not accept the credentials", "sent as an API key", "choose bearer"]),
        ({"extra": {"project": "domino/secret-plans"}}, ["domino/secret-plans", "may not"]),
    ],
    ids=["name", "connection", "certificate", "credentials", "project"],
)
def test_each_trouble_with_a_connection_has_words_of_its_own(
    domino_connection, fake_domino, monkeypatch, fields, words
):
    monkeypatch.setattr("airflow_domino.domino.transport.RetryPolicy.wait", lambda *_: 0.0)
    if fields.get("host") == "https":
        fields = {"host": fake_domino.url.replace("http:", "https:")}
    domino_connection(**fields)
    works, message = DominoHook().test_connection()
    assert not works
    assert [word for word in words if word not in message] == [], message
    assert "wrong-token" not in message


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": ""}, "names no host"),
        ({"password": ""}, "password is empty"),
        ({"extra": {"credential": "token_file"}}, "token_file is empty"),
        ({"extra": {"credential": "api_proxy"}}, "no api_proxy; give its URL"),
        ({"extra": {"credential": "magic"}}, "api_key, bearer, token_file, api_proxy"),
        ({"extra": {"verify": "maybe"}}, "verify='maybe'"),
        ({"extra": {"read_timeout": "soon"}}, "read_timeout='soon'"),
        ({"extra": {"max_active_runs": 0}}, "max_active_runs=0"),
        ({"extra": {"max_active_runs": "many"}}, "max_active_runs='many'"),
        ({"extra": {"max_active_runs_per_tier": "GPU: 2"}}, "use a JSON object"),
        ({"extra": {"max_active_runs_per_tier": {"GPU": 0}}}, "max_active_runs_per_tier['GPU']=0"),
        ({"extra": {"connect_timeout": -1}}, "connect_timeout=-1"),
        ({"conn_type": "http"}, "type 'domino'"),
    ],
)
def test_a_connection_that_cannot_work_says_which_field_to_change(connect, fields, words):
    with pytest.raises(ConfigurationError) as refusal:
        _ = connect(**fields).settings
    assert words in str(refusal.value)
    assert SECRET not in str(refusal.value)


def test_the_secret_is_in_no_representation_and_not_in_the_fingerprint(connect):
    settings = connect(extra={"credential": "bearer"}).settings
    assert SECRET not in repr(settings) + settings.fingerprint + repr(settings.credentials())


def test_another_token_has_another_fingerprint(connect):
    assert connect().settings.fingerprint != connect(password="other").settings.fingerprint


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        ({"host": "domino.example.com"}, "https://domino.example.com"),
        ({"host": "localhost", "schema": "http", "port": 8080}, "http://localhost:8080"),
        ({"host": "http://localhost:8080/"}, "http://localhost:8080"),
        ({"host": "https://example.com/domino"}, "https://example.com/domino"),
    ],
)
def test_the_host_may_be_given_as_url_or_in_parts(connect, fields, host):
    assert connect(**fields).settings.host == host


def test_a_file_of_certificates_is_what_is_verified_against(connect):
    assert connect(extra={"ca_file": "/etc/domino-ca.pem"}).settings.verify == "/etc/domino-ca.pem"
    assert connect(extra={"verify": "false"}).settings.verify is False
    assert connect().settings.verify is True


def test_a_child_process_gets_the_api_key_and_no_inherited_credential(connect):
    variables = connect(extra={"project": "ada/digits", "ui_host": "https://ui.example.com"}).environment()
    assert variables == {
        "DOMINO_API_HOST": "https://domino.example.com",
        "DOMINO_USER_HOST": "https://ui.example.com",
        "DOMINO_API_PROXY": "",
        "DOMINO_TOKEN_FILE": "",
        "DOMINO_USER_API_KEY": SECRET,
        "DOMINO_PROJECT_OWNER": "ada",
        "DOMINO_PROJECT_NAME": "digits",
    }


def test_a_bearer_token_reaches_a_child_process_in_a_private_file(connect, tmp_path):
    variables = connect(extra={"credential": "bearer"}).environment("ada/digits", token_folder=tmp_path)
    path = tmp_path / "domino-token"
    assert variables["DOMINO_TOKEN_FILE"] == str(path)
    assert SECRET not in str(variables)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with DominoClient.from_environment(variables) as client:
        assert client.host == "https://domino.example.com"


def test_a_child_process_trusts_a_private_ca_for_domino_alone(connect):
    variables = connect(extra={"ca_file": "/etc/domino-ca.pem"}).environment()
    assert variables["DOMINO_CA_FILE"] == "/etc/domino-ca.pem"
    assert "REQUESTS_CA_BUNDLE" not in variables


def test_a_bearer_token_without_a_folder_for_it_is_refused(connect):
    with pytest.raises(ConfigurationError, match="token_folder"):
        connect(extra={"credential": "bearer"}).environment()


def test_a_task_without_a_project_uses_the_connections(connect):
    assert connect(extra={"project": "ada/digits"}).project_name(None) == "ada/digits"
    assert connect(extra={"project": "ada/digits"}).project_name("ada/other") == "ada/other"
    with pytest.raises(ConfigurationError, match="project='owner/name'"):
        connect().project_name(None)


@pytest.mark.parametrize("per_tier", [{"GPU": 2}, '{"GPU": 2}'])
def test_limits_on_runs_in_flight_are_read_from_the_form_and_from_json(connect, per_tier):
    hook = connect(extra={"max_active_runs": "5", "max_active_runs_per_tier": per_tier})
    limits = hook.settings.limits(3)
    assert (limits.total, limits.per_tier, limits.per_task) == (5, {"GPU": 2}, 3)


def test_a_connection_without_limits_has_none(connect):
    assert not connect().settings.limits()
