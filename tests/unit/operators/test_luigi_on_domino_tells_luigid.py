"""A real luigid is told of Luigi tasks that Domino runs make, though no engine runs them here."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.context import set_current_context

from airflow_domino.domino.errors import RunFailedError
from airflow_domino.operators.luigi import LuigiTaskOperator

PIPELINE = """
import luigi

class Model(luigi.Task):
    name = luigi.Parameter(default="a")
    password = luigi.Parameter(default="secret!", visibility=luigi.parameter.ParameterVisibility.PRIVATE)
    def output(self):
        return luigi.LocalTarget(f"models/{self.name}.zip")
"""

pytestmark = pytest.mark.usefixtures("domino_connection")


@pytest.fixture
def make(tmp_path, luigid):
    (tmp_path / "told.py").write_text(PIPELINE)

    def build(**arguments):
        arguments = {"deferrable": False, "poll_interval": 0.1, "luigi_scheduler_url": luigid.url} | arguments
        return LuigiTaskOperator(
            task_id="train",
            task="told:Model",
            project_path=tmp_path,
            working_dir=tmp_path / "work",
            run_on="domino",
            **arguments,
        )

    return build


@pytest.fixture
def run(task_context):
    def execute(operator, context=None, event=None, **more):
        context = context or task_context()
        with set_current_context(context):
            return operator.execute(context) if event is None else operator.execute_complete(context, event, **more)

    return execute


def ending(fake_domino, status, **more):
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, status, **more)


def test_a_task_that_a_run_has_made_is_done_and_leads_to_its_run(make, run, luigid, fake_domino):
    ending(fake_domino, "Succeeded", wrote={"models/a.zip": b"x"})
    result = run(make())
    shown = luigid.task("Model(name=a)")
    assert (shown["status"], shown["tracking_url"]) == ("DONE", result["url"])
    assert "secret!" not in json.dumps(luigid.ask("graph"))
    assert luigid.refusals() == []


def test_a_task_that_is_complete_is_done(make, run, luigid, fake_domino, tmp_path):
    (tmp_path / "work" / "models").mkdir(parents=True)
    (tmp_path / "work" / "models" / "a.zip").touch()
    run(make())
    assert luigid.states() == {"Model(name=a)": "DONE"}
    assert fake_domino.starts == []


def test_while_the_triggerer_waits_the_task_is_pending_and_leads_to_its_run(make, run, luigid, fake_domino):
    fake_domino.leave_running()
    with pytest.raises(TaskDeferred) as deferred:
        run(make(deferrable=True))
    shown = luigid.task("Model(name=a)")
    assert (shown["status"], shown["status_message"]) == ("PENDING", "It is made by a Domino run")
    assert fake_domino.last["id"] in shown["tracking_url"]
    assert deferred.value.kwargs["run"]["url"] == shown["tracking_url"]


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_a_task_whose_run_ends_badly_has_failed_with_the_reason(make, run, luigid, fake_domino, status, task_context):
    fake_domino.leave_running()
    context = task_context()
    with pytest.raises(TaskDeferred) as deferred:
        run(make(deferrable=True), context)
    fake_domino.end(fake_domino.last["id"], status)
    with pytest.raises(Exception, match="Domino run"):
        run(make(deferrable=True), context, {"outcome": "ended"}, **deferred.value.kwargs)
    (task_id,) = luigid.ask("task_list", status="FAILED")
    assert status in json.loads(luigid.ask("fetch_error", task_id=task_id)["error"])


def test_a_dead_luigid_costs_the_task_nothing_but_a_line(make, run, luigid, fake_domino, capsys):
    luigid.kill()
    ending(fake_domino, "Succeeded", wrote={"models/a.zip": b"x"})
    assert run(make())["outputs"] == ["models/a.zip"]
    assert capsys.readouterr().out.count("central scheduler") == 1


def test_a_wrong_address_costs_no_more(make, run, fake_domino, capsys):
    ending(fake_domino, "Failed")
    with pytest.raises(RunFailedError):
        run(make(luigi_scheduler_url="luigid:8082"))
    assert capsys.readouterr().out.count("address of Luigi's central scheduler is wrong") == 1
