"""All runs of all attempts, from what tasks have stored and from what Domino says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import update

from airflow_domino.domino.launch import RunMark
from airflow_domino.domino.models import Run, RunStatus
from airflow_domino.domino.tiers import HardwareTier
from airflow_domino.plugin.history import Scope, find_history
from airflow_domino.plugin.look import Look
from airflow_domino.plugin.past_run import Launcher

STARTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW = STARTED + timedelta(hours=1)
A, B = "a" * 24, "b" * 24
LINK = "http://localhost:9/jobs/1"
DAGS = {"ensemble"}


def facts(run_id=A, **more):
    return {"run_id": run_id, "url": LINK, "project": "ann/churn", "project_id": "p1", "tier": "Small"} | more


def at(seconds):
    return (STARTED + timedelta(seconds=seconds)).isoformat()


def on_domino(run_id, word, mark=None, *, begin=0, start=None, end=None, number=7):
    moments = [None if seconds is None else STARTED + timedelta(seconds=seconds) for seconds in (begin, start, end)]
    title = f"fit {mark.text}" if mark else "fit"
    return Run(run_id, number, title, "fit.py", "p1", RunStatus(word, end is not None), *moments)


def look_at(*runs):
    return Look("domino_default", "ann/churn", taken_at=NOW, runs=runs)


@pytest.fixture
def history(sessions):
    def find(dag_ids=DAGS, since=None, looks=(), **scope):
        with sessions() as session:
            return find_history(session, Scope(dag_ids, since, **scope), looks).runs

    return find


@pytest.fixture
def dag_run(store):
    """Adds a DAG run without any task's XComs."""

    def add(dag_id="ensemble", run_id="manual__1"):
        store.add_dag_run(dag_id, run_id, state="success", clear_number=1)

    return add


def test_a_finished_run_has_its_times_from_its_launch_and_its_result(store, history):
    result = facts(status="Succeeded", queued_seconds=10, run_seconds=50, cost_cents=5)
    record = {"generation": 0, "launch": 0, "run": facts(submitted_at=at(2), cents_per_minute=6)}
    store.add(launch_record=record, return_value=result, run_id=A, domino_run_link=LINK)

    (run,) = history()

    assert (run.outcome, run.tier, run.url) == ("succeeded", "Small", LINK)
    assert [moment.isoformat() for moment in (run.submitted_at, run.started_at, run.ended_at)] == [
        at(2),
        at(12),
        at(62),
    ]
    assert (run.cost_cents(NOW), run.is_estimated) == (5, False)


def test_without_the_time_of_its_launch_the_tasks_own_stands_in_and_no_cost_is_guessed(store, history):
    store.add(return_value=facts(queued_seconds=1, run_seconds=2, status="Succeeded"), run_id=A, domino_run_link=LINK)

    (run,) = history()

    assert (run.submitted_at, run.is_estimated, run.cost_cents(NOW)) == (STARTED, True, None)


def test_the_runs_of_all_attempts_are_found_each_once(store, history):
    past = [
        facts(A, number=1, status="Failed", try_number=1, submitted_at=at(0), run_seconds=4, cost_cents=1),
        facts(B, number=2, try_number=2, submitted_at=at(60)),
    ]
    result = facts(B, number=2, status="Succeeded", queued_seconds=0, run_seconds=30, cost_cents=2)
    store.add(try_number=2, past_runs=past, return_value=result, run_id=B, domino_run_link=LINK)

    runs = history()

    assert [(run.number, run.outcome, run.try_number, run.is_latest) for run in runs] == [
        (2, "succeeded", 2, True),
        (1, "failed", 1, False),
    ]
    assert runs[0].started_at == STARTED + timedelta(seconds=60)


def test_a_cleared_task_whose_xcoms_are_gone_still_shows_what_it_ran(store, history):
    store.add(state="queued", try_number=2, past_runs=[facts(status="Succeeded", cost_cents=3, submitted_at=at(0))])

    (run,) = history()

    assert (run.outcome, run.is_over, run.cost_cents(NOW)) == ("succeeded", True, 3)


