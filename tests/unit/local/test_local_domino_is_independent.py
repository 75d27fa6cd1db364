"""The local Domino is a reading of the API of its own: it takes nothing from the client or any other part."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import airflow_domino.local

MODULES = sorted(Path(airflow_domino.local.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_no_other_part_of_the_package(path: Path):
    imported = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.append(str(node.module))
    ours = [name for name in imported if name.split(".")[0] == "airflow_domino"]
    assert [name for name in ours if not name.startswith("airflow_domino.local")] == []
    assert not [name for name in imported if name.split(".")[0] in ("airflow", "luigi", "requests")]
