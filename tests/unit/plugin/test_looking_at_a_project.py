"""What one look asks Domino for, and what it makes of the answers; over real HTTP."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from airflow_domino.domino.errors import DominoError
from airflow_domino.domino.launch import RunMark, mark_title
from airflow_domino.plugin import looking
from airflow_domino.plugin.looking import DominoEye

STARTED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def database(sessions, monkeypatch):
    """Airflow's database with DAG runs in it, none of whose DAGs is known."""

    @contextmanager
    def create_session():
        with sessions() as session:
            yield session

    monkeypatch.setattr(looking, "create_session", create_session)
    return sessions


@pytest.fixture
def eye(database, domino_connection):
    one = DominoEye("domino_default", "")
    one._orphans._dags = SimpleNamespace(get_dag_for_run=lambda **_: None)
    return one


@pytest.fixture
def dag_run(database, store):
    def add(dag_id="ours", run_id="manual__1", state="running"):
        store.add_dag_run(dag_id, run_id, state=state, run_after=STARTED, data_interval_end=STARTED)

    return add


def start(domino, title="a run", tier="xlarge-k8s"):
    domino.leave_running()
    return domino.start({"commandToRun": "x.py", "title": title, "overrideHardwareTierId": tier})["id"]


def test_a_look_sees_the_tiers_and_the_runs_of_the_connections_own_project(eye, fake_domino):
    fake_domino.tiers[1]["hardwareTier"]["hwtFlags"]["isArchived"] = True
    first, second = start(fake_domino), start(fake_domino)
    seen = eye()
    assert seen.project == "domino/quick-start"
    assert [tier.id for tier in seen.tiers] == ["small-k8s", "gpu-1", "gpu-2"]
    assert [run.id for run in seen.runs] == [second, first]
    assert (seen.orphans, seen.warning) == ((), None)


def test_later_looks_cost_three_requests(eye, fake_domino):
    start(fake_domino)
    eye()
    fake_domino.requests.clear()
    eye()
    assert fake_domino.requests == ["GET /v4/projects/p1/hardwareTiers", "GET /v4/jobs", "GET /v4/jobs"]


def test_a_run_that_has_ended_meanwhile_is_seen_as_such(eye, fake_domino):
    run_id, later = start(fake_domino), start(fake_domino)
    eye()
    fake_domino.end(run_id, "Failed")
    assert {run.id: run.status.word for run in eye().runs} == {later: "Running", run_id: "Failed"}


def test_many_runs_that_end_at_once_are_not_asked_for_one_by_one(eye, fake_domino):
    runs = [start(fake_domino) for _ in range(30)]
    eye()
    for run_id in runs:
        fake_domino.end(run_id, "Succeeded")
    fake_domino.requests.clear()
    assert {run.status.word for run in eye().runs} == {"Succeeded"}
    assert len(fake_domino.requests) < 6


def test_a_run_that_domino_has_forgotten_is_forgotten(eye, fake_domino):
    run_id, later = start(fake_domino), start(fake_domino)
    eye()
    del fake_domino.jobs[run_id]
    assert [run.id for run in eye().runs] == [later]


def test_only_so_many_runs_are_remembered_and_active_ones_first(eye, fake_domino, monkeypatch):
    monkeypatch.setattr(looking, "MOST_RUNS", 3)
    oldest = start(fake_domino)
    for _ in range(5):
        fake_domino.end(start(fake_domino), "Succeeded")
    eye()
    fake_domino.end(start(fake_domino), "Succeeded")
    runs = eye().runs
    assert [run.number for run in runs] == [7, 6, 1]
    assert runs[-1].id == oldest


def test_a_changed_connection_is_noticed(eye, domino_connection, fake_domino):
    eye()
    domino_connection(password="wrong")
    with pytest.raises(DominoError, match="does not accept the credentials"):
        eye()
    domino_connection()
    assert eye().tiers


def test_a_connection_that_is_not_there_says_where_to_add_it(database):
    with pytest.raises(DominoError, match=r"'nowhere'.*Admin, Connections"):
        DominoEye("nowhere", "ann/churn")()


def jwt(expires_at):
    payload = base64.urlsafe_b64encode(json.dumps({"exp": expires_at}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{payload}.eA"


def test_a_token_that_has_expired_is_said_to_have(eye, domino_connection):
    domino_connection(password=jwt(1_700_000_000), extra={"credential": "bearer", "project": "domino/quick-start"})
    with pytest.raises(DominoError, match=r"'domino_default' expired on 2023-11-14 .* make a new one"):
        eye()


def test_a_credential_that_soon_expires_is_warned_about(eye, domino_connection):
    day = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    domino_connection(extra={"project": "domino/quick-start", "expires_on": day})
    assert f"'domino_default' expires on {day} 00:00 UTC, in 4 days" in eye().warning


# ---- orphans ---------------------------------------------------------------------------------------------------------


def marked(task_id="train", generation=0, dag_id="ours"):
    return mark_title(f"{dag_id}.{task_id}", RunMark.for_task(dag_id, "manual__1", task_id, -1, generation))


def test_a_run_whose_task_is_over_is_an_orphan_and_one_that_is_awaited_is_not(eye, fake_domino, store, dag_run):
    dag_run()
    store.add("ours", "train", state="success")
    store.add("ours", "score", state="deferred")
    left = start(fake_domino, marked("train"))
    start(fake_domino, marked("score"))
    start(fake_domino, "of a person")
    (orphan,) = eye().orphans
    assert (orphan.run.id, orphan.dag_id, orphan.task_id, orphan.state) == (left, "ours", "train", "success")
    assert (orphan.handle.tier, orphan.is_known) == ("X-Large", True)


def test_the_tier_of_an_orphan_is_asked_for_once(eye, fake_domino, store, dag_run):
    dag_run()
    store.add("ours", "train", state="success")
    start(fake_domino, marked("train"))
    eye()
    fake_domino.requests.clear()
    assert len(eye().orphans) == 1
    assert not [request for request in fake_domino.requests if "runtimeExecutionDetails" in request]


def test_a_run_of_a_dag_run_that_comes_to_be_known_later_is_no_stranger_then(eye, fake_domino, store, dag_run):
    start(fake_domino, marked("train"))
    (stranger,) = eye().orphans
    assert (stranger.is_known, stranger.dag_id) == (False, None)
    dag_run()
    store.add("ours", "train", state="running")
    assert eye().orphans == ()


def test_a_database_that_does_not_answer_leaves_the_rest_of_the_look(eye, fake_domino, monkeypatch):
    def broken():
        raise OperationalError("select", {}, Exception("locked"))

    monkeypatch.setattr(looking, "create_session", broken)
    start(fake_domino, marked())
    seen = eye()
    assert seen.orphans is None
    assert len(seen.runs) == 1
