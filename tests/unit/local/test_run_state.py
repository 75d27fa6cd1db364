"""Runs in SQLite: numbers, changes, lists as the API sorts and filters them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.local import statuses
from airflow_domino.local.ids import new_object_id
from airflow_domino.local.state import SORT_FIELDS, Project, Run, State

PROJECT = Project("a" * 24, "ada", "engine", "main", 1)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state.sqlite")
    state.save_project(PROJECT)
    yield state
    state.close()


def add(state: State, **changes: Any) -> Run:
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
    return state.add_run(replace(run, **changes))


def numbers(state: State, **choice: Any) -> list[int]:
    return [run.number for run in state.list_runs(PROJECT.id, **choice).runs]


def test_runs_are_numbered_per_project_without_gaps_from_many_threads(state):
    threads = [threading.Thread(target=add, args=(state,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers(state)) == list(range(1, 21))


def test_a_run_comes_back_as_it_was_stored(state):
    run = add(state, title="é", git_ref={"type": "head"}, stats=[{"name": "a", "value": "1"}])
    assert state.run(run.id) == run


def test_a_change_of_status_is_in_the_ledger_and_others_are_not(state):
    run = add(state)
    state.change_run(run.id, lambda run: replace(run, status=statuses.RUNNING))
    state.change_run(run.id, lambda run: replace(run, title="new"))
    events = [(entry["event"], entry.get("from"), entry.get("to")) for entry in state.ledger()]
    assert events == [("start", None, None), ("state", None, "Queued"), ("state", "Queued", "Running")]


def test_a_change_that_fails_changes_nothing(state):
    run = add(state)

    def fail(run: Run) -> Run:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        state.change_run(run.id, fail)
    assert state.run(run.id) == run
    state.change_run(run.id, lambda run: replace(run, title="still works"))


@pytest.mark.parametrize("field", SORT_FIELDS)
@pytest.mark.parametrize("descending", [True, False])
def test_every_sort_field_sorts(state, field, descending):
    for number in (1, 2, 3):
        text = f"{number:02}"
        times = {"submitted_at": number, "started_at": 10 * number, "completed_at": 100 * number}
        stats = [{"name": "score", "value": text}]
        status = [statuses.FAILED, statuses.STOPPED, statuses.SUCCEEDED][number - 1]
        add(state, title=text, command=text, started_by=text, stats=stats, status=status, **times)
    expected = [3, 2, 1] if descending else [1, 2, 3]
    assert numbers(state, sort_field=field, descending=descending, stat="score") == expected


@pytest.mark.parametrize(
    ("group", "expected"),
    [("all", [4, 3, 2, 1]), ("queued", [1]), ("running", [2]), ("completed", [4, 3]), ("active", [2, 1])],
)
def test_a_group_has_the_runs_of_its_statuses(state, group, expected):
    for status in (statuses.QUEUED, statuses.STOP_REQUESTED, statuses.FAILED, statuses.SUCCEEDED):
        add(state, status=status)
    assert numbers(state, group=group) == expected


def test_archived_runs_are_listed_only_on_request(state):
    add(state)
    add(state, is_archived=True)
    assert numbers(state) == [1]
    assert numbers(state, show_archived=True) == [2, 1]
    assert numbers(state, group="archived") == [2]


def test_a_list_is_filtered_by_tag_and_by_text_whatever_its_case(state):
    add(state, tags=[{"tagId": "t", "name": "best"}], title="Train Forest")
    add(state, command="other.py 100%")
    assert numbers(state, tag="best") == [1]
    assert numbers(state, text="forest") == [1]
    assert numbers(state, text="100%") == [2]
    assert numbers(state, text="_") == []


def test_a_page_knows_how_many_there_are(state):
    for _ in range(5):
        add(state)
    page = state.list_runs(PROJECT.id, offset=1, limit=2)
    assert ([run.number for run in page.runs], page.total) == ([4, 3], 5)


def test_the_queue_is_in_the_order_of_submission(state):
    runs = [add(state, submitted_at=1000) for _ in range(4)]
    state.change_run(runs[1].id, lambda run: replace(run, status=statuses.RUNNING))
    assert [run_id for run_id, _ in state.queue()] == [runs[0].id, runs[2].id, runs[3].id]


def test_the_queue_of_one_tier_can_be_cut_short(state):
    runs = [add(state, submitted_at=1000, tier_id=tier) for tier in ("small", "large", "small", "small")]
    assert state.queue("small", 2) == [(runs[0].id, "small"), (runs[2].id, "small")]
    assert state.queue("large") == [(runs[1].id, "large")]


def test_a_place_in_the_queue_counts_only_the_same_tier(state):
    runs = [add(state, submitted_at=at, tier_id=tier) for at, tier in ((3, "a"), (1, "b"), (2, "a"), (3, "a"))]
    state.change_run(add(state, submitted_at=0, tier_id="a").id, lambda run: replace(run, status=statuses.RUNNING))
    assert state.places_in_queue() == {runs[0].id: 1, runs[1].id: 0, runs[2].id: 0, runs[3].id: 2}
    assert [state.queued_before(run) for run in runs] == [1, 0, 0, 2]


def test_a_setting_is_made_once(state):
    assert state.setting("secret", lambda: "first") == "first"
    assert state.setting("secret", lambda: "second") == "first"
