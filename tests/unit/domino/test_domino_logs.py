"""Logs: each line once, the last lines not lost, nothing that a terminal chokes on, no secrets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_domino.domino import DominoClient, LogLine, follow
from airflow_domino.domino.follow import LogFollower
from airflow_domino.domino.logs import LONGEST_LINE, clean, read_page

LOGS = "/v4/jobs/run1/logsWithProblemSuggestions"


@pytest.fixture
def serve_log(domino: Any, answer: Any) -> Callable[..., None]:
    """Serves a growing list of lines by position, as many a time as asked for."""

    def serve(lines: list[Any], *, is_complete: Callable[[], bool] = lambda: True, largest: int = 10_000) -> None:
        def page(asked: Any) -> Any:
            begin = int(asked.query["latestTimeNano"])
            some = lines[begin : begin + min(largest, int(asked.query["limit"]))]
            entries = [
                line if isinstance(line, dict) else {"timestamp": 1_700_000_000_000, "logType": "stdout", "log": line}
                for line in some
            ]
            pagination = {"limit": 1, "offset": 0, "latestTimeNano": str(begin + len(some))}
            logset = {"logContent": entries, "isComplete": is_complete(), "pagination": pagination}
            return answer({"logset": logset})

        domino.on("GET", LOGS, page)

    return serve


@pytest.fixture(autouse=True)
def quick_late_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for late lines, but not for long."""
    monkeypatch.setattr(follow, "LATE_PAUSES", (0.001, 0.001, 0.001))


def test_a_page_has_lines_a_cursor_and_an_end(client: DominoClient, serve_log: Any) -> None:
    serve_log(["one", "two\n"])

    page = client.log_page("run1")

    assert page.lines[0] == LogLine(datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), "stdout", "one")
    assert [line.text for line in page.lines] == ["one", "two"]
    assert (page.cursor, page.is_complete) == ("2", True)


def test_the_cursor_and_the_limit_are_passed_on(domino: Any, client: DominoClient, serve_log: Any) -> None:
    serve_log(["one", "two", "three"])

    page = client.log_page("run1", "1", limit=1)

    assert [line.text for line in page.lines] == ["two"]
    assert domino.asked[0].query == {"logType": "console", "limit": "1", "offset": "0", "latestTimeNano": "1"}


def test_a_page_without_a_cursor_of_its_own_keeps_the_old_one(domino: Any, client: DominoClient) -> None:
    domino.says(LOGS, {"logset": {"logContent": [], "isComplete": False}})

    assert client.log_page("run1", "17").cursor == "17"


def test_an_older_release_that_names_no_cursor_goes_on_after_the_last_line() -> None:
    page = read_page({"logset": {"logContent": [{"timestamp": 1_700_000_000_123, "log": "x"}], "isComplete": False}})

    assert page.cursor == "1700000000123999999"


def test_several_lines_in_one_entry_are_told_apart(client: DominoClient, serve_log: Any) -> None:
    serve_log(["one\ntwo\n\nthree\n"])

    assert [line.text for line in client.log_page("run1").lines] == ["one", "two", "", "three"]


def test_words_that_only_look_like_secrets_stay() -> None:
    for text in ("Bearer of news", "domino-api is up", "eyJ", "x = Bearer"):
        assert clean(text) == text


def test_binary_output_stays_printable() -> None:
    line = clean("a\x00b\x07c\tté\ud800\x1b[1m\r")

    assert line == "a\ufffdb\ufffdc\tté?\x1b[1m"
    assert line.encode()


def test_a_progress_bar_is_shown_as_a_terminal_would() -> None:
    assert clean(" 10%|#   |\r 50%|##  |\r100%|####|\r") == "100%|####|"


def test_a_long_progress_bar_is_shown_as_it_ended() -> None:
    assert clean("\r".join(f"{percent / 100} %" for percent in range(10_001)) + "\r") == "100.0 %"


def test_an_endless_line_is_cut_and_says_so() -> None:
    line = clean("x" * 100_000_000)

    assert len(line) < LONGEST_LINE + 100
    assert line.endswith(f"… [{100_000_000 - LONGEST_LINE} more characters cut]")


@pytest.mark.parametrize(
    "text",
    [
        "+ export DOMINO_USER_API_KEY=canary0123456789",
        "curl -H 'X-Domino-Api-Key: canary0123456789'",
        "Authorization: Bearer canary0123456789",
        "token eyJhbGciOiJIUzI1.canary0123456789.canary0123",
    ],
)
def test_tokens_in_the_noise_of_a_setup_shell_are_masked(text: str) -> None:
    assert "canary" not in clean(text)
    assert "***" in clean(text)


def test_the_tail_is_what_the_command_printed_last(domino: Any, client: DominoClient, serve_log: Any, job: Any) -> None:
    domino.says("/v4/jobs/run1", job(status="Failed"))
    setup = [{"timestamp": 1, "logType": "prepareoutput", "log": "+ set -x"}]
    serve_log([*setup, *(f"line {number}" for number in range(50))], largest=7)

    assert client.log_tail("run1", 3) == ["line 47", "line 48", "line 49"]


def test_the_tail_of_a_run_that_died_in_its_setup_is_its_setup(
    domino: Any, client: DominoClient, serve_log: Any, job: Any
) -> None:
    domino.says("/v4/jobs/run1", job(status="Error"))
    serve_log([{"timestamp": 1, "logType": "prepareoutput", "log": "no space left"}])

    assert client.log_tail("run1") == ["no space left"]


