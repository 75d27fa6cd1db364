from __future__ import annotations

import pytest

from airflow_domino.plugin.words import duration, money


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"),
        (0, "0s"),
        (0.04, "0s"),
        (0.42, "0.4s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (200, "3m 20s"),
        (7500, "2h 05m"),
        (100_800, "1d 4h"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("cents", "said"),
    [
        (None, "–"),
        (0, "$0.00"),
        (0.0002, "<$0.0001"),
        (0.25, "$0.0025"),
        (1, "$0.01"),
        (130, "$1.30"),
        (1_234_567, "$12,345.67"),
    ],
)
def test_money_keeps_the_digits_that_matter(cents, said):
    assert money(cents) == said
