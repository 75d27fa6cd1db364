"""LuigiTaskOperator on a worker: real Luigi in a real process, as Airflow asks for it."""

from __future__ import annotations

import datetime
import importlib
import sys
import threading
import time
from pathlib import Path

import pytest
from airflow.sdk import DAG, Param

from airflow_domino.compat import AirflowFailException
from airflow_domino.luigi.spec import CannotFreezeError
from airflow_domino.operators._luigi_arguments import parse_force
from airflow_domino.operators.luigi import LuigiTaskError, LuigiTaskOperator

PIPELINE = """
import datetime, os, time, pathlib
import luigi

class Greeting(luigi.Task):
    name = luigi.Parameter()
    day = luigi.DateParameter(default=datetime.date(2026, 1, 1))
    def output(self):
        return luigi.LocalTarget(f"greetings/{self.name}.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write(f"hello {self.name}")

class Fails(luigi.Task):
    def output(self):
        return luigi.LocalTarget("never.txt")
    def run(self):
        raise RuntimeError("no luck today")

class Sleeps(luigi.Task):
    def complete(self):
        return False
    def run(self):
        pathlib.Path("started").touch()
        time.sleep(600)

class ShowsEnvironment(luigi.Task):
    def output(self):
        return luigi.LocalTarget("environment.txt")
    def run(self):
        token_file = os.environ.get("DOMINO_TOKEN_FILE")
        token = pathlib.Path(token_file).read_text() if token_file else ""
        with self.output().open("w") as file:
            file.write("\\n".join([
                os.environ.get("DOMINO_API_HOST", ""), os.environ.get("DOMINO_PROJECT_NAME", ""),
                os.environ.get("COLOUR", ""), token, token_file or ""]))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "greetings_pipeline.py").write_text(PIPELINE)
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def make(project, work):
    def build(family="Greeting", **arguments):
        arguments = {"project_path": project, "working_dir": work, "task_id": "greet"} | arguments
        return LuigiTaskOperator(task=f"greetings_pipeline:{family}", **arguments)

    return build


def test_a_task_is_made_and_told_of(make, work, task_context):
    result = make(params={"name": "ada"}).execute(task_context())
    assert (work / "greetings" / "ada.txt").read_text() == "hello ada"
    assert result == {
        "task_id": result["task_id"],
        "already_complete": False,
        "ran": [result["task_id"]],
        "outputs": ["greetings/ada.txt"],
    }


def test_a_complete_task_says_so_in_the_log_and_in_its_xcom(make, task_context, capsys):
    make(params={"name": "ada"}).execute(task_context())
    result = make(params={"name": "ada"}).execute(task_context())
    assert (result["already_complete"], result["ran"]) == (True, [])
    assert "already complete: nothing run" in capsys.readouterr().out


def test_luigis_summary_is_in_the_task_log(make, task_context, capsys):
    make(params={"name": "ada"}).execute(task_context())
    assert "===== Luigi Execution Summary =====" in capsys.readouterr().out


def test_force_makes_a_complete_task_again(make, work, task_context):
    make(params={"name": "ada"}).execute(task_context())
    (work / "greetings" / "ada.txt").write_text("old")
    result = make(params={"name": "ada"}, force="True").execute(task_context())
    assert result["already_complete"] is False
    assert (work / "greetings" / "ada.txt").read_text() == "hello ada"


def test_a_wrong_request_fails_for_good_and_a_failing_task_can_be_tried_again(make, task_context):
    with pytest.raises(AirflowFailException, match="needs a value for 'name'"):
        make().execute(task_context())
    with pytest.raises(LuigiTaskError, match=r"Fails\(\): RuntimeError: no luck today"):
        make("Fails").execute(task_context())


@pytest.mark.parametrize("workers", [0, "many", None])
def test_a_number_of_workers_that_is_none_fails_for_good(make, task_context, workers):
    with pytest.raises(AirflowFailException, match="workers="):
        make(workers=workers).execute(task_context())


def test_an_unknown_place_to_run_fails_for_good(make, task_context):
    with pytest.raises(AirflowFailException, match="run_on='moon'"):
        make(run_on="moon").execute(task_context())


def test_killing_the_task_ends_its_process(make, work, task_context):
    operator = make("Sleeps")
    errors = []

    def run() -> None:
        with pytest.raises(LuigiTaskError, match="told to end") as caught:
            operator.execute(task_context())
        errors.append(caught.value)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 60
    while not (work / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    operator.on_kill()
    thread.join(60)
    assert errors


def test_the_connection_reaches_the_process_and_its_token_only_in_a_file_that_is_gone_after(
    make, work, task_context, domino_connection, fake_domino
):
    domino_connection(extra={"project": "domino/quick-start", "credential": "bearer"})
    operator = make("ShowsEnvironment", domino_conn_id="domino_default", env={"COLOUR": "blue"})
    operator.execute(task_context())
    host, name, colour, token, token_file = (work / "environment.txt").read_text().splitlines()
    assert (host, name, colour) == (fake_domino.url, "quick-start", "blue")
    assert token == fake_domino.token
    assert not Path(token_file).exists()


def test_without_a_connection_none_is_asked_for(make, work, task_context):
    make("ShowsEnvironment").execute(task_context())
    assert (work / "environment.txt").read_text().splitlines()[0] == ""


def test_luigis_parameters_are_not_mixed_with_those_of_the_dag(make):
    with DAG("daily", schedule=None, params={"name": Param("grace"), "unrelated": Param(1)}):
        operator = make(params={"name": "{{ params.name }}"})
    assert operator.luigi_params == {"name": "{{ params.name }}"}
    assert operator.params.dump() == {"name": "grace", "unrelated": 1}
    operator.render_template_fields({"params": {"name": "ada"}})
    assert operator.luigi_params == {"name": "ada"}


def test_all_that_says_what_is_run_is_templated(make):
    operator = make(
        params={"day": "{{ ds }}"}, force="{{ params.again }}", workers="{{ params.n }}", env={"DAY": "{{ ds }}"}
    )
    operator.render_template_fields({"ds": "2026-02-03", "params": {"again": True, "n": 3}})
    assert (operator.luigi_params, operator.force, operator.workers) == ({"day": "2026-02-03"}, "True", "3")
    assert operator.env == {"DAY": "2026-02-03"}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (True, True),
        (False, False),
        (None, False),
        ("", False),
        ("True", True),
        ("false", False),
        ("None", False),
        ("[]", False),
        ([], False),
        ("TrainRForest", ["TrainRForest"]),
        ("TrainRForest, TrainNNet", ["TrainRForest", "TrainNNet"]),
        ("['TrainRForest', 'TrainNNet']", ["TrainRForest", "TrainNNet"]),
        (["TrainRForest"], ["TrainRForest"]),
    ],
)
def test_force_is_read_as_templates_leave_it(given, meant):
    assert parse_force(given) == meant


@pytest.fixture
def pipeline(project, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(project), *sys.path])
    monkeypatch.delitem(sys.modules, "greetings_pipeline", raising=False)
    yield importlib.import_module("greetings_pipeline")
    del sys.modules["greetings_pipeline"]


def test_a_task_object_is_frozen_to_its_reference_and_parameters(pipeline, work, project, task_context):
    task = pipeline.Greeting(name="ada", day=datetime.date(2026, 5, 6))
    operator = LuigiTaskOperator(task_id="greet", task=task, project_path=project, working_dir=work)
    assert operator.task == "greetings_pipeline:Greeting"
    assert operator.luigi_params == {"name": "ada", "day": "2026-05-06"}
    assert operator.execute(task_context())["task_id"] == task.task_id


def test_a_task_object_with_params_beside_it_is_refused(pipeline):
    with pytest.raises(ValueError, match="either a Luigi task object"):
        LuigiTaskOperator(task_id="greet", task=pipeline.Greeting(name="ada"), params={"name": "grace"})


def test_a_task_object_that_would_not_come_back_the_same_is_refused(pipeline):
    with pytest.warns(UserWarning, match="not of type string"):
        task = pipeline.Greeting(name=5)
    with pytest.raises(CannotFreezeError, match=r"Greeting\.name is a Parameter and holds 5 \(int\)"):
        LuigiTaskOperator(task_id="greet", task=task)
