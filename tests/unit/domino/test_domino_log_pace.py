"""How often the log of a run that goes on is asked for."""

from __future__ import annotations

import pytest

from airflow_domino.domino import follow
from airflow_domino.domino.follow import LONGEST_SILENCE, PAGES_PER_SECOND, SHORTEST_SILENCE, LogPace


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(follow.time, "monotonic", made.monotonic)
    return made


def seconds_to_the_next(pace: LogPace, clock: Clock) -> float:
    begin = clock.now
    while not pace.is_due:
        clock.now += 0.1
    return clock.now - begin


def test_a_log_that_nobody_has_asked_for_is_asked_for_at_once() -> None:
    assert LogPace().is_due


def test_a_silent_run_is_asked_less_and_less_often_but_never_forgotten(clock: Clock) -> None:
    pace, pauses = LogPace(), []
    for _ in range(10):
        pace.saw(output=False)
        pauses.append(seconds_to_the_next(pace, clock))
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(SHORTEST_SILENCE, abs=0.2)
    assert pauses[-1] == pytest.approx(LONGEST_SILENCE, abs=0.2)


def test_output_brings_the_pace_of_the_poll_back(clock: Clock) -> None:
    pace = LogPace()
    for _ in range(10):
        pace.saw(output=False)
    pace.saw(output=True)
    assert pace.is_due
    pace.saw(output=False)
    assert seconds_to_the_next(pace, clock) == pytest.approx(SHORTEST_SILENCE, abs=0.2)


def test_a_thousand_talkative_runs_together_ask_no_more_than_the_process_may(clock: Clock) -> None:
    pace = LogPace()
    pace.saw(output=True, crowd=1001)
    assert seconds_to_the_next(pace, clock) == pytest.approx(1000 / PAGES_PER_SECOND, abs=0.2)
