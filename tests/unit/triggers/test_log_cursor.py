"""Handing a run's log over from one triggerer to the next, each line once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time import comms, task_runner

from airflow_domino.domino import follow as follow_module
from airflow_domino.domino.follow import LogFollower
from airflow_domino.domino.models import LogLine, LogPage
from airflow_domino.hooks.run_log import RunLog
from airflow_domino.triggers._log_cursor import LogCursor
from airflow_domino.triggers._xcoms import push_xcoms, read_xcom

LINES = [f"line {number}" for number in range(10)]
PER_PAGE = 2


class Log:
    def __init__(self):
        self.lines = []

    def info(self, message, *arguments):
        self.lines.append(message % arguments)

    warning = info


class Pages:
    """A client that serves the log two lines at a time."""

    def __init__(self, lines=LINES):
        self.lines = lines

    def log_page(self, run_id, cursor):
        begin = int(cursor)
        piece = tuple(LogLine(None, "stdout", text) for text in self.lines[begin : begin + PER_PAGE])
        end = begin + len(piece)
        return LogPage(piece, str(end), is_complete=end == len(self.lines))


class Triggerer:
    """One triggerer that follows the run's log into the shared log of the task."""

    def __init__(self, log, pages=None, *, try_number=1, map_index=-1, run_id="run1", limit=10_000):
        self.task_instance = SimpleNamespace(
            dag_id="d", run_id="r", task_id="t", map_index=map_index, try_number=try_number
        )
        self.copy = RunLog(log, "https://domino/run1", limit=limit)
        self.place = LogCursor(self.task_instance, run_id, self.copy)
        self.client = pages or Pages()
        self.cursor = "0"
        self.dies_after = None
        self.written = 0

    async def begin(self):
        self.cursor = await self.place.load("0")

    async def read(self, *, to_end=True):
        follower = LogFollower(self.client, "run1", self.write, self.cursor, self.place.claim)

        async def run_blocking(call):
            return call()

        try:
            await follower.read_async(run_blocking, to_end=to_end)
        finally:
            self.cursor = follower.cursor

    def write(self, line):
        if self.written == self.dies_after:
            raise ProcessLookupError("killed")
        self.written += 1
        self.copy.write(line)


@pytest.fixture
def log():
    return Log()


async def follow(triggerer):
    await triggerer.begin()
    await triggerer.read()


async def follow_until_killed(triggerer, after):
    triggerer.dies_after = after
    with pytest.raises(ProcessLookupError):
        await follow(triggerer)


def test_a_triggerer_that_begins_anew_goes_on_where_the_last_one_was(supervisor, log):
    asyncio.run(follow_until_killed(Triggerer(log), after=4))
    asyncio.run(follow(Triggerer(log)))
    # The page that was claimed as the process died is lost, and nothing comes twice.
    assert log.lines == LINES[:4] + LINES[6:]


def test_a_triggerer_that_is_shut_down_within_a_page_writes_the_page_and_the_next_one_the_rest(
    supervisor, log, monkeypatch
):
    monkeypatch.setattr(follow_module, "LINES_AT_A_TIME", 1)

    async def main():
        triggerer = Triggerer(log)
        following = asyncio.create_task(follow(triggerer))
        while len(log.lines) != 5:  # noqa: ASYNC110  the very turn of the loop matters
            await asyncio.sleep(0)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
        assert log.lines == LINES[:6]
        await follow(Triggerer(log))

    asyncio.run(main())
    assert log.lines == LINES


def test_a_triggerer_that_is_shut_down_while_it_claims_lines_loses_and_repeats_none(supervisor, log):
    async def main():
        asked, may_answer = asyncio.Event(), asyncio.Event()
        answer = supervisor.asend

        async def slow(message):
            answered = await answer(message)
            if isinstance(message, comms.SetXCom):
                asked.set()
                await may_answer.wait()
            return answered

        supervisor.asend = slow
        following = asyncio.create_task(follow(Triggerer(log)))
        await asked.wait()
        following.cancel()
        await asyncio.sleep(0)
        may_answer.set()
        with pytest.raises(asyncio.CancelledError):
            await following
        assert log.lines == LINES[:PER_PAGE]
        await follow(Triggerer(log))

    asyncio.run(main())
    assert log.lines == LINES


