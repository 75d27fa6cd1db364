"""What an engine is told of its DAG run, and what Airflow shows of the Luigi tasks that ran."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.context import set_current_context

from airflow_domino.links.luigi import LINK_KEY, LuigiTrackingLink
from airflow_domino.luigi.execute import EngineAnswer, EngineProcess
from airflow_domino.operators.luigi import LuigiTaskError, LuigiTaskOperator
from airflow_domino.sensors.luigi import LuigiTargetSensor

TASKS = [
    {"task_id": "Part_1", "state": "failed", "url": None, "message": "ValueError: no luck"},
    {"task_id": "Part_2", "state": "done", "url": "https://domino/run/2", "message": None},
    {"task_id": "Whole", "state": "done", "url": "https://domino/run/3", "message": None},
]


@pytest.fixture
def engine(monkeypatch):
    """An engine that answers at once, and keeps what it was asked."""
    asked = SimpleNamespace(requests=[], outcome="done", facts={"task_id": "Whole", "tasks": TASKS})
    begin = EngineProcess.__init__

    def note(self, request, **more):
        asked.requests.append(request)
        begin(self, request, **more)

    monkeypatch.setattr(EngineProcess, "__init__", note)
    monkeypatch.setattr(EngineProcess, "run", lambda *_: EngineAnswer(asked.outcome, "so it went", dict(asked.facts)))
    return asked


@pytest.fixture
def setting(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DOMINO__LUIGI_SCHEDULER_URL", "http://luigid:8082")


@pytest.fixture
def run(task_context):
    def execute(context=None, **arguments):
        operator = LuigiTaskOperator(task_id="whole", task="reports:Whole", **arguments)
        context = context or task_context()
        with set_current_context(context):
            operator.execute(context)
        return operator

    return execute


def test_without_a_setting_nobody_is_told(engine, run):
    run()
    assert engine.requests[0].scheduler is None


def test_the_setting_names_luigid_and_the_dag_run_is_its_worker(engine, run, setting):
    run()
    worker = "Airflow(dag_id=train, run_id=manual__1)"
    assert engine.requests[0].scheduler == {"url": "http://luigid:8082", "worker": worker}


def test_an_argument_names_another_luigid(engine, run, setting):
    run(luigi_scheduler_url="http://other:8082")
    assert engine.requests[0].scheduler["url"] == "http://other:8082"


def test_an_empty_argument_tells_nobody(engine, run, setting):
    run(luigi_scheduler_url="")
    assert engine.requests[0].scheduler is None


def test_the_argument_may_be_a_template():
    operator = LuigiTaskOperator(task_id="whole", task="reports:Whole", luigi_scheduler_url="http://{{ host }}:8082")
    operator.render_template_fields({"host": "luigid"})
    assert operator.luigi_scheduler_url == "http://luigid:8082"


def test_retries_of_a_dag_run_are_one_worker(engine, run, setting, task_context):
    for try_number in (1, 2):
        run(task_context(try_number=try_number))
    first, second = engine.requests
    assert first.scheduler == second.scheduler


def test_the_log_in_airflow_is_where_tasks_can_be_followed(engine, run, setting, task_context, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow")
    context = task_context()
    context["ti"].log_url = "https://airflow/dags/train/runs/manual__1/tasks/whole"
    run(context)
    assert engine.requests[0].scheduler["tracking_url"] == context["ti"].log_url


def test_a_request_that_names_luigid_does_not_show_its_address(engine, run, monkeypatch):
    run(luigi_scheduler_url="http://me:secret@luigid:8082")
    assert "secret" not in repr(engine.requests[0])


def test_an_engine_knows_its_dag_run(engine, run):
    run()
    assert engine.requests[0].dag_run == "train/manual__1"


def test_the_sensors_engine_knows_it_too(engine, task_context):
    sensor = LuigiTargetSensor(task_id="wait", task="reports:Raw")
    context = task_context()
    with set_current_context(context):
        sensor.poke(context)
    assert engine.requests[0].dag_run == "train/manual__1"


def test_outside_of_airflows_tasks_there_is_no_dag_run(engine, setting):
    operator = LuigiTaskOperator(task_id="whole", task="reports:Whole")
    operator.ask_engine("run")
    assert (engine.requests[0].dag_run, engine.requests[0].scheduler) == (None, None)


def test_what_became_of_each_luigi_task_is_an_xcom(engine, run, task_context):
    context = task_context()
    run(context)
    assert context["ti"].xcoms["luigi_tasks"] == TASKS


def test_it_is_one_too_when_the_task_fails(engine, run, task_context):
    engine.outcome, context = "run_failed", task_context()
    with pytest.raises(LuigiTaskError):
        run(context)
    assert context["ti"].xcoms["luigi_tasks"] == TASKS


def test_what_became_of_them_outlives_a_retry(engine, run, task_context, state_store):
    engine.facts["counts"] = {"failed": 1, "done": 2}
    run(task_context(state_store))
    assert state_store["luigi_tasks"] == {"counts": {"failed": 1, "done": 2}, "tasks": TASKS}


def test_of_very_many_only_so_much_outlives_a_retry_as_airflow_likes_to_keep(engine, run, task_context, state_store):
    engine.facts["tasks"] = TASKS * 1000
    context = task_context(state_store)
    run(context)
    assert len(context["ti"].xcoms["luigi_tasks"]) == 3000
    assert 10_000 < len(json.dumps(state_store["luigi_tasks"])) < 65_535


def test_the_link_leads_to_the_page_of_the_luigi_task(engine, run):
    operator = run()
    (link,) = operator.operator_extra_links
    assert (link.name, link.xcom_key) == ("Luigi tracking URL", LINK_KEY)
    assert link.get_link(operator, ti_key=None) == "https://domino/run/3"


def test_the_link_leads_to_what_the_luigi_task_required_if_it_named_no_page_itself(engine, run):
    engine.facts = {"task_id": "Whole", "tasks": TASKS[:2]}
    operator = run()
    assert LuigiTrackingLink().get_link(operator, ti_key=None) == "https://domino/run/2"


def test_a_task_that_named_no_page_has_no_link(engine, run):
    engine.facts = {"task_id": "Whole", "tasks": TASKS[:1]}
    operator = run()
    assert LuigiTrackingLink().get_link(operator, ti_key=None) == ""


def test_the_link_is_known_to_the_dag_that_airflow_keeps():
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("train") as dag:
        LuigiTaskOperator(task_id="whole", task="reports:Whole")
    read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert [link.xcom_key for link in read.get_task("whole").operator_extra_links] == [LINK_KEY]
