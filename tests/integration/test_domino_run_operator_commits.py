"""DominoRunOperator against the local Domino: results flow by commit."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_domino.compat import AirflowFailException
from airflow_domino.operators.domino import DominoRunOperator

FILES = {
    "write.py": "import sys\nopen(sys.argv[1], 'w').write(sys.argv[2])\n",
    "read.py": "import pathlib, sys\nprint([pathlib.Path(p).read_text() for p in sys.argv[1:]])\n",
}


@pytest.fixture
def run(monkeypatch):
    """Execute a task of one DAG run on a local Domino."""
    dag_run = SimpleNamespace(run_id="r1", run_after=datetime.now(UTC), start_date=datetime.now(UTC))

    def execute(domino, task_id, command, **arguments):
        connection = {
            "conn_type": "domino",
            "host": domino.url,
            "password": domino.token,
            "extra": {"project": domino.project},
        }
        monkeypatch.setenv("AIRFLOW_CONN_DOMINO_DEFAULT", json.dumps(connection))
        operator = DominoRunOperator(task_id=task_id, command=command, deferrable=False, poll_interval=0.2, **arguments)
        task_instance = SimpleNamespace(
            dag_id="d", run_id="r1", task_id=task_id, map_index=-1, try_number=1, max_tries=0, start_date=None
        )
        task_instance.xcom_push = lambda key, value: None
        return operator.execute({"ti": task_instance, "dag_run": dag_run})

    execute.dag_run = dag_run
    return execute


def test_a_later_task_sees_what_an_earlier_one_wrote_to_the_main_line(start_local_domino, run):
    domino = start_local_domino(FILES)
    first = run(domino, "first", ["write.py", "a.txt", "one"])
    second = run(domino, "second", ["read.py", "a.txt"])
    assert second["input_commit"] == first["output_commit"]
    assert "['one']" in domino.log(second["run_id"])


def test_all_tasks_of_a_pinned_dag_run_begin_with_one_commit(start_local_domino, run):
    domino = start_local_domino(FILES)
    run.dag_run.start_date = datetime.now(UTC)
    begin = domino.head()
    time.sleep(1.1)  # git tells the time of a commit in whole seconds
    run(domino, "other", ["write.py", "b.txt", "meanwhile"])
    first = run(domino, "first", ["write.py", "a.txt", "one"], commit_id="dag_run")
    second = run(domino, "second", ["write.py", "c.txt", "two"], commit_id="dag_run")
    assert (first["input_commit"], second["input_commit"]) == (begin, begin)
    assert domino.head() != begin


def test_isolated_results_of_several_runs_are_staged_into_one_commit(start_local_domino, run):
    domino = start_local_domino(FILES, arguments=["--results=isolated"])
    forest = run(domino, "forest", ["write.py", "forest.txt", "trees"])
    net = run(domino, "net", ["write.py", "net.txt", "layers"])
    result = run(domino, "combine", ["read.py", "forest.txt", "net.txt"], inputs={"forest.txt": forest, "net.txt": net})
    assert "['trees', 'layers']" in domino.log(result["run_id"])


def test_a_task_can_begin_with_an_isolated_output_commit(start_local_domino, run):
    domino = start_local_domino(FILES, arguments=["--results=isolated"])
    first = run(domino, "first", ["write.py", "a.txt", "one"])
    second = run(domino, "second", ["read.py", "a.txt"], commit_id=first["output_commit"])
    assert "['one']" in domino.log(second["run_id"])


def test_a_commit_that_does_not_exist_is_refused_before_the_launch(start_local_domino, run):
    domino = start_local_domino(FILES)
    with pytest.raises(AirflowFailException, match="has no commit"):
        run(domino, "first", "read.py", commit_id="0" * 40)
    assert domino.get("/v4/jobs", projectId=domino.project_id, status="all")["jobs"] == []
