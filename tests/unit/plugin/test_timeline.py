"""How runs queued and ran on each tier."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from airflow_domino.domino.tiers import HardwareTier
from airflow_domino.plugin import pictures, static
from airflow_domino.plugin.look import Look
from airflow_domino.plugin.past_run import Launcher, PastRun
from airflow_domino.plugin.timeline import Window, timelines

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WINDOW = Window(BEGIN, BEGIN + timedelta(minutes=60))
TRAIN = Launcher("ensemble", "manual__1", "train")


def minute(number):
    return None if number is None else BEGIN + timedelta(minutes=number)


def run(submitted, started=None, ended=None, *, tier="Small", number=1, status="Succeeded"):
    moments = {"submitted_at": minute(submitted), "started_at": minute(started), "ended_at": minute(ended)}
    is_over = ended is not None
    word = status if is_over else ("Running" if started is not None else "Queued")
    facts = {"number": number, "tier": tier, "status": word, "is_over": is_over, "project": "ann/churn"}
    return PastRun(f"{number:024x}", TRAIN, **facts, **moments)


def levels(tier):
    minutes = [(moment - BEGIN).total_seconds() / 60 for moment in tier.levels.moments]
    return list(zip(minutes, tier.levels.queued, tier.levels.running, strict=True))


def test_a_run_counts_as_queued_and_then_as_running():
    (tier,) = timelines([run(10, 15, 30)], WINDOW)

    assert levels(tier) == [(0, 0, 0), (10, 1, 0), (15, 0, 1), (30, 0, 0), (60, 0, 0)]
    (bar,) = tier.bars
    assert (bar.queued, bar.ran) == ((minute(10), minute(15)), (minute(15), minute(30)))


def test_what_goes_on_reaches_to_the_end_and_what_began_before_from_the_beginning():
    (tier,) = timelines([run(-20, -10), run(50, number=2)], WINDOW)

    assert levels(tier) == [(0, 0, 1), (50, 1, 1), (60, 1, 1)]
    assert (tier.running_now, tier.queued_now, tier.lanes) == (1, 1, 2)
    assert tier.busy == 1


def test_runs_that_follow_each_other_share_a_lane_and_those_side_by_side_do_not():
    runs = [run(0, 1, 10, number=1), run(5, 6, 20, number=2), run(10, 11, 15, number=3), run(30, 31, 40, number=4)]

    (tier,) = timelines(runs[::-1], WINDOW)

    assert {bar.run.number: bar.lane for bar in tier.bars} == {1: 0, 2: 1, 3: 0, 4: 0}


def test_what_lies_outside_is_left_out():
    runs = [run(-30, -20, -10), run(-30, -20, 5, number=2), run(70, 71, 80, number=3)]

    (tier,) = timelines(runs, WINDOW)

    assert [each.number for each in tier.runs] == [2]


def test_a_run_that_never_started_only_waited():
    (tier,) = timelines([run(10, None, 20, status="Stopped")], WINDOW)

    assert (tier.levels.most_queued, tier.levels.most_running, tier.bars[0].ran) == (1, 0, None)


def test_a_run_whose_times_nobody_knows_is_counted_and_not_drawn():
    (tier,) = timelines([run(None, status="Failed")], WINDOW)

    assert (len(tier.runs), tier.bars, tier.lanes) == (1, [], 0)


def test_the_picture_begins_shortly_before_the_first_run_and_not_with_the_empty_time_before_it():
    def minutes(*runs):
        drawn = pictures.of_tiers(timelines(runs, WINDOW), WINDOW)
        return [(drawn[name] / 1000 - BEGIN.timestamp()) / 60 for name in ("begin", "end")]

    assert minutes(run(40, 41, 42)) == [39, 60]
    assert minutes(run(10, 11, 12, number=2), run(58, number=3)) == [7.5, 60]
    assert minutes(run(-20, -10)) == [0, 60]


def test_the_capacity_and_the_price_of_a_tier_are_those_that_domino_names_in_its_project():
    small = HardwareTier("small-k8s", "Small", cents_per_minute=2, most_runs=4)
    looks = [
        Look("other", "ann/other", tiers=(HardwareTier("s", "Small", most_runs=9),)),
        Look("c", "ann/churn", tiers=(small,)),
    ]

    known, unknown = timelines([run(1, 2, 3), run(1, 2, 3, number=2, tier=None)], WINDOW, looks)

    assert (known.name, known.capacity, known.cents_per_minute) == ("Small", 4, 2)
    assert (unknown.name, unknown.capacity) == (None, None)


def test_only_the_latest_runs_are_drawn_singly_and_all_are_counted():
    runs = [run(10, 11, 20, number=number) for number in range(9, 0, -1)]

    (tier,) = timelines(runs, WINDOW, most_bars=3)

    assert sorted(bar.run.number for bar in tier.bars) == [7, 8, 9]
    assert tier.levels.most_running == 9


# ---- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def some_runs(permissions, store):
    """A run that has failed and one that goes on, in the last hour."""
    permissions.dag_ids = {"ensemble"}
    begin = datetime.now(UTC) - timedelta(minutes=30)
    failed = {
        "run_id": "a" * 24,
        "number": 7,
        "status": "Failed",
        "tier": "X-Large",
        "queued_seconds": 60,
        "run_seconds": 120,
    }
    failed |= {"submitted_at": begin.isoformat(), "cost_cents": 24, "project": "ann/churn"}
    store.add(
        task_id="fit",
        state="failed",
        started_at=begin,
        run_id="a" * 24,
        domino_run=failed,
        domino_run_link="http://d/1",
    )
    going = {"run": {"run_id": "b" * 24, "tier": "GPU", "submitted_at": begin.isoformat(), "project": "ann/churn"}}
    store.add(
        task_id="net",
        state="deferred",
        started_at=begin,
        launch_record=going,
        run_id="b" * 24,
        domino_run_link="http://d/2",
    )


def picture(html):
    return json.loads(re.search(r'<script type="application/json" id="picture-data"[^>]*>(.*?)</script>', html)[1])


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize("path", ["/timeline", "/timeline/live"])
def test_the_page_says_in_tables_what_it_draws(ann, path):
    html = ann.get(path, params={"period": "hour"}).text

    assert {tier["tier"]: len(tier["bars"]) for tier in picture(html)["tiers"]} == {"GPU": 1, "X-Large": 1}
    for words in ("X-Large: 1 run", "GPU: 1 run", "#7", "failed", "1m 00s", "2m 00s", "$0.24", "going on"):
        assert words in html


@pytest.mark.usefixtures("some_runs")
def test_a_program_is_told_times_in_milliseconds_and_what_to_say(ann):
    answer = ann.get("/api/timeline", params={"period": "hour", "tier": "X-Large"}).json()

    (tier,) = answer["tiers"]
    (bar,) = tier["bars"]
    assert bar["ran"][1] - bar["ran"][0] == 120_000
    assert (bar["outcome"], bar["said"]) == ("failed", "failed, queued 1m 00s, ran 2m 00s, cost $0.24")
    assert bar["address"] == "/dags/ensemble/runs/manual__1/tasks/fit"
    assert tier["facts"].startswith("1 run, at most 1 ran at once")


def test_what_tasks_have_stored_stays_text_in_the_data_of_the_pictures(ann, permissions, store):
    permissions.dag_ids = {"ensemble"}
    hostile = "</script><script>alert(1)</script>"
    started = datetime.now(UTC)
    facts = {"run_id": "a" * 24, "tier": hostile, "status": hostile, "submitted_at": started.isoformat()}
    store.add(task_id="fit", started_at=started, run_id="a" * 24, return_value=facts, domino_run_link="http://d/1")

    html = ann.get("/timeline/live").text

    assert "<script>alert" not in html
    assert picture(html)["tiers"][0]["tier"] == hostile


@pytest.mark.parametrize(("period", "is_slower"), [("hour", False), ("day", False), ("week", True), ("30 days", True)])
def test_a_picture_of_a_long_time_is_asked_for_less_often(ann, permissions, looks, period, is_slower):
    permissions.dag_ids = {"ensemble"}
    looks["domino_default", ""] = Look("domino_default", "", taken_at=BEGIN)

    assert ('data-live-every="60"' in ann.get("/timeline/live", params={"period": period}).text) is is_slower


def test_an_empty_time_leads_to_a_longer_one(ann, permissions):
    permissions.dag_ids = {"ensemble"}

    html = ann.get("/timeline", params={"period": "hour"}).text

    assert "No runs in this time" in html
    assert "period=30+days" in html


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize("path", ["/timeline", "/costs"])
def test_without_the_chart_library_the_tables_are_there_and_a_plain_word(ann, path, tmp_path, monkeypatch):
    for file in static.FOLDER.iterdir():
        if not file.name.startswith("plotly"):
            (tmp_path / file.name).symlink_to(file)
    monkeypatch.setattr(static, "FOLDER", tmp_path)

    answer = ann.get(path)

    assert answer.status_code == 200
    assert "The pictures are missing" in answer.text
    assert "plotly.min.js?" not in answer.text
    assert "<table" in answer.text


@pytest.mark.parametrize("query", [{"period": "century"}, {"limit": "0"}, {"limit": "5001"}])
def test_a_choice_that_does_not_exist_is_refused_by_name_there_too(ann, permissions, query):
    answer = ann.get("/timeline", params=query)

    assert answer.status_code == 422
    assert next(iter(query)) in answer.text


@pytest.mark.parametrize(
    "path", ["/timeline", "/timeline/live", "/api/timeline", "/costs", "/costs/live", "/api/costs", "/costs.csv"]
)
def test_only_what_belongs_to_readable_dags_is_drawn_and_added_up(ann, permissions, store, path):
    permissions.dag_ids = {"ours"}
    now = datetime.now(UTC)
    for dag_id, tier in (("ours", "Small"), ("theirs", "Secret")):
        facts = {"run_id": dag_id, "tier": tier, "cost_cents": 5, "run_seconds": 1, "submitted_at": now.isoformat()}
        store.add(dag_id, started_at=now, run_id=dag_id, return_value=facts, domino_run_link="http://d/1")

    answer = ann.get(path)

    assert "ours" in answer.text
    assert "theirs" not in answer.text
    assert "Secret" not in answer.text
    assert ann.get(path, params={"dag_id": "theirs"}).status_code == 403
