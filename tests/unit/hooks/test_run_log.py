"""A run's log lines in a task's log."""

from __future__ import annotations

import json

import pytest

from airflow_domino.domino.models import LogLine
from airflow_domino.hooks.runs import RunHandle, RunLog


class Log:
    def __init__(self):
        self.lines = []

    def info(self, message, *arguments):
        self.lines.append(message % arguments)

    warning = info


@pytest.fixture
def log():
    return Log()


def write(log, *texts, stream="stdout", **options):
    relay = RunLog(log, "https://domino/run/1", **options)
    for text in texts:
        relay.write(LogLine(None, stream, text))


def test_lines_are_copied_as_they_are(log):
    write(log, "a\n", "b %s {}\r\n", "naïve ✓")
    assert log.lines == ["a", "b %s {}", "naïve ✓"]


def test_setup_lines_which_can_show_secrets_are_left_out(log):
    write(log, "+ export TOKEN=abc", stream="prepareoutput")
    assert log.lines == []


def test_a_flood_is_cut_off_with_a_word_about_where_the_rest_is(log):
    write(log, *(["x" * 99] * 50), limit=1000)
    assert len(log.lines) == 11
    assert "https://domino/run/1" in log.lines[-1]


def test_one_endless_line_is_cut_off_too(log):
    write(log, "x" * 10_000, limit=1000)
    assert [len(line) for line in log.lines[:1]] == [1000]


def test_binary_output_stays_printable_as_utf8(log):
    write(log, "\udc80\x00bin")
    json.dumps(log.lines[0]).encode("utf-8")
    log.lines[0].encode("utf-8")


def test_a_handle_written_by_a_later_version_is_read():
    handle = RunHandle("1", "u", "o/n", "p")
    assert RunHandle.from_dict(handle.to_dict() | {"new": 1}) == handle
    with pytest.raises(ValueError, match="Not the description"):
        RunHandle.from_dict({"url": "u"})
