"""The sample Domino project as its author runs it: plain Luigi, no Airflow, no Domino."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3] / "dags" / "projects" / "luigi-multi-run"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "luigi-multi-run"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which both models were trained."""
    folder = tmp_path_factory.mktemp("trained") / "luigi-multi-run"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for model in ("TrainRForest", "TrainNNet"):
        assert run(folder, "example_ensemble.py", model).returncode == 0
        assert json.loads((folder / "dominostats.json").read_text())["accuracy"] > 0.9
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DOMINO_", "LUIGI_"))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*/*") if path.is_file()}


def test_hello_world_is_hello_and_world(project: Path) -> None:
    assert run(project, "example_pipeline.py", "Hello").returncode == 0
    assert run(project, "example_pipeline.py", "DominoHelloWorld").returncode == 0
    assert (project / "data" / "hello_world.txt").read_text() == "hello\nworld\n"


def test_squares_follow_their_parameter(project: Path) -> None:
    assert run(project, "numbers_pipeline.py", "SquaredNumbers", "--n", "4").returncode == 0
    assert (project / "data" / "squares_up_to_4.txt").read_text() == "1:1\n2:4\n3:9\n4:16\n"


def test_a_failure_is_told_by_the_exit_code_from_any_folder(project: Path, tmp_path: Path) -> None:
    ended = run(tmp_path, str(project / "example_pipeline.py"), "DominoHelloWorld")
    assert ended.returncode == 30
    assert "No credentials for Domino: set DOMINO_API_PROXY" in ended.stderr


def test_the_ensemble_starts_no_run_once_its_models_are_there(trained: Path) -> None:
    ended = run(trained, "example_ensemble.py", "ScoreReport", "--local-scheduler", "--workers", "3")
    assert ended.returncode == 0, ended.stderr
    report = json.loads((trained / "report" / "score_report.json").read_text())
    assert set(report["accuracy"]) == {"forest", "net", "ensemble"}
    assert all(0.9 < accuracy < 1 for accuracy in report["accuracy"].values())
    assert report["models"]["forest"]["bytes"] == (trained / "models" / "rforest.zip").stat().st_size


def test_the_same_training_makes_the_same_bytes(project: Path, trained: Path) -> None:
    assert run(project, "example_ensemble.py", "TrainRForest").returncode == 0
    again = files(project)
    assert "rforest.zip" in again
    assert again == {name: content for name, content in files(trained).items() if name in again}


def test_a_model_is_one_zip_with_what_training_noted_about_it(trained: Path) -> None:
    with zipfile.ZipFile(trained / "models" / "rforest.zip") as model:
        assert model.namelist() == ["about.json", "model.joblib"]
        assert json.loads(model.read("about.json"))["classifier"].startswith("RandomForestClassifier")


def test_an_interrupted_write_leaves_no_target(project: Path) -> None:
    (project / "breaking.py").write_text(
        "import example_ensemble as pipeline\n"
        "from sklearn.naive_bayes import GaussianNB\n"
        "pipeline.TrainRForest.classifier = lambda task: GaussianNB()\n"
        "pipeline.zip_folder = lambda folder, archive: 1 / 0\n"
        "pipeline.CleanDigits().run()\n"
        "pipeline.ExtractFeatures().run()\n"
        "pipeline.TrainRForest().run()\n"
    )
    assert "ZeroDivisionError" in run(project, "breaking.py").stderr
    assert list((project / "models").iterdir()) == []
