"""A pipeline of many Domino runs in one engine: made, ended with it, and taken up by the attempt after a crash."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import psutil
import pytest

from airflow_domino.domino.errors import ConfigurationError, RunFailedError
from airflow_domino.luigi.execute import EngineAnswer, EngineProcess, EngineRequest, engine_environment
from airflow_domino.luigi.remote_runs import RemoteRuns
from airflow_domino.luigi.run_owner import OWNER_VARIABLE, RunOwner

PATIENCE = 90.0
MANY = 30


@pytest.fixture
def same_owner(monkeypatch) -> RunOwner:
    """Let all processes of a test work for one owner, as the attempts of an Airflow task do."""
    owner = RunOwner(uuid.uuid4().hex, datetime.now(UTC))
    for name, value in owner.variables().items():
        monkeypatch.setenv(name, value)
    return owner


LEFT = """
    import threading
    from airflow_domino.luigi import DominoRunTask
    from airflow_domino.luigi.remote_runs import RemoteRuns

    runs = RemoteRuns()
    for number in range(3):
        name = f"left{number}.txt"
        runs.submit(DominoRunTask(["late.py", name, "5"], "Narrow", name, poll_interval=0.5), print)
    threading.Event().wait()
"""


def test_runs_that_a_killed_process_left_are_taken_up_by_the_next_attempt(same_owner, submitted, tmp_path, many):
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(LEFT)]) as process:
        many.wait_until_started(3)
        process.kill()
    submitted.submit(*[many.task("late.py", f"left{n}.txt", "5", output=f"left{n}.txt") for n in range(3)])
    assert set(submitted.ends().values()) == {None}
    assert [(tmp_path / f"left{n}.txt").read_text() for n in range(3)] == ["late"] * 3
    assert many.started == 3


def test_a_run_of_an_earlier_attempt_that_went_well_is_not_made_again_by_a_task_alone(same_owner, tmp_path, many):
    made = many.task("write.py", "again.txt", "x", output="again.txt")
    made.run()
    (tmp_path / "again.txt").unlink()
    many.task("write.py", "again.txt", "x", output="again.txt").run()
    assert (tmp_path / "again.txt").read_text() == "x"
    assert many.started == 1


def test_a_run_of_an_earlier_attempt_that_failed_is_followed_by_another(same_owner, many, submit_to):
    bad = many.task("fail.py", output="bad.txt")
    for _ in range(2):
        with RemoteRuns() as runs:
            submitted = submit_to(runs)
            for _ in range(2):
                submitted.submit(bad)
                assert isinstance(submitted.ends()[bad], RunFailedError)
    starts = many.entries("start")
    assert len(starts) == len({entry["title"] for entry in starts}) == 4


def test_runs_of_another_owner_are_not_taken_up(submitted, monkeypatch, many):
    task = many.task("write.py", "other.txt", "x", output="other.txt")
    for name, value in RunOwner("somebody else", datetime.now(UTC)).variables().items():
        monkeypatch.setenv(name, value)
    task.run()
    monkeypatch.delenv(OWNER_VARIABLE)
    submitted.submit(task)
    assert submitted.ends()[task] is None
    assert many.started == 2


def test_runs_for_a_deleted_dag_run_of_the_same_name_are_not_taken_up(monkeypatch, many):
    task = many.task("write.py", "other.txt", "x", output="other.txt")
    for creation_key in ("0f1e2d3c", "1f1e2d3c"):
        for name, value in RunOwner("somebody", datetime.now(UTC), creation_key).variables().items():
            monkeypatch.setenv(name, value)
        task.run()
    assert many.started == 2


def test_an_owner_that_cannot_be_read_starts_nothing(submitted, monkeypatch, many):
    monkeypatch.setenv(OWNER_VARIABLE, "nobody")
    submitted.submit(*many.sleepers(1))
    (error,) = submitted.ends().values()
    assert isinstance(error, ConfigurationError)
    assert many.entries("start") == []


PIPELINE = """
    import luigi
    from airflow_domino.luigi import DominoRunTask

    class Many(luigi.WrapperTask):
        command = luigi.Parameter()
        def requires(self):
            return [DominoRunTask([*self.command.format(n).split()], "Narrow", f"made{n}.txt", poll_interval=0.5)
                    for n in range(MANY)]
