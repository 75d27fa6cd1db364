"""DominoRunOperator against the local Domino: what users get wrong, and what runs do that nobody expects."""

from __future__ import annotations

import json
import logging
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from airflow_domino.compat import AirflowFailException
from airflow_domino.operators.domino import DominoRunOperator

MEBIBYTE = 1 << 20
FLOOD = """\
import sys
line = b"x" * 1023 + b"\\n"
for _ in range(100):
    sys.stdout.buffer.write(line * 1024)
"""
NOISE = """\
import sys
noise = bytes(range(256)) * 40
sys.stdout.buffer.write(noise + b"\\nthe end of the noise\\n")
open("noise.bin", "wb").write(noise)
"""
ARGUMENTS = """\
import json, sys
json.dump(sys.argv[1:], open("arguments.json", "w"))
"""
# The first child stays in the run's group; the second leaves group and session, and ignores the polite signal.
CHILDREN = """\
import subprocess, sys
sleep = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
for new_session in (False, True):
    child = subprocess.Popen([sys.executable, "-c", sleep], start_new_session=new_session, stdout=subprocess.PIPE)
    child.stdout.readline()
    print("child", child.pid, flush=True)
"""
FILES = {
    "arguments.py": ARGUMENTS,
    "children.py": CHILDREN,
    "flood.py": FLOOD,
    "noise.py": NOISE,
    "data/a.txt": "a",
}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def domino(start_local_domino):
    return start_local_domino(FILES)


@pytest.fixture
def run(domino, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Execute one task on the local Domino, with its log where caplog finds it."""
    monkeypatch.setattr(DominoRunOperator, "log", logging.getLogger("task"))
    dag_run = SimpleNamespace(run_id="r1", run_after=datetime.now(UTC), start_date=datetime.now(UTC))

    def execute(command: str | list[str], *, token: str = "", **arguments: Any) -> dict[str, Any]:
        connection = {
            "conn_type": "domino",
            "host": domino.url,
            "password": token or domino.token,
            "extra": {"project": domino.project},
        }
        monkeypatch.setenv("AIRFLOW_CONN_DOMINO_DEFAULT", json.dumps(connection))
        operator = DominoRunOperator(task_id="t", command=command, deferrable=False, poll_interval=0.2, **arguments)
        task_instance = SimpleNamespace(
            dag_id="d", run_id="r1", task_id="t", map_index=-1, try_number=1, max_tries=0, start_date=None
        )
        task_instance.xcom_push = lambda key, value: None
        result: dict[str, Any] = operator.execute({"ti": task_instance, "dag_run": dag_run})
        return result

    return execute


def is_alive(process_id: int) -> bool:
    try:
        return psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def number_of_runs(domino) -> int:
    return int(domino.get("/v4/jobs", projectId=domino.project_id, status="all")["totalCount"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param({"project": "domino/no-such"}, "domino/no-such", id="unknown project"),
        pytest.param({"project": "nonsense"}, "owner/name", id="a project without its owner"),
        pytest.param({"tier": "Huge"}, "Huge.*Small.*X-Large", id="unknown tier"),
        pytest.param({"environment": "No Such"}, "No Such", id="unknown environment"),
        pytest.param({"commit_id": "f" * 40}, "has no commit", id="unknown commit"),
        pytest.param({"outputs": ["../outside.txt"]}, r"\.\./outside\.txt", id="an output that leaves the project"),
        pytest.param(
            {"outputs": {"a.txt": "../../a.txt"}},
            r"Not a file name below .*out",
            id="an output that leaves the output folder",
        ),
        pytest.param({"token": "wrong"}, "token", id="wrong token"),
    ],
)
def test_a_mistake_is_told_before_anything_is_launched(domino, run: Run, tmp_path: Path, arguments, reason):
    with pytest.raises(AirflowFailException, match=reason) as refused:
        run("arguments.py", output_dir=str(tmp_path / "out"), **arguments)
    assert domino.token not in str(refused.value)
    assert number_of_runs(domino) == 0
    assert not (tmp_path / "a.txt").exists()


def test_an_output_that_is_a_folder_is_told_with_what_the_run_wrote(run: Run, tmp_path: Path):
    with pytest.raises(AirflowFailException, match=r"(?s)data.*arguments\.json"):
        run("arguments.py", outputs=["data"], output_dir=str(tmp_path))
    assert list(tmp_path.glob("data*")) == []


def test_a_run_that_prints_a_lot_succeeds_and_fills_neither_the_log_nor_the_memory(domino, run: Run, caplog):
    server = psutil.Process(domino.process.pid)
    before = server.memory_info().rss
    tracemalloc.start()
    try:
        with caplog.at_level(logging.INFO):
            result = run("flood.py")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result["status"] == "Succeeded"
    assert MEBIBYTE < sum(len(record.getMessage()) for record in caplog.records) < 20 * MEBIBYTE
    assert any("The run's log is long: read the rest of it at" in record.getMessage() for record in caplog.records)
    assert peak < 100 * MEBIBYTE
    assert server.memory_info().rss - before < 100 * MEBIBYTE


def test_binary_output_harms_neither_the_log_nor_the_file(run: Run, tmp_path: Path, caplog):
    with caplog.at_level(logging.INFO):
        result = run("noise.py", outputs=["noise.bin"], output_dir=str(tmp_path))
    assert (tmp_path / "noise.bin").read_bytes() == bytes(range(256)) * 40
    assert result["status"] == "Succeeded"
    assert any("the end of the noise" in record.getMessage() for record in caplog.records)


def test_arguments_of_a_list_arrive_as_they_are(run: Run, tmp_path: Path):
    arguments = ["two words", "it's", 'a "quote"', "größe 大きさ", "two\nlines", "$HOME `id` \\ *", ""]
    run(["arguments.py", *arguments], outputs=["arguments.json"], output_dir=str(tmp_path))
    assert json.loads((tmp_path / "arguments.json").read_text()) == arguments


def test_children_that_a_run_leaves_are_ended_with_it(domino, run: Run):
    result = run("children.py")
    children = [int(line.split()[1]) for line in domino.log(result["run_id"]) if line.startswith("child ")]
    assert len(children) == 2
    assert [process_id for process_id in children if is_alive(process_id)] == []
