"""LuigiTaskOperator with run_on="domino": completion is asked here, before and after a run over there."""

from __future__ import annotations

import shlex

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_domino.compat import AirflowFailException
from airflow_domino.domino.errors import RunFailedError
from airflow_domino.operators._luigi_arguments import project_files
from airflow_domino.operators.luigi import LuigiTaskError, LuigiTaskOperator

PIPELINE = """
import luigi

class Model(luigi.Task):
    name = luigi.Parameter(default="a")
    depth = luigi.IntParameter(default=3)
    verbose = luigi.BoolParameter(default=False)
    def output(self):
        return luigi.LocalTarget(f"models/{self.name}.zip")

class Elsewhere(luigi.Task):
    def output(self):
        return luigi.LocalTarget("/elsewhere/x.txt")

class Quiet(luigi.Task):
    loud = luigi.BoolParameter(default=True)
    def output(self):
        return luigi.LocalTarget("quiet.txt")

class Folder(luigi.Task):
    def output(self):
        return luigi.LocalTarget("folder")

class Models(luigi.WrapperTask):
    def requires(self):
        return [Model("a"), Model("b")]

class Guarded(Model):
    pin = luigi.Parameter(default="", visibility=luigi.parameter.ParameterVisibility.PRIVATE)

class Marker(luigi.Task):
    def complete(self):
        return False
"""

pytestmark = pytest.mark.usefixtures("domino_connection")


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


@pytest.fixture
def make(tmp_path, work):
    (tmp_path / "training.py").write_text(PIPELINE)

    def build(family="Model", **arguments):
        arguments = {"deferrable": False, "tier": "X-Large", "poll_interval": 0.1} | arguments
        return LuigiTaskOperator(
            task_id="train",
            task=f"training:{family}",
            project_path=tmp_path,
            working_dir=work,
            run_on="domino",
            **arguments,
        )

    return build


@pytest.fixture
def writes(fake_domino):
    """Let the next runs succeed and leave these files."""

    def leave(files: dict[str, bytes]) -> None:
        fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded", wrote=files)

    return leave


def test_the_run_makes_the_task_and_its_target_comes_back(make, work, writes, fake_domino, task_context):
    writes({"models/b.zip": b"trained"})
    result = make(params={"name": "b"}).execute(task_context())
    assert (work / "models" / "b.zip").read_bytes() == b"trained"
    assert result["outputs"] == ["models/b.zip"]
    assert (result["already_complete"], result["tier"], result["number"]) == (False, "X-Large", 1)
    assert fake_domino.starts[0]["overrideHardwareTierId"] == "xlarge-k8s"


def test_the_command_carries_every_parameter_and_luigis_exit_codes_tell_the_truth(
    make, writes, fake_domino, task_context
):
    name = "it's a 'name' with $(spaces)"
    writes({f"models/{name}.zip": b"x"})
    make(params={"name": name, "depth": 7, "verbose": True}, workers=2).execute(task_context())
    words = shlex.split(fake_domino.starts[0]["commandToRun"])
    assert words[:6] == ["python", "-m", "luigi", "--module", "training", "Model"]
    assert f"--Model-name={name}" in words
    assert {"--Model-depth=7", "--Model-verbose", "--workers=2", "--local-scheduler", "--no-lock"} <= set(words)
    assert {"--retcode-task-failed=30", "--retcode-missing-data=20", "--retcode-unhandled-exception=40"} <= set(words)


def test_a_complete_task_ends_at_once_without_a_run_also_when_it_could_defer(make, work, fake_domino, task_context):
    (work / "models").mkdir(parents=True)
    (work / "models" / "a.zip").touch()
    result = make(deferrable=True).execute(task_context())
    assert result["already_complete"] is True
    assert fake_domino.starts == []


def test_an_incomplete_task_is_launched_and_deferred(make, fake_domino, task_context):
    fake_domino.leave_running()
    with pytest.raises(TaskDeferred) as deferred:
        make(deferrable=True).execute(task_context())
    assert deferred.value.method_name == "execute_complete"
    assert deferred.value.trigger.serialize()[1]["ends_task"] is False