def test_a_frozen_triggerer_that_wakes_up_writes_nothing_again(supervisor, log):
    async def main():
        frozen, other = Triggerer(log), Triggerer(log)
        frozen.client = Pages(LINES[:4])
        await follow(frozen)
        frozen.place._sure_until = 0.0
        await follow(other)
        frozen.client = Pages()
        await frozen.read()

    asyncio.run(main())
    assert log.lines == LINES


def test_a_new_attempt_that_takes_up_the_same_run_copies_the_whole_log_again(supervisor, log):
    asyncio.run(follow(Triggerer(log, try_number=1)))
    asyncio.run(follow(Triggerer(log, try_number=2)))
    assert log.lines == LINES + LINES


@pytest.mark.parametrize("other", [{"run_id": "run2"}, {"map_index": 3}])
def test_a_cursor_of_another_run_or_mapped_instance_does_not_count(supervisor, log, other):
    asyncio.run(follow(Triggerer(log)))
    asyncio.run(follow(Triggerer(log, **other)))
    assert log.lines == LINES + LINES


def test_where_airflow_takes_no_xcoms_the_log_is_followed_all_the_same(supervisor, log):
    supervisor.refuses = True
    asyncio.run(follow(Triggerer(log)))
    assert log.lines == LINES


def test_without_a_supervisor_the_log_is_followed_all_the_same(monkeypatch, log):
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)
    asyncio.run(follow(Triggerer(log)))
    assert log.lines == LINES


@pytest.mark.parametrize("rubbish", [None, "9", [], {"cursor": "9"}, {"run_id": "run1", "try_number": 1}])
def test_a_cursor_that_is_not_ours_is_no_place_to_begin(supervisor, log, rubbish):
    supervisor.xcoms["d", "r", "t", -1, "domino_log_cursor"] = rubbish
    asyncio.run(follow(Triggerer(log)))
    assert log.lines == LINES


def test_the_cursor_is_pushed_for_new_lines_alone(supervisor, log):
    async def main():
        triggerer = Triggerer(log)
        await follow(triggerer)
        supervisor.asked.clear()
        for _ in range(5):
            await triggerer.read(to_end=False)

    asyncio.run(main())
    assert supervisor.asked == []


def test_the_limit_holds_over_triggerers_and_is_told_once(supervisor, log):
    limit = sum(len(line) + 1 for line in LINES[:4])
    for _ in range(3):
        asyncio.run(follow(Triggerer(log, limit=limit)))
    assert log.lines == [*LINES[:4], "The run's log is long: read the rest of it at https://domino/run1"]


def test_the_limit_is_told_by_the_triggerer_that_reaches_it(supervisor, log):
    limit = sum(len(line) + 1 for line in LINES[:5])
    asyncio.run(follow(Triggerer(log, Pages(LINES[:2]), limit=limit)))
    asyncio.run(follow(Triggerer(log, limit=limit)))
    assert log.lines[:5] == LINES[:5]
    assert [line for line in log.lines if "https://domino/run1" in line] == log.lines[-1:]


def test_xcoms_are_pushed_and_read_from_the_triggerer(supervisor):
    task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=None, try_number=1)
    assert asyncio.run(push_xcoms(task_instance, {"a": 1, "b": {"c": [2]}}))
    assert asyncio.run(read_xcom(task_instance, "b")) == {"c": [2]}
    assert asyncio.run(read_xcom(task_instance, "missing")) is None


def test_xcoms_that_airflow_refuses_are_said_to_be_refused(supervisor):
    task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
    supervisor.refuses = True
    assert not asyncio.run(push_xcoms(task_instance, {"a": 1}))
    assert asyncio.run(read_xcom(task_instance, "a")) is None


def test_a_trigger_without_a_task_pushes_nothing(supervisor):
    assert not asyncio.run(push_xcoms(None, {"a": 1}))
    assert supervisor.asked == []
