"""The chart library of the page in Airflow's UI comes into the package while that is built."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATIC = Path("airflow_domino", "plugin", "static")
NAMES = ("plotly.min.js", "plotly.LICENSE.txt")


@pytest.fixture(scope="module")
def build_hook():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def build(build_hook, tmp_path):
    """Does what hatchling does with the hook, in a folder of its own."""
    (tmp_path / STATIC).mkdir(parents=True)

    def run(version: str) -> dict[str, list[str]]:
        build_data: dict[str, list[str]] = {"artifacts": []}
        build_hook.ChartLibrary(str(tmp_path), {}, None, None, "", "wheel").initialize(version, build_data)
        return build_data

    return run


@pytest.mark.parametrize("version", ["standard", "editable"])
def test_every_kind_of_installation_has_the_library_and_its_licence(build, tmp_path, version):
    build_data = build(version)

    library, license_text = ((tmp_path / STATIC / name).read_text(encoding="utf-8") for name in NAMES)
    assert "plotly.js v" in library[:200]
    assert "MIT" in license_text
    assert build_data["artifacts"] == [f"/airflow_domino/plugin/static/{name}" for name in NAMES]


def test_an_older_library_is_replaced(build, tmp_path):
    (tmp_path / STATIC / NAMES[0]).write_text("old")

    build("editable")

    assert (tmp_path / STATIC / NAMES[0]).stat().st_size > 1_000_000


def test_a_build_without_the_library_says_how_to_get_it(build, build_hook, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(build_hook, "distribution", missing)

    with pytest.raises(SystemExit, match="pip install plotly"):
        build("standard")


def test_this_installation_has_it():
    program = "from airflow_domino.plugin import static; print(static.has('plotly.min.js'))"

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "True\n"


def test_nothing_of_others_is_kept_in_the_repository():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")

    kept = subprocess.run(["git", "ls-files", "airflow_domino/plugin/static"], cwd=ROOT, capture_output=True, text=True)

    assert not [name for name in kept.stdout.split() if "plotly" in name]
