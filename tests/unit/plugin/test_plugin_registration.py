"""What Airflow finds of the plugin, and what finding it costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from fastapi import FastAPI

from airflow_domino.plugin.domino import DominoPlugin


def test_airflow_finds_the_plugin_by_its_entry_point():
    found = [entry.load() for entry in entry_points(group="airflow.plugins") if entry.name == "domino"]

    assert found == [DominoPlugin]


def test_importing_the_plugin_brings_in_nothing_that_airflow_has_not_loaded_already():
    program = (
        "import sys, airflow.configuration, airflow.plugins_manager\n"
        "before = set(sys.modules)\n"
        "from airflow_domino.plugin.domino import DominoPlugin\n"
        "DominoPlugin().external_views\n"
        "print(sorted(set(sys.modules) - before))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    brought = [
        "airflow._shared.listeners",
        "airflow.listeners",
        "airflow_domino.listener",
        "airflow_domino.plugin",
        "airflow_domino.plugin.addresses",
        "airflow_domino.plugin.domino",
    ]
    assert done.stdout.strip() == str(brought)


def test_the_application_is_mounted_below_domino():
    (mounted,) = DominoPlugin().fastapi_apps

    assert mounted["url_prefix"] == "/domino"
    assert isinstance(mounted["app"], FastAPI)


@pytest.mark.parametrize(
    ("base_url", "page"),
    [
        ("", "/domino/"),
        ("http://localhost:8080", "/domino/"),
        ("https://company.example.com/airflow", "/airflow/domino/"),
        ("https://company.example.com/data/airflow/", "/data/airflow/domino/"),
    ],
)
def test_the_navigation_leads_below_the_path_that_airflow_is_served_under(monkeypatch, base_url, page):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)

    navigation, *tabs = DominoPlugin().external_views

    assert navigation["href"] == page
    assert navigation["url_route"] == "domino"
    assert navigation["icon"] == f"{page}static/icon-light.svg"
    assert all(tab["href"].startswith(page) for tab in tabs)


def test_dag_runs_and_task_instances_have_tabs_of_their_own():
    tabs = {(view["destination"], view["name"]): view["href"] for view in DominoPlugin().external_views[1:]}

    where = "dag_id={DAG_ID}&run_id={RUN_ID}"
    assert tabs == {
        ("dag_run", "Domino"): f"/domino/dag-run?{where}&tab=1",
        ("dag_run", "Luigi"): f"/domino/luigi?{where}&tab=1",
        ("task_instance", "Domino"): f"/domino/task?{where}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}&tab=1",
    }


def test_each_tab_has_an_address_of_its_own_in_airflow():
    addresses = [view["url_route"] for view in DominoPlugin().external_views]

    assert len(set(addresses)) == len(addresses)


def test_where_the_page_cannot_be_built_there_is_no_page_and_no_entry_and_airflow_goes_on(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "airflow_domino.plugin.app", None)

    plugin = DominoPlugin()

    assert plugin.fastapi_apps == []
    assert plugin.external_views == []
    assert "not served" in caplog.text
