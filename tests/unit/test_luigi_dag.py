"""LuigiDag and LuigiTaskGroup: one Airflow task per Luigi task, each found again from the real root."""

from __future__ import annotations

import datetime
import tempfile

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param
from airflow.sdk.bases.operator import BaseOperator
from airflow.serialization.serialized_objects import DagSerialization

from airflow_domino.compat import DownstreamTasksSkipped
from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.luigi.plan import PlanError
from airflow_domino.luigi_dag import LuigiDag, LuigiTaskGroup
from airflow_domino.luigi_drawing import FORM
from airflow_domino.operators.luigi import LuigiTaskOperator
from airflow_domino.sensors.luigi import LuigiTargetSensor

PIPELINE = """
import luigi
from airflow_domino.luigi import DominoRunTask

class Delivered(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("delivered.csv")

class Part(luigi.Task):
    day = luigi.DateParameter()
    i = luigi.IntParameter()
    def requires(self):
        return Delivered()
    def output(self):
        return luigi.LocalTarget(f"{self.day}/{self.i}.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write(str(self.i))

class Parts(luigi.WrapperTask):
    day = luigi.DateParameter()
    n = luigi.IntParameter()
    def requires(self):
        return {Part(self.day, i) for i in range(self.n)}

class Report(luigi.Task):
    day = luigi.DateParameter()
    n = luigi.IntParameter(default=2)
    def requires(self):
        return Parts(self.day, self.n)
    def output(self):
        return luigi.LocalTarget(f"{self.day}/report.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write("+".join(str(i) for i in range(self.n)))

class Guarded(Report):
    pin = luigi.Parameter(visibility=luigi.parameter.ParameterVisibility.PRIVATE)

class Ranked(luigi.WrapperTask):
    def requires(self):
        return DominoRunTask(["train.py"], "GPU", "models/net.zip")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "plans").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "plans"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "reports.py").write_text(PIPELINE)
    return folder


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


@pytest.fixture
def make(project, work):
    def build(task="reports:Report", **arguments):
        where = {"project_path": project, "working_dir": work, "schedule": None}
        return LuigiDag("daily", task=task, **where, **arguments)

    return build


def edges(dag: DAG) -> dict[str, list[str]]:
    return {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}


def run_all(dag: DAG, task_context, **variables) -> dict[str, object]:
    """Run the tasks of a DAG in the order of their edges, as Airflow would; gives what each returned, or "skipped"."""
    results: dict[str, object] = {}
    variables.setdefault("params", dag.params.dump())
    for task in dag.topological_sort():
        if task.task_id in results or isinstance(task, EmptyOperator):
            continue
        assert isinstance(task, BaseOperator)
        copy = task.prepare_for_execution()
        copy.render_template_fields(variables)
        if isinstance(copy, LuigiTargetSensor):
            copy.mode = "poke"  # to wait by rescheduling takes a scheduler
        try:
            results[task.task_id] = copy.execute(task_context())
        except DownstreamTasksSkipped as skip:
            results |= dict.fromkeys(skip.tasks, "skipped")
    return results


def test_tasks_and_edges_are_those_of_the_pipeline(make):
    dag = make(params={"day": "2026-01-02"})
    assert edges(dag) == {
        "done": ["Report"],
        "Report": ["Parts"],
        "Parts": ["Part__1", "Part__2"],
        "Part__1": ["Delivered"],
        "Part__2": ["Delivered"],
        "Delivered": ["plan"],
        "plan": [],
    }
    assert isinstance(dag.get_task("Delivered"), LuigiTargetSensor)
    made = {type(dag.get_task(name)) for name in ("Report", "Parts", "Part__1", "Part__2")}
    assert made == {LuigiTaskOperator}
    assert dag.tasks_by_luigi_id[dag.plan.root.key] is dag.luigi_tasks["Report"] is dag.get_task("Report")


def test_drawing_a_dag_asks_nobody_what_is_complete(make, work):
    make(params={"day": "2026-01-02"})
    assert not work.exists()


def test_all_tasks_together_make_the_root_complete(make, work, task_context):
    work.mkdir()
    (work / "delivered.csv").touch()
    dag = make(params={"day": "{{ ds }}"})
    results = run_all(dag, task_context, ds="2026-03-04")
    assert (work / "2026-03-04" / "report.txt").read_text() == "0+1"
    assert [len(results[name]["ran"]) for name in ("Part__1", "Part__2", "Parts", "Report")] == [1, 1, 0, 1]
    again = run_all(dag, task_context, ds="2026-03-04")
    assert again == dict.fromkeys(("Delivered", "Part__1", "Part__2", "Parts", "Report"), "skipped")


@pytest.mark.parametrize("n", [1, 3])
def test_a_root_that_differs_from_the_plan_is_complete_all_the_same(make, work, task_context, n):
    work.mkdir()
    (work / "delivered.csv").touch()
    dag = make(params={"day": "{{ ds }}", "n": "{{ params.n }}"}, dag_params={"n": Param(2)}, plan_params={"n": 2})
    results = run_all(dag, task_context, ds="2026-03-04", params={"n": n, **dict.fromkeys(FORM.values())})
    assert (work / "2026-03-04" / "report.txt").read_text() == "+".join(map(str, range(n)))
    ran = [task_id for result in results.values() if result != "skipped" for task_id in result.get("ran", ())]
    assert len([task_id for task_id in ran if task_id.startswith("Part_")]) == n
    skipped = {name for name, result in results.items() if result == "skipped"}
    assert skipped == ({"Delivered", "Part__2"} if n == 1 else {"Delivered"})


def test_tiers_overrides_and_places_reach_the_tasks(make):
    dag = make(
        params={"day": "2026-01-02"},
        run_on="domino",
        tier="Small",
        tiers={"Part": "X-Large"},
        overrides={"Report": {"run_on": "worker", "retries": 4}, "Delivered": {"poke_interval": 33}},
        operator_args={"owner": "ada"},
    )
    part, report, delivered = (dag.get_task(name) for name in ("Part__1", "Report", "Delivered"))
    assert (part.run_on, part.tier, part.owner) == ("domino", "X-Large", "ada")
    assert (report.run_on, report.retries) == ("worker", 4)
    assert dag.get_task("Parts").run_on == "worker"
    assert delivered.poke_interval == 33


def test_a_domino_run_task_is_drawn_with_its_file_and_tier_and_gets_a_connection(make):
    dag = make("reports:Ranked")
    task = dag.get_task("DominoRunTask_net")
    assert (task.run_on, task.tier, task.domino_conn_id) == ("worker", "GPU", "domino_default")
    assert "Domino run on the tier GPU" in task.doc_md


def test_a_family_that_the_plan_lacks_is_refused(make):
    with pytest.raises(ValueError, match="name Prat, but the plan has only"):
        make(params={"day": "2026-01-02"}, tiers={"Prat": "GPU"})


def test_a_pipeline_that_cannot_be_drawn_fails_the_import_of_its_dag_file(make):
    with pytest.raises(PlanError, match="needs a value for 'day'"):
        make()


def test_the_dag_can_be_stored_by_airflow(make):
    dag = make(params={"day": "{{ ds }}"}, dag_params={"n": Param(2)})
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert {task.task_id for task in stored.tasks} == {task.task_id for task in dag.tasks}
    assert set(stored.params) == {"n", *FORM.values()}


def test_a_group_is_drawn_within_a_dag_and_wired_from_outside(project, work):
    with DAG("outer", schedule=None) as dag:
        first = LuigiTaskOperator(task_id="first", task="reports:Delivered", project_path=project)
        group = LuigiTaskGroup("daily", task="reports:Report", params={"day": "2026-01-02"}, project_path=project)
        first >> group >> EmptyOperator(task_id="last")
    assert sorted(task.task_id for task in dag.tasks) == [
        "daily.Delivered",
        "daily.Part__1",
        "daily.Part__2",
        "daily.Parts",
        "daily.Report",
        "daily.done",
        "daily.plan",
        "first",
        "last",
    ]
    assert dag.get_task("daily.plan").upstream_task_ids == {"first"}
    assert dag.get_task("last").upstream_task_ids == {"daily.done"}
    assert group.tasks_by_luigi_id[group.plan.root.key].task_id == "daily.Report"


def test_the_root_must_be_named(project):
    with pytest.raises(TypeError, match="'task'"):
        LuigiDag("daily", project_path=project)


def test_only_one_run_of_the_dag_is_active_unless_more_are_asked_for(make):
    assert make(params={"day": "2026-01-02"}).max_active_runs == 1
    assert make(params={"day": "2026-01-02"}, max_active_runs=4).max_active_runs == 4


def test_a_date_is_a_value_like_any_other(make):
    dag = make(params={"day": datetime.date(2026, 1, 2)})
    assert dag.plan.root.params["day"] == "2026-01-02"
    assert dag.get_task("Report").luigi_params == {"day": "2026-01-02"}


def test_operator_args_reach_the_operators_that_take_them(make):
    arguments = {"poll_interval": 30, "workers": 2, "poke_interval": 7, "retries": 3}
    dag = make(params={"day": "2026-01-02"}, operator_args=arguments)
    report, delivered = dag.get_task("Report"), dag.get_task("Delivered")
    assert (report.poll_interval, report.workers, report.retries) == (30, 2, 3)
    assert (delivered.poke_interval, delivered.retries) == (7, 3)


def test_operator_args_win_over_nothing_said_and_lose_against_all_that_is(make):
    arguments = {"run_on": "domino", "tier": "X-Large", "domino_conn_id": "other"}
    silent = make(params={"day": "2026-01-02"}, operator_args=arguments)
    report = silent.get_task("Report")
    assert (report.run_on, report.tier, report.domino_conn_id) == ("domino", "X-Large", "other")
    assert silent.get_task("Delivered").domino_conn_id == "other"
    said = make(
        params={"day": "2026-01-02"},
        run_on="worker",
        tier="Small",
        tiers={"Part": "GPU"},
        overrides={"Report": {"run_on": "domino", "tier": "Medium"}, "Part": {"run_on": "domino"}},
        operator_args=arguments,
    )
    assert said.get_task("Parts").run_on == "worker"
    assert [said.get_task(name).tier for name in ("Parts", "Part__1", "Report")] == [None, "GPU", "Medium"]


def test_what_operator_args_say_of_the_process_reaches_the_drawing_too(project, work):
    arguments = {"project_path": project, "working_dir": work}
    dag = LuigiDag("daily", task="reports:Report", params={"day": "2026-01-02"}, operator_args=arguments)
    assert dag.get_task("Report").project_path == str(project)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            {"operator_args": {"poll_intervall": 3}},
            r"operator_args: no such argument poll_intervall; there are .*poll_",
        ),
        ({"operator_args": {"node": []}}, "operator_args: no such argument node"),
        ({"overrides": {"Delivered": {"workers": 2}}}, "overrides of Delivered: no such argument workers"),
    ],
)
def test_an_argument_that_no_operator_takes_is_refused_with_those_there_are(make, arguments, reason):
    with pytest.raises(ValueError, match=reason):
        make(params={"day": "2026-01-02"}, **arguments)


def test_a_private_value_in_the_dag_file_is_refused_and_a_template_of_it_is_not(make):
    with pytest.raises(ConfigurationError, match="parameter 'pin' is private") as refused:
        make("reports:Guarded", params={"day": "2026-01-02", "pin": "hunter2"})
    assert "hunter2" not in str(refused.value)
    dag = make("reports:Guarded", params={"day": "2026-01-02", "pin": "{{ conn.warehouse.password }}"})
    assert "pin" not in dag.plan.root.params


def test_a_task_on_domino_whose_target_no_other_machine_sees_fails_the_import_of_its_dag_file(make, project):
    (project / "far.py").write_text(
        "import luigi\n"
        "class Far(luigi.Task):\n"
        "    def output(self):\n"
        "        return luigi.LocalTarget('/elsewhere/far.txt')\n"
    )
    with pytest.raises(PlanError, match=r"Far cannot run on Domino: its target .*/elsewhere/far.txt"):
        make("far:Far", run_on="domino")
    assert make("far:Far").get_task("Far").run_on == "worker"


def test_a_task_is_named_with_what_it_is(make):
    dag = make(
        params={"day": "2026-01-02"}, run_on="domino", tier="Small", overrides={"Report": {"tier": ["Small", "GPU"]}}
    )
    assert {task.task_id: task.task_display_name for task in dag.tasks if task.task_id not in ("plan", "done")} == {
        "Report": "Report (Small → GPU)",
        "Parts": "Parts (wrapper)",
        "Part__1": "Part__1 (Small)",
        "Part__2": "Part__2 (Small)",
        "Delivered": "Delivered (external)",
    }