def test_after_a_deferral_the_target_is_brought_back_by_a_fresh_operator(make, work, fake_domino, task_context):
    fake_domino.leave_running()
    context = task_context()
    with pytest.raises(TaskDeferred) as deferred:
        make(deferrable=True).execute(context)
    run_id = fake_domino.last["id"]
    fake_domino.end(run_id, "Succeeded", wrote={"models/a.zip": b"trained"})
    event = {"outcome": "ended", "run_id": run_id}
    result = make(deferrable=True).execute_complete(context, event, **deferred.value.kwargs)
    assert (work / "models" / "a.zip").read_bytes() == b"trained"
    assert result["run_id"] == run_id


def test_a_failed_run_fails_the_task(make, fake_domino, task_context):
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Failed", reason="exit code 30")
    with pytest.raises(RunFailedError, match="line 2 of run 1"):
        make().execute(task_context())


def test_a_run_without_the_target_fails_the_task_and_names_it(make, writes, task_context):
    writes({"other.txt": b"x"})
    with pytest.raises(LuigiTaskError, match=r"lack the target 'models/a\.zip'"):
        make().execute(task_context())


def test_a_task_that_is_complete_over_there_only_fails_and_says_so(make, writes, task_context):
    writes({})
    with pytest.raises(LuigiTaskError, match="complete there, but it is not complete on this worker"):
        make("Marker").execute(task_context())


def test_a_target_outside_the_working_folder_is_refused_before_the_launch(make, fake_domino, task_context):
    with pytest.raises(AirflowFailException, match=r"'/elsewhere/x\.txt' lies outside the working directory"):
        make("Elsewhere").execute(task_context())
    assert fake_domino.starts == []


def test_what_luigis_command_line_cannot_express_is_refused_before_the_launch(make, fake_domino, task_context):
    with pytest.raises(AirflowFailException, match="its parameter 'loud' has a value that Luigi's command line"):
        make("Quiet", params={"loud": False}).execute(task_context())
    assert fake_domino.starts == []


def test_a_target_that_is_a_folder_comes_back_whole(make, work, writes, task_context):
    writes({"folder/a.txt": b"a", "folder/deep/b.txt": b"b", "folder.txt": b"no"})
    make("Folder").execute(task_context())
    assert (work / "folder" / "a.txt").read_bytes() == b"a"
    assert (work / "folder" / "deep" / "b.txt").read_bytes() == b"b"
    assert not (work / "folder.txt").exists()


def test_force_makes_a_complete_task_again_over_there_with_nothing_but_luigi(
    make, work, writes, fake_domino, task_context
):
    (work / "models").mkdir(parents=True)
    (work / "models" / "a.zip").write_text("old")
    writes({"models/a.zip": b"new"})
    result = make(force=True, params={"name": "a"}).execute(task_context())
    assert (work / "models" / "a.zip").read_text() == "new"
    (aside,) = (work / "models").glob("a.zip.before-force-*")
    assert aside.read_text() == "old"
    assert result["already_complete"] is False
    words = shlex.split(fake_domino.starts[0]["commandToRun"])
    assert words[:2] == ["python", "-c"]
    assert words[3:5] == ["1", "models/a.zip"]
    assert {"training", "Model", "--Model-name=a", "--retcode-task-failed=30"} <= set(words)
    assert "\n" not in fake_domino.starts[0]["commandToRun"]


def test_forced_families_are_made_again_by_airflow_domino_over_there(make, writes, fake_domino, task_context):
    writes({"models/a.zip": b"new"})
    make(force=["Model"]).execute(task_context())
    words = shlex.split(fake_domino.starts[0]["commandToRun"])
    assert words[:4] == ["airflow-domino", "luigi", "run", "training:Model"]
    assert {"--param=name=a", "--force=Model"} <= set(words)


