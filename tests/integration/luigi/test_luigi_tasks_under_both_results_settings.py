"""Luigi tasks as runs of the local Domino: files flow by commit, on the main line and beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_domino.domino.errors import RunFailedError
from airflow_domino.operators.luigi import LuigiTaskOperator

PIPELINE = """
import os
import luigi

def make(task, text):
    print(f"making {task.task_family}", flush=True)
    with task.output().open("w") as file:
        file.write(text)

class Raw(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("raw/data.txt")

class Clean(luigi.Task):
    def requires(self):
        return Raw()
    def output(self):
        return luigi.LocalTarget("clean/data.txt")
    def run(self):
        if os.path.exists("fail"):
            raise RuntimeError("told to fail")
        with self.input().open() as file:
            make(self, "clean " + file.read())

class Train(luigi.Task):
    def requires(self):
        return Clean()
    def output(self):
        return luigi.LocalTarget("model.txt")
    def run(self):
        with self.input().open() as file:
            make(self, "model of " + file.read())

class Score(luigi.Task):
    def requires(self):
        return [Clean(), Train()]
    def output(self):
        return luigi.LocalTarget("score.txt")
    def run(self):
        make(self, "score by " + " and ".join(one.open().read() for one in self.input()))
"""
SETTINGS = ["main", "isolated"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Execute the tasks of one DAG run on a local Domino, each on the worker that it names."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "pipe.py").write_text(PIPELINE)
    said = {}

    def execute(domino, chain, dag_run_id="r1", **options):
        connection = {"conn_type": "domino", "host": domino.url, "password": domino.token}
        connection["extra"] = {"project": domino.project}
        monkeypatch.setenv("AIRFLOW_CONN_DOMINO_DEFAULT", json.dumps(connection))
        with DAG(f"pipeline_{dag_run_id}", schedule=None):
            tasks = [
                LuigiTaskOperator(
                    task_id=family,
                    task=f"pipe:{family}",
                    project_path=tmp_path / "code",
                    working_dir=tmp_path / worker,
                    run_on=where,
                    deferrable=False,
                    poll_interval=0.2,
                    **options,
                )
                for family, where, worker in chain
            ]
        for above, below in pairwise(tasks):
            above >> below
        return [run_one(task, dag_run_id) for task in tasks]

    def run_one(task, dag_run_id):
        dag_run = SimpleNamespace(run_id=dag_run_id, run_after=datetime.now(UTC), start_date=datetime.now(UTC))
        instance = SimpleNamespace(dag_id=task.dag_id, run_id=dag_run_id, task_id=task.task_id, map_index=-1)
        instance.try_number, instance.max_tries, instance.start_date = 1, 0, None
        instance.xcom_push = lambda key, value: None
        instance.xcom_pull = lambda key, task_ids=None, **_: said.get(task_ids)
        said[task.task_id] = task.execute({"ti": instance, "dag_run": dag_run, "outlet_events": OutletEventAccessors()})
        return said[task.task_id]

    return execute


def made_by(domino, result):
    """The families of the tasks that a run has made."""
    return [line.split()[-1] for line in domino.log(result["run_id"]) if line.startswith("making ")]


def put(folder, name, text):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_task_is_made_once_by_a_run_that_begins_with_what_it_rests_on(start_local_domino, run, tmp_path, setting):
    domino = start_local_domino({"pipe.py": PIPELINE}, arguments=[f"--results={setting}"])
    put(tmp_path / "disk", "raw/data.txt", "rows")
    results = run(domino, [(family, "domino", "disk") for family in ("Clean", "Train", "Score")])
    assert [made_by(domino, result) for result in results] == [["Clean"], ["Train"], ["Score"]]
    score = (tmp_path / "disk" / "score.txt").read_text()
    assert score == "score by clean rows and model of clean rows"


@pytest.mark.parametrize("setting", SETTINGS)
def test_workers_need_not_share_a_disk(start_local_domino, run, tmp_path, setting):
    domino = start_local_domino({"pipe.py": PIPELINE}, arguments=[f"--results={setting}"])
    put(tmp_path / "one", "raw/data.txt", "rows")
    chain = [("Clean", "domino", "one"), ("Train", "domino", "two"), ("Score", "worker", "three")]
    clean, train, score = run(domino, chain)
    assert (made_by(domino, clean), made_by(domino, train)) == (["Clean"], ["Train"])
    assert [name.split("_")[0] for name in score["ran"]] == ["Score"]
    assert (tmp_path / "three" / "score.txt").read_text() == "score by clean rows and model of clean rows"


def test_what_the_main_line_has_is_brought_from_there_by_the_next_dag_run(start_local_domino, run, tmp_path):
    domino = start_local_domino({"pipe.py": PIPELINE})
    put(tmp_path / "one", "raw/data.txt", "rows")
    run(domino, [("Clean", "domino", "one")], "monday")
    (result,) = run(domino, [("Clean", "domino", "two")], "tuesday")
    assert (result["already_complete"], result["output_commit"]) == (True, domino.head())
    assert (tmp_path / "two" / "clean" / "data.txt").read_text() == "clean rows"
    assert len(domino.get("/v4/jobs", projectId=domino.project_id, status="all")["jobs"]) == 1


def test_external_data_that_is_nowhere_is_told_by_the_exit_code(start_local_domino, run):
    domino = start_local_domino({"pipe.py": PIPELINE})
    with pytest.raises(RunFailedError, match="exit code 20: external data is missing there"):
        run(domino, [("Clean", "domino", "disk")])


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_task_is_made_again_on_request_and_its_old_target_is_kept_on_both_sides(
    start_local_domino, run, tmp_path, setting
):
    domino = start_local_domino({"pipe.py": PIPELINE, "clean/data.txt": "old"}, arguments=[f"--results={setting}"])
    put(tmp_path / "disk", "raw/data.txt", "rows")
    put(tmp_path / "disk", "clean/data.txt", "old")
    (result,) = run(domino, [("Clean", "domino", "disk")], force=True)
    assert made_by(domino, result) == ["Clean"]
    clean = tmp_path / "disk" / "clean"
    assert (clean / "data.txt").read_text() == "clean rows"
    assert [path.read_text() for path in clean.glob("data.txt.before-force-*")] == ["old"]
    (aside,) = (name for name in domino.files(result["output_commit"]) if ".before-force-" in name)
    assert domino.content(result["output_commit"], aside) == b"old"


def test_a_target_comes_back_where_making_it_again_has_failed(start_local_domino, run, tmp_path):
    files = {"pipe.py": PIPELINE, "clean/data.txt": "old", "raw/data.txt": "rows", "fail": "yes"}
    domino = start_local_domino(files)
    with pytest.raises(RunFailedError, match="exit code 30: a Luigi task failed there"):
        run(domino, [("Clean", "domino", "disk")], force=True)
    assert domino.content(domino.head(), "clean/data.txt") == b"old"
    assert not any(".before-force-" in name for name in domino.files(domino.head()))