def test_a_task_that_only_waits_for_a_run_has_launched_none(store, history):
    store.add(task_id="sensor", return_value=facts(status="Succeeded"), domino_run_link=LINK)

    assert history() == []


def test_a_run_that_goes_on_is_as_domino_says(store, history):
    record = {"run": facts(submitted_at=at(0), cents_per_minute=6)}
    store.add(state="deferred", launch_record=record, run_id=A, domino_run_link=LINK)

    assert history()[0].outcome == "live"
    (queued,) = history(looks=[look_at(on_domino(A, "Queued"))])
    (running,) = history(looks=[look_at(on_domino(A, "Running", start=600))])
    (ended,) = history(looks=[look_at(on_domino(A, "Stopped", start=600, end=1200))])

    assert (queued.outcome, queued.queued_seconds(NOW), queued.cost_cents(NOW)) == ("queued", 3600, 0)
    assert (running.outcome, running.run_seconds(NOW), running.cost_cents(NOW)) == ("running", 3000, 300)
    assert (ended.outcome, ended.run_seconds(NOW), ended.cost_cents(NOW)) == ("stopped", 600, 60)


def test_a_run_that_airflow_has_forgotten_is_known_again_by_its_mark(store, history, dag_run):
    dag_run()
    store.add(task_id="train", state="success")
    forgotten = on_domino(B, "Failed", RunMark.for_task("ensemble", "manual__1", "train", generation=2), start=1, end=9)

    (run,) = history(looks=[look_at(forgotten)])

    assert (run.launcher.dag_id, run.launcher.task_id, run.outcome) == ("ensemble", "train", "failed")
    assert (run.project, run.run_seconds(NOW)) == ("ann/churn", 8)


@pytest.mark.parametrize("dag_id", ["theirs", "of_another_airflow"])
def test_a_forgotten_run_of_a_dag_that_one_may_not_read_stays_unseen(store, history, dag_run, dag_id):
    if dag_id == "theirs":
        dag_run("theirs")
        store.add("theirs", "train")
    foreign = on_domino(B, "Failed", RunMark.for_task(dag_id, "manual__1", "train"), end=9)

    assert history(looks=[look_at(foreign)]) == []


def test_runs_that_were_over_before_are_left_out_and_those_that_go_on_are_not(store, history):
    store.add(
        task_id="over",
        past_runs=[facts(A, status="Succeeded", submitted_at=at(0), completed_at=at(9))],
        started_at=STARTED,
    )
    store.add(task_id="long", state="deferred", run_id=B, domino_run_link=LINK, launch_record={"run": facts(B)})

    assert [run.run_id for run in history(since=STARTED + timedelta(days=1))] == [B]


@pytest.mark.parametrize("rest", ["nonsense", ["a", 7], [{"run_id": 7}], [{"no": "id"}], {"run_id": A}, None])
def test_what_was_kept_in_another_shape_breaks_nothing(store, history, rest):
    store.add(past_runs=rest, run_id=A, domino_run_link=LINK, domino_run="{broken", return_value=[1])

    assert [run.run_id for run in history()] == [A]


def test_the_number_of_statements_does_not_grow_with_the_runs(store, history, dag_run, count_statements):
    dag_run()
    for number in range(20):
        store.add(task_id=f"task_{number}", run_id=f"{number:024x}", domino_run_link=LINK)
    mark = RunMark.for_task("ensemble", "manual__1", "task_0", generation=1)
    forgotten = [on_domino(f"{number:024x}", "Failed", mark, end=9) for number in range(100, 130)]
    before = count_statements()

    assert len(history()) == 20
    assert count_statements() - before == 3
    assert len(history(looks=[look_at(*forgotten)])) == 50
    assert count_statements() - before == 8


def test_who_may_read_no_dag_finds_no_run(store, history):
    store.add_finished()

    assert history(dag_ids=set()) == ()