@pytest.mark.parametrize(
    ("late", "expected"), [(3, [f"late {n}" for n in range(3)]), (1, ["early 8", "early 9", "late 0"])]
)
def test_the_tail_of_a_long_run_is_read_from_near_its_end_when_that_is_enough(
    domino: Any, client: DominoClient, answer: Any, job: Any, late: int, expected: list[str]
) -> None:
    begin, end = 1_700_000_000_000, 1_700_003_600_000
    times = {"submissionTime": begin, "runStartTime": begin, "completedTime": end}
    domino.says("/v4/jobs/run1", job(status="Failed", stageTime=times))
    entries = [{"timestamp": begin + n, "log": f"early {n}"} for n in range(10)]
    entries += [{"timestamp": end - 10 + n, "log": f"late {n}"} for n in range(late)]

    def page(asked: Any) -> Any:
        some = [entry for entry in entries if entry["timestamp"] * 1_000_000 > int(asked.query["latestTimeNano"])]
        pagination = {"latestTimeNano": str(some[-1]["timestamp"] * 1_000_000)} if some else {}
        return answer({"logset": {"logContent": some, "isComplete": True, "pagination": pagination}})

    domino.on("GET", LOGS, page)

    assert client.log_tail("run1", 3) == expected
    assert domino.asked[1].query["latestTimeNano"] == str((end - 60_000) * 1_000_000)


def test_where_v4_has_no_output_the_v1_log_is_shown_once(
    domino: Any, client: DominoClient, serve_log: Any, job: Any, project_data: Any
) -> None:
    serve_log([])
    domino.says("/v4/gateway/projects/findProjectByOwnerAndName", project_data)
    domino.says("/v4/jobs/run1", job(status="Succeeded"))
    html = '<pre>fine &amp; good\n<span class="text-danger">oh no</span></pre>'
    domino.says("/v1/projects/ada/quick-start/run/run1/stdout", {"setup": "<pre>setting up</pre>", "stdout": html})
    client.project("ada/quick-start")

    page = client.log_page("run1")

    assert [(line.stream, line.text) for line in page.lines] == [
        ("prepareoutput", "setting up"),
        ("stdout", "fine & good"),
        ("stdout", "oh no"),
    ]
    assert page.is_complete
    assert client.log_page("run1", page.cursor).lines == ()


def test_a_run_that_printed_nothing_at_all_has_an_empty_log(
    domino: Any, client: DominoClient, serve_log: Any, job: Any
) -> None:
    serve_log([])
    domino.says("/v4/jobs/run1", job(status="Succeeded"))

    assert client.log_tail("run1") == []


def test_following_hands_over_each_line_once_while_the_log_grows(client: DominoClient, serve_log: Any) -> None:
    lines = ["one"]
    serve_log(lines, is_complete=lambda: False)
    seen: list[str] = []
    follower = LogFollower(client, "run1", lambda line: seen.append(line.text))

    for more in (["two", "three"], [], ["four"]):
        follower.read(to_end=False)
        lines.extend(more)
    follower.read(to_end=False)

    assert seen == ["one", "two", "three", "four"]
    assert follower.cursor == "4"


def test_the_last_lines_are_waited_for(domino: Any, client: DominoClient, serve_log: Any) -> None:
    lines = ["one"]

    def comes_late() -> bool:
        if domino.count("GET", LOGS) == 2:
            lines.append("late")
        return domino.count("GET", LOGS) > 3

    serve_log(lines, is_complete=comes_late)
    seen: list[str] = []
    LogFollower(client, "run1", lambda line: seen.append(line.text)).read(to_end=True)

    assert seen == ["one", "late"]


def test_a_log_that_never_calls_itself_complete_is_left_after_a_while(client: DominoClient, serve_log: Any) -> None:
    serve_log(["one"], is_complete=lambda: False)
    seen: list[str] = []
    LogFollower(client, "run1", lambda line: seen.append(line.text)).read(to_end=True)

    assert seen == ["one"]


def test_a_long_log_is_read_page_by_page_to_its_end(client: DominoClient, serve_log: Any) -> None:
    serve_log([f"line {number}" for number in range(950)], largest=100)
    seen: list[str] = []
    LogFollower(client, "run1", lambda line: seen.append(line.text)).read(to_end=True)

    assert seen == [f"line {number}" for number in range(950)]


def test_a_log_that_cannot_be_read_for_a_while_goes_on_where_it_was(
    domino: Any, client: DominoClient, answer: Any, serve_log: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    follower = LogFollower(client, "run1", lambda line: seen.append(line.text))
    serve_log(["one", "two"])
    follower.read(to_end=False)
    domino.on("GET", LOGS, answer(status=404))
    follower.read(to_end=False)
    follower.read(to_end=False)
    serve_log(["one", "two", "three"])
    follower.read(to_end=True)

    assert seen == ["one", "two", "three"]
    assert caplog.text.count("cannot be read at the moment") == 1


def test_a_server_that_repeats_its_page_makes_no_line_appear_twice(domino: Any, client: DominoClient) -> None:
    logset = {
        "logContent": [{"timestamp": 1, "log": "one"}],
        "isComplete": False,
        "pagination": {"latestTimeNano": "9"},
    }
    domino.says(LOGS, {"logset": logset})
    seen: list[str] = []
    follower = LogFollower(client, "run1", lambda line: seen.append(line.text))
    for _ in range(3):
        follower.read(to_end=True)

    assert seen == ["one"]


def test_without_anyone_to_hand_lines_to_the_log_is_not_asked_for(domino: Any, client: DominoClient) -> None:
    LogFollower(client, "run1", None).read(to_end=True)

    assert domino.asked == []
