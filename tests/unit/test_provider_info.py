"""The provider as Airflow's provider manager sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_domino.hooks.domino import DominoHook
from airflow_domino.provider_info import CONNECTION_FIELDS, get_provider_info

AIRFLOW = Path(airflow.__file__).parent


def named(path: str):
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def test_the_info_is_valid_against_airflows_schema():
    jsonschema.validate(get_provider_info(), json.loads((AIRFLOW / "provider_info.schema.json").read_text()))


def test_the_connection_form_is_valid_against_airflows_schema():
    schema = json.loads((AIRFLOW / "provider.yaml.schema.json").read_text())
    connection = schema["properties"]["connection-types"]["items"]
    for entry in get_provider_info()["connection-types"]:
        jsonschema.validate(entry, {**connection, "definitions": schema.get("definitions", {})})


def test_every_class_and_module_named_can_be_imported():
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            assert [import_module(module) for module in entry["python-modules"]]
    paths = [*info["extra-links"], *(entry["class-name"] for entry in info["task-decorators"])]
    assert all(callable(named(path)) for path in paths)


def test_the_connection_type_is_the_hooks():
    (entry,) = get_provider_info()["connection-types"]
    assert named(entry["hook-class-name"]) is DominoHook
    assert entry["connection-type"] == DominoHook.conn_type
    assert entry["hook-name"] == DominoHook.hook_name


def test_each_integration_that_is_used_is_described():
    info = get_provider_info()
    described = {entry["integration-name"] for entry in info["integrations"]}
    used = {entry["integration-name"] for kind in ("hooks", "operators", "sensors", "triggers") for entry in info[kind]}
    assert used <= described


@pytest.mark.parametrize("group", ["apache_airflow_provider", "airflow.plugins"])
def test_the_package_is_registered_with_airflow(group):
    assert any(point.value.startswith("airflow_domino.") for point in entry_points(group=group))


def test_the_plugin_is_registered_only_once():
    assert "plugins" not in get_provider_info()


def test_no_field_of_the_form_but_the_password_holds_a_secret():
    assert not [name for name in CONNECTION_FIELDS if name in ("token", "api_key", "password", "secret")]


def test_reading_the_info_imports_nothing_heavy():
    program = (
        "import sys, airflow_domino.provider_info as info; info.get_provider_info(); "
        "print([name for name in ('airflow', 'luigi', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
