"""Two DAG runs never make the same Luigi task at once on Domino: the later one waits, and looks again."""

from __future__ import annotations

import asyncio
import threading

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_domino.domino.launch import RunMark, mark_title, work_key, work_of, work_title
from airflow_domino.domino.models import Run
from airflow_domino.hooks.identity import TaskIdentity
from airflow_domino.operators.luigi import LuigiTaskOperator
from airflow_domino.triggers.launch import DominoLaunchTrigger

PIPELINE = """
import luigi

class Report(luigi.Task):
    day = luigi.Parameter(default="monday")
    def output(self):
        return luigi.LocalTarget(f"{self.day}.txt")
"""
OTHERS = RunMark.for_task("another_dag", "manual__2", "report")

pytestmark = pytest.mark.usefixtures("domino_connection")


@pytest.fixture
def make(tmp_path):
    (tmp_path / "pipe.py").write_text(PIPELINE)

    def build(**arguments):
        arguments = {"deferrable": False, "poll_interval": 0.1} | arguments
        return LuigiTaskOperator(
            task_id="report",
            task="pipe:Report",
            project_path=tmp_path,
            working_dir=tmp_path / "work",
            run_on="domino",
            **arguments,
        )

    return build


@pytest.fixture
def work(make, fake_domino, task_context, tmp_path):
    """The key of the task's work, as a run that was launched before tells it."""
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded", wrote={"monday.txt": b"done"})
    make().execute(task_context(run_id="before"))
    key = work_of(fake_domino.last["title"])
    (tmp_path / "work" / "monday.txt").unlink()
    fake_domino.commit({"main.py": b"print(1)\n"})
    fake_domino.starts.clear()
    return key


def launch_other(fake_domino, title):
    """Let another DAG run of ours have a run that goes on."""
    before, fake_domino.on_start = fake_domino.on_start, lambda domino, run_id: None
    run_id = fake_domino.start({"commandToRun": "luigi", "title": title})["id"]
    fake_domino.starts.pop()
    fake_domino.on_start = before
    return run_id


def test_a_title_tells_what_the_run_makes_however_long_it_is():
    key = work_key("module", "Family", "Family_1")
    title = mark_title(work_title("x" * 500, key), OTHERS)
    assert len(title) <= 200
    assert (work_of(title), RunMark.parse(title)) == (key, OTHERS)
    assert mark_title(title, OTHERS) == title


def test_the_same_task_with_other_parameters_is_another_work(make, work, fake_domino, task_context):
    fake_domino.on_start = lambda domino, run_id: domino.end(run_id, "Succeeded", wrote={"tuesday.txt": b"done"})
    make(params={"day": "tuesday"}).execute(task_context())
    assert work_of(fake_domino.last["title"]) not in (None, work)


def test_a_task_waits_for_the_run_of_another_dag_run_and_takes_what_that_has_made(
    make, work, fake_domino, task_context, tmp_path
):
    other = launch_other(fake_domino, mark_title(work_title("theirs", work), OTHERS))
    threading.Timer(1, lambda: fake_domino.end(other, "Succeeded", wrote={"monday.txt": b"theirs"})).start()
    result = make().execute(task_context())
    assert (fake_domino.starts, fake_domino.stops) == ([], [])
    assert (tmp_path / "work" / "monday.txt").read_bytes() == b"theirs"
    assert result["already_complete"] is True


def test_a_run_of_another_that_ends_just_after_the_targets_were_asked_for_is_not_launched_again(
    make, work, fake_domino, task_context
):
    other = launch_other(fake_domino, mark_title(work_title("theirs", work), OTHERS))
    operator = make()
    ask = operator.ask_with_known_files

    def ask_and_let_end(*arguments, **asked):
        answered = ask(*arguments, **asked)
        if operator.has_given_way is False:
            fake_domino.end(other, "Succeeded", wrote={"monday.txt": b"theirs"})
        return answered

    object.__setattr__(operator, "ask_with_known_files", ask_and_let_end)
    assert operator.execute(task_context())["already_complete"] is True
    assert (fake_domino.starts, fake_domino.stops) == ([], [])


def test_a_task_launches_its_own_run_when_the_other_one_has_failed(make, work, fake_domino, task_context):
    other = launch_other(fake_domino, mark_title(work_title("theirs", work), OTHERS))
    threading.Timer(1, lambda: fake_domino.end(other, "Failed")).start()
    result = make().execute(task_context())
    assert len(fake_domino.starts) == 1
    assert (result["number"], result["already_complete"]) == (3, False)


def test_a_deferred_wait_leaves_the_other_run_alone_and_ends_in_another_look(
    make, work, fake_domino, task_context, state_store
):
    other = launch_other(fake_domino, mark_title(work_title("theirs", work), OTHERS))
    with pytest.raises(TaskDeferred) as deferred:
        make(deferrable=True).execute(task_context(state_store))
    arguments = deferred.value.trigger.serialize()[1]
    assert arguments["run"]["run_id"] == other
    assert (arguments["stop_on_kill"], arguments["on_clear"], arguments["ends_task"]) == (False, "leave", False)
    assert deferred.value.method_name == "execute_after_other"
    assert "stop_with" not in (deferred.value.kwargs or {})
    fake_domino.end(other, "Succeeded", wrote={"monday.txt": b"theirs"})
    result = make(deferrable=True).execute_after_other(task_context(state_store), {"outcome": "ended"})
    assert (result["already_complete"], fake_domino.starts, fake_domino.stops) == (True, [], [])


def test_of_two_that_launch_at_the_same_moment_the_later_gives_way(make, work, fake_domino, task_context):
    other = launch_other(fake_domino, None)

    def reveal(domino, run_id):
        domino.jobs[other]["title"] = mark_title(work_title("theirs", work), OTHERS)
        threading.Timer(1, lambda: domino.end(other, "Succeeded", wrote={"monday.txt": b"theirs"})).start()

    fake_domino.on_start = reveal
    result = make().execute(task_context())
    assert len(fake_domino.starts) == 1
    assert fake_domino.stops == [fake_domino.last["id"]]
    assert result["already_complete"] is True


def test_of_two_that_launch_at_the_same_moment_the_earlier_goes_on(make, work, fake_domino, task_context):
    def launch_later(domino, run_id):
        launch_other(domino, mark_title(work_title("theirs", work), OTHERS))
        threading.Timer(1, lambda: domino.end(run_id, "Succeeded", wrote={"monday.txt": b"ours"})).start()

    fake_domino.on_start = launch_later
    result = make().execute(task_context())
    assert (result["number"], fake_domino.stops) == (2, [])


def test_a_run_that_was_launched_in_the_triggerer_gives_way_too(work, fake_domino, task_context):
    other = launch_other(fake_domino, mark_title(work_title("theirs", work), OTHERS))
    fake_domino.leave_running()
    context = task_context()
    context["ti"].max_tries = 0
    trigger = DominoLaunchTrigger(
        command="luigi", domino_conn_id="domino_default", work=work, identity=TaskIdentity.of(context).to_dict()
    )

    async def first_event():
        try:
            return await anext(trigger.run())
        finally:
            await trigger.cleanup()

    event = asyncio.run(first_event())
    assert (event.payload["outcome"], event.payload["run"]) == ("launch", None)
    assert fake_domino.stops == [fake_domino.last["id"]]
    assert not Run.from_api(fake_domino.jobs[other]).status.is_completed
