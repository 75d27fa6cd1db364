"""The page "Tiers": what is shown of each tier, which orphans, and who may stop them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

from airflow_domino.domino.models import Run, RunStatus
from airflow_domino.domino.tiers import HardwareTier
from airflow_domino.hooks.runs import RunHandle
from airflow_domino.orphans import Orphan
from airflow_domino.plugin import routes_tiers, stops
from airflow_domino.plugin.look import Look
from airflow_domino.plugin.runs import TaskRun
from airflow_domino.plugin.stops import Stop
from airflow_domino.plugin.tiers import TierUse, boards, left_behind

NOW = datetime.now(UTC)
RUN_ID = "65f0c0ffee00000000000001"


def tier(name="GPU", **values):
    known = {"cents_per_minute": 6.0, "cores": 8.0, "memory_gib": 60.0, "gpus": 1, "capacity_level": "FULL"}
    places = {"executing_runs": 4, "queued_runs": 2, "most_runs": 4, "free_places": 0}
    return HardwareTier(f"{name.lower()}-k8s", name, **{**known, **places, **values})


def run(run_id=RUN_ID, number=7, word="Running", title="ours.train"):
    status = RunStatus(word, is_completed=word == "Succeeded")
    return Run(run_id, number, title, "x.py", "p1", status, submitted_at=NOW - timedelta(minutes=5), started_at=NOW)


def orphan(dag_id="ours", **values):
    handle = RunHandle(RUN_ID, "https://domino.example.com/jobs/7", "ann/churn", "p1", "GPU", "gpu-k8s", 6.0, 7)
    place = {"dag_id": dag_id, "airflow_run_id": "manual__1", "task_id": "train", "state": "failed"}
    return Orphan(values.pop("run", run()), handle, **({**place, "cost_cents": 30.0} | values))


def look(**values):
    return Look("domino_default", "ann/churn", **({"taken_at": NOW, "tiers": (tier(),), "runs": (run(),)} | values))


def task_run(run_id=RUN_ID, tier_name="GPU", conn_id=None):
    return TaskRun(
        "ours", "manual__1", "train", -1, "deferred", 1, NOW, None, run_id, None, tier=tier_name, conn_id=conn_id
    )


@pytest.fixture
def seen(monkeypatch):
    """The looks that the page has."""
    looks = [look()]
    monkeypatch.setattr(routes_tiers, "all_latest", lambda places: list(looks))
    monkeypatch.setattr(routes_tiers, "places", lambda session, dag_ids: [(one.conn_id, one.project) for one in looks])
    return looks


# ---- what is put together --------------------------------------------------------------------------------------------


def test_runs_of_airflow_are_counted_on_their_tiers_by_what_domino_says_of_them():
    queued = run("b", 8, "Queued")
    seen_runs = (run("a"), queued, run("c", 9, "Succeeded"))
    live = [
        task_run("a"),
        task_run("b"),
        task_run("c"),
        task_run("unseen"),
        task_run("d", "Gone"),
        task_run("e", conn_id="eu"),
    ]
    (board,) = boards([look(runs=seen_runs)], live)
    (use,) = board.tiers
    assert (use.ours_running, use.ours_queued, board.unlisted) == (2, 1, 1)


def test_the_projects_of_a_connection_share_its_tiers_and_the_latest_look_tells_how_full_they_are():
    old = look(taken_at=NOW - timedelta(minutes=5), tiers=(tier(executing_runs=0), tier("Small", cents_per_minute=0.2)))
    (board,) = boards([look(), old], [])
    assert [(use.tier.name, use.tier.executing_runs) for use in board.tiers] == [("Small", 4), ("GPU", 4)]


def test_each_connection_has_a_board_of_its_own():
    other = Look("domino_eu", "ann/fraud", taken_at=NOW, tiers=(tier("Small"),))
    assert [board.conn_id for board in boards([look(), other], [])] == ["domino_default", "domino_eu"]


@pytest.mark.parametrize(
    ("values", "filled", "by_us"),
    [
        ({}, 1.0, 0.25),
        ({"executing_runs": 9}, 1.0, 0.25),
        ({"executing_runs": 0}, 0.0, 0.0),
        ({"most_runs": None}, None, None),
        ({"executing_runs": None}, None, None),
    ],
)
def test_how_full_a_tier_is_never_exceeds_its_places(values, filled, by_us):
    use = TierUse(tier(**values), ours_running=1)
    assert (use.filled, use.filled_by_us) == (filled, by_us)


def test_a_machine_is_described_by_what_is_known_of_it():
    assert TierUse(tier()).machine == "8 cores, 60 GiB, 1 GPU"
    assert TierUse(tier(cores=1.0, gpus=0, memory_gib=0.5)).machine == "1 core, 0.5 GiB"
    assert TierUse(HardwareTier("x", "x")).machine == ""


def test_only_orphans_of_readable_dags_are_shown_once_and_strangers_are_counted():
    stranger = orphan(None, run=run("s", 9), task_id=None, airflow_run_id=None, is_known=False)
    one = look(orphans=(orphan(), orphan("theirs", run=run("t", 8)), stranger))
    left = left_behind([one, one], {"ours"})
    assert [each.run.id for _, each in left.orphans] == [RUN_ID]
    assert (left.strangers, left.cents_per_hour) == (1, 360.0)


# ---- the page --------------------------------------------------------------------------------------------------------


def test_a_tier_is_shown_with_price_room_and_queue(ann, permissions, seen):
    permissions.dag_ids = {"ours"}
    text = ann.get("/tiers").text
    for words in ("GPU", "8 cores, 60 GiB, 1 GPU", "$3.60", "4 of 4", "0 free", "queues: full"):
        assert words in text


def test_all_addresses_show_the_same(ann, permissions, seen):
    permissions.dag_ids = {"ours"}
    seen[:] = [look(orphans=(orphan(),))]
    found = ann.get("/api/tiers").json()
    assert (
        found["connections"][0]["tiers"][0] | {"name": "GPU", "queued_runs": 2, "airflow_running": 0}
        == (found["connections"][0]["tiers"][0])
    )
    assert [(one["run_id"], one["dag_id"], one["tier"]) for one in found["orphans"]] == [(RUN_ID, "ours", "GPU")]
    assert "#7" in ann.get("/tiers/live").text


def test_what_domino_said_last_is_shown_with_why_it_is_old(ann, permissions, seen):
    permissions.dag_ids = {"ours"}
    seen[:] = [look(trouble="Domino is down <script>", warning="The credential expires soon")]
    text = ann.get("/tiers").text
    assert "What you see is old." in text
    assert "Domino is down &lt;script&gt;" in text
    assert "The credential expires soon" in text
    assert "GPU" in text


def test_before_the_first_answer_the_page_says_that_domino_is_asked(ann, permissions, seen):
    permissions.dag_ids = {"ours"}
    seen[:] = [Look("domino_default", "")]
    assert "Domino is being asked" in ann.get("/tiers").text


def test_a_domino_that_was_never_reached_is_no_empty_table(ann, permissions, seen):
    permissions.dag_ids = {"ours"}
    seen[:] = [Look("domino_default", "", trouble="No such host")]
    text = ann.get("/tiers").text
    assert "Domino could not be looked at." in text
    assert "<table" not in text


def test_who_may_read_no_dag_sees_no_tier_and_domino_is_not_asked(ann, permissions):
    text = ann.get("/tiers").text
    assert "may read no DAG" in text


def test_the_page_costs_few_statements(ann, permissions, seen, count_statements):
    permissions.dag_ids = {"ours"}
    seen[:] = [look(orphans=tuple(orphan(run=run(str(number), number)) for number in range(50)))]
    before = count_statements()
    ann.get("/tiers/live")
    assert count_statements() - before <= 2


# ---- stopping --------------------------------------------------------------------------------------------------------

BODY = {"conn_id": "domino_default", "run_id": RUN_ID}


@pytest.fixture
def stopped(monkeypatch):
    """What was stopped; the answer to it can be changed."""
    asked: list[tuple[str, str, str]] = []
    outcome = Stop()
    outcome.is_over.set()

    def stop(conn_id, project, orphan):
        asked.append((conn_id, project, orphan.run.id))
        return outcome

    monkeypatch.setattr(stops, "stop", stop)
    return asked, outcome


@pytest.fixture
def an_orphan(seen, permissions):
    permissions.dag_ids = {"ours"}
    seen[:] = [look(orphans=(orphan(), orphan("theirs", run=run("t", 8))))]


@pytest.mark.usefixtures("an_orphan")
def test_an_orphan_is_stopped_by_its_button(ann, stopped):
    assert 'data-post="orphans/stop"' in ann.get("/tiers/live").text
    answer = ann.post("/orphans/stop", json=BODY)
    assert (answer.status_code, answer.json()["said"][:27]) == (200, "Run #7 is being stopped; wh")
    assert stopped[0] == [("domino_default", "ann/churn", RUN_ID)]


@pytest.mark.usefixtures("an_orphan")
def test_a_domino_that_does_not_answer_soon_is_not_waited_for(ann, stopped):
    stopped[1].is_over.clear()
    assert "has not answered yet" in ann.post("/orphans/stop", json=BODY).json()["said"]


@pytest.mark.usefixtures("an_orphan")
def test_a_stop_that_failed_says_why(ann, stopped):
    stopped[1].trouble = "Domino does not permit this"
    answer = ann.post("/orphans/stop", json=BODY)
    assert answer.status_code == 502
    assert answer.json()["detail"] == "Run #7 was not stopped: Domino does not permit this."


@pytest.mark.usefixtures("an_orphan")
def test_who_may_not_change_the_dag_gets_no_button_and_cannot_stop(ann, permissions, stopped):
    permissions.unchangeable = {"ours"}
    assert "#7" in ann.get("/tiers/live").text
    assert "<button" not in ann.get("/tiers/live").text
    assert ann.post("/orphans/stop", json=BODY).status_code == 403
    assert stopped[0] == []


@pytest.mark.usefixtures("an_orphan")
@pytest.mark.parametrize(
    "body",
    [BODY | {"run_id": "t"}, BODY | {"run_id": "unknown"}, BODY | {"conn_id": "domino_eu"}],
    ids=["another's", "none", "elsewhere"],
)
def test_only_what_the_page_shows_to_this_reader_can_be_stopped(ann, stopped, body):
    assert ann.post("/orphans/stop", json=body).status_code == 404
    assert stopped[0] == []


@pytest.mark.usefixtures("an_orphan")
def test_another_site_can_stop_nothing(ann, stopped):
    assert ann.post("/orphans/stop", json=BODY, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert ann.post("/orphans/stop", json=BODY, headers={"Origin": "https://evil.example"}).status_code == 403
    assert ann.post("/orphans/stop", data=BODY).status_code == 415
    assert stopped[0] == []


def test_nobody_stops_anything_without_signing_in(anonymous, stopped):
    assert anonymous.post("/orphans/stop", json=BODY).status_code == 401
    assert stopped[0] == []


@pytest.mark.parametrize("entity", [DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM])
@pytest.mark.usefixtures("an_orphan")
def test_who_may_not_read_what_the_page_is_made_of_stops_nothing(ann, permissions, stopped, entity):
    permissions.forbidden.add(entity)
    assert ann.post("/orphans/stop", json=BODY).status_code == 403
    assert stopped[0] == []


# ---- how it is stopped -----------------------------------------------------------------------------------------------


@pytest.fixture
def stopping(sessions, fake_domino, domino_connection, monkeypatch):
    """The real thing, whose finder of orphans is told what to find."""
    monkeypatch.setattr(stops, "_stops", {})
    monkeypatch.setattr(stops, "create_session", sessions)
    left = [True]
    monkeypatch.setattr(
        stops.OrphanFinder, "find", lambda self, session, client, project, active: list(active) if left[0] else []
    )
    fake_domino.leave_running()
    started = fake_domino.start({"commandToRun": "x.py"})["id"]
    handle = RunHandle(started, "https://domino.example.com", "domino/quick-start", "p1")
    return left, Orphan(run(started), handle, "ours", "manual__1", "train")


def test_a_run_that_nobody_waits_for_is_stopped_and_keeps_what_it_wrote(stopping, fake_domino):
    done = stops.stop("domino_default", "", stopping[1], patience=20)
    assert (done.trouble, done.is_under_way) == ("", False)
    assert (fake_domino.stops, fake_domino.kept) == ([stopping[1].run.id], [True])
    assert stops.told_of(stopping[1].run.id) is done


def test_a_run_that_a_task_has_taken_up_meanwhile_goes_on(stopping, fake_domino):
    stopping[0][0] = False
    done = stops.stop("domino_default", "", stopping[1], patience=20)
    assert "A task waits for this run again" in done.trouble
    assert done.has_failed
    assert fake_domino.stops == []


def test_a_stop_is_asked_for_once_but_may_be_tried_again_after_a_failure(stopping, fake_domino):
    fake_domino.broken = True
    assert stops.stop("domino_default", "", stopping[1], patience=20).has_failed
    fake_domino.broken = False
    assert not stops.stop("domino_default", "", stopping[1], patience=20).has_failed
    stops.stop("domino_default", "", stopping[1], patience=20)
    assert len(fake_domino.stops) == 1
