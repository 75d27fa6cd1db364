"""What a drawn pipeline says of Domino runs is refused where nothing that it names runs on Domino."""

from __future__ import annotations

import tempfile

import pytest
from airflow.sdk import DAG

from airflow_domino.luigi.domino_project import TIER_VARIABLE
from airflow_domino.luigi_dag import LuigiDag, LuigiTaskGroup

PIPELINE = """
import luigi
from airflow_domino.luigi import DominoRunTask

class Raw(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("raw.csv")

class Clean(luigi.Task):
    def requires(self):
        return Raw()
    def output(self):
        return luigi.LocalTarget("clean.csv")

class Report(luigi.Task):
    def requires(self):
        return [Clean(), DominoRunTask(["ensemble.py", "TrainNNet"], "GPU", "models/net.zip")]
    def output(self):
        return luigi.LocalTarget("report.txt")
"""


@pytest.fixture(params=[LuigiDag, LuigiTaskGroup])
def draw(request, tmp_path, monkeypatch):
    """Draw the pipeline as a DAG, or as a group; returns its tasks by name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "ensemble_pipeline.py").write_text(PIPELINE)

    def draw_pipeline(task="Report", **arguments):
        where = {"task": f"ensemble_pipeline:{task}", "project_path": tmp_path / "project", **arguments}
        if request.param is LuigiDag:
            return LuigiDag("drawn", **where).luigi_tasks
        with DAG("drawn"):
            return LuigiTaskGroup("group", **where).luigi_tasks

    return draw_pipeline


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"tier": "Small"}, r"tier: said of Domino runs, and run_on places no task there; add run_on='domino'"),
        ({"operator_args": {"commit_id": "dag_run"}}, r"commit_id: said of Domino runs"),
        ({"operator_args": {"title": "x", "tier": "GPU"}}, r"tier, title: said of Domino runs"),
        (
            {"tiers": {"Clean": "Small"}},
            r"tiers name Clean, which does not run on Domino; choose among DominoRunTask, TrainNNet",
        ),
        ({"tiers": {"Raw": "Small"}, "run_on": "domino"}, r"tiers name Raw, .*choose among Clean, .*Report, TrainNNet"),
        ({"tiers": {"Cleen": "Small"}}, r"name Cleen, but the plan has only Clean"),
        ({"overrides": {"Clean": {"tier": "Small"}}}, r"Task 'Clean': tier is about a Domino run"),
        ({"overrides": {"Clean": {"run_on": "Domino"}}}, r"run_on of Clean='Domino': choose one of"),
        ({"overrides": {"Clean": "domino"}}, r"overrides of Clean: 'domino' is no mapping"),
        ({"run_on": "Domino"}, r"run_on='Domino': choose one of 'worker', 'domino'"),
        ({"run_on": None}, r"run_on=None: choose one of"),
        ({"operator_args": {"run_on": True}}, r"run_on=True: choose one of"),
    ],
)
def test_what_has_no_use_is_refused_when_the_file_is_read(draw, arguments, said):
    with pytest.raises(ValueError, match=said.replace("Task 'Clean'", r"Task '(group\.)?Clean'")):
        draw(**arguments)


def test_where_nothing_runs_on_domino_tiers_are_refused_with_the_way_out(draw):
    with pytest.raises(ValueError, match=r"tiers name Clean, .*no task of this pipeline does: add run_on='domino'"):
        draw("Clean", tiers={"Clean": "Small"})


def test_the_tier_of_a_drawn_domino_run_can_be_said_although_luigi_runs_on_workers(draw):
    for said in ({"tiers": {"TrainNNet": "Huge"}}, {"overrides": {"TrainNNet": {"tier": "Huge"}}}):
        tasks = draw(**said)
        net = tasks["TrainNNet"]
        assert (net.run_on, net.tier, net.env[TIER_VARIABLE]) == ("worker", "Huge", "Huge")
        assert tasks["Clean"].tier is None


def test_what_is_said_for_all_reaches_the_tasks_on_domino_alone(draw):
    tasks = draw(
        operator_args={"commit_id": "dag_run", "retries": 3}, tier="Small", overrides={"Clean": {"run_on": "domino"}}
    )
    assert [(tasks[name].commit_id, tasks[name].tier) for name in ("Clean", "Report")] == [
        ("dag_run", "Small"),
        (None, None),
    ]
    assert tasks["Report"].retries == 3


def test_default_args_are_taken(draw):
    tasks = draw(default_args={"tier": "Small", "queue_timeout": 60}, overrides={"Clean": {"run_on": "domino"}})
    assert (tasks["Clean"].queue_timeout, tasks["Clean"].tier) == (60, "Small")


def test_a_place_in_default_args_counts(draw):
    defaults = {"run_on": "domino", "tier": "Small"}
    tasks = draw(default_args=defaults, overrides={"Report": {"run_on": "worker"}})
    assert [(tasks[name].run_on, tasks[name].tier) for name in ("Clean", "Report")] == [
        ("domino", "Small"),
        ("worker", "Small"),
    ]
    assert draw(default_args=defaults, run_on="worker")["Clean"].run_on == "worker"
    with pytest.raises(ValueError, match="run_on='moon': choose one of"):
        draw(default_args={"run_on": "moon"})


def test_a_place_in_default_args_of_the_dag_around_a_group_counts(draw, tmp_path):
    with DAG("around", default_args={"run_on": "domino"}):
        group = LuigiTaskGroup("inner", task="ensemble_pipeline:Clean", project_path=tmp_path / "project")
    assert group.luigi_tasks["Clean"].run_on == "domino"
