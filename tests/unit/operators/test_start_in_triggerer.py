"""Which tasks the scheduler starts in the triggerer, and what it tells the trigger."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import DAG, task
from airflow.serialization.serialized_objects import BaseSerialization, DagSerialization

from airflow_domino import compat
from airflow_domino.operators.domino import DominoRunOperator
from airflow_domino.operators.luigi import LuigiTaskOperator
from airflow_domino.sensors.domino import DominoRunSensor
from airflow_domino.triggers.domino_sensor import DominoRunSensorTrigger
from airflow_domino.triggers.launch import DominoLaunchTrigger


class Changed(DominoRunOperator):
    """An operator of somebody's own."""

    def run_command(self, context):
        return "other.py"


class Named(DominoRunOperator):
    """One that only has a name of its own."""

    ui_color = "#ffffff"


@pytest.fixture
def dag():
    with DAG("starts", schedule=None) as made:
        yield made


def serialized(dag):
    """The tasks as the scheduler knows them."""
    return DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_dict


def told(scheduled):
    """The arguments of the trigger, as the triggerer makes it."""
    return BaseSerialization.deserialize(scheduled.start_trigger_args.trigger_kwargs)


def starts(dag, task_id="t"):
    return serialized(dag)[task_id].start_from_trigger


def test_a_plain_task_starts_in_the_triggerer_with_all_that_its_trigger_needs(dag):
    DominoRunOperator(
        task_id="t",
        command=["train.py", "{{ run_id }}"],
        tier=["Small", "Large"],
        commit_id="dag_run",
        title="On {{ params.day }}",
        queue_timeout=timedelta(minutes=5),
        max_active_runs=3,
        on_clear="leave",
    )
    scheduled = serialized(dag)["t"]
    assert scheduled.start_from_trigger is True
    arguments = scheduled.start_trigger_args
    assert arguments.trigger_cls == "airflow_domino.triggers.launch.DominoLaunchTrigger"
    assert arguments.next_method == "execute_complete"
    assert BaseSerialization.deserialize(arguments.next_kwargs) == {"stop_with": "domino_default"}
    trigger = DominoLaunchTrigger(**told(scheduled))
    assert trigger.command == ["train.py", "{{ run_id }}"]
    assert trigger.tier == ["Small", "Large"]
    assert (trigger.queue_timeout, trigger.max_active_runs, trigger.on_clear) == (300.0, 3, "leave")
    assert trigger.ends_task is True


def test_each_templated_argument_is_one_of_the_triggers_so_that_it_is_rendered(dag):
    DominoRunOperator(task_id="t", command="train.py")
    scheduled = serialized(dag)["t"]
    trigger = DominoLaunchTrigger(**told(scheduled))
    rendered = set(scheduled.template_fields) & told(scheduled).keys()
    assert rendered == set(scheduled.template_fields) - {"inputs", "outputs", "output_dir"}
    assert all(hasattr(trigger, name) for name in rendered)


@pytest.mark.parametrize("name", ["ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"])
def test_a_filter_of_airflows_needs_no_worker(dag, name):
    command = f"train.py {{{{ (dag_run.logical_date or dag_run.run_after) | {name} }}}} {{{{ macros.ds_add(ds, -1) }}}}"
    DominoRunOperator(task_id="t", command=command)
    assert starts(dag) is True


@pytest.mark.parametrize(
    "arguments",
    [
        {"start_from_trigger": False},
        {"command": "train.py {{ dag_run.run_after | unknown_filter }}"},
        {"deferrable": False},
        {"inputs": {"a.csv": "/data/a.csv"}},
        {"outputs": ["a.csv"], "output_dir": "{{ var.value.folder }}"},
        {"command": "train.py {{ ti.xcom_pull('before') }}"},
        {"command": "train.py {{ unknown_to_the_triggerer }}"},
        {"command": "train.py {{ broken"},
        {"pool": "gpu"},
        {"max_active_tis_per_dag": 1},
        {"max_active_tis_per_dagrun": 1},
        {"run_as_user": "ann"},
        {"pre_execute": print},
        {"on_execute_callback": print},
        {"task_id": "žlu"},
    ],
    ids=str,
)
def test_what_needs_a_worker_first_gets_one(dag, arguments):
    made = DominoRunOperator(**{"task_id": "t", "command": "train.py"} | arguments)
    assert starts(dag, made.task_id) is False


