"""What Domino says of runs that go on, the buttons, and the last log lines in the list of runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from airflow_domino.domino.models import Run, RunStatus
from airflow_domino.plugin.look import Look
from airflow_domino.plugin.words import telling_line

RUN_ID = "65f0c0ffee00000000abcdef"
URL = "https://domino.example.com/u/ann/churn/jobs/1"
PLACE = ("domino_default", "ann/churn")
RECORD = {"run": {"run_id": RUN_ID, "project": "ann/churn", "tier": "GPU", "cents_per_minute": 60.0}}


@pytest.fixture
def going_on(store, permissions):
    """Adds a task whose run goes on."""
    permissions.dag_ids = {"ensemble"}

    def add(**changes):
        now = datetime.now(UTC)
        task = {"state": "deferred", "started_at": now, "launch_record": RECORD, "run_id": RUN_ID}
        store.add(**(task | {"domino_run_link": URL} | changes))

    return add


def said(word, *, is_completed=False, **facts):
    run = Run(RUN_ID, 17, None, "train.py", None, RunStatus(word, is_completed), **facts)
    return Look(*PLACE, taken_at=datetime.now(UTC), runs=(run,))


def test_a_running_run_is_shown_with_what_it_has_cost_so_far(ann, going_on, looks):
    now = datetime.now(UTC)
    going_on()
    looks[PLACE] = said("Running", submitted_at=now - timedelta(minutes=7), started_at=now - timedelta(minutes=5))

    (run,) = ann.get("/api/runs").json()["runs"]

    assert (run["number"], run["status"]) == (17, "Running")
    assert round(run["queued_seconds"]) == 120
    assert run["run_seconds"] >= 300
    assert run["cost_cents"] == pytest.approx(run["run_seconds"])  # at 60 cents a minute


def test_a_queued_run_says_why_it_waits(ann, going_on, looks):
    going_on()
    looks[PLACE] = said("Queued", submitted_at=datetime.now(UTC), queue_explanation="Waiting for a machine")

    assert "Waiting for a machine" in ann.get("/runs").text


def test_a_run_whose_task_was_ended_from_outside_is_shown_as_domino_says_it_ended(ann, going_on, looks):
    going_on(state="failed")
    looks[PLACE] = said("Stopped", is_completed=True)

    assert ann.get("/api/runs").json()["runs"][0]["status"] == "Stopped"


def test_without_a_word_from_domino_the_page_shows_what_airflow_knows(ann, going_on):
    going_on()

    (run,) = ann.get("/api/runs").json()["runs"]

    assert (run["state"], run["tier"], run["status"]) == ("deferred", "GPU", None)


def test_that_domino_is_out_of_reach_is_said_and_the_list_stays(ann, going_on, looks):
    going_on()
    looks[PLACE] = Look(*PLACE, trouble="Domino could not be connected to")

    page = ann.get("/runs").text

    assert "Domino was not reached" in page
    assert "Domino could not be connected to" in page
    assert URL in page


def test_a_credential_that_soon_expires_is_warned_about(ann, going_on, looks):
    going_on()
    looks[PLACE] = Look(*PLACE, warning="The token expires in 3 days")

    assert "The token expires in 3 days" in ann.get("/runs").text


def test_domino_is_not_looked_at_for_runs_that_are_over(ann, store, permissions, monkeypatch):
    permissions.dag_ids = {"ensemble"}
    store.add_finished()
    asked = []
    monkeypatch.setattr("airflow_domino.plugin.look.latest", lambda *place: asked.append(place))

    ann.get("/runs")

    assert asked == []


@pytest.mark.parametrize(
    ("state", "buttons"),
    [("deferred", ["stop"]), ("running", ["stop"]), ("failed", ["again"]), ("success", []), (None, [])],
)
def test_a_run_that_goes_on_can_be_stopped_and_a_failed_task_run_again(ann, going_on, state, buttons):
    going_on(state=state)

    page = ann.get("/runs").text

    assert [deed for deed in ("stop", "again") if f'data-does="{deed}"' in page] == buttons


def test_who_may_not_change_a_dag_gets_no_button(ann, going_on, permissions):
    permissions.unchangeable = {"ensemble"}
    going_on(state="failed")

    page = ann.get("/runs").text

    assert URL in page
    assert "data-does" not in page


def test_a_failed_run_is_shown_with_its_last_log_lines(ann, going_on):
    lines = ["Traceback (most recent call last):", "ValueError: no data", "Failed with exit code: 1"]
    going_on(state="failed", domino_run={"status": "Failed", "reason": "UserCodeFailed", "log_tail": lines})

    page = ann.get("/runs").text

    assert "UserCodeFailed" in page
    assert "<code>ValueError: no data</code>" in page
    assert "\n".join(lines) in page


def test_log_lines_are_text_and_never_markup(ann, going_on):
    going_on(state="failed", domino_run={"status": "Failed", "log_tail": ["<img src=x>"], "reason": "<b>x</b>"})

    page = ann.get("/runs").text

    assert "<img" not in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("log_tail", "line"),
    [
        ([], ""),
        (["", "  "], ""),
        (["ValueError: x", "Failed with exit code: 1", ""], "ValueError: x"),
        (["Failed with exit code: 1"], "Failed with exit code: 1"),
    ],
)
def test_the_line_that_tells_most_is_the_programs_own(log_tail, line):
    assert telling_line(log_tail) == line


def test_facts_of_an_earlier_launch_are_not_taken_for_those_of_the_present_run(ann, going_on):
    going_on(launch_record={"run": {"run_id": "another", "tier": "Small", "number": 3}})

    (run,) = ann.get("/api/runs").json()["runs"]

    assert (run["run_id"], run["tier"], run["number"]) == (RUN_ID, None, None)


def test_a_long_list_can_be_made_longer(ann, permissions, store):
    permissions.dag_ids = {"ensemble"}
    for number in range(3):
        store.add_finished(task_id=f"task_{number}", number=number)

    assert "limit=10" in ann.get("/runs", params={"limit": 2}).text


def told_by_luigi(number, tier="GPU"):
    return {"url": f"https://domino.example.com/jobs/ann/churn/{number:024d}/logs", "tier": tier, "state": "done"}


@pytest.mark.parametrize("query", [{}, {"dag_id": "ensemble", "run_id": "manual__1"}])
def test_runs_that_luigi_tasks_launched_within_a_task_are_listed_too(ann, permissions, store, query):
    permissions.dag_ids = {"ensemble"}
    store.add(task_id="pipeline", luigi_tasks=[told_by_luigi(1), told_by_luigi(2, "Small"), {"state": "done"}])
    store.add_finished(number=42)

    page = ann.get("/runs", params=query).text

    assert "#42" in page
    assert page.count("by a Luigi task") == 2


def test_a_run_that_a_task_and_its_luigi_task_tell_of_is_listed_once(ann, permissions, store):
    permissions.dag_ids = {"ensemble"}
    link = {"run_id": f"{1:024d}", "domino_run_link": "https://domino.example.com/jobs/1"}
    store.add(task_id="pipeline", luigi_tasks=[told_by_luigi(1)], **link)

    (run,) = ann.get("/api/runs").json()["runs"]

    assert not run["is_inner"]


def test_the_choice_of_a_state_holds_for_runs_of_luigi_tasks(ann, permissions, store):
    permissions.dag_ids = {"ensemble"}
    store.add(task_id="pipeline", state="failed", luigi_tasks=[told_by_luigi(1)])

    assert len(ann.get("/api/runs", params={"state": "failed"}).json()["runs"]) == 1
    assert ann.get("/api/runs", params={"state": "success"}).json()["runs"] == []


def test_a_run_of_the_attempt_before_is_not_taken_for_one_of_the_attempt_that_goes_on(ann, going_on, sessions):
    going_on(state="queued")
    with sessions.begin() as session:  # the attempt began after what is stored
        session.execute(text("UPDATE task_instance SET start_date = '2037-01-01 00:00:00.000000'"))

    page = ann.get("/runs").text

    assert "started, of the attempt before" in page
    assert 'data-name="train"' in page


def test_a_run_of_the_attempt_that_goes_on_is_stopped_by_its_name(ann, going_on):
    going_on()

    page = ann.get("/runs").text

    assert "of the attempt before" not in page
    assert 'data-name="run …abcdef"' in page
