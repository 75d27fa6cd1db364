"""One task instance and one DAG run: what their tabs show."""

from __future__ import annotations

from importlib.util import find_spec
from types import MappingProxyType

import pytest
from sqlalchemy import text

TASK = MappingProxyType({"dag_id": "ensemble", "run_id": "manual__1", "task_id": "train", "map_index": "-1"})
LINK = "https://domino.example.com/u/ann/churn/jobs/{}"


def past_run(number, try_number, **facts):
    known = {"run_id": f"{number:024d}", "number": number, "url": LINK.format(number), "try_number": try_number}
    return known | {"tier": "Small", "status": "Failed", "run_seconds": 61.0, "cost_cents": 12.5} | facts


@pytest.fixture
def read(ann, permissions):
    """Reads the page of the task `train`, as somebody who may read its DAG."""
    permissions.dag_ids = {"ensemble"}

    def read_page(path="/task/live", **query):
        answer = ann.get(path, params={**TASK, **query})
        assert answer.status_code == 200
        return answer.text

    return read_page


def test_all_attempts_are_shown_each_with_its_run(read, store):
    runs = [past_run(7, 1), past_run(8, 2, status="Succeeded", tier="X-Large")]
    store.add(try_number=2, past_runs=runs, run_id=f"{8:024d}", domino_run_link=LINK.format(8))
    store.add_past_attempt(1)

    page = read()

    assert page.index("#8") < page.index("#7")
    assert LINK.format(7) in page
    assert "X-Large" in page
    assert "/dags/ensemble/runs/manual__1/tasks/train?try_number=1" in page


def test_the_present_run_of_a_failed_task_is_shown_with_why_it_failed(read, store):
    facts = {"number": 9, "status": "Failed", "reason": "UserCodeFailed: exit code 1", "log_tail": ["a = 1", "Ouch"]}
    store.add(state="failed", run_id="9" * 24, domino_run_link=LINK.format(9), domino_run=facts)

    page = read()

    assert "UserCodeFailed: exit code 1" in page
    assert "a = 1\nOuch" in page


def test_an_attempt_that_took_up_the_run_of_another_says_so(read, store):
    runs = [past_run(7, 1, status="Succeeded")]
    store.add(try_number=2, past_runs=runs, run_id=f"{7:024d}", domino_run_link=LINK.format(7))
    store.add_past_attempt(1)

    assert "of attempt 1, taken up again" in read()


def test_the_run_of_an_attempt_that_noted_no_number_is_found_by_its_time(read, store, sessions):
    """The triggerer launches without a worker before it; and the next attempt has not told of anything yet."""
    runs = [past_run(7, None, submitted_at="2026-03-01T12:00:10+00:00")]
    store.add(state="queued", try_number=2, past_runs=runs, run_id=f"{7:024d}", domino_run_link=LINK.format(7))
    store.add_past_attempt(1)
    with sessions.begin() as session:  # the second attempt began after what is stored
        session.execute(text("UPDATE task_instance SET start_date = '2026-03-01 12:05:00.000000'"))

    first, second = (row for row in read().split("<tr>") if "try_number=" in row)

    assert "launched no run that is known" in first
    assert "#7" in second


@pytest.mark.skipif(
    find_spec("airflow.models.taskinstancehistory") is None, reason="since Airflow 3.4 a clear begins another attempt"
)
def test_a_task_that_was_cleared_and_has_not_begun_again_has_no_attempt_twice(read, store):
    store.add(state=None, try_number=1, past_runs=[past_run(7, 1)], run_id=f"{7:024d}", domino_run_link=LINK.format(7))
    store.add_past_attempt(1)

    page = read()

    assert page.count("try_number=1") == 1
    assert '<span class="state failed">' in page


def test_an_attempt_before_the_first_launch_has_no_run(read, store):
    store.add(try_number=2, past_runs=[past_run(7, 2)], run_id=f"{7:024d}", domino_run_link=LINK.format(7))
    store.add_past_attempt(1)

    assert "launched no run that is known" in read()


def test_a_task_that_has_nothing_to_do_with_domino_is_told_so_in_words(read, store):
    store.add(state="success", return_value=1)

    page = read()

    assert "No run on Domino" in page
    assert "Run again" not in page


def test_a_task_that_failed_before_its_launch_leads_to_its_log(read, store):
    store.add(state="failed")

    assert "/dags/ensemble/runs/manual__1/tasks/train?try_number=1" in read()


def test_a_task_that_does_not_exist_is_no_error(read):
    assert "No run on Domino" in read()


@pytest.mark.parametrize("map_index", ["-1", "{MAP_INDEX}", "%7BMAP_INDEX%7D", "", "²"])
def test_airflows_stand_in_for_a_task_that_is_not_mapped_is_understood(read, store, map_index):
    store.add_finished(number=42)

    assert "#42" in read(map_index=map_index)


def test_a_mapped_task_instance_has_a_page_of_its_own(read, store):
    store.add(map_index=3, run_id="3" * 24, domino_run_link=LINK.format(3))
    store.add(map_index=4, run_id="4" * 24, domino_run_link=LINK.format(4))

    page = read(map_index="3")

    assert LINK.format(3) in page
    assert LINK.format(4) not in page


def test_a_tab_of_airflow_has_no_navigation_of_its_own(read):
    assert "<nav" in read("/task")
    assert "<nav" not in read("/task", tab="1")


def test_a_dag_runs_tab_lists_its_runs_and_no_others(read, store):
    store.add_finished(number=41)
    store.add("ensemble", "train", airflow_run_id="manual__2", run_id="2" * 24, domino_run_link=LINK.format(2))

    page = read("/dag-run")

    assert "#41" in page
    assert LINK.format(2) not in page


def test_a_dag_run_without_runs_says_so(read):
    assert "No task of this DAG run has started a run on Domino" in read("/dag-run/live")


def test_the_number_of_look_ups_does_not_grow_with_the_attempts(read, store, count_statements):
    runs = [past_run(number, number) for number in range(1, 30)]
    store.add(try_number=29, past_runs=runs, run_id=f"{29:024d}", domino_run_link=LINK.format(29))
    for number in range(1, 29):
        store.add_past_attempt(number)
    before = count_statements()

    assert "#1&nbsp;" in read()

    assert count_statements() - before == 5
