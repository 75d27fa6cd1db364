"""What becomes of those of Luigi's concepts that only a drawn pipeline shows; docs/luigi.md lists them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator

from airflow_domino.compat import DownstreamTasksSkipped
from airflow_domino.luigi_dag import LuigiDag

PIPELINE = """
import luigi

class Made(luigi.Task):
    def output(self):
        return luigi.LocalTarget(f"{self.task_id}.txt")
    def run(self):
        with open("ran.txt", "a") as ran:
            ran.write(f"{self.task_family}\\n")
        with self.output().open("w") as file:
            file.write("made")

class Part(Made):
    pass

class Wrap(luigi.WrapperTask):
    def requires(self):
        return Part()
    def run(self):
        with open("ran.txt", "a") as ran:
            ran.write("Wrap\\n")

class Root(Made):
    def requires(self):
        return Wrap()

class Later(Made):
    number = luigi.IntParameter()

class Steps(Made):
    def requires(self):
        return Part()
    def run(self):
        yield [Later(number) for number in range(2)]
        super().run()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "plans").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "plans"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "drawn_concepts.py").write_text(PIPELINE)
    return folder


def run_all(dag: LuigiDag, task_context) -> dict[str, object]:
    """Run the tasks of a DAG in the order of their edges, as Airflow would."""
    results: dict[str, object] = {}
    for task in dag.topological_sort():
        if task.task_id in results or isinstance(task, EmptyOperator):
            continue
        copy = task.prepare_for_execution()
        copy.render_template_fields({"params": dag.params.dump()})
        try:
            results[task.task_id] = copy.execute(task_context())
        except DownstreamTasksSkipped as skip:
            results |= dict.fromkeys(skip.tasks, "skipped")
    return results


def test_what_a_run_yields_is_made_by_the_task_that_yields_it(project, task_context):
    dag = LuigiDag("steps", task="drawn_concepts:Steps", project_path=project, schedule=None)
    assert sorted(dag.luigi_tasks) == ["Part", "Steps"]
    made = run_all(dag, task_context)["Steps"]
    assert [task_id.partition("_")[0] for task_id in made["ran"]] == ["Later", "Later", "Steps"]


def test_a_wrapper_with_a_run_of_its_own_is_run_once_in_a_drawn_pipeline_too(project, task_context):
    def make() -> dict[str, object]:
        return run_all(LuigiDag("wrap", task="drawn_concepts:Root", project_path=project, schedule=None), task_context)

    make()
    assert (project / "ran.txt").read_text().split() == ["Part", "Wrap", "Root"]
    assert make()["Wrap"] == "skipped"
    assert (project / "ran.txt").read_text().split() == ["Part", "Wrap", "Root"]


def test_pipelines_of_one_dag_file_may_have_modules_and_families_of_one_name(project, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "drawn_concepts.py").write_text("import luigi\nclass Root(luigi.Task):\n    pass\n")
    one, two = (
        LuigiDag(name, task="drawn_concepts:Root", project_path=folder, schedule=None)
        for name, folder in (("one", project), ("two", other))
    )
    assert (sorted(one.luigi_tasks), sorted(two.luigi_tasks)) == (["Part", "Root", "Wrap"], ["Root"])


def test_the_configuration_that_the_dag_is_drawn_with_goes_with_its_tasks(project, tmp_path, monkeypatch):
    config = tmp_path / "pipeline.cfg"
    config.touch()
    monkeypatch.setenv("LUIGI_CONFIG_PATH", str(config))
    dag = LuigiDag("configured", task="drawn_concepts:Root", project_path=project, schedule=None)
    assert {Path(task.config) for task in dag.tasks if hasattr(task, "config")} == {config}


def test_the_drawing_stays_the_same_when_everything_is_complete(project, task_context):
    def draw() -> dict[str, set[str]]:
        dag = LuigiDag("same", task="drawn_concepts:Root", project_path=project, schedule=None)
        return {task.task_id: task.upstream_task_ids for task in dag.tasks}

    before = draw()
    run_all(LuigiDag("once", task="drawn_concepts:Root", project_path=project, schedule=None), task_context)
    assert list(project.glob("Root_*.txt"))
    assert draw() == before


def test_airflows_processes_never_load_luigi(project):
    program = f"""
import sys
from airflow_domino.luigi_dag import LuigiDag
dag = LuigiDag("drawn", task="drawn_concepts:Part", project_path={str(project)!r}, schedule=None)
dag.get_task("Part").ask_engine("run")
assert dag.get_task("Part").last_answer.outcome == "done"
print(sorted(name for name in sys.modules if name.partition(".")[0] == "luigi"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
