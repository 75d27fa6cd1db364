"""A disguise changes what is shown of a run, and is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_domino.local import statuses
from airflow_domino.local.database import Database
from airflow_domino.local.disguises import Disguise, Disguises
from airflow_domino.local.faults import Fault
from airflow_domino.local.runs import Run

RUN = Run(
    id="a" * 24,
    project_id="b" * 24,
    number=1,
    command="main.py",
    arguments=["main.py"],
    tier_id="small",
    environment_id="e" * 24,
    input_commit="c" * 40,
    started_by="ada",
    submitted_at=1000,
    status=statuses.SUCCEEDED,
    output_commit="d" * 40,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state.sqlite")
    yield database
    database.close()


def test_a_disguise_outlives_the_server_until_it_is_taken_off(database: Database) -> None:
    worn = Disguise().with_fault(Fault("word", word="Levitating")).with_fault(Fault("no_output"))
    Disguises(database).put_on(RUN.id, worn)
    later = Disguises(database)
    assert (later.shown(RUN).status, later.shown(RUN).output_commit) == ("Levitating", None)
    later.put_on(RUN.id, Disguise())
    assert Disguises(database).shown(RUN) is RUN


def test_a_shown_run_has_completed_when_the_run_has_whatever_its_status_says(database: Database) -> None:
    disguises = Disguises(database)
    disguises.put_on(RUN.id, Disguise(word="Running"))
    assert disguises.shown(RUN).is_completed


def test_a_word_can_be_for_one_phase_only(database: Database) -> None:
    disguises = Disguises(database)
    disguises.put_on(RUN.id, Disguise(word="Levitating", phase="active"))
    assert disguises.shown(RUN).status == statuses.SUCCEEDED


def test_a_run_is_lost_only_after_the_seconds_of_the_fault() -> None:
    assert Disguise().with_fault(Fault("lose")).is_lost
    assert not Disguise().with_fault(Fault("lose", seconds=3600)).is_lost
