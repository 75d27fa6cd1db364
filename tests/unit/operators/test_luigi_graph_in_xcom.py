"""The graph of Luigi tasks that operators leave for the page in Airflow's UI."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.context import set_current_context

from airflow_domino.luigi.execute import EngineAnswer, EngineProcess
from airflow_domino.luigi.graph_record import unpack
from airflow_domino.luigi.plan import Plan, PlanNode
from airflow_domino.operators import _luigi_telling
from airflow_domino.operators.luigi import LuigiTaskError, LuigiTaskOperator
from airflow_domino.operators.luigi_plan import LuigiPlanOperator

GRAPH = {"root": "Whole", "tasks": [{"id": "Whole", "family": "Whole", "state": "done"}], "more": 0}
EARLIER = {"root": None, "tasks": [{"id": "Whole", "family": "Whole", "state": "running"}], "more": 0}


@pytest.fixture
def engine(monkeypatch):
    """An engine that tells how things stand, and then answers."""
    said = SimpleNamespace(outcome="done", facts={"task_id": "Whole", "graph": GRAPH}, news=[])

    def run(self, on_line, on_graph=None):
        for graph in said.news:
            on_graph(graph)
        return EngineAnswer(said.outcome, "so it went", dict(said.facts))

    monkeypatch.setattr(EngineProcess, "run", run)
    return said


@pytest.fixture
def run(task_context):
    def execute(context=None):
        context = context or task_context()
        with set_current_context(context):
            LuigiTaskOperator(task_id="whole", task="reports:Whole").execute(context)
        return context["ti"].xcoms

    return execute


def test_the_graph_is_an_xcom(engine, run):
    assert unpack(run()["luigi_graph"]) == GRAPH


def test_it_is_also_one_when_the_task_fails(engine, run, task_context):
    engine.outcome = "run_failed"
    context = task_context()

    with pytest.raises(LuigiTaskError):
        run(context)

    assert unpack(context["ti"].xcoms["luigi_graph"]) == GRAPH


def test_without_tasks_there_is_none(engine, run):
    engine.facts["graph"] = {"root": "Whole", "tasks": [], "more": 0}

    assert "luigi_graph" not in run()


def test_it_is_told_while_the_engine_runs_and_not_too_often(engine, run, task_context, monkeypatch):
    monkeypatch.setattr(_luigi_telling, "_GRAPH_SECONDS", 3600.0)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_luigi_telling.time, "monotonic", lambda: clock.now)
    context, pushed = task_context(), []
    context["ti"].xcom_push = lambda key, value: pushed.append((key, value))
    news = _luigi_telling.GraphNews("run", None)
    with set_current_context(context):
        for clock.now in (1.0, 3601.0, 3602.0, 7202.0):
            news.take(EARLIER)

    assert [key for key, _ in pushed] == ["luigi_graph"] * 2
    assert unpack(pushed[0][1]) == EARLIER


def test_where_airflow_does_not_take_it_the_task_goes_on(engine, run, task_context, monkeypatch, caplog):
    monkeypatch.setattr(_luigi_telling, "_GRAPH_SECONDS", 0.0)
    engine.news = [EARLIER, EARLIER]
    context = task_context()
    keep, refusals = context["ti"].xcom_push, []

    def refuse(key, value):
        if value["counts"] == {"running": 1}:
            refusals.append(key)
            raise RuntimeError("too large")
        keep(key, value)

    context["ti"].xcom_push = refuse

    assert unpack(run(context)["luigi_graph"]) == GRAPH
    assert refusals == ["luigi_graph"]


def test_the_first_task_of_a_pipeline_names_the_airflow_tasks_and_draws_what_nobody_asked(engine):
    nodes = (
        PlanNode("Whole_sample", "reports", "Whole", requires=("Part_sample",)),
        PlanNode("Part_sample", "reports", "Part", path=((0, "Part"),), requires=("Gone_sample",)),
        PlanNode("Gone_sample", "reports", "Gone", path=((0, "Part"), (0, "Gone"))),
    )
    task_ids = {"Whole_sample": "Whole", "Part_sample": "Part", "Gone_sample": "Gone"}
    operator = LuigiPlanOperator(
        task_id="plan", task="reports:Whole", plan=Plan(nodes), task_ids=task_ids, gateway="done"
    )
    facts = {
        "graph": {"root": "Whole_1", "tasks": [{"id": "Whole_1"}, {"id": "Other_1"}, {"id": "Part_1"}], "more": 0},
        "nodes": {"Whole_sample": {"task_id": "Whole_1"}, "Part_sample": {"task_id": "Part_1"}, "Gone_sample": {}},
    }

    shown = operator.graph_to_show(facts)["tasks"]

    assert shown == [
        {"id": "Whole_1", "airflow_task": "Whole", "requires": [2]},
        {"id": "Other_1"},
        {"id": "Part_1", "airflow_task": "Part"},
    ]
