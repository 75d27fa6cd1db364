"""The look at Domino that all pages share: taken in the background, never waited for, one at a time."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from airflow_domino.domino.errors import DominoUnavailableError, NotFoundError
from airflow_domino.domino.tiers import HardwareTier
from airflow_domino.plugin import look
from airflow_domino.plugin.look import Looker, places
from airflow_domino.plugin.looking import Seen

SMALL = HardwareTier("small-k8s", "Small")
PATIENCE = 20.0


class Eye:
    """Looks when it is told to, and sees what it is told to see."""

    def __init__(self) -> None:
        self.may_see = threading.Event()
        self.looks = 0
        self.at_once = 0
        self.most_at_once = 0
        self.trouble: Exception | None = None

    def __call__(self) -> Seen:
        self.looks += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            assert self.may_see.wait(PATIENCE)
            if self.trouble is not None:
                raise self.trouble
            return Seen("ann/churn", (SMALL,), (), ())
        finally:
            self.at_once -= 1


@pytest.fixture
def eye():
    one = Eye()
    yield one
    one.may_see.set()


@pytest.fixture
def looker(eye):
    return Looker("domino_default", "ann/churn", eye)


def wait_until_looked(looker):
    deadline = time.monotonic() + PATIENCE
    while looker.is_looking:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def look_once(looker, eye):
    eye.may_see.set()
    looker.latest()
    wait_until_looked(looker)
    return looker.latest()


def test_the_first_answer_is_there_before_domino_has_said_anything(looker, eye):
    first = looker.latest()
    assert (first.taken_at, first.trouble, first.tiers, first.runs) == (None, None, (), ())
    assert first.is_pending
    assert first.age_seconds() is None
    eye.may_see.set()
    wait_until_looked(looker)
    assert looker.latest().tiers == (SMALL,)


def test_many_who_ask_at_once_cost_one_look(looker, eye):
    threads = [threading.Thread(target=looker.latest) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eye.may_see.set()
    wait_until_looked(looker)
    assert (eye.looks, eye.most_at_once) == (1, 1)


def test_a_fresh_look_is_not_taken_again_until_something_was_changed(looker, eye):
    look_once(looker, eye)
    looker.latest()
    assert eye.looks == 1
    looker.hurry()
    looker.latest()
    wait_until_looked(looker)
    assert eye.looks == 2


def test_a_change_during_a_look_is_looked_for_right_after_it(looker, eye):
    looker.latest()
    deadline = time.monotonic() + PATIENCE
    while not eye.looks:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    looker.hurry()
    eye.may_see.set()
    wait_until_looked(looker)
    looker.latest()
    wait_until_looked(looker)
    assert eye.looks == 2


def test_nothing_is_asked_before_somebody_asks(looker, eye):
    assert (looker.is_looking, eye.looks) == (False, 0)


def test_in_trouble_the_last_look_stays_with_what_is_wrong(looker, eye):
    before = look_once(looker, eye)
    eye.trouble = DominoUnavailableError("Domino is down")
    looker.hurry()
    now = look_once(looker, eye)
    assert (now.tiers, now.taken_at, now.trouble) == (before.tiers, before.taken_at, "Domino is down")
    assert not now.is_pending


def test_an_end_of_the_trouble_is_seen(looker, eye):
    eye.trouble = DominoUnavailableError("Domino is down")
    assert look_once(looker, eye).trouble
    eye.trouble = None
    looker.hurry()
    assert look_once(looker, eye).trouble is None


def test_a_fault_of_our_own_is_said_without_its_insides(looker, eye, caplog):
    eye.trouble = KeyError("token=s3cret")
    assert "log of Airflow's api-server" in look_once(looker, eye).trouble
    assert "s3cret" not in looker.latest().trouble
    assert "did not work" in caplog.text


def test_a_domino_that_takes_its_time_is_spoken_of(looker, monkeypatch):
    monkeypatch.setattr(look, "SLOW_AFTER", -1.0)
    assert "has not answered yet" in looker.latest().trouble


@pytest.mark.parametrize(
    ("troubles", "error", "seconds"),
    [
        (1, NotFoundError("gone"), 15.0),
        (2, NotFoundError("gone"), 30.0),
        (9, NotFoundError("gone"), 60.0),
        (1, DominoUnavailableError("busy", retry_after=40), 40.0),
        (1, DominoUnavailableError("busy", retry_after=4000), 60.0),
    ],
)
def test_a_domino_in_trouble_is_left_alone_longer_and_longer(looker, troubles, error, seconds):
    looker._troubles = troubles
    assert looker._pause(error) == seconds


def test_only_so_many_places_are_looked_at_at_once(eye):
    lookers = [Looker("domino_default", f"ann/{number}", eye) for number in range(look.MOST_AT_ONCE + 3)]
    for one in lookers:
        one.latest()
    assert sum(one.is_looking for one in lookers) == look.MOST_AT_ONCE
    eye.may_see.set()
    for one in lookers:
        wait_until_looked(one)
    lookers[-1].latest()
    wait_until_looked(lookers[-1])
    assert lookers[-1].latest().tiers == (SMALL,)


def test_a_place_that_nobody_asks_for_is_forgotten(monkeypatch):
    monkeypatch.setattr(look, "_lookers", {})
    first = look.looker("domino_default", "ann/churn")
    assert look.looker("domino_default", "ann/churn") is first
    first.asked_at -= look.FORGOTTEN_AFTER + 1
    look.looker("domino_default", "ann/other")
    assert list(look._lookers) == [("domino_default", "ann/other")]


# ---- where to look ---------------------------------------------------------------------------------------------------


def launched(project: str, conn_id: str | None = None) -> dict[str, object]:
    return {"generation": 0, "launch": 0, "run": {"run_id": "r", "project": project, "conn_id": conn_id}}


def test_where_tasks_have_launched_is_where_to_look_the_latest_first(store, sessions, count_statements):
    early, late = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    store.add("ours", "a", started_at=early, launch_record=launched("ann/churn"))
    store.add("ours", "b", started_at=late, launch_record=launched("ann/fraud", "domino_eu"))
    store.add("ours", "c", started_at=late + timedelta(days=1), domino_run={"project": "ann/latest"})
    store.add("theirs", "d", started_at=late, launch_record=launched("bob/secret"))
    before = count_statements()
    with sessions() as session:
        found = places(session, {"ours"})
    assert found == [("domino_default", "ann/latest"), ("domino_eu", "ann/fraud"), ("domino_default", "ann/churn")]
    assert count_statements() - before == 2


def test_where_nothing_was_launched_yet_the_default_connection_is_looked_at(sessions):
    with sessions() as session:
        assert places(session, {"ours"}) == [("domino_default", "")]


def test_who_may_read_no_dag_has_nothing_to_look_at(sessions, count_statements):
    before = count_statements()
    with sessions() as session:
        assert places(session, set()) == []
    assert count_statements() == before
