"""How the Domino runs of a pipeline are called: by what they make, where their command says it."""

from __future__ import annotations

import json

import pytest

from airflow_domino.luigi.plan import Plan, PlanNode
from airflow_domino.luigi.selection import named


def domino_run(*command: str, key: str = "run") -> PlanNode:
    params = {"domino_run_command": json.dumps(command), "output_file_path": "models/net.zip"}
    return PlanNode(key, "airflow_domino.luigi.run_task", "DominoRunTask", params, is_domino_run=True, tier="Small")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["example_ensemble.py", "TrainNNet"], "TrainNNet"),
        (["example_ensemble.py", "TrainNNet", "--workers", "3"], "TrainNNet"),
        (["example_ensemble.py", "models.TrainNNet"], "models_TrainNNet"),
        (["train.py", "--net"], "DominoRunTask_net"),
        (["train.py", "net.zip"], "DominoRunTask_net"),
        (["train.py"], "DominoRunTask_net"),
    ],
)
def test_a_run_is_named_after_the_task_that_its_command_names_or_else_after_its_file(command, name):
    assert Plan((domino_run(*command),)).names() == {"run": name}


def test_runs_of_the_same_task_are_numbered_and_chosen_together():
    plan = Plan((domino_run("a.py", "Train", key="one"), domino_run("b.py", "Train", key="two")))
    assert plan.names() == {"one": "Train__1", "two": "Train__2"}
    assert named(plan, ["Train"]) == {"one", "two"}
    assert named(plan, ["DominoRunTask"]) == {"one", "two"}
