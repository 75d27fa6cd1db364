"""The forms of a connection that docs/connection.md names all mean the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from airflow.sdk import Connection
from airflow.secrets.local_filesystem import LocalFilesystemBackend

from airflow_domino.connection_form import CONNECTION_FIELDS
from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.hooks.connection import ConnectionSettings
from airflow_domino.hooks.domino import DominoHook

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "connection.md").read_text()


def written(kind: str) -> str:
    """The first snippet of a kind on the page."""
    return re.search(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def by_variable(monkeypatch):
    def read(text: str) -> ConnectionSettings:
        monkeypatch.setenv("AIRFLOW_CONN_DOMINO_DEFAULT", text)
        return DominoHook().settings

    return read


def assert_is_the_example(settings):
    assert (settings.host, settings.secret, settings.credential) == (
        "https://domino.example.com",
        "THE TOKEN",
        "bearer",
    )
    assert (settings.project, settings.max_active_runs_per_tier) == ("ann/churn", {"GPU": 2})


def test_a_variable_may_hold_json(by_variable):
    assert_is_the_example(by_variable(json.dumps(json.loads(written("json")))))


def test_a_variable_may_hold_a_uri(by_variable):
    with_https, with_http = written("text").splitlines()
    assert_is_the_example(by_variable(with_https))
    local = by_variable(with_http)
    assert (local.host, local.secret, local.project) == ("http://localhost:8888", "THE TOKEN", "ann/churn")


def test_a_secrets_backend_may_be_a_file(tmp_path):
    file = tmp_path / "connections.yaml"
    file.write_text(written("yaml"))
    found = LocalFilesystemBackend(connections_file_path=str(file)).get_connection("domino_default")
    settings = ConnectionSettings.from_connection(found)
    assert_is_the_example(settings)
    assert settings.expires_on.isoformat() == "2027-03-01"


def test_each_field_of_the_form_is_explained_there():
    explained = set(re.findall(r"`(\w+)`", "".join(line for line in PAGE.splitlines() if line.startswith("| "))))
    assert set(CONNECTION_FIELDS) <= explained


@pytest.mark.parametrize(
    ("host", "port", "address"),
    [
        ("https://domino.example.com", 443, "https://domino.example.com"),
        ("https://domino.example.com", 8443, "https://domino.example.com:8443"),
        ("https://domino.example.com/domino", 8443, "https://domino.example.com:8443/domino"),
        ("https://domino.example.com:9443", 443, "https://domino.example.com:9443"),
        ("http://localhost", 80, "http://localhost"),
        ("domino.example.com", 8443, "https://domino.example.com:8443"),
    ],
)
def test_a_port_is_added_to_an_address_that_has_none(host, port, address):
    connection = Connection(conn_id="domino_default", conn_type="domino", host=host, port=port, password="token")
    assert ConnectionSettings.from_connection(connection).host == address


@pytest.mark.parametrize("day", ["soon", "2027-13-01", 5])
def test_a_day_that_is_none_is_refused_by_name(by_variable, day):
    with pytest.raises(ConfigurationError, match="expires_on"):
        by_variable(
            json.dumps({"conn_type": "domino", "host": "https://x", "password": "p", "extra": {"expires_on": day}})
        )
