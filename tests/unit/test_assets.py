"""Addresses of files of Domino projects, as Airflow's assets have them."""

from __future__ import annotations

import pytest
from airflow.sdk import Asset

from airflow_domino.assets import create_asset, to_openlineage


@pytest.mark.parametrize(
    "written",
    [
        "domino://Domino.Example.com/me/weather/data/rain.csv",
        "domino://somebody@domino.example.com/me/weather//data/rain.csv/",
    ],
)
def test_all_ways_to_write_an_address_name_one_asset(written):
    assert Asset(uri=written).uri == "domino://domino.example.com/me/weather/data/rain.csv"


def test_a_port_is_a_part_of_the_host():
    assert Asset(uri="domino://127.0.0.1:8888/me/weather/a.csv").uri == "domino://127.0.0.1:8888/me/weather/a.csv"


@pytest.mark.parametrize("written", ["domino://domino.example.com/me/weather", "domino:///me/weather/rain.csv"])
def test_an_address_that_names_no_file_is_refused_with_its_form(written):
    with pytest.raises(ValueError, match="write domino://HOST/OWNER/PROJECT/PATH"):
        Asset(uri=written)


def test_an_asset_is_made_of_its_parts():
    asset = create_asset(host="domino.example.com", project="me/weather", path="data/rain fall.csv", extra={"a": 1})
    assert asset.uri == "domino://domino.example.com/me/weather/data/rain%20fall.csv"
    assert asset.extra == {"a": 1}


def test_openlineage_names_it_as_it_names_what_a_luigi_task_has_made():
    dataset = to_openlineage(Asset(uri="domino://domino.example.com/me/weather/data/rain%20fall.csv"), None)
    assert (dataset.namespace, dataset.name) == ("domino://domino.example.com", "me/weather/data/rain fall.csv")
