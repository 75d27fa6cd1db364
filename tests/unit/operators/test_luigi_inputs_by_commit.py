"""A Luigi task's Domino run begins with the commit that has what the task rests on, unless all is there already."""

from __future__ import annotations

import shlex

import pytest
from airflow.sdk import DAG

from airflow_domino.compat import AirflowFailException
from airflow_domino.domino.errors import RunFailedError
from airflow_domino.luigi_dag import LuigiDag
from airflow_domino.operators.luigi import LuigiTaskError, LuigiTaskOperator

PIPELINE = """
import luigi

class Raw(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("raw/data.csv")

class Clean(luigi.Task):
    def requires(self):
        return Raw()
    def output(self):
        return luigi.LocalTarget("clean")

class Report(luigi.Task):
    def requires(self):
        return Clean()
    def output(self):
        return luigi.LocalTarget("report.txt")

class Outside(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("../outside.txt")

class OnOutside(Report):
    def requires(self):
        return Outside()

class Notify(luigi.Task):
    def run(self):
        pass

class Last(luigi.Task):
    def requires(self):
        return Clean()
    def output(self):
        return luigi.LocalTarget("last.txt")
    def run(self):
        with self.output().open("w") as file:
            file.write("made here")
"""

WAIT_HERE = {"Report": {"deferrable": False, "poll_interval": 0.1}}

pytestmark = pytest.mark.usefixtures("domino_connection")
CLEAN = {"clean/a.csv": b"a", "clean/deep/b.csv": b"b"}


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def make(tmp_path, work):
    (tmp_path / "pipe.py").write_text(PIPELINE)

    def build(family="Report", task_id="report", **arguments):
        arguments = {"deferrable": False, "poll_interval": 0.1, "run_on": "domino"} | arguments
        return LuigiTaskOperator(
            task_id=task_id, task=f"pipe:{family}", project_path=tmp_path, working_dir=work, **arguments
        )

    return build


@pytest.fixture
def put_here(work):
    def put(files):
        for name, content in files.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(content)

    return put


@pytest.fixture
def writes(fake_domino):
    def leave(files, status="Succeeded", **end):
        fake_domino.on_start = lambda domino, run_id: domino.end(run_id, status, wrote=files, **end)

    return leave


def begun_with(fake_domino):
    """The files of the commit that the last run began with."""
    return fake_domino.trees[fake_domino.starts[-1]["commitId"]]


def uploads(fake_domino):
    return [request.rpartition("/quick-start/")[2] for request in fake_domino.requests if request.startswith("PUT")]


def test_what_the_task_rests_on_is_put_into_the_commit_that_the_run_begins_with(
    make, put_here, writes, fake_domino, task_context
):
    put_here(CLEAN | {"unrelated.txt": b"stays here"})
    writes({"report.txt": b"done"})
    make().execute(task_context())
    assert begun_with(fake_domino) == {"main.py": b"print(1)\n"} | CLEAN


def test_what_the_project_has_already_is_not_uploaded_again(make, put_here, writes, fake_domino, task_context):
    put_here(CLEAN)
    commit = fake_domino.commit({"clean/a.csv": b"a", "clean/deep/b.csv": b"other"})
    fake_domino.commit(fake_domino.trees[commit] | {"new.txt": b"x"})
    writes({"report.txt": b"done"})
    make().execute(task_context())
    assert uploads(fake_domino) == ["clean/deep/b.csv"]
    assert begun_with(fake_domino)["clean/deep/b.csv"] == b"b"


def test_nothing_is_uploaded_where_the_project_has_it_all(make, put_here, writes, fake_domino, task_context):
    put_here(CLEAN)
    commit = fake_domino.commit(dict(CLEAN))
    writes({"report.txt": b"done"})
    make().execute(task_context())
    assert uploads(fake_domino) == []
    assert fake_domino.starts[0]["commitId"] == commit


def test_what_is_in_the_project_alone_need_not_be_here(make, work, writes, fake_domino, task_context):
    commit = fake_domino.commit(dict(CLEAN))
    writes({"report.txt": b"done"})
    make().execute(task_context())
    assert fake_domino.starts[0]["commitId"] == commit
    assert not (work / "clean").exists()


