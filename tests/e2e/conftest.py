"""A real Airflow beside a local Domino, one of each for the whole session."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_domino.demo.airflow_stack import AirflowStack

ROOT = Path(__file__).resolve().parents[2]
IGNORED = shutil.ignore_patterns("__pycache__")


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which tasks on the worker keep their targets and outputs."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def airflow(local_domino, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    """Airflow with the sample DAGs, the DAGs of tests/e2e/dags and a connection to the local Domino."""
    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags, ignore=IGNORED)
    shutil.copytree(Path(__file__).parent / "dags", dags / "e2e", ignore=IGNORED)
    connection = {
        "conn_type": "domino",
        "host": local_domino.url,
        "password": local_domino.token,
        "extra": {"project": local_domino.project},
    }
    environment = {
        "AIRFLOW_CONN_DOMINO_DEFAULT": json.dumps(connection),
        "AIRFLOW_DOMINO_DATA": str(data_folder),
    }
    with AirflowStack(folder / "home", dags, environment=environment, parallelism=6) as stack:
        yield stack
