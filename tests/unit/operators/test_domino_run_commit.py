"""`commit_id="dag_run"`: one input commit for all tasks of a DAG run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_domino.domino.launch import scan_marked
from airflow_domino.domino.models import Commit, Project, Run, RunStatus
from airflow_domino.hooks.commits import input_commit
from airflow_domino.hooks.identity import TaskIdentity

PROJECT = Project(id="p1", owner="domino", name="quick-start", default_tier_id=None, is_git_based=False, role=None)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Client:
    """A project's commits and runs."""

    def __init__(self, commits, runs=()):
        self._commits, self._runs = commits, list(runs)

    def commits(self, project):
        return self._commits

    dated_commits = commits

    def head_commit(self, project):
        return self._commits[0].id

    def runs(self, project_id, **choices):
        return iter(self._runs)


def commit_of(client, wanted, context):
    identity = TaskIdentity.of(context)
    return input_commit(client, PROJECT, wanted, identity, lambda: scan_marked(client, PROJECT.id, identity.since))


@pytest.fixture
def context():
    task_instance = SimpleNamespace(
        dag_id="train", run_id="r1", task_id="forest", map_index=-1, max_tries=0, try_number=1
    )
    return {"ti": task_instance, "dag_run": SimpleNamespace(run_after=NOW, start_date=NOW)}


def pinned_run(context, commit, *, pinned=True, run_id="r1", submitted_at=NOW):
    identity = replace(TaskIdentity.of(context), task_id="net", run_id=run_id)
    title = identity.mark(0, pinned=pinned).text
    status = RunStatus("Running", is_completed=False)
    return Run("1", 1, title, "main.py", "p1", status, submitted_at=submitted_at, input_commit=commit)


def commits(*minutes_before_start):
    return [Commit(f"{n:040x}", NOW - timedelta(minutes=n)) for n in minutes_before_start]


def test_tasks_that_start_side_by_side_agree_on_the_newest_commit_at_the_dag_runs_start(context):
    client = Client(commits(-5, -1, 2, 60))
    assert commit_of(client, "dag_run", context) == f"{2:040x}"


def test_a_later_task_begins_with_the_commit_of_the_tasks_before(context):
    client = Client(commits(-5, 2), [pinned_run(context, "c" * 40)])
    assert commit_of(client, "dag_run", context) == "c" * 40


def test_runs_that_were_not_pinned_and_runs_of_other_dag_runs_do_not_count(context):
    others = [pinned_run(context, "c" * 40, pinned=False), pinned_run(context, "d" * 40, run_id="r2")]
    assert commit_of(Client(commits(2), others), "dag_run", context) == f"{2:040x}"


def test_runs_from_before_the_dag_run_are_not_looked_at(context):
    old = pinned_run(context, "c" * 40, submitted_at=NOW - timedelta(days=1))
    assert commit_of(Client(commits(2), [old]), "dag_run", context) == f"{2:040x}"


def test_the_commit_of_a_deleted_dag_run_of_the_same_name_does_not_count(context):
    context["dag_run"].clear_number = 0
    before = pinned_run(context, "c" * 40, submitted_at=NOW - timedelta(minutes=2))
    context["dag_run"].start_date = NOW + timedelta(seconds=1)
    assert commit_of(Client(commits(2), [before]), "dag_run", context) == f"{2:040x}"


def test_the_commit_of_a_dag_run_counts_although_a_clear_lets_it_begin_again(context):
    before = pinned_run(context, "c" * 40)
    context["dag_run"].clear_number = 1
    context["dag_run"].start_date = NOW + timedelta(minutes=2)
    assert commit_of(Client(commits(2), [before]), "dag_run", context) == "c" * 40


def test_a_project_that_tells_no_times_begins_with_its_latest_commit(context):
    client = Client([Commit("e" * 40), Commit("f" * 40)])
    assert commit_of(client, "dag_run", context) == "e" * 40


def test_a_commit_of_isolated_results_is_known_though_it_is_not_on_the_main_line(context):
    client = Client(commits(2))
    client.files = lambda project, commit: []
    assert commit_of(client, "b" * 40, context) == "b" * 40
