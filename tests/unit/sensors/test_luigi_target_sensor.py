"""LuigiTargetSensor waits for what others make, and never runs it."""

from __future__ import annotations

import pytest

from airflow_domino.compat import AirflowFailException
from airflow_domino.operators.luigi import LuigiTaskError
from airflow_domino.sensors.luigi import LuigiTargetSensor

PIPELINE = """
import luigi

class Delivered(luigi.ExternalTask):
    day = luigi.DateParameter()
    def output(self):
        return luigi.LocalTarget(f"{self.day}.csv")

class Unsure(luigi.ExternalTask):
    def complete(self):
        raise OSError("the disk is away")

class Runs(luigi.Task):
    def output(self):
        return luigi.LocalTarget("runs.txt")
    def run(self):
        self.output().open("w").close()
"""


@pytest.fixture
def make(tmp_path):
    (tmp_path / "deliveries.py").write_text(PIPELINE)

    def build(family, **arguments):
        return LuigiTargetSensor(task_id="wait", task=f"deliveries:{family}", project_path=tmp_path, **arguments)

    return build


def test_it_waits_until_the_target_is_there(make, tmp_path, task_context, capsys):
    sensor = make("Delivered", params={"day": "2026-01-02"})
    assert sensor.poke(task_context()).is_done is False
    assert "Waiting for 2026-01-02.csv" in capsys.readouterr().out
    (tmp_path / "2026-01-02.csv").touch()
    seen = sensor.poke(task_context())
    assert (seen.is_done, seen.xcom_value["outputs"]) == (True, ["2026-01-02.csv"])


def test_it_never_runs_the_task(make, tmp_path, task_context):
    assert make("Runs").poke(task_context()).is_done is False
    assert not (tmp_path / "runs.txt").exists()


def test_it_gives_its_slot_back_between_two_looks(make):
    assert make("Runs").mode == "reschedule"


def test_a_wrong_request_ends_the_waiting(make, task_context):
    with pytest.raises(AirflowFailException, match="needs a value for 'day'"):
        make("Delivered").poke(task_context())


def test_a_complete_that_raises_fails_the_attempt(make, task_context):
    with pytest.raises(LuigiTaskError, match="the disk is away"):
        make("Unsure").poke(task_context())


def test_its_parameters_are_templated(make):
    sensor = make("Delivered", params={"day": "{{ ds }}"})
    sensor.render_template_fields({"ds": "2026-05-06"})
    assert sensor.luigi_params == {"day": "2026-05-06"}
