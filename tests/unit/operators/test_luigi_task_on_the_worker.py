"""LuigiTaskOperator on a worker: real Luigi in a real process, as Airflow asks for it."""

from __future__ import annotations

import datetime
import enum
import importlib
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, Param

from airflow_domino.compat import AirflowFailException
from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.luigi.spec import CannotFreezeError
from airflow_domino.operators._luigi_arguments import parse_force
from airflow_domino.operators._luigi_engine import EngineLog
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

class Idle(luigi.Task):
    def output(self):
        return luigi.LocalTarget("idle.txt")

class Locked(luigi.Task):
    def output(self):
        return luigi.LocalTarget("locks.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write(str(len(os.listdir(os.environ["AIRFLOW_DOMINO_LUIGI_LOCKS"]))))
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


class Colour(enum.Enum):
    RED = "#f00"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00"),
        (datetime.timedelta(days=-1, milliseconds=500), "-86399.5"),
        (Colour.RED, "RED"),
        (Path("/data"), "/data"),
        ((Colour.RED, {"day": datetime.date(2026, 1, 2)}), ["RED", {"day": "2026-01-02"}]),
        (None, None),
        (True, True),
    ],
)
def test_ordinary_values_are_written_as_luigi_writes_them(make, value, written):
    assert make(params={"value": value}).luigi_params == {"value": written}


def test_a_value_that_cannot_be_written_is_refused_by_its_name_and_type(make):
    with pytest.raises(ConfigurationError, match="parameter 'day' holds a object"):
        make(params={"day": object()})


def test_what_a_template_leaves_is_written_too(make, work, task_context):
    operator = make(params={"name": "ada", "day": "{{ day }}"})
    operator.luigi_params = {"name": "ada", "day": datetime.datetime(2026, 5, 6)}  # as native rendering leaves it
    assert "2026_05_06" in operator.execute(task_context())["task_id"]


def test_numbers_among_the_variables_are_text_for_the_process(make, work, task_context):
    make("ShowsEnvironment", env={"COLOUR": 3}).execute(task_context())
    assert (work / "environment.txt").read_text().splitlines()[2] == "3"


@pytest.mark.parametrize("env", [{"COLOUR": ["red"]}, {"COLOUR": None}, "COLOUR=red"])
def test_variables_that_are_no_text_fail_for_good(make, task_context, env):
    with pytest.raises(AirflowFailException, match=r"\(env\)"):
        make("ShowsEnvironment", env=env).execute(task_context())


def test_of_a_long_output_the_beginning_and_the_end_are_in_the_log():
    lines: list[str] = []
    logger = SimpleNamespace(
        info=lambda message, *words: lines.append(message % words),
        warning=lambda message, *words: lines.append("! " + message % words),
    )
    with EngineLog(logger, limit=50) as log:
        for number in range(1, 1001):
            log.write(f"line {number}")
    assert lines[:2] == ["line 1", "line 2"]
    assert lines[8] == "! The task writes much: of the rest, only the end will be shown"
    assert lines[9] == "! (892 lines are left out here)"
    assert lines[10:] == [f"line {number}" for number in range(901, 1001)]


def test_a_short_output_is_in_the_log_as_it_is(make, work, task_context, capsys):
    make(params={"name": "ada"}).execute(task_context())
    assert "left out" not in capsys.readouterr().out


def test_a_task_that_makes_nothing_fails_unless_luigis_own_way_of_checking_is_asked_for(make, task_context):
    with pytest.raises(LuigiTaskError, match=r"its target is missing: idle\.txt"):
        make("Idle").execute(task_context())
    assert "Idle" in make("Idle", check="luigi").execute(task_context())["task_id"]


def test_an_unknown_way_of_checking_is_refused_with_those_there_are(make):
    with pytest.raises(ValueError, match=r"check='sloppy'.*strict"):
        make("Idle", check="sloppy")


def test_workers_share_locks_in_the_folder_of_the_setting(make, task_context, tmp_path, monkeypatch, work):
    monkeypatch.setenv("AIRFLOW__DOMINO__LUIGI_SHARED_FOLDER", str(tmp_path / "shared"))
    make("Locked").execute(task_context())
    assert (work / "locks.txt").read_text() == "1"
