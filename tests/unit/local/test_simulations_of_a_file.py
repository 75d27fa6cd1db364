"""What a file of a simulation may say, and what is said about one that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.local import statuses
from airflow_domino.local.simulation import KeptPlan, Plan, SimulationError, load_simulation, read_simulation


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.json", '[{"command": "a.py*", "seconds": 3, "log": ["x"]}]'),
        ("s.yaml", "rules:\n- {command: a.py*, seconds: 3, log: [x]}\n"),
        ("s.toml", '[[rules]]\ncommand = "a.py*"\nseconds = 3\nlog = ["x"]\n'),
    ],
)
def test_a_file_says_the_same_in_each_language(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    (rule,) = load_simulation(tmp_path / name).rules
    assert (rule.command, dict(rule.seconds), [line.text for line in rule.log]) == ("a.py*", {"Running": 3.0}, ["x"])


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (7, "expected a list of rules"),
        ({"rule": []}, "rule: Extra inputs"),
        ([{"comand": "a"}], "rules.0.comand: Extra inputs"),
        ([{"seconds": {"Queued": 1}}], "rules.0.seconds.Queued"),
        ([{"seconds": [5, 1]}], "the least comes first"),
        ([{"seconds": -1}], "greater than or equal to 0"),
        ([{"status": "Succeeded", "exit_code": 1}], "does not succeed"),
        ([{"status": "Failed"}], "exit_code other than 0"),
        ([{"files": {"../x": "y"}}], "not a path of a file in the project"),
        ([{"files": {"/x": "y"}}], "not a path as it is in a project"),
        ([{"times": 0}], "rules.0.times"),
        ([{"pace": "slow"}], "rules.0.pace"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_place_and_the_reason(document: Any, sentence: str):
    with pytest.raises(SimulationError, match=sentence.replace(".", r"\.")):
        read_simulation(document)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(SimulationError, match=r"s\.json"):
        load_simulation(tmp_path / "s.json")


def test_a_status_that_is_rarely_seen_is_passed_through_only_where_it_is_named():
    assert statuses.PULLING not in Plan().way
    assert Plan(seconds={"Pulling": 3.0}).way == ("Scheduled", "Pulling", "Preparing", "Running", "Finishing")
    assert statuses.FINISHING not in Plan(status="Error").way


def test_a_plan_comes_back_from_what_is_kept_of_it():
    (rule,) = read_simulation([{"seconds": [1, 2], "log": [{"text": "x", "stream": "stderr"}], "exit_code": 3}]).rules
    kept = KeptPlan.of(rule.plan)
    assert Plan.model_validate_json(kept.document) == rule.plan
    assert KeptPlan.of(Plan()).key != kept.key
    assert "command" not in json.loads(kept.document)
