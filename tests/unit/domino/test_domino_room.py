"""The room as a whole: it stands alone, and its list of public names is complete."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import airflow_domino.domino

ALONE = """
import importlib, pkgutil, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"airflow", "luigi", "fastapi", "pygit2", "httpx", "pydantic"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocked())
import airflow_domino.domino as room

for module in pkgutil.iter_modules(room.__path__):
    importlib.import_module(f"{room.__name__}.{module.name}")
print(all(hasattr(room, name) for name in room.__all__))
"""


def test_the_room_is_imported_where_neither_airflow_nor_luigi_is_installed() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", ALONE], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("True", "")


def test_no_module_of_the_room_imports_from_another_room() -> None:
    folder = Path(airflow_domino.domino.__path__[0])
    imported = set()
    for module in pkgutil.iter_modules([str(folder)]):
        for node in ast.walk(ast.parse((folder / f"{module.name}.py").read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module)

    ours = {name for name in imported if name.startswith("airflow_domino")}
    assert {name for name in ours if not name.startswith("airflow_domino.domino")} == {"airflow_domino"}


def test_the_public_names_are_sorted_and_complete() -> None:
    room = airflow_domino.domino
    public = {
        name
        for name, value in vars(room).items()
        if not name.startswith("_") and not isinstance(value, type(room)) and name != "annotations"
    }

    assert public == set(room.__all__)
    assert len(room.__all__) == len(set(room.__all__))