def test_what_a_forced_run_does_not_bring_is_still_here(make, work, writes, task_context):
    (work / "models").mkdir(parents=True)
    (work / "models" / "a.zip").write_text("old")
    writes({"models/other.zip": b"new"})
    with pytest.raises(LuigiTaskError, match="its results lack the target"):
        make(force=True, params={"name": "a"}).execute(task_context())
    assert [path.name for path in (work / "models").iterdir()] == ["a.zip"]


def test_what_a_run_made_becomes_an_asset_event_and_what_was_here_does_not(make, work, writes, task_context):
    writes({"models/b.zip": b"trained"})
    made, there = task_context(), task_context()
    make(params={"name": "b"}).execute(made)
    make(params={"name": "b"}).execute(there)
    assert dict(there["outlet_events"]) == {}
    (accessor,) = made["outlet_events"].values()
    (event,) = accessor.asset_alias_events
    assert event.dest_asset_key.uri == f"file://{work}/models/b.zip"
    assert (event.source_alias_name, event.extra["params"]["name"]) == ("luigi:training:Model", "b")


def test_a_retry_takes_up_the_run_of_the_attempt_before(make, work, fake_domino, task_context, state_store):
    fake_domino.leave_running()
    with pytest.raises(TaskDeferred):
        make(deferrable=True).execute(task_context(state_store))
    fake_domino.end(fake_domino.last["id"], "Succeeded", wrote={"models/a.zip": b"trained"})
    make().execute(task_context(state_store, try_number=2))
    assert len(fake_domino.starts) == 1
    assert (work / "models" / "a.zip").exists()


@pytest.mark.parametrize("where", ["project", "worker"])
def test_a_retry_delivers_the_run_of_the_attempt_before_although_its_results_are_there_already(
    make, work, fake_domino, task_context, state_store, where
):
    fake_domino.leave_running()
    with pytest.raises(TaskDeferred):
        make(deferrable=True).execute(task_context(state_store))
    run_id = fake_domino.last["id"]
    fake_domino.end(run_id, "Succeeded", wrote={"models/a.zip": b"trained"})
    if where == "project":
        fake_domino.commit({"models/a.zip": b"trained"})
    else:
        (work / "models").mkdir()
        (work / "models" / "a.zip").write_bytes(b"trained")
    result = make().execute(task_context(state_store, try_number=2))
    assert (result["run_id"], result["status"]) == (run_id, "Succeeded")
    assert len(fake_domino.starts) == 1


def test_a_wrong_request_is_found_before_domino_is_asked(make, fake_domino, task_context):
    with pytest.raises(AirflowFailException, match="no parameter 'deep'"):
        make(params={"deep": 1}).execute(task_context())
    assert fake_domino.requests == []


@pytest.mark.parametrize("path", ["../x.txt", "/etc/passwd", "a/../../x.txt"])
def test_no_target_leads_out_of_the_working_folder(tmp_path, path):
    from airflow_domino.domino.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="outside the working directory"):
        project_files([{"path": path, "local": True}], tmp_path)


def test_targets_that_are_no_local_files_are_left_to_complete(tmp_path):
    outputs = [{"path": "s3://bucket/x", "local": False}, {"path": "./a/b.txt", "local": True}]
    assert project_files(outputs, tmp_path) == {"a/b.txt": tmp_path / "a" / "b.txt"}


def test_force_is_about_the_tasks_own_node_with_its_parameters(make, writes, fake_domino, task_context):
    writes({"models/b.zip": b"new"})
    make("Models", force=True, node=[(1, "Model")]).execute(task_context())
    words = shlex.split(fake_domino.starts[0]["commandToRun"])
    assert {"training", "Model", "--Model-name=b", "--Model-depth=3"} <= set(words)


def test_a_private_value_is_not_written_into_the_command_of_a_run(make, fake_domino, task_context):
    for force in (True, False):
        with pytest.raises(AirflowFailException, match="'pin' is private") as refused:
            make("Guarded", force=force, params={"pin": "hunter2"}).execute(task_context())
        assert "hunter2" not in str(refused.value)
    assert fake_domino.starts == []
