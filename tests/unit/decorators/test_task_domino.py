"""`@task.domino`: a function that returns the command."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, task

from airflow_domino.compat import AirflowFailException
from airflow_domino.decorators.domino import domino_task

pytestmark = pytest.mark.usefixtures("domino_connection")


@pytest.fixture
def execute(fake_domino, task_context):
    """Call the decorated function in a DAG and execute its task."""

    def run(function, *arguments, **named):
        with DAG("train"):
            operator = domino_task(deferrable=False, tier="X-Large", **named)(function)(*arguments).operator
        return operator.execute({**task_context(), "outlet_events": {}})

    return run


def test_the_function_returns_a_command_line(execute, fake_domino):
    def forest():
        return "main.py --trees 100"

    assert execute(forest)["tier"] == "X-Large"
    assert fake_domino.starts[0]["commandToRun"] == "main.py --trees 100"


def test_the_function_returns_a_list_of_arguments_made_from_its_own(execute, fake_domino):
    def forest(trees, name="a b"):
        return ["main.py", "--trees", str(trees), name]

    execute(forest, 7)
    assert fake_domino.starts[0]["commandToRun"] == "main.py --trees 7 'a b'"


def test_the_function_sees_airflows_context(execute, fake_domino):
    def forest(ti=None):
        return f"main.py {ti.task_id} {ti.run_id}"

    execute(forest)
    assert fake_domino.starts[0]["commandToRun"] == "main.py forest manual__1"


@pytest.mark.parametrize("returned", [None, "", [], 7, {"a": 1}])
def test_a_function_that_returns_no_command_is_named(execute, fake_domino, returned):
    def forest():
        return returned

    with pytest.raises(AirflowFailException, match=r"forest\(\) returned .*; return the run.s command"):
        execute(forest)
    assert fake_domino.starts == []


def test_airflow_knows_it_as_task_domino():
    with DAG("train"):

        @task.domino(tier="Small")
        def forest():
            return "main.py"

        assert forest().operator.custom_operator_name == "@task.domino"


def test_it_can_be_expanded_over_arguments():
    with DAG("train") as dag:

        @task.domino(tier="Small")
        def forest(trees):
            return f"main.py {trees}"

        forest.expand(trees=[1, 2, 3])
    assert dag.get_task("forest").is_mapped