def test_a_task_of_a_dag_whose_id_airflow_garbles_in_the_triggerer_needs_a_worker():
    with DAG("неделя", schedule=None) as dag:
        DominoRunOperator(task_id="t", command="train.py")
        DominoRunSensor(task_id="s", title="x")
    assert (starts(dag), starts(dag, "s")) == (False, False)


def test_the_result_of_a_whole_dag_is_recorded_by_a_worker(dag):
    made = DominoRunOperator(task_id="t", command="train.py")
    made.returns_dag_result = True
    assert told(serialized(dag)["t"])["ends_task"] is False


def test_an_argument_from_another_task_needs_a_worker(dag):
    @task
    def say():
        return "train.py"

    DominoRunOperator(task_id="t", command=say())
    assert starts(dag) is False


def test_a_class_that_changes_what_the_operator_does_needs_a_worker(dag):
    Changed(task_id="changed", command="train.py")
    Named(task_id="named", command="train.py")
    assert (starts(dag, "changed"), starts(dag, "named")) == (False, True)


@pytest.mark.parametrize(
    "options",
    [
        {"user_defined_macros": {"today": lambda: "now"}},
        {"user_defined_filters": {"upper": str.upper}},
        {"render_template_as_native_obj": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_dag_with_templates_of_its_own_needs_a_worker(options):
    with DAG("own", schedule=None, **options):
        task = DominoRunOperator(task_id="t", command="train.py")
    assert task.start_from_trigger is False


def test_mapped_decorated_and_luigi_tasks_begin_on_a_worker(dag):
    DominoRunOperator.partial(task_id="mapped").expand(command=["a.py", "b.py"])

    @task.domino
    def decorated():
        return "train.py"

    decorated()
    LuigiTaskOperator(task_id="luigi", task="m:T", project_path="/p", run_on="domino")
    tasks = serialized(dag)
    assert [tasks[name].start_from_trigger for name in ("mapped", "decorated", "luigi")] == [False, False, False]


def test_below_airflow_3_3_every_task_begins_on_a_worker(dag, monkeypatch):
    monkeypatch.setattr(compat, "airflow_version", "3.2.1")
    assert DominoRunOperator(task_id="t", command="train.py").start_from_trigger is False


def test_it_can_be_turned_off_for_all_tasks(dag, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DOMINO__START_FROM_TRIGGER", "False")
    assert DominoRunOperator(task_id="t", command="train.py").start_from_trigger is False
    assert DominoRunOperator(task_id="u", command="train.py", start_from_trigger=True).start_from_trigger is True


def test_outputs_are_brought_by_a_worker_at_the_end_alone(dag):
    DominoRunOperator(task_id="t", command="train.py", outputs=["a.csv"], output_dir="/data")
    scheduled = serialized(dag)["t"]
    assert scheduled.start_from_trigger is True
    assert told(scheduled)["ends_task"] is False


def test_a_task_whose_dag_is_completed_later_is_judged_by_the_whole_dag(dag):
    launched = DominoRunOperator(task_id="t", command="train.py")

    @task
    def each(item):
        return item

    each.expand(item=launched.output)
    assert told(serialized(dag)["t"])["ends_task"] is False


def test_a_sensor_starts_in_the_triggerer_and_gives_up_in_time(dag):
    DominoRunSensor(task_id="t", title="^nightly", since="{{ dag_run.start_date }}", timeout=60)
    scheduled = serialized(dag)["t"]
    assert scheduled.start_from_trigger is True
    assert scheduled.start_trigger_args.timeout == timedelta(seconds=60)
    trigger = DominoRunSensorTrigger(**told(scheduled))
    assert (trigger.title, trigger.since, trigger.project) == ("^nightly", "{{ dag_run.start_date }}", None)


def test_a_sensor_for_the_run_of_another_task_needs_a_worker(dag):
    launched = DominoRunOperator(task_id="launched", command="train.py")
    DominoRunSensor(task_id="t", run_id=launched.output["run_id"])
    assert starts(dag) is False


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"on_kill": "pause"}, "'stop', 'leave'"),
        ({"on_clear": "stopp"}, "'reattach'"),
        ({"queue_timeout": 0}, "above 0"),
        ({"max_active_runs": 0}, "above 0"),
        ({"poll_interval": -1}, "above 0"),
    ],
    ids=str,
)
def test_a_choice_that_there_is_not_is_refused_when_the_dag_is_read(dag, arguments, reason):
    with pytest.raises(ValueError, match=reason):
        DominoRunOperator(task_id="t", command="train.py", **arguments)