def test_a_target_that_no_domino_run_sees_is_refused_before_the_launch(make, put_here, fake_domino, task_context):
    put_here({"../outside.txt": b"here"})
    with pytest.raises(AirflowFailException, match=r"rests on Outside\(\), whose target '\.\./outside\.txt'.*worker"):
        make("OnOutside").execute(task_context())
    assert fake_domino.starts == []


def test_a_pinned_commit_that_lacks_the_inputs_is_refused(make, put_here, fake_domino, task_context):
    put_here(CLEAN)
    with pytest.raises(AirflowFailException, match=r"does not have clean/a\.csv.*leave commit_id"):
        make(commit_id="a" * 40).execute(task_context())
    assert (fake_domino.starts, uploads(fake_domino)) == ([], [])


def test_a_pinned_commit_that_has_the_inputs_is_kept(make, put_here, writes, fake_domino, task_context):
    put_here(CLEAN)
    commit = fake_domino.commit(dict(CLEAN))
    fake_domino.commit({"later.txt": b"x"})
    writes({"report.txt": b"done"})
    make(commit_id=commit).execute(task_context())
    assert fake_domino.starts[0]["commitId"] == commit


def test_a_task_that_is_complete_in_the_project_is_brought_from_there_without_a_run(
    make, work, fake_domino, task_context, capsys
):
    commit = fake_domino.commit({"report.txt": b"made before"})
    result = make(deferrable=True).execute(task_context())
    assert fake_domino.starts == []
    assert (work / "report.txt").read_bytes() == b"made before"
    assert (result["already_complete"], result["output_commit"]) == (True, commit)
    assert f"Already complete in the project at commit {commit}" in capsys.readouterr().out


def test_force_asks_for_a_run_although_the_project_has_the_targets(make, work, writes, fake_domino, task_context):
    fake_domino.commit({"report.txt": b"old"})
    writes({"report.txt": b"new"})
    make(force=True).execute(task_context())
    assert (work / "report.txt").read_bytes() == b"new"


def test_a_task_without_targets_is_done_when_its_run_has_succeeded(make, writes, fake_domino, task_context):
    writes({})
    assert make("Notify").execute(task_context())["already_complete"] is False
    assert len(fake_domino.starts) == 1


def test_a_failed_run_is_failed_whatever_targets_it_has_left(make, work, writes, task_context):
    writes({"report.txt": b"half"}, "Failed", reason="exit code 30")
    with pytest.raises(RunFailedError, match="exit code 30"):
        make().execute(task_context())
    assert not (work / "report.txt").exists()


def test_a_failed_run_is_failed_though_its_target_is_on_the_worker(make, put_here, fake_domino, task_context):
    def fail(domino, run_id):
        put_here({"report.txt": b"half"})
        domino.end(run_id, "Failed", reason="exit code 30")

    fake_domino.on_start = fail
    with pytest.raises(RunFailedError, match="exit code 30"):
        make().execute(task_context())


def test_old_targets_do_not_hide_that_a_forced_run_has_failed(make, put_here, writes, task_context):
    put_here({"report.txt": b"old"})
    writes({}, "Failed", reason="exit code 1")
    with pytest.raises(RunFailedError):
        make(force=True).execute(task_context())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (10, "another Luigi process"),
        (20, "external data is missing there"),
        (25, "did not get to run"),
        (30, "a Luigi task failed there"),
        (35, "complete\\(\\) or requires\\(\\)"),
        (40, "an exception that nobody handled"),
    ],
)
def test_the_exit_code_of_a_failed_run_is_put_into_words(make, writes, task_context, code, words):
    writes({}, "Failed", reason=f"The command ended with exit code {code}")
    with pytest.raises(RunFailedError, match=f"exit code {code}: .*{words}"):
        make().execute(task_context())


def test_a_run_whose_files_do_not_make_the_task_complete_here_says_which_side_disagrees(make, writes, task_context):
    writes({"clean.txt": b"x"})
    with pytest.raises(LuigiTaskError, match=r"complete there, but its results lack the target 'report\.txt'"):
        make().execute(task_context())


@pytest.fixture
def context_with(task_context):
    """A task context in which upstream tasks have said these things."""

    def build(results):
        context = task_context()
        context["ti"].xcom_pull = lambda key, task_ids=None, **_: results.get(task_ids)
        return context

    return build


