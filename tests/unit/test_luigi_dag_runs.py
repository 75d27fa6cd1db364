"""What one run of a LuigiDag does: its first task decides with today's targets and the form, the others follow."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator

from airflow_domino.compat import AirflowFailException, DownstreamTasksSkipped
from airflow_domino.luigi_dag import LuigiDag
from airflow_domino.luigi_drawing import FORM
from airflow_domino.operators._luigi_engine import LuigiTaskError
from airflow_domino.operators.luigi_plan import DUE_XCOM, PLAN_XCOM
from airflow_domino.sensors.luigi import LuigiTargetSensor

PIPELINE = """
import luigi

class Made(luigi.Task):
    day = luigi.Parameter(default="today")
    def output(self):
        return luigi.LocalTarget(f"{self.day}/{type(self).__name__}.txt")
    def complete(self):
        print(f"asked {type(self).__name__}", flush=True)
        return super().complete()
    def run(self):
        with open(f"runs.txt", "a") as runs:
            print(type(self).__name__, file=runs)
        with self.output().open("w") as file:
            file.write("made")

class Delivered(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("delivered.csv")

class Features(Made):
    def requires(self):
        return Delivered()

class Forest(Made):
    def requires(self):
        return Features(self.day)

class Net(Made):
    def requires(self):
        return Features(self.day)

class Report(Made):
    def requires(self):
        return [Forest(self.day), Net(self.day)]

class Limited(Made):
    retry_count = 3
    worker_timeout = 90
    resources = {"database": 2}
"""
ALL = ["Delivered", "Features", "Forest", "Net", "Report"]


class Run:
    """One run of a DAG, task by task as Airflow would run them."""

    def __init__(self, dag, context, form):
        self.context = context()
        self.results = {}
        params = {**dag.params.dump(), **{FORM[name]: value for name, value in form.items()}}
        for task in dag.topological_sort():
            if task.task_id in self.results or isinstance(task, EmptyOperator):
                continue
            copy = task.prepare_for_execution()
            copy.render_template_fields({"params": params})
            if isinstance(copy, LuigiTargetSensor):
                copy.mode = "poke"
            try:
                self.results[task.task_id] = copy.execute(self.context)
            except DownstreamTasksSkipped as skip:
                self.results |= dict.fromkeys(skip.tasks, "skipped")

    @property
    def skipped(self):
        return sorted(name for name, result in self.results.items() if result == "skipped")

    @property
    def reasons(self):
        return self.context["ti"].xcoms[PLAN_XCOM]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "delivered.csv").touch()
    return tmp_path


@pytest.fixture
def make(project):
    def build(**arguments):
        return LuigiDag("daily", task="pipeline:Report", project_path=project, schedule=None, **arguments)

    return build


@pytest.fixture
def run(make, task_context, project):
    def start(dag=None, **form):
        (project / "runs.txt").write_text("")
        return Run(dag or make(), task_context, form)

    return start


@pytest.fixture
def ran(project):
    return lambda: (project / "runs.txt").read_text().split()


def test_below_a_complete_task_nothing_is_asked_and_nothing_is_made(run, ran, project):
    run()
    (project / "today" / "Features.txt").unlink()
    (project / "today" / "Forest.txt").unlink()
    again = run()
    assert (again.skipped, ran()) == (ALL, [])
    assert again.reasons == {"complete": ["Report"], "not_needed": ["Forest", "Net", "Features", "Delivered"]}


def test_only_what_is_missing_is_made(run, ran, project):
    run()
    for name in ("Report", "Forest"):
        (project / "today" / f"{name}.txt").unlink()
    again = run()
    assert (again.skipped, ran()) == (["Delivered", "Features", "Net"], ["Forest", "Report"])


def test_the_form_makes_one_task_and_what_it_requires(run, ran):
    chosen = run(select=["Forest"])
    assert ran() == ["Features", "Forest"]
    assert chosen.reasons["left_out"] == ["Report", "Net"]
    assert "done" in chosen.skipped


def test_the_form_leaves_a_task_out_with_what_requires_it(run, ran):
    run(exclude=["Net"])
    assert ran() == ["Features", "Forest"]


def test_a_wish_for_a_task_that_there_is_not_fails_with_the_names_there_are(run):
    with pytest.raises(AirflowFailException, match="named 'Forset'; there are Delivered, Features, Forest"):
        run(select=["Forset"])


def test_a_task_is_made_again_and_its_old_output_is_kept(run, ran, project):
    run()
    (project / "today" / "Forest.txt").write_text("old")
    again = run(force=["Forest"])
    assert ran() == ["Forest"]
    (aside,) = (project / "today").glob("Forest.txt.before-force-*")
    assert aside.read_text() == "old"
    assert again.reasons["due"] == ["Forest"]


def test_a_task_is_made_again_with_all_that_requires_it(run, ran):
    run()
    run(force="Forest", force_downstream=True)
    assert ran() == ["Forest", "Report"]


@pytest.mark.parametrize(("policy", "skipped"), [("skip", [*ALL, "done"]), ("wait", [])])
def test_missing_external_data_skips_what_requires_it_where_that_is_wanted(
    make, task_context, project, policy, skipped
):
    (project / "delivered.csv").unlink()
    dag = make(missing_external=policy)
    plan = dag.get_task("plan").prepare_for_execution()
    plan.render_template_fields({"params": dag.params.dump()})
    context = task_context()
    if not skipped:
        assert plan.execute(context) == {"due": 5}
        return
    with pytest.raises(DownstreamTasksSkipped) as skip:
        plan.execute(context)
    assert sorted(skip.value.tasks) == sorted(skipped)
    assert sorted(context["ti"].xcoms[PLAN_XCOM]["missing"]) == ALL


def test_missing_external_data_fails_its_task_where_that_is_wanted(make, task_context, project):
    (project / "delivered.csv").unlink()
    task = make(missing_external="fail").get_task("Delivered")
    with pytest.raises(LuigiTaskError, match=r"External data is missing: Delivered\(\) \(delivered.csv\)"):
        task.prepare_for_execution().execute(task_context())


def test_what_an_author_says_of_retries_time_and_resources_reaches_airflow(project):
    dag = LuigiDag(
        "limited", task="pipeline:Limited", project_path=project, schedule=None, pools={"database": "warehouse"}
    )
    task = dag.get_task("Limited")
    assert (task.retries, task.execution_timeout.total_seconds(), task.pool, task.pool_slots) == (2, 90, "warehouse", 2)


def test_a_part_of_the_pipeline_is_drawn_where_that_is_wanted(make):
    dag = make(select="Net")
    assert sorted(dag.task_ids) == ["Delivered", "Features", "Net", "done", "plan"]
    assert dag.get_task("done").upstream_task_ids == {"Net"}


def test_a_plan_file_is_drawn_without_the_pipelines_code(make, project, tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(make().plan.to_json())
    (project / "pipeline.py").rename(project / "gone.py")
    assert sorted(make(plan_file=file).task_ids) == sorted([*ALL, "plan", "done"])


IN_PLACE = """
class Appends(luigi.Task):
    def requires(self):
        return Made()
    def output(self):
        return self.input()
    def run(self):
        with open(self.output().path, "a") as file:
            file.write(" and more")

class Yields(Made):
    def run(self):
        yield Net("tomorrow")
        super().run()

class Shared(luigi.WrapperTask):
    def requires(self):
        return [Yields(), Net("tomorrow")]

class Refuses(Made):
    def complete(self):
        raise OSError("away")
"""


@pytest.fixture
def in_place(project, monkeypatch):
    monkeypatch.setenv("AIRFLOW_DOMINO_LUIGI_LOCKS", str(project / "locks"))
    with (project / "pipeline.py").open("a") as file:
        file.write(IN_PLACE)
    return project


def execute(task, context, **task_instance):
    for name, value in task_instance.items():
        setattr(context["ti"], name, value)
    copy = task.prepare_for_execution()
    copy.render_template_fields({"params": task.dag.params.dump()})
    return copy.execute(context)


def appends(project, **arguments):
    return LuigiDag("appends", task="pipeline:Appends", project_path=project, schedule=None, **arguments)


@pytest.mark.parametrize("check", ["strict", "luigi"])
def test_what_the_plan_found_due_runs_although_what_it_requires_made_its_target_appear(in_place, run, check):
    run(appends(in_place, operator_args={"check": check}))
    assert (in_place / "today" / "Made.txt").read_text() == "made and more"


def test_what_another_task_of_the_same_dag_run_has_yielded_and_made_is_not_made_again(in_place, ran, task_context):
    dag = LuigiDag("shared", task="pipeline:Shared", project_path=in_place, schedule=None)
    context = task_context()
    with pytest.raises(DownstreamTasksSkipped):
        execute(dag.get_task("plan"), context)
    execute(dag.get_task("Features"), context)
    execute(dag.get_task("Yields"), context)
    assert execute(dag.get_task("Net"), context)["already_complete"] is True
    assert ran() == ["Features", "Net", "Yields"]


def test_a_second_attempt_asks_what_is_complete_until_the_plan_is_made_anew(in_place, task_context, state_store):
    dag, context, made = appends(in_place), task_context(state_store), in_place / "today" / "Made.txt"
    plan, first, last = (dag.get_task(name) for name in ("plan", "Made", "Appends"))

    def begin(try_number):
        execute(plan, context, try_number=try_number)
        execute(first, {**context, "task_state_store": type(state_store)()})
        execute(last, context)

    begin(1)
    assert made.read_text() == "made and more"
    assert execute(last, context, try_number=2)["already_complete"] is True
    made.unlink()
    begin(3)
    assert made.read_text() == "made and more"


def test_a_second_attempt_on_another_machine_asks_what_is_complete(in_place, task_context, state_store, monkeypatch):
    dag, context = appends(in_place), task_context(state_store)
    execute(dag.get_task("plan"), context)
    execute(dag.get_task("Made"), {**context, "task_state_store": type(state_store)()})
    execute(dag.get_task("Appends"), context)
    monkeypatch.setenv("AIRFLOW_DOMINO_LUIGI_LOCKS", str(in_place / "locks of another machine"))
    assert execute(dag.get_task("Appends"), context, try_number=2)["already_complete"] is True


def test_what_a_plan_of_an_earlier_version_left_is_followed(in_place, task_context, state_store):
    dag, context = appends(in_place), task_context(state_store)
    execute(dag.get_task("plan"), context)
    execute(dag.get_task("Made"), context)
    kept = json.loads((Path(__file__).parent / "persisted" / "luigi-due.json").read_text())
    state_store.clear()
    context["ti"].xcom_push(DUE_XCOM, kept)
    assert execute(dag.get_task("Appends"), context)["already_complete"] is False


def test_without_a_store_the_first_try_alone_follows_the_plan(in_place, task_context):
    dag, context = appends(in_place), task_context()
    for name in ("plan", "Made"):
        execute(dag.get_task(name), context)
    assert execute(dag.get_task("Appends"), context, try_number=2)["already_complete"] is True
    assert execute(dag.get_task("Appends"), context, try_number=1)["already_complete"] is False


def test_what_could_not_be_asked_by_the_plan_is_not_run(in_place, task_context):
    dag = LuigiDag("refuses", task="pipeline:Refuses", project_path=in_place, schedule=None)
    context = task_context()
    execute(dag.get_task("plan"), context)
    with pytest.raises(LuigiTaskError, match="raised OSError: away"):
        execute(dag.get_task("Refuses"), context)
    assert not (in_place / "runs.txt").exists()
