"""Luigi is loaded without the libraries that few need, and nobody who needs them sees a difference."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOAD = "import sys; from airflow_domino.luigi.engine.quick_import import import_luigi\n"


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", LOAD + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_luigi_is_loaded_without_them():
    assert run("import_luigi(); print([n for n in ('luigi', 'requests', 'jsonschema') if n in sys.modules])") == (
        "['luigi']"
    )


def test_luigi_validates_by_a_schema_all_the_same():
    program = """
import_luigi()
import luigi
class Task(luigi.Task):
    value = luigi.DictParameter(schema={"type": "object", "required": ["a"]})
print(Task(value={"a": 1}).value["a"])
try:
    Task(value={"b": 1})
except Exception as error:
    print(type(error).__name__)
"""
    assert run(program).split() == ["1", "ValidationError"]


def test_luigi_asks_a_central_scheduler_all_the_same():
    program = """
import_luigi()
from luigi.rpc import RemoteScheduler
print(type(RemoteScheduler("http://127.0.0.1:9")._fetcher.session).__name__)
"""
    assert run(program) == "Session"


@pytest.mark.parametrize(
    "wanted", ["import requests", "from requests.adapters import HTTPAdapter", "import jsonschema"]
)
def test_a_pipeline_imports_the_real_ones(wanted):
    loaded = "{type(sys.modules[name]).__name__ for name in ('requests', 'jsonschema') if name in sys.modules}"
    assert run(f"import_luigi()\n{wanted}\nprint({loaded})") == "{'module'}"


def test_what_was_loaded_before_stays_as_it_was():
    assert run("import requests; real = requests; import_luigi(); print(sys.modules['requests'] is real)") == "True"


def test_a_library_that_is_not_there_stays_absent():
    hide = "sys.modules['jsonschema'] = None\n"
    assert run(f"{hide}import_luigi()\nimport luigi.parameter\nprint(hasattr(luigi.parameter, 'jsonschema'))") == (
        "False"
    )