def test_what_a_run_above_has_left_beside_the_main_line_is_an_input_also_on_another_worker(
    make, writes, fake_domino, context_with
):
    isolated = fake_domino.commit({"main.py": b"print(1)\n"} | CLEAN)
    fake_domino.commits.remove(isolated)  # isolated results are not on the main line
    with DAG("pipeline", schedule=None):
        above, below = make("Clean", task_id="clean"), make()
        above >> below
    writes({"report.txt": b"done"})
    below.execute(context_with({"clean": {"output_commit": isolated, "outputs": ["clean"]}}))
    assert begun_with(fake_domino) == {"main.py": b"print(1)\n"} | CLEAN


@pytest.mark.parametrize("isolated", [True, False])
def test_a_task_on_a_worker_gets_what_a_domino_run_above_has_made(make, work, fake_domino, context_with, isolated):
    commit = fake_domino.commit(dict(CLEAN))
    if isolated:
        fake_domino.commits.remove(commit)
    with DAG("pipeline", schedule=None):
        above, below = make("Clean", task_id="clean"), make("Last", task_id="last", run_on="worker")
        above >> below
    result = below.execute(context_with({"clean": {"output_commit": commit, "outputs": [str(work / "clean")]}}))
    assert (work / "clean" / "deep" / "b.csv").read_bytes() == b"b"
    assert result["ran"] == ["Last__99914b932b"]


def test_a_task_on_a_worker_asks_domino_for_nothing_when_all_is_here(make, put_here, fake_domino, context_with):
    put_here(CLEAN)
    with DAG("pipeline", schedule=None):
        above, below = make("Clean", task_id="clean"), make("Last", task_id="last", run_on="worker")
        above >> below
    below.execute(context_with({}))
    assert fake_domino.requests == []


def test_the_command_is_luigis_own_where_nothing_is_forced(make, writes, fake_domino, task_context):
    writes({"report.txt": b"done"})
    make().execute(task_context())
    words = shlex.split(fake_domino.starts[0]["commandToRun"])
    assert words[:6] == ["python", "-m", "luigi", "--module", "pipe", "Report"]


def test_what_a_run_above_has_made_comes_before_an_older_version_in_the_project(
    make, writes, fake_domino, context_with
):
    isolated = fake_domino.commit(dict(CLEAN))
    fake_domino.commits.remove(isolated)
    fake_domino.commit({"clean/a.csv": b"older"})
    with DAG("pipeline", schedule=None):
        above, below = make("Clean", task_id="clean"), make()
        above >> below
    writes({"report.txt": b"done"})
    below.execute(context_with({"clean": {"output_commit": isolated, "outputs": ["clean"]}}))
    assert begun_with(fake_domino) == CLEAN


def test_what_a_run_above_has_made_in_the_main_line_is_not_brought_here(make, work, writes, fake_domino, context_with):
    commit = fake_domino.commit(dict(CLEAN))
    with DAG("pipeline", schedule=None):
        above, below = make("Clean", task_id="clean"), make()
        above >> below
    writes({"report.txt": b"done"})
    below.execute(context_with({"clean": {"output_commit": commit, "outputs": ["clean"]}}))
    assert fake_domino.starts[0]["commitId"] == commit
    assert not (work / "clean").exists()


def test_what_the_first_task_of_a_drawn_pipeline_was_told_to_have_made_again_is_made_again_on_domino(
    make, tmp_path, work, writes, fake_domino, task_context
):
    fake_domino.commit({"report.txt": b"old"})
    drawn = LuigiDag(
        "drawn", task="pipe:Report", project_path=tmp_path, working_dir=work, run_on="domino", overrides=WAIT_HERE
    )
    context = task_context(task_id="Report")
    told = {"plan": ["Report"]}
    context["ti"].xcom_pull = lambda key, task_ids=None, **_: told.get(task_ids) if key == "luigi_forced" else None
    writes({"report.txt": b"new"})
    drawn.get_task("Report").execute(context)
    assert (work / "report.txt").read_bytes() == b"new"
    assert shlex.split(fake_domino.starts[0]["commandToRun"])[3:5] == ["1", "report.txt"]
