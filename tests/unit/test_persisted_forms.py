"""What is kept in Airflow's database while a task waits can be read by every later version.

The files of `persisted/` were written by the versions that their names tell ("first") or by the present one. Add files,
never change one: a deferred task of an older version would be stranded by what can no longer read it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk.module_loading import import_string

from airflow_domino.hooks.identity import STORE_KEY, LaunchRecord, TaskIdentity
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.luigi.graph_record import unpack
from airflow_domino.operators.domino import DominoRunOperator

PERSISTED = Path(__file__).parent / "persisted"
RUN_ID = "65f0a1b2c3d4e5f601234567"


def kept(name: str):
    return json.loads((PERSISTED / name).read_text())


@pytest.mark.parametrize("name", sorted(path.name for path in PERSISTED.glob("trigger-*.json")))
def test_a_kept_trigger_is_made_again_with_all_that_it_knew(name):
    trigger = kept(name)
    made = import_string(trigger["classpath"])(**trigger["kwargs"])
    classpath, arguments = made.serialize()
    assert classpath == trigger["classpath"]
    known = {key: value for key, value in arguments.items() if key in trigger["kwargs"] and key != "run"}
    assert known == {key: value for key, value in trigger["kwargs"].items() if key != "run"}
    if trigger["kwargs"].get("run"):
        assert RunHandle.from_dict(arguments["run"]).run_id == RUN_ID


@pytest.mark.parametrize(
    "name", ["trigger-run.json", "trigger-launch.json", "trigger-sensor.json", "trigger-luigi-target.json"]
)
def test_the_newest_file_of_a_trigger_has_all_its_arguments(name):
    trigger = kept(name)
    made = import_string(trigger["classpath"])(**trigger["kwargs"])
    assert set(made.serialize()[1]) == set(trigger["kwargs"]), "keep a further file for the arguments that are new"


@pytest.mark.parametrize("name", sorted(path.name for path in PERSISTED.glob("trigger-*.json")))
def test_airflows_database_keeps_a_triggers_arguments_as_they_are(name):
    arguments = kept(name)["kwargs"]
    assert Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(arguments)) == arguments


@pytest.mark.parametrize(
    ("name", "generation", "launch"), [("state-record-first.json", 0, 1), ("state-record.json", 2, 0)]
)
def test_a_kept_launch_is_known_to_a_retry(name, generation, launch):
    record = LaunchRecord.load({"task_state_store": {STORE_KEY: kept(name)}})
    assert record is not None
    assert (record.generation, record.launch, record.handle.run_id) == (generation, launch, RUN_ID)


@pytest.mark.parametrize("name", ["event-first.json", "event.json"])
@pytest.mark.usefixtures("domino_connection")
def test_a_kept_event_resumes_its_task(name, fake_domino, task_context, state_store):
    fake_domino.leave_running()
    run_id = fake_domino.start({"commandToRun": "main.py"})["id"]
    fake_domino.end(run_id, "Succeeded")
    event = kept(name)
    event["run_id"] = event["run"]["run_id"] = run_id
    event["run"]["project"] = "domino/quick-start"
    task = DominoRunOperator(task_id="forest", command="main.py")
    assert task.execute_complete(task_context(state_store), event=event)["run_id"] == run_id


def test_a_task_identity_of_a_trigger_is_the_workers():
    identity = TaskIdentity.from_dict(kept("trigger-launch.json")["kwargs"]["identity"])
    assert (identity.generation, identity.try_number, identity.since.isoformat()) == (3, 4, "2026-11-21T10:00:00+00:00")
    assert TaskIdentity.from_dict(identity.to_dict()) == identity
    assert (identity.creation_key, identity.was_cleared) == ("", True)


def test_a_task_identity_of_a_trigger_tells_its_dag_run_from_a_deleted_one_of_its_name():
    identity = TaskIdentity.from_dict(kept("trigger-launch-created.json")["kwargs"]["identity"])
    assert (identity.mark(0).creation_key, identity.was_cleared) == ("0f1e2d3c", False)
    assert TaskIdentity.from_dict(identity.to_dict()) == identity


@pytest.mark.parametrize("name", ["luigi-graph.json", "luigi-graph-packed.json"])
def test_a_kept_graph_of_luigi_tasks_can_be_drawn(name):
    graph = unpack(kept(name))
    assert [(task["family"], task["state"]) for task in graph["tasks"]] == [
        ("Whole", "upstream_failed"),
        ("Part", "done"),
        ("Part", "failed"),
        ("Raw", "complete"),
    ]
    assert graph["folders"] == {"/shared": [2229877, 1795262678]}
