"""Runs in SQLite: numbers, changes, lists as the API sorts and filters them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.local import statuses
from airflow_domino.local.database import Database
from airflow_domino.local.ids import new_object_id
from airflow_domino.local.ledger import Ledger
from airflow_domino.local.projects import Project, Projects
from airflow_domino.local.runs import SORT_FIELDS, Run, Runs

PROJECT = Project("a" * 24, "ada", "engine", "main", 1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state.sqlite")
    yield database
    database.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def runs(database: Database, ledger: Ledger) -> Runs:
    Projects(database).save(PROJECT)
    return Runs(database, ledger)


def add(runs: Runs, **changes: Any) -> Run:
    run = Run(
        id=new_object_id(),
        project_id=PROJECT.id,
        number=0,
        command="main.py",
        arguments=["main.py"],
        tier_id="small",
        environment_id="e" * 24,
        input_commit="c" * 40,
        started_by="ada",
        submitted_at=1000,
    )
    return runs.add(replace(run, **changes))


def numbers(runs: Runs, **choice: Any) -> list[int]:
    return [run.number for run in runs.listed(PROJECT.id, **choice).runs]


def test_runs_are_numbered_per_project_without_gaps_from_many_threads(runs):
    threads = [threading.Thread(target=add, args=(runs,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers(runs)) == list(range(1, 21))


def test_a_run_comes_back_as_it_was_stored(runs):
    run = add(runs, title="é", git_ref={"type": "head"}, stats=[{"name": "a", "value": "1"}])
    assert runs.find(run.id) == run


def test_what_no_answer_could_hold_is_spelled_out_where_a_run_is_stored(runs):
    run = add(runs)
    stats = [{"name": "caf\udce9.csv\0", "value": "\ud800 \U0001f600"}]
    runs.change(run.id, lambda run: replace(run, stats=stats, title="\ud800", failure_message="\0"))
    found = runs.find(run.id)
    assert found.stats == [{"name": "caf\\udce9.csv\0", "value": "\\ud800 \U0001f600"}]
    assert (found.title, found.failure_message) == (r"\ud800", "\0")
    assert runs.listed(PROJECT.id, text=r"\ud800").runs == [found]


def test_what_an_earlier_version_stored_of_it_is_read_harmless(runs, database):
    run = add(runs, title="caf?.csv")
    with database.transaction() as connection:
        connection.execute("UPDATE runs SET document = replace(document, '?', '\\udce9')")
    assert runs.find(run.id).title == r"caf\udce9.csv"


def test_a_run_of_another_version_is_read_without_the_fields_that_this_one_does_not_have(runs, database):
    run = add(runs)
    with database.transaction() as connection:
        connection.execute("UPDATE runs SET document = json_set(document, '$.goal_ids', json('[]'))")
    assert runs.find(run.id) == run


def test_a_change_of_status_is_in_the_ledger_and_others_are_not(runs, ledger):
    run = add(runs)
    runs.change(run.id, lambda run: replace(run, status=statuses.RUNNING))
    runs.change(run.id, lambda run: replace(run, title="new"))
    events = [(entry["event"], entry.get("from"), entry.get("to")) for entry in ledger.entries()]
    assert events == [("start", None, None), ("state", None, "Queued"), ("state", "Queued", "Running")]


def test_a_change_that_fails_changes_nothing(runs):
    run = add(runs)

    def fail(run: Run) -> Run:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        runs.change(run.id, fail)
    assert runs.find(run.id) == run
    runs.change(run.id, lambda run: replace(run, title="still works"))


@pytest.mark.parametrize("field", SORT_FIELDS)
@pytest.mark.parametrize("descending", [True, False])
def test_every_sort_field_sorts(runs, field, descending):
    for number in (1, 2, 3):
        text = f"{number:02}"
        times = {"submitted_at": number, "started_at": 10 * number, "completed_at": 100 * number}
        stats = [{"name": "score", "value": text}]
        status = [statuses.FAILED, statuses.STOPPED, statuses.SUCCEEDED][number - 1]
        add(runs, title=text, command=text, started_by=text, stats=stats, status=status, **times)
    expected = [3, 2, 1] if descending else [1, 2, 3]
    assert numbers(runs, sort_field=field, descending=descending, stat="score") == expected


@pytest.mark.parametrize(
    ("group", "expected"),
    [("all", [4, 3, 2, 1]), ("queued", [1]), ("running", [2]), ("completed", [4, 3]), ("active", [2, 1])],
)
def test_a_group_has_the_runs_of_its_statuses(runs, group, expected):
    for status in (statuses.QUEUED, statuses.STOP_REQUESTED, statuses.FAILED, statuses.SUCCEEDED):
        add(runs, status=status)
    assert numbers(runs, group=group) == expected


def test_archived_runs_are_listed_only_on_request(runs):
    add(runs)
    add(runs, is_archived=True)
    assert numbers(runs) == [1]
    assert numbers(runs, show_archived=True) == [2, 1]
    assert numbers(runs, group="archived") == [2]


def test_a_list_is_filtered_by_text_whatever_its_case(runs):
    add(runs, title="Train Forest")
    add(runs, command="other.py 100%")
    assert numbers(runs, is_tagged=True) == []
    assert numbers(runs, text="forest") == [1]
    assert numbers(runs, text="100%") == [2]
    assert numbers(runs, text="_") == []


def test_a_page_knows_how_many_there_are(runs):
    for _ in range(5):
        add(runs)
    page = runs.listed(PROJECT.id, offset=1, limit=2)
    assert ([run.number for run in page.runs], page.total) == ([4, 3], 5)


def test_the_queue_is_in_the_order_of_submission(runs):
    added = [add(runs, submitted_at=1000) for _ in range(4)]
    runs.change(added[1].id, lambda run: replace(run, status=statuses.RUNNING))
    assert [run_id for run_id, _ in runs.queue()] == [added[0].id, added[2].id, added[3].id]


def test_the_queue_of_one_tier_can_be_cut_short(runs):
    added = [add(runs, submitted_at=1000, tier_id=tier) for tier in ("small", "large", "small", "small")]
    assert runs.queue("small", 2) == [(added[0].id, "small"), (added[2].id, "small")]
    assert runs.queue("large") == [(added[1].id, "large")]


def test_a_place_in_the_queue_counts_only_the_same_tier(runs):
    added = [add(runs, submitted_at=at, tier_id=tier) for at, tier in ((3, "a"), (1, "b"), (2, "a"), (3, "a"))]
    runs.change(add(runs, submitted_at=0, tier_id="a").id, lambda run: replace(run, status=statuses.RUNNING))
    assert runs.places_in_queue() == {added[0].id: 1, added[1].id: 0, added[2].id: 0, added[3].id: 2}
    assert [runs.queued_before(run) for run in added] == [1, 0, 0, 2]


def test_a_setting_is_made_once(database):
    assert database.setting("secret", lambda: "first") == "first"
    assert database.setting("secret", lambda: "second") == "first"
