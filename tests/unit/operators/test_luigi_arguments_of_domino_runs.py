"""Arguments that are about a Domino run are refused where there is none, when the DAG file is read."""

from __future__ import annotations

import inspect

import pytest
from airflow.sdk import DAG, TaskGroup

from airflow_domino.operators._domino_run import BaseDominoRunOperator
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.operators.luigi import LuigiTaskOperator
from airflow_domino.sensors.luigi import LuigiTargetSensor

MEANINGLESS = {
    "tier": "Small",
    "commit_id": "a" * 40,
    "branch": "main",
    "git_ref": ("tags", "v1"),
    "environment": "Python",
    "environment_revision": "LatestRevision",
    "title": "Nightly",
    "compute_cluster": {"clusterType": "Ray"},
    "external_volumes": ["v1"],
    "log_run": False,
    "on_kill": "leave",
    "on_clear": "leave",
    "keep_results": False,
    "queue_timeout": 60,
    "max_active_runs": 2,
}
MEANT = {
    "domino_conn_id": "domino_default",
    "project": "ann/churn",
    "deferrable": True,
    "start_from_trigger": False,
    "poll_interval": 5,
}


def luigi_task(**arguments):
    return LuigiTaskOperator(task_id="report", task="reports:Report", **arguments)


def test_each_argument_of_a_domino_run_is_looked_at_here():
    theirs = inspect.signature(BaseDominoRunOperator.__init__).parameters.keys() - {"self", "kwargs"}
    assert theirs == MEANINGLESS.keys() | MEANT.keys()


@pytest.mark.parametrize("name", MEANINGLESS)
def test_an_argument_of_a_domino_run_is_refused_for_a_task_on_a_worker(name):
    with pytest.raises(ValueError, match=rf"Task 'report': {name} is about a Domino run.* add run_on='domino'"):
        luigi_task(**{name: MEANINGLESS[name]})
    assert luigi_task(run_on="domino", **{name: MEANINGLESS[name]}).run_on == "domino"


def test_all_that_is_refused_is_named_at_once():
    with pytest.raises(ValueError, match="tier, title are about a Domino run"):
        luigi_task(tier="Small", title="Nightly")


@pytest.mark.parametrize("name", MEANT)
def test_an_argument_that_a_task_on_a_worker_can_use_is_taken(name):
    assert luigi_task(**{name: MEANT[name]}).run_on == "worker"


def test_what_says_nothing_is_taken():
    assert luigi_task(tier=None, log_run=True, on_kill="stop").tier is None


@pytest.mark.parametrize("place", ["Domino", "dominoo", None, True, "", ["domino"]])
def test_another_place_to_run_is_refused_with_those_there_are(place):
    with pytest.raises(ValueError, match=r"run_on=.*: choose one of 'worker', 'domino'"):
        luigi_task(run_on=place)


@pytest.mark.parametrize("where", ["dag", "group", "task"])
def test_default_args_of_a_dag_with_tasks_of_several_kinds_are_taken(where):
    defaults = {"tier": "Small", "queue_timeout": 60, "retries": 2}
    own = {"default_args": defaults} if where == "task" else {}
    with (
        DAG("mixed", default_args=defaults if where == "dag" else {}),
        TaskGroup("group", default_args=defaults if where == "group" else {}),
    ):
        worker = luigi_task(**own)
        domino = LuigiTaskOperator(task_id="on_domino", task="reports:Report", run_on="domino", **own)
        run = DominoRunOperator(task_id="run", command="main.py", **own)
        LuigiTargetSensor(task_id="wait", task="reports:Raw", **own)
    assert worker.run_on == "worker"
    assert (domino.tier, run.tier, worker.retries) == ("Small", "Small", 2)


def test_a_place_in_default_args_counts():
    with DAG("mixed", default_args={"run_on": "domino"}):
        assert luigi_task(tier="Small").run_on == "domino"


def test_a_mapped_task_takes_default_args_too():
    with DAG("mixed", default_args={"tier": "Small"}):
        mapped = LuigiTaskOperator.partial(task_id="report", task="reports:Report").expand(
            luigi_params=[{"n": 1}, {"n": 2}]
        )
    assert mapped.unmap({"luigi_params": {"n": 1}}).run_on == "worker"


MAPPED = {"luigi_params": [{"n": 1}, {"n": 2}]}


@pytest.mark.parametrize(
    ("partial", "expand", "said"),
    [
        ({"tier": "Small"}, MAPPED, "Task 'around.report': tier is about a Domino run"),
        ({}, {"tier": ["Small", "GPU"]}, "tier is about a Domino run"),
        ({"queue_timeout": 60}, [{"tier": "Small"}], "tier, queue_timeout are about a Domino run"),
        ({"run_on": "domino"}, [{"run_on": "worker", "tier": "Small"}], "tier is about a Domino run"),
        ({}, [{"run_on": "domino", "tier": "Small"}, {"tier": "Small"}], "tier is about a Domino run"),
        ({"run_on": "moon"}, MAPPED, "run_on='moon': choose one of"),
        ({}, {"run_on": ["domino", "moon"]}, "run_on='moon': choose one of"),
        ({}, [{"run_on": "moon"}], "run_on='moon': choose one of"),
    ],
)
def test_a_mapped_task_is_refused_when_the_file_is_read(partial, expand, said):
    with DAG("mapped"), TaskGroup("around"):
        made = LuigiTaskOperator.partial(task_id="report", task="reports:Report", **partial)
        made._expand_called = True  # else Airflow warns that it is never mapped
        with pytest.raises(ValueError, match=said):
            made.expand_kwargs(expand) if isinstance(expand, list) else made.expand(**expand)


@pytest.mark.parametrize("defaults", [{}, {"tier": "Small"}, {"run_on": "domino"}])
@pytest.mark.parametrize(
    ("partial", "expand"),
    [
        ({}, MAPPED),
        ({"run_on": "domino", "tier": "Small"}, MAPPED),
        ({"run_on": "domino"}, {"tier": ["Small", "GPU"]}),
        ({}, [{"run_on": "domino", "tier": "Small"}, {"workers": 2}]),
        ({"tier": "Small"}, {"run_on": ["domino"]}),
    ],
)
def test_a_mapped_task_that_makes_sense_is_taken(defaults, partial, expand):
    with DAG("mapped", default_args=defaults):
        made = LuigiTaskOperator.partial(task_id="report", task="reports:Report", **partial)
        mapped = made.expand_kwargs(expand) if isinstance(expand, list) else made.expand(**expand)
    assert mapped.operator_class is LuigiTaskOperator
    first = expand[0] if isinstance(expand, list) else {name: values[0] for name, values in expand.items()}
    assert mapped.unmap(first).task == "reports:Report"


def test_a_mapped_task_over_what_another_task_returns_is_taken():
    with DAG("mapped"):
        tiers = DominoRunOperator(task_id="tiers", command="tiers.py").output
        made = LuigiTaskOperator.partial(task_id="report", task="reports:Report", run_on="domino").expand(tier=tiers)
        LuigiTaskOperator.partial(task_id="other", task="reports:Report").expand_kwargs(tiers)
    assert made.upstream_task_ids == {"tiers"}


def test_a_place_in_default_args_counts_for_a_mapped_task():
    with DAG("mapped", default_args={"run_on": "domino"}), TaskGroup("group"):
        made = LuigiTaskOperator.partial(task_id="report", task="reports:Report").expand(tier=["Small", "GPU"])
    assert made.unmap({"tier": "Small"}).run_on == "domino"