"""


APPEARS = """
    import luigi
    from airflow_domino.luigi import DominoRunTask

    class Bad(DominoRunTask):
        domino_run_command = luigi.ListParameter(default=["fail.py"])
        domino_run_tier = luigi.Parameter(default="Narrow")
        output_file_path = luigi.Parameter(default="bad.txt")
        poll_interval = luigi.FloatParameter(default=0.5)

    class BadAlone(Bad):
        def run(self):
            super().run()

    @luigi.Task.event_handler(luigi.Event.START)
    def begins(task):
        open(task.output().path, "w").close()
"""


@pytest.mark.parametrize("family", ["Bad", "BadAlone"])
def test_a_task_whose_domino_run_failed_is_failed_though_its_file_is_there(tmp_path, many, family):
    (tmp_path / "appears.py").write_text(textwrap.dedent(APPEARS))
    request = EngineRequest("run", f"appears:{family}", project_path=str(tmp_path))
    answer = EngineProcess(request, working_dir=tmp_path).run(print)
    assert (answer.outcome, many.started) == ("run_failed", 1)
    assert "about to fail" in answer.message
    assert (tmp_path / "bad.txt").exists()


@pytest.fixture
def pipeline(tmp_path) -> Callable[[str], EngineProcess]:
    """Makes engines for a pipeline of many Domino runs, with one worker."""
    (tmp_path / "many_runs.py").write_text(textwrap.dedent(PIPELINE).replace("MANY", str(MANY)))

    def engine(command: str) -> EngineProcess:
        request = EngineRequest("run", "many_runs:Many", {"command": command}, project_path=str(tmp_path))
        return EngineProcess(request, env=engine_environment())

    return engine


def test_one_worker_makes_a_pipeline_of_many_runs(pipeline, tmp_path, many):
    answer = pipeline("write.py made{0}.txt text{0}").run(lambda line: None)
    assert answer.is_complete, answer.message
    assert [(tmp_path / f"made{n}.txt").read_text() for n in range(MANY)] == [f"text{n}" for n in range(MANY)]
    assert many.started == MANY


def test_ending_the_engine_of_many_runs_stops_them_all(pipeline, many):
    engine = pipeline("sleep.py 300{0}")
    answers: list[EngineAnswer] = []
    thread = threading.Thread(target=lambda: answers.append(engine.run(lambda line: None)))
    thread.start()
    many.wait_until_started(MANY)
    engine.end()
    thread.join(PATIENCE)
    assert answers[0].outcome == "terminated"
    assert many.states == ["Stopped"] * MANY


STARTER = """
    from airflow_domino.luigi.execute import EngineProcess, EngineRequest
    EngineProcess(EngineRequest("run", "many_runs:Many", {"command": "sleep.py 300{0}"}, project_path=".")).run(print)
"""


def test_all_runs_are_stopped_when_the_process_that_started_the_engine_is_killed(pipeline, many):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(STARTER)], stdout=subprocess.DEVNULL)
    many.wait_until_started(MANY)
    process.kill()
    process.wait()
    many.wait_until(lambda: many.states == ["Stopped"] * MANY)


def test_an_engine_that_crashed_leaves_its_runs_to_the_next_attempt(same_owner, pipeline, tmp_path, many):
    crashed = pipeline("late.py made{0}.txt 2")
    thread = threading.Thread(target=lambda: crashed.run(lambda line: None))
    thread.start()
    many.wait_until_started(MANY)
    (engine,) = [
        child for child in psutil.Process().children() if "airflow_domino_luigi_engine" in str(child.cmdline())
    ]
    engine.kill()
    thread.join(PATIENCE)
    answer = pipeline("late.py made{0}.txt 2").run(lambda line: None)
    assert answer.is_complete, answer.message
    assert len(list(tmp_path.glob("made*.txt"))) == MANY
    assert many.started == MANY
