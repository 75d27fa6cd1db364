"""The log of a run in files: lines, times, streams, a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_domino.local.logs import PREPARE, STDERR, STDOUT, RunLog


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    return RunLog(tmp_path / "log")


def texts(lines) -> list[str]:
    return [line.text for line in lines]


def test_lines_come_back_in_order_with_growing_times(log):
    log.write(STDOUT, [b"one\n", b"two\n"])
    log.write(STDERR, [b"three\n"])
    lines = list(log.lines())
    assert texts(lines) == ["one", "two", "three"]
    times = [line.time_ns for line in lines]
    assert times == sorted(set(times))


def test_reading_goes_on_behind_a_time(log):
    log.write(STDOUT, [f"{number}\n".encode() for number in range(5000)])
    middle = list(log.lines())[2499]
    assert texts(log.lines(after_ns=middle.time_ns))[:2] == ["2500", "2501"]
    assert len(list(log.lines(after_ns=middle.time_ns))) == 2500


def test_times_grow_on_after_the_log_is_opened_again(log, tmp_path, monkeypatch):
    log.write(STDOUT, [b"one\n"])
    monkeypatch.setattr("time.time_ns", lambda: 1)
    again = RunLog(tmp_path / "log")
    again.write(STDOUT, [b"two\n"])
    first, second = again.lines()
    assert second.time_ns == first.time_ns + 1
    assert second.text == "two"


def test_the_output_file_has_the_bytes_of_the_program_and_not_the_servers_preparation(log):
    log.say(PREPARE, "preparing")
    log.write(STDOUT, [b"a\xff\n"])
    log.write(STDERR, [b"b\n", b"unfinished"])
    assert log.output.read_bytes() == b"a\xff\nb\nunfinished"


def test_a_sentence_of_the_server_begins_on_a_line_of_its_own(log):
    log.write(STDOUT, [b"unfinished"])
    log.say(STDOUT, "Failed with exit code: 1")
    assert log.output.read_bytes() == b"unfinished\nFailed with exit code: 1\n"


def test_the_last_lines_can_be_read_alone(log):
    log.write(STDOUT, [f"{number}\n".encode() for number in range(100)])
    assert texts(log.tail(2)) == ["98", "99"]
    assert texts(log.tail(1000)) == [str(number) for number in range(100)]


def test_the_last_lines_of_one_stream_are_found_behind_many_of_another(log):
    log.say(PREPARE, "preparing")
    log.write(STDOUT, [f"{number}\n".encode() for number in range(10_000)])
    assert texts(log.tail(5, (PREPARE,))) == ["preparing"]
    assert texts(log.tail(2, (STDOUT, STDERR))) == ["9998", "9999"]


def test_the_last_lines_are_bounded_in_bytes_too(log):
    log.write(STDOUT, [b"x" * 99 + b"\n"] * 100)
    assert len(log.tail(50, largest=1000)) == 10
    assert log.tail(0) == []


def test_a_full_log_says_so_once_and_grows_no_more(tmp_path):
    log = RunLog(tmp_path / "log", limit=150)
    for _ in range(10):
        log.write(STDOUT, [b"x" * 49 + b"\n"])
    lines = texts(log.lines())
    assert lines[:2] == ["x" * 49] * 2
    assert len(lines) == 3
    assert "limit" in lines[2]
    assert log.output.stat().st_size < 250
