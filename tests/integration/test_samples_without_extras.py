"""The sample DAGs in an Airflow that has this package and nothing else: none of its extras."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DAGS = ROOT / "dags"
INSTALL = "pip install 'airflow-domino[samples]'"
READ = """\
import json
from importlib.util import find_spec
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({dags!r})
told = {{"errors": bag.import_errors, "dags": sorted(bag.dags), "has": list(filter(find_spec, {libraries!r}))}}
print("\\n" + json.dumps(told))
"""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def python(make_environment: Callable[..., Path]) -> Path:
    """An interpreter that has the package without its extras."""
    return make_environment()


@pytest.fixture
def airflow(python: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs that interpreter in an Airflow that has the sample DAGs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DOMINO_"))}
    environment |= {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW_DOMINO_DATA": str(tmp_path / "data"),
    }

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [str(python), *arguments]
        return subprocess.run(
            command, env=environment | more, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )

    assert run("-m", "airflow", "db", "migrate").returncode == 0
    return run


def test_every_sample_dag_is_read_where_no_extra_is_installed(
    airflow: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    libraries = ["joblib", "numpy", "sklearn", "boto3"]

    done = airflow("-c", READ.format(dags=str(DAGS), libraries=libraries))

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["has"] == []
    assert told["errors"] == {}
    in_readme = [line.split("`")[1] for line in (ROOT / "README.md").read_text().splitlines() if "](dags/" in line]
    assert told["dags"] == sorted(in_readme)


def test_a_task_that_needs_an_extra_fails_with_what_to_install(
    airflow: Callable[..., subprocess.CompletedProcess[str]], local_domino: Any
) -> None:
    connection = {"conn_type": "domino", "host": local_domino.url, "password": local_domino.token}
    connection["extra"] = {"project": local_domino.project}

    done = airflow(
        *("-m", "airflow", "tasks", "test", "ensemble_luigi", "CleanDigits"),
        AIRFLOW_CONN_DOMINO_DEFAULT=json.dumps(connection),
    )

    assert "No module named 'numpy'; install what this sample trains with where it runs" in done.stdout + done.stderr
    assert INSTALL in done.stdout + done.stderr


def test_a_pipeline_that_reaches_s3_says_what_to_install(python: Path, tmp_path: Path) -> None:
    script = DAGS / "projects" / "pivot" / "pivot_pipeline.py"
    command = [str(python), str(script), "PivotTable", "--storage", "s3://bucket/pivot"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)

    assert done.returncode != 0
    assert "No module named 'boto3'; install what reaches S3 where this runs" in done.stderr
    assert INSTALL in done.stderr


@pytest.mark.parametrize("page", ["README.md", "docs/deployment.md"])
def test_the_pages_say_what_the_samples_need(page: str) -> None:
    assert 'pip install "airflow-domino[samples]"' in (ROOT / page).read_text()
