"""DominoRunOperator as Airflow's scheduler and UI know it: serialized, mapped, with its link."""

from __future__ import annotations

import json

import pytest
from airflow.sdk import DAG, ObjectStoragePath
from airflow.serialization.serialized_objects import DagSerialization

from airflow_domino.compat import TaskDeferralError
from airflow_domino.domino.run_request import GitRef
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.sensors.domino import DominoRunSensor


def stored(dag):
    """The DAG after its way through Airflow's database."""
    return DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))


@pytest.fixture
def dag():
    with DAG("train") as made:
        DominoRunOperator(
            task_id="forest",
            command=["main.py", "{{ ds }}"],
            git_ref=GitRef("tags", "v1"),
            outputs={"a.txt": ObjectStoragePath("file:///tmp/a.txt")},
            compute_cluster={"clusterType": "Ray"},
        )
        DominoRunOperator.partial(task_id="mapped", command="main.py").expand(tier=["Small", "Large"])
        DominoRunSensor(task_id="wait", title="nightly")
    return made


@pytest.mark.parametrize("task_id", ["forest", "mapped", "wait"])
def test_the_link_survives_serialization(dag, task_id):
    task = stored(dag).get_task(task_id)
    links = task.operator_extra_links or task.partial_kwargs.get("operator_extra_links")
    assert [(link.name, link.xcom_key) for link in links] == [("Domino run", "domino_run_link")]


def test_a_mapped_task_has_the_defaults_that_airflow_counts_on(dag):
    mapped = dag.get_task("mapped")
    assert (mapped.inlets, mapped.outlets) == ([], [])
    assert mapped.unmap({"tier": "Small"}).tier == "Small"


def test_serializing_twice_gives_the_same_so_that_no_dag_version_is_made(dag):
    assert json.dumps(DagSerialization.to_dict(dag)) == json.dumps(DagSerialization.to_dict(dag))


def test_every_templated_field_is_an_attribute_and_every_renderer_belongs_to_one(dag):
    for operator in (DominoRunOperator, DominoRunSensor):
        assert set(getattr(operator, "template_fields_renderers", {})) <= set(operator.template_fields)
    for task_id in ("forest", "wait"):
        task = dag.get_task(task_id)
        assert all(hasattr(task, name) for name in task.template_fields)


def test_templates_are_rendered_inside_lists_and_mappings(dag):
    task = dag.get_task("forest")
    task.outputs = {"{{ ds }}.txt": "/tmp/{{ ds }}.txt"}
    task.render_template_fields({"ds": "2026-03-01"})
    assert task.command == ["main.py", "2026-03-01"]
    assert list(task.outputs.values()) == ["/tmp/2026-03-01.txt"]


@pytest.mark.parametrize("task_id", ["forest", "wait"])
def test_the_link_of_a_task_that_has_no_run_is_empty_without_asking_for_one(dag, task_id):
    task = dag.get_task(task_id)
    (link,) = task.operator_extra_links
    assert link.get_link(task, ti_key=None) == ""


@pytest.mark.parametrize("task_id", ["forest", "wait"])
def test_the_link_of_an_attempt_that_was_deferred_is_kept_whatever_comes_after(dag, task_id, monkeypatch):
    from airflow.sdk.execution_time.xcom import XCom

    task = dag.get_task(task_id)
    (link,) = task.operator_extra_links
    monkeypatch.setattr(XCom, "get_value", lambda **_: "https://domino/run/1")
    with pytest.raises(TaskDeferralError):
        task.resume_execution("__fail__", {"error": "Trigger failure"}, {})
    assert link.get_link(task, ti_key=None) == "https://domino/run/1"


def test_defaults_of_the_dag_reach_the_task():
    with DAG("train", default_args={"poll_interval": 3, "deferrable": False, "domino_conn_id": "other"}):
        task = DominoRunOperator(task_id="forest", command="main.py")
    assert (task.poll_interval, task.deferrable, task.domino_conn_id) == (3, False, "other")


def test_waiting_in_the_triggerer_can_be_switched_off_for_a_whole_airflow(monkeypatch):
    monkeypatch.setenv("AIRFLOW__DOMINO__DEFAULT_DEFERRABLE", "False")
    monkeypatch.setenv("AIRFLOW__DOMINO__POLL_INTERVAL", "42")
    task = DominoRunOperator(task_id="forest", command="main.py")
    assert (task.deferrable, task.poll_interval) == (False, 42.0)
    assert DominoRunSensor(task_id="wait", run_id="1").deferrable is False
