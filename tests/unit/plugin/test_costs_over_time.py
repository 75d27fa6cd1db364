"""What runs cost, by group and over time."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest

from airflow_domino.plugin.costs import costs
from airflow_domino.plugin.past_run import Launcher, PastRun
from airflow_domino.plugin.pictures import MOST_COLOURS, of_costs

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
END = BEGIN + timedelta(days=7)


def run(begin, hours, cents, *, dag_id="ensemble", status="Succeeded", tier="Small", price=None):
    launcher = Launcher(dag_id, "manual__1", "train")
    times = {"submitted_at": begin, "started_at": begin, "ended_at": begin + timedelta(hours=hours)}
    facts = {"status": status, "is_over": True, "tier": tier, "known_cost": cents, "cents_per_minute": price}
    return PastRun("a" * 24, launcher, **times, **facts)


def added_up(*runs, begin=BEGIN, end=END, by="dag", now=END):
    return costs(runs, begin, end, now, by=by)


def test_a_cost_falls_on_the_days_in_which_the_run_ran():
    found = added_up(run(BEGIN + timedelta(hours=18), 24, 100))

    assert (found.step, found.total.by_step) == ("day", [25, 75, 0, 0, 0, 0, 0])


def test_what_ran_before_counts_for_what_it_cost_in_this_time_and_the_rest_for_the_time_before():
    found = added_up(run(BEGIN - timedelta(hours=1), 4, 100))

    assert (found.total.cents, found.before, found.change) == (75, 25, 2)


def test_groups_are_ordered_by_cost_with_what_was_spent_on_failures():
    found = added_up(
        run(BEGIN, 1, 10, dag_id="cheap"),
        run(BEGIN, 1, 30, dag_id="dear"),
        run(BEGIN, 2, 40, dag_id="dear", status="Failed"),
        run(BEGIN, 2, None, dag_id="dear", status="Stopped"),
    )

    dear, cheap = found.groups
    assert (dear.name, dear.runs, dear.badly, dear.cents, dear.cents_badly) == ("dear", 3, 2, 70, 40)
    assert (dear.without_cost, dear.run_seconds) == (1, 5 * 3600)
    assert (cheap.name, cheap.cents, found.total.cents) == ("cheap", 10, 80)


@pytest.mark.parametrize(
    ("by", "names"), [("dag", {"ensemble"}), ("task", {"ensemble.train"}), ("tier", {"Small", None})]
)
def test_costs_are_added_up_by_what_is_wanted(by, names):
    found = added_up(run(BEGIN, 1, 10), run(BEGIN, 1, 10, tier=None), by=by)

    assert {group.name for group in found.groups} == names
    assert found.total.cents == 20


def test_a_run_that_goes_on_costs_up_to_now():
    going = PastRun("a" * 24, Launcher("ensemble", "r", "t"), started_at=BEGIN, submitted_at=BEGIN, cents_per_minute=1)

    assert added_up(going, now=BEGIN + timedelta(hours=1)).total.cents == 60


@pytest.mark.parametrize(
    ("days", "step", "count"), [(1, "hour", 24), (30, "day", 30), (90, "week", 13), (400, "month", 14)]
)
def test_the_steps_fit_the_length_of_the_time(days, step, count):
    found = added_up(end=BEGIN + timedelta(days=days))

    assert (found.step, len(found.steps)) == (step, count)


def test_days_begin_where_the_reader_is_and_one_of_them_has_23_hours():
    begin = datetime(2026, 3, 28, tzinfo=BERLIN)
    end = datetime(2026, 3, 31, tzinfo=BERLIN)

    found = added_up(run(begin.astimezone(UTC), 71, 71), begin=begin, end=end)

    assert [step.hour for step in found.steps] == [0, 0, 0]
    assert [round(cents, 6) for cents in found.total.by_step] == [24, 23, 24]


def test_many_groups_are_drawn_as_the_dearest_and_the_others_together():
    runs = [run(BEGIN, 1, number, dag_id=f"dag_{number}") for number in range(1, MOST_COLOURS + 4)]

    drawn = of_costs(added_up(*runs))["groups"]

    assert len(drawn) == MOST_COLOURS
    assert (drawn[0]["name"], drawn[-1]["name"]) == (f"dag_{MOST_COLOURS + 3}", "4 others")
    assert sum(sum(group["cents"]) for group in drawn) == sum(range(1, MOST_COLOURS + 4))


def test_a_run_of_no_length_has_its_cost_where_it_was():
    assert added_up(run(BEGIN + timedelta(hours=30), 0, 7)).total.by_step[1] == 7


# ---- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def spent(permissions, store):
    """Adds a run that has cost something some days ago: `spent("a", 2, 100)`."""
    permissions.dag_ids = {"ensemble", "-cmd"}
    known = iter(range(100))

    def add(task_id, days_ago, cents, *, dag_id="ensemble", **more):
        begin = datetime.now(UTC) - timedelta(days=days_ago)
        run_id = f"{next(known):024x}"
        facts = {
            "run_id": run_id,
            "tier": "Small",
            "status": "Succeeded",
            "queued_seconds": 1,
            "run_seconds": 10,
        } | more
        facts |= {"cost_cents": cents, "submitted_at": begin.isoformat(), "project": "ann/churn"}
        store.add(dag_id, task_id, started_at=begin, run_id=run_id, return_value=facts, domino_run_link="http://d/1")

    return add


@pytest.mark.parametrize("path", ["/costs", "/costs/live"])
def test_the_page_shows_what_was_spent_and_how_that_compares_with_the_time_before(ann, spent, path):
    spent("fit", 2, 300)
    spent("score", 9, 200)

    page = ann.get(path, params={"period": "week", "by": "task"}).text

    for words in ("$3.00", "+50 % against the time before ($2.00)", "ensemble.fit", "Cost by day, as a table"):
        assert words in page
    assert "ensemble.score" not in page


def test_a_period_of_days_can_be_chosen(ann, spent):
    spent("fit", 2, 300)
    spent("score", 9, 200)
    days = [(datetime.now(UTC) - timedelta(days=ago)).date().isoformat() for ago in (10, 8)]

    answer = ann.get("/api/costs", params={"from": days[0], "to": days[1], "by": "task"}).json()

    assert [(group["name"], group["cents"]) for group in answer["groups"]] == [("ensemble.score", 200)]
    assert len(answer["steps"]) == 3


def test_a_period_that_reaches_into_the_future_ends_now(ann, spent):
    spent("fit", 2, 300)

    answer = ann.get("/api/costs", params={"to": "9999-12-31"}).json()

    assert answer["total"]["cents"] == 300


def test_everything_goes_back_to_the_first_run_and_is_compared_with_nothing(ann, spent):
    spent("fit", 500, 300)

    answer = ann.get("/api/costs", params={"period": "everything"}).json()

    assert (answer["total"]["cents"], answer["before"], answer["step"]) == (300, None, "month")


def test_a_spreadsheet_gets_a_line_for_each_group_and_step_and_no_formula(ann, spent):
    spent("fit", 1, 300)
    spent("fit", 1, 50, dag_id="-cmd")

    answer = ann.get("/costs.csv", params={"period": "week"})

    head, *lines = csv.reader(StringIO(answer.text))
    assert head == ["day from", "dag", "cents"]
    assert sorted(line[1:] for line in lines) == [["'-cmd", "50.0"], ["ensemble", "300.0"]]
    assert answer.headers["Content-Disposition"] == 'attachment; filename="domino-costs-by-dag.csv"'


def test_the_time_zone_of_the_reader_says_where_days_begin(ann, spent):
    spent("fit", 1, 300)

    answer = ann.get("/api/costs", params={"period": "week", "timezone": "Asia/Kolkata"}).json()

    assert all(step.endswith("T00:00:00+05:30") for step in answer["steps"][1:])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"timezone": "Mars/Olympus"}, "'Mars/Olympus' is no time zone"),
        ({"timezone": "../../etc/passwd"}, "is no time zone"),
        ({"from": "yesterday"}, "from: 'yesterday' is no day"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "is later than to"),
        ({"from": "9999-12-31"}, "is later than to"),
        ({"from": "2001-03-02"}, "longer than ten years"),
        ({"from": "0001-01-01"}, "is no day"),
        ({"to": "0202-03-02"}, "is no day"),
        ({"period": "eternity"}, "period"),
        ({"by": "weather"}, "by"),
    ],
)
def test_a_choice_that_cannot_be_meant_is_refused_in_words(ann, permissions, query, words):
    answer = ann.get("/costs", params=query)

    assert answer.status_code == 422
    assert words in answer.text


def test_without_runs_the_page_says_so(ann, permissions):
    assert "No runs in this time" in ann.get("/costs").text
