"""The provider as Airflow's provider manager sees it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema
import pytest
import yaml
from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator
from airflow.triggers.base import BaseTrigger

from airflow_domino.connection_form import CONNECTION_FIELDS
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.provider_info import get_provider_info

AIRFLOW = Path(airflow.__file__).parent
ROOT = Path(__file__).resolve().parents[2]
KINDS = {"hooks": BaseHook, "operators": BaseOperator, "sensors": BaseSensorOperator, "triggers": BaseTrigger}


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
    paths = [*info["extra-links"], *(entry["class-name"] for entry in info["task-decorators"]), *info["cli"]]
    paths += [path for entry in info["asset-uris"] for key, path in entry.items() if key != "schemes"]
    assert all(callable(named(path)) for path in paths)


def public_classes(kind: str):
    """Paths of the classes of a kind that the package has, in whatever module."""
    for path in sorted((ROOT / "airflow_domino" / kind).glob("[!_]*.py")):
        module = f"airflow_domino.{kind}.{path.stem}"
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and issubclass(named(f"{module}.{node.name}"), KINDS[kind]):
                yield f"{module}.{node.name}"


@pytest.mark.parametrize("kind", KINDS)
def test_airflow_is_told_of_each_module_that_has_a_public_class(kind):
    told = {module for entry in get_provider_info()[kind] for module in entry["python-modules"]}
    assert {path.rpartition(".")[0] for path in public_classes(kind)} == told


@pytest.mark.parametrize("kind", KINDS)
def test_airflows_registry_is_told_of_each_public_class(kind):
    registered = yaml.safe_load((ROOT / ".airflow-registry.yaml").read_text())
    assert {entry["module"] for entry in registered[kind]} == set(public_classes(kind))


def test_what_airflows_registry_is_told_of_can_be_imported():
    registered = yaml.safe_load((ROOT / ".airflow-registry.yaml").read_text())
    assert registered["package-name"] == get_provider_info()["package-name"]
    entries = [entry for listed in registered.values() if isinstance(listed, list) for entry in listed]
    assert all(callable(named(entry["module"])) and entry["description"] for entry in entries)


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
