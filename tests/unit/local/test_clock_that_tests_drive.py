"""The clock of the server goes with the machine's, unless somebody freezes or advances it."""

from __future__ import annotations

import time

import pytest

from airflow_domino.local.clock import Clock


class Diary:
    """Somebody for whom things are due at given times; writes down what the clock says when they are done."""

    def __init__(self, clock: Clock, *due: int) -> None:
        self._clock = clock
        self._due = sorted(due)
        self.done: list[int] = []

    def next_due(self) -> int | None:
        return self._due[0] if self._due else None

    def settle(self) -> None:
        while self._due and self._due[0] <= self._clock.now_ns():
            del self._due[0]
            self.done.append(self._clock.now_ns())


def test_an_undriven_clock_goes_with_the_machines():
    before = time.time_ns()
    assert before <= Clock().now_ns() <= time.time_ns()


def test_a_frozen_clock_stands_still_and_can_be_advanced():
    clock = Clock()
    clock.freeze()
    begin = clock.now_ns()
    assert clock.is_frozen
    clock.advance(1.5)
    assert clock.now_ns() == begin + 1_500_000_000
    assert clock.now_ms() == (begin + 1_500_000_000) // 1_000_000


def test_a_clock_that_goes_on_goes_on_from_where_it_stands():
    clock = Clock()
    clock.freeze()
    clock.advance(86400)
    stood = clock.now_ns()
    clock.run()
    assert not clock.is_frozen
    assert stood <= clock.now_ns() < stood + 60 * 10**9
    assert clock.ahead_seconds == pytest.approx(86400, abs=60)
    clock.reset()
    assert clock.ahead_seconds == pytest.approx(0, abs=60)


def test_what_becomes_due_on_the_way_is_done_at_its_own_time():
    clock = Clock()
    clock.freeze()
    begin = clock.now_ns()
    first, second = Diary(clock, begin + 10, begin + 30, begin + 10**12), Diary(clock, begin + 20)
    clock.follow(first)
    clock.follow(second)
    clock.advance(1)
    assert (first.done, second.done) == ([begin + 10, begin + 30], [begin + 20])
    assert clock.now_ns() == begin + 10**9
    clock.leave(first)
    clock.advance(10**6)
    assert len(first.done) == 2


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan")])
def test_time_only_goes_forward(seconds: float):
    with pytest.raises(ValueError, match="can only be advanced"):
        Clock().advance(seconds)