# ---- runs of Luigi tasks ---------------------------------------------------------------------------------------------


def luigi_mark(generation=0, task_id="pipeline"):
    """The mark of a run that Luigi launches while it works for the task `pipeline`."""
    name = json.dumps(("ensemble", "manual__1", "pipeline", -1, generation))
    return RunMark.for_task("luigi", name, task_id, generation=1)


def told(run_id=A, state="done", **more):
    url = f"https://domino.example.com/jobs/ann/churn/{run_id}/logs?status=all"
    return {"task_id": "DominoRunTask_1", "state": state, "tier": "Small", "url": url} | more


def test_runs_that_luigi_launched_within_a_task_are_known_by_what_the_task_told_at_its_end(store, history):
    store.add(task_id="pipeline", luigi_tasks=[told(), told(B, "failed"), {"task_id": "Other_1", "url": None}])

    runs = {run.run_id: run for run in history()}

    assert {run_id: run.outcome for run_id, run in runs.items()} == {A: "succeeded", B: "failed"}
    assert (runs[A].tier, runs[A].project, runs[A].launcher.task_id) == ("Small", "ann/churn", "pipeline")
    assert runs[A].cost_cents(NOW) is None  # when exactly it ran, Domino alone knows


def test_what_such_a_run_cost_is_reckoned_from_what_domino_says(store, history):
    store.add(task_id="pipeline", luigi_tasks=[told()])
    small = HardwareTier("small-k8s", "Small", cents_per_minute=6)
    ended = on_domino(A, "Succeeded", start=0, end=60)
    look = Look("domino_default", "ann/churn", taken_at=NOW, tiers=(small,), runs=(ended,))

    (run,) = history(looks=[look])

    assert (run.run_seconds(NOW), run.cost_cents(NOW), run.is_estimated) == (60, 6, False)


@pytest.mark.parametrize("generation", [0, 1])
def test_a_run_that_luigi_waits_for_now_is_known_by_its_mark(store, history, generation):
    store.add(task_id="pipeline", state="running")
    with store.sessions.begin() as session:
        session.execute(update(TaskInstance.__table__).values(max_tries=1))

    (run,) = history(looks=[look_at(on_domino(A, "Running", luigi_mark(generation), start=5))])

    assert (run.launcher.task_id, run.outcome) == ("pipeline", "running")


def test_the_names_by_which_luigis_runs_are_known_are_those_that_operators_write():
    from airflow_domino.operators import _luigi_telling
    from airflow_domino.plugin import luigi_runs

    assert luigi_runs.TASKS_KEY == _luigi_telling.TASKS_KEY


def test_the_mark_of_a_luigi_run_is_the_one_that_the_engine_makes(monkeypatch, task_context):
    from airflow_domino.luigi.run_owner import RunOwner
    from airflow_domino.operators import _luigi_run_owner
    from airflow_domino.plugin.luigi_runs import LuigiWorker

    context = task_context(dag_id="ensemble", run_id="manual__1", task_id="pipeline", max_tries=0)
    monkeypatch.setattr(_luigi_run_owner, "get_current_context", lambda: context)
    for name, value in _luigi_run_owner.owner_variables().items():
        monkeypatch.setenv(name, value)
    mark = RunMark.for_task("luigi", RunOwner.of_process().name, "DominoRunTask_1", generation=1)

    worker = LuigiWorker(Launcher("ensemble", "manual__1", "pipeline"), 2)

    assert mark.owner_key in set(worker.owner_keys())


def test_without_a_task_state_store_present_attempts_and_dominos_word_are_what_there_is(store, history, monkeypatch):
    monkeypatch.setattr("airflow_domino.plugin.history.TaskStateStoreModel", None)
    store.add(state="deferred", past_runs=[facts(B)], domino_run=facts(tier="GPU"), run_id=A, domino_run_link=LINK)

    (run,) = history(looks=[look_at(on_domino(A, "Running", start=60))])

    assert (run.run_id, run.tier, run.outcome) == (A, "GPU", "running")
