"""The parts of tests/compose/run that find fault, without an engine: they must be able to."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "compose"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script with all its parts."""
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("whole_stack")
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == FOLDER:
            del sys.modules[name]


@pytest.fixture(scope="module")
def checks(script: ModuleType) -> ModuleType:
    return sys.modules["image_checks"]


def test_a_secret_is_found_in_a_saved_image_wherever_a_block_ends(checks, monkeypatch):
    stream = io.BytesIO(b"x" * 13 + b"very-secret" + b"x" * 20)
    monkeypatch.setattr(checks, "_blocks", lambda stream: iter(lambda: stream.read(16), b""))

    assert checks._found(stream, {"ONE": b"very-secret", "OTHER": b"not there"}) == {"ONE"}


@pytest.mark.parametrize(
    ("history", "is_found"),
    [
        ("RUN |1 PIP_INDEX_URL=https://mirror.example.com/simple pip install", True),
        ("ENV UV_DEFAULT_INDEX=https://mirror.example.com", True),
        ("pip install https://user:word@mirror.example.com/a.whl", True),
        ("RUN |1 PIP_INDEX_URL= pip install", False),
        ("ENV PATH=/opt/venv/bin", False),
        ("see https://example.com/a:b", False),
    ],
)
def test_a_registry_in_the_history_is_found(checks, history, is_found):
    assert bool(checks.REGISTRY.search(history.encode())) == is_found


def test_a_version_that_is_not_pinned_is_found(checks, monkeypatch):
    pins = [("numpy", "2.4.6"), ("numpy", "2.5.5"), ("typing-extensions", "4.15.0")]
    monkeypatch.setattr(checks, "_pins", lambda: pins)
    installed = {"numpy": "2.4.6", "Typing_Extensions": "4.15.0", "pip": "23.0", "airflow-domino": "0.1.0"}

    assert list(checks._wrong_versions(installed)) == []
    assert list(checks._wrong_versions({"numpy": "2.0", "other": "1"})) == [
        "numpy 2.0 is not what is pinned (2.4.6 or 2.5.5)",
        "other 1 is not what is pinned (nothing)",
    ]


def test_the_pins_that_the_image_is_held_to_are_read_from_all_three_files(checks):
    names = {name for name, _ in checks._pins()}

    assert {"apache-airflow", "celery", "psycopg2-binary"} <= names


@pytest.mark.parametrize(
    ("state", "exit_code", "health", "is_well"),
    [
        ("running", 0, "healthy", True),
        ("running", 0, "starting", False),
        ("running", 0, "unhealthy", False),
        ("exited", 0, "", True),
        ("exited", 1, "", False),
        ("exited", 137, "healthy", False),
    ],
)
def test_a_container_is_well_when_it_is_healthy_or_has_done_its_job(script, state, exit_code, health, is_well):
    container = sys.modules["deployment"].Container("id", "service", state, exit_code, health)

    assert container.is_well == is_well


def test_the_images_that_the_compose_file_would_take_are_known(script):
    text = (FOLDER.parents[1] / "docker-compose.yml").read_text()

    assert set(dict(script.DEFAULT_IMAGE.findall(text))) == {"BASE_IMAGE", "POSTGRES_IMAGE", "REDIS_IMAGE"}
