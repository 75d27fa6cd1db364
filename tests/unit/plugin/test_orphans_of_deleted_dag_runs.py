"""Runs of a DAG run that was deleted are nobody's, although a DAG run of its id is there again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import insert, update

from airflow_domino.domino.launch import RunMark
from airflow_domino.domino.models import Project, Run, RunStatus
from airflow_domino.hooks.identity import creation_key
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.orphans import OrphanFinder

STARTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PROJECT = Project(id="p1", owner="ann", name="churn", default_tier_id=None, is_git_based=False, role=None)


def key_of(start):
    return creation_key(SimpleNamespace(run_after=STARTED, start_date=start, state="running"))


@pytest.fixture
def orphans(store, sessions, monkeypatch):
    """Says which of some active runs of a task are orphans, by their titles' marks."""
    monkeypatch.setattr(DBDagBag, "get_dag_for_run", lambda *_, **__: None)
    monkeypatch.setattr(RunHandle, "asked", lambda client, project, run: RunHandle(run.id, "u", "ann/churn", "p1"))

    def find(marks, state="deferred", clear_number=0, noted=None):
        dag_run = {"dag_id": "ensemble", "run_id": "manual__1", "run_type": "manual", "state": "running"}
        times = {"run_after": STARTED, "start_date": STARTED}
        other = {"span_status": "not_started", "clear_number": clear_number, "log_template_id": None}
        store.add(task_id="train", state=state, **{"domino_run": {"run_id": noted}} if noted else {})
        with sessions.begin() as session:
            session.execute(insert(DagRun.__table__).values(**dag_run, **times, **other))
            session.execute(update(TaskInstance.__table__).values(max_tries=1))
        status = RunStatus("Running", is_completed=False)
        active = [Run(name, 1, f"t {mark.text}", "x", "p1", status) for name, mark in marks.items()]
        with sessions() as session:
            return {found.run.id: found for found in OrphanFinder().find(session, None, PROJECT, active)}

    return find


def mark(key, generation=0):
    return RunMark.for_task("ensemble", "manual__1", "train", generation=generation, creation_key=key)


BEFORE = STARTED - timedelta(seconds=20)


def test_the_run_of_a_dag_run_that_was_deleted_is_an_orphan_and_that_of_the_present_one_is_not(orphans):
    found = orphans({"present": mark(key_of(STARTED)), "deleted": mark(key_of(BEFORE)), "old version": mark("")})
    assert set(found) == {"deleted"}
    assert found["deleted"].is_known
    assert found["deleted"].task_id is None


def test_it_is_an_orphan_also_while_the_task_of_the_present_one_is_not_due_yet(orphans):
    assert set(orphans({"deleted": mark(key_of(BEFORE))}, state=None)) == {"deleted"}


def test_a_run_from_before_a_clear_is_left_to_the_attempt_that_is_due(orphans):
    assert orphans({"before the clear": mark(key_of(BEFORE))}, state=None, clear_number=1) == {}


def test_a_run_from_before_a_clear_is_an_orphan_of_its_task_when_another_is_awaited(orphans):
    found = orphans({"before the clear": mark(key_of(BEFORE)), "now": mark(key_of(STARTED), 1)}, clear_number=1)
    assert set(found) == {"before the clear"}
    assert found["before the clear"].task_id == "train"


def test_a_run_that_its_task_has_noted_is_no_orphan_though_the_dag_run_was_set_back_to_queued(orphans):
    runs = {"noted": mark(key_of(BEFORE)), "deleted": mark(key_of(BEFORE))}
    assert set(orphans(runs, noted="noted")) == {"deleted"}


def test_a_run_that_its_task_has_noted_is_an_orphan_of_it_once_the_task_is_over(orphans):
    found = orphans({"noted": mark(key_of(BEFORE))}, noted="noted", state="success")
    assert found["noted"].task_id == "train"
