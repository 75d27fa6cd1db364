"""Waiting for runs: one question for many, trouble waited out, deadlines, logs, waits that leave each other alone."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_domino.domino import (
    AuthenticationError,
    ConfigurationError,
    DominoClient,
    DominoError,
    DominoUnavailableError,
    LogLine,
    NotFoundError,
    RequestError,
    RunWaitTimeoutError,
    RunWatcher,
    follow,
    polling,
    wait_for_run,
    waiting,
    watch,
    watcher_for,
)

INTERVAL = 0.01


@pytest.fixture(autouse=True)
def quick_late_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for late lines, but not for long."""
    monkeypatch.setattr(follow, "LATE_PAUSES", (0.001, 0.001, 0.001))


class Platform:
    """Runs whose status the test sets."""

    def __init__(self, domino: Any, answer: Any, job: Callable[..., dict[str, Any]]) -> None:
        self.domino, self._answer, self._job = domino, answer, job
        self.status: dict[str, str] = {}
        self.log: dict[str, list[str]] = {}
        self.polls = 0
        self.after: dict[int, Callable[[], None]] = {}
        self.unlisted: set[str] = set()
        domino.on("GET", "/v4/jobs", self._list)

    def add(self, *run_ids: str, status: str = "Running") -> None:
        for run_id in run_ids:
            self.status[run_id] = status
            self.domino.on("GET", f"/v4/jobs/{run_id}", lambda asked, run_id=run_id: self._single(run_id))
            self.domino.on(
                "GET",
                f"/v4/jobs/{run_id}/logsWithProblemSuggestions",
                lambda asked, run_id=run_id: self._log(run_id, asked),
            )

    def _tick(self) -> None:
        self.polls += 1
        self.after.pop(self.polls, lambda: None)()

    def _single(self, run_id: str) -> Any:
        self._tick()
        return self._answer(self._job(run_id, self.status[run_id]))

    def _list(self, asked: Any) -> Any:
        self._tick()
        jobs = [self._job(run_id, word) for run_id, word in self.status.items() if run_id not in self.unlisted]
        jobs = [job for job in jobs if not job["statuses"]["isCompleted"]]
        size, page = int(asked.query["page_size"]), int(asked.query["page_no"])
        return self._answer({"jobs": jobs[(page - 1) * size : page * size], "totalCount": len(jobs)})

    def _log(self, run_id: str, asked: Any) -> Any:
        lines, begin = self.log.get(run_id, []), int(asked.query["latestTimeNano"])
        entries = [{"timestamp": 1, "logType": "stdout", "log": line} for line in lines[begin:]]
        over = self.status[run_id] == "Succeeded"
        pagination = {"limit": 1, "offset": 0, "latestTimeNano": str(len(lines))}
        return self._answer({"logset": {"logContent": entries, "isComplete": over, "pagination": pagination}})

    def asked_singly(self) -> list[str]:
        return [
            asked.path.removeprefix("/v4/jobs/")
            for asked in self.domino.asked
            if asked.path.startswith("/v4/jobs/") and "logs" not in asked.path
        ]


@pytest.fixture
def platform(domino: Any, answer: Any, job: Any) -> Platform:
    """Runs on the fake Domino."""
    return Platform(domino, answer, job)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr(waiting, "delay", lambda age, interval: interval)
    monkeypatch.setattr(polling, "delay", lambda age, interval: interval)


@pytest.fixture
def watcher(connect: Callable[..., DominoClient], quick: None) -> RunWatcher:
    """A watcher of project p1 whose client repeats nothing."""
    return RunWatcher(lambda: connect(retries=0), "p1", interval=INTERVAL)


def ids(count: int) -> list[str]:
    return [f"r{number}" for number in range(count)]


# ---- pace


def test_a_young_run_is_asked_for_after_a_second_and_an_old_one_after_the_interval() -> None:
    assert all(0.9 <= waiting.delay(0.0, 10.0) <= 1.1 for _ in range(50))
    assert all(4.5 <= waiting.delay(25.0, 10.0) <= 5.5 for _ in range(50))
    assert all(9.0 <= waiting.delay(3600.0, 10.0) <= 11.0 for _ in range(50))
    assert all(waiting.delay(0.0, 0.5) <= 0.55 for _ in range(50))


def test_the_pace_is_spread_at_random() -> None:
    assert len({waiting.delay(3600.0, 10.0) for _ in range(50)}) > 40


# ---- one question for many


def test_many_runs_are_answered_by_one_list(platform: Platform, watcher: RunWatcher) -> None:
    platform.add(*ids(300))
    platform.after[20] = lambda: platform.status.update(dict.fromkeys(platform.status, "Succeeded"))

    async def wait_for_all() -> list[watch.Watched]:
        return await asyncio.gather(*(watcher.wait(run_id) for run_id in ids(300)))

    watched = asyncio.run(wait_for_all())

    assert {one.run.id for one in watched} == set(ids(300))
    lists = platform.domino.count("GET", "/v4/jobs")
    assert lists >= 10
    # All are asked for singly once, when they have left the list; before that at most the first to come, alone.
    assert len(platform.asked_singly()) <= 300 + 20


def test_the_list_is_asked_for_with_an_explicit_page_that_fits_all(platform: Platform, watcher: RunWatcher) -> None:
    platform.add(*ids(300))
    platform.after[4] = lambda: platform.status.update(dict.fromkeys(platform.status, "Succeeded"))

    async def wait_for_all() -> None:
        await asyncio.gather(*(watcher.wait(run_id) for run_id in ids(300)))

    asyncio.run(wait_for_all())

    lists = [asked.query for asked in platform.domino.asked if asked.path == "/v4/jobs"]
    assert {query["status"] for query in lists} == {"active"}
    assert "300" in {query["page_size"] for query in lists}


def test_the_list_is_read_no_further_than_it_saves_questions(platform: Platform, watcher: RunWatcher) -> None:
    platform.add(*(f"other{number}" for number in range(1000)), *ids(5))

    async def wait_for_all() -> None:
        waits = asyncio.gather(*(watcher.wait(run_id) for run_id in ids(5)))
        while platform.polls < 40:  # noqa: ASYNC110  counted by the threads of a server
            await asyncio.sleep(0.001)
        platform.status.update(dict.fromkeys(ids(5), "Succeeded"))
        await waits

    asyncio.run(wait_for_all())

    assert {asked.query.get("page_no") for asked in platform.domino.asked if asked.path == "/v4/jobs"} == {"1"}


def test_between_two_questions_there_is_an_interval(platform: Platform, connect: Any, quick: None) -> None:
    platform.add(*ids(20))

    async def wait_for_a_while() -> None:
        watcher = RunWatcher(lambda: connect(retries=0), "p1", interval=3600.0)
        waits = [asyncio.create_task(watcher.wait(run_id)) for run_id in ids(20)]
        while platform.domino.count("GET", "/v4/jobs") == 0:  # noqa: ASYNC110  counted by the threads of a server
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.2)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    asyncio.run(wait_for_a_while())

    assert len(platform.domino.asked) <= 4


def test_a_run_alone_is_asked_for_singly(platform: Platform, watcher: RunWatcher) -> None:
    platform.add("r1", *ids(50))
    platform.after[4] = lambda: platform.status.update({"r1": "Succeeded"})

    watched = asyncio.run(watcher.wait("r1"))

    assert watched.run.status.succeeded
    assert platform.domino.count("GET", "/v4/jobs") == 0


def test_runs_missing_from_the_list_are_asked_for_singly(platform: Platform, watcher: RunWatcher) -> None:
    platform.add(*ids(5))
    platform.unlisted = {"r3"}
    platform.after[12] = lambda: platform.status.update({"r3": "Failed"})

    async def wait_for_one_of_many() -> watch.Watched:
        others = [asyncio.create_task(watcher.wait(run_id)) for run_id in ids(5) if run_id != "r3"]
        watched = await watcher.wait("r3")
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return watched

    assert asyncio.run(wait_for_one_of_many()).run.status.word == "Failed"


def test_where_active_runs_cannot_be_listed_each_is_asked_for(
    domino: Any, platform: Platform, watcher: RunWatcher, answer: Any
) -> None:
    platform.add(*ids(5))
    domino.on("GET", "/v4/jobs", answer({"message": "unknown status"}, 400))
    platform.after[20] = lambda: platform.status.update(dict.fromkeys(platform.status, "Succeeded"))

    async def wait_for_all() -> list[watch.Watched]:
        return await asyncio.gather(*(watcher.wait(run_id) for run_id in ids(5)))

    assert len(asyncio.run(wait_for_all())) == 5


@pytest.mark.parametrize("word", ["Succeeded", "Failed", "Error", "Stopped", "Faulty"])
def test_a_run_that_is_over_is_the_answer_however_it_ended(platform: Platform, watcher: RunWatcher, word: str) -> None:
    platform.add("r1", status=word)

    assert asyncio.run(watcher.wait("r1")).run.status.word == word


def test_a_run_in_an_unknown_status_is_waited_for_until_it_is_completed(
    platform: Platform, watcher: RunWatcher
) -> None:
    platform.add("r1", status="Levitating")
    platform.after[5] = lambda: platform.status.update({"r1": "Succeeded"})

    assert asyncio.run(watcher.wait("r1")).run.status.succeeded
    assert platform.polls >= 5


def test_two_waits_for_one_run_both_get_it(platform: Platform, watcher: RunWatcher) -> None:
    platform.add("r1")
    platform.after[3] = lambda: platform.status.update({"r1": "Succeeded"})

    async def wait_twice() -> list[watch.Watched]:
        return await asyncio.gather(watcher.wait("r1"), watcher.wait("r1"))

    assert [one.run.id for one in asyncio.run(wait_twice())] == ["r1", "r1"]


# ---- trouble


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 503])
def test_trouble_within_the_budget_is_waited_out(
    domino: Any, platform: Platform, watcher: RunWatcher, answer: Any, job: Any, status: int
) -> None:
    domino.on("GET", "/v4/jobs/r1", [answer(status=status)] * 3 + [answer(job("r1", "Succeeded"))])

    assert asyncio.run(watcher.wait("r1")).run.status.succeeded


def test_an_outage_of_the_list_is_waited_out(domino: Any, platform: Platform, watcher: RunWatcher, answer: Any) -> None:
    platform.add(*ids(5))
    outages = iter([True] * 4)
    domino.on("GET", "/v4/jobs", lambda asked: answer(status=502) if next(outages, False) else platform._list(asked))
    platform.after[10] = lambda: platform.status.update(dict.fromkeys(platform.status, "Succeeded"))

    async def wait_for_all() -> list[watch.Watched]:
        return await asyncio.gather(*(watcher.wait(run_id) for run_id in ids(5)))

    assert len(asyncio.run(wait_for_all())) == 5


@pytest.mark.parametrize(("status", "kind"), [(503, DominoUnavailableError), (401, AuthenticationError)])
@pytest.mark.parametrize("count", [1, 5])
def test_trouble_that_outlasts_the_budget_ends_each_wait_with_its_cause(
    domino: Any, connect: Any, quick: None, answer: Any, status: int, kind: type[DominoError], count: int
) -> None:
    for path in ("", *(f"/{run_id}" for run_id in ids(count))):
        domino.on("GET", f"/v4/jobs{path}", answer({"message": "down"}, status))
    watcher = RunWatcher(lambda: connect(retries=0), "p1", interval=INTERVAL, outage_budget=0.05)

    async def wait_for_all() -> list[Any]:
        return await asyncio.gather(*(watcher.wait(run_id) for run_id in ids(count)), return_exceptions=True)

    assert [type(error) for error in asyncio.run(wait_for_all())] == [kind] * count


def test_an_outage_is_announced_once_for_all_runs(
    domino: Any, platform: Platform, watcher: RunWatcher, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    platform.add(*ids(20))
    outages = iter([True] * 3)
    domino.on("GET", "/v4/jobs", lambda asked: answer(status=502) if next(outages, False) else platform._list(asked))
    platform.after[10] = lambda: platform.status.update(dict.fromkeys(platform.status, "Succeeded"))

    async def wait_for_all() -> None:
        await asyncio.gather(*(watcher.wait(run_id) for run_id in ids(20)))

    asyncio.run(wait_for_all())

    assert caplog.text.count("could not be asked") == 1
    assert caplog.text.count("answers again") == 1


def test_a_run_that_domino_does_not_know_yet_is_asked_for_again(
    domino: Any, watcher: RunWatcher, answer: Any, job: Any
) -> None:
    domino.on("GET", "/v4/jobs/r1", [answer(status=404), answer(status=404), answer(job("r1", "Succeeded"))])

    assert asyncio.run(watcher.wait("r1")).run.status.succeeded


def test_an_answer_in_between_makes_patience_begin_anew(
    domino: Any, watcher: RunWatcher, answer: Any, job: Any
) -> None:
    missing = [answer(status=404)] * (waiting.TIMES_NOT_FOUND - 1)
    domino.on("GET", "/v4/jobs/r1", [*missing, answer(job("r1")), *missing, answer(job("r1", "Succeeded"))])

    assert asyncio.run(watcher.wait("r1")).run.status.succeeded


def test_a_run_that_is_gone_ends_its_wait(domino: Any, watcher: RunWatcher, answer: Any) -> None:
    domino.on("GET", "/v4/jobs/r1", answer(status=404))

    with pytest.raises(NotFoundError, match="run r1"):
        asyncio.run(watcher.wait("r1"))


def test_an_id_that_domino_calls_wrong_ends_its_wait_at_once(domino: Any, watcher: RunWatcher, answer: Any) -> None:
    domino.on("GET", "/v4/jobs/r1", answer({"message": "not a valid id"}, 400))

    with pytest.raises(RequestError, match="not a valid id"):
        asyncio.run(watcher.wait("r1"))

    assert domino.count("GET", "/v4/jobs/r1") == 1


def test_a_client_that_cannot_be_made_ends_all_waits() -> None:
    def fail() -> DominoClient:
        raise ConfigurationError("no such connection")

    async def wait_for_all() -> list[Any]:
        watcher = RunWatcher(fail, "p1", interval=INTERVAL)
        waits = (watcher.wait(run_id, on_log=on_log) for run_id in ids(3) for on_log in (None, lambda line: None))
        return await asyncio.gather(*waits, return_exceptions=True)

    errors = asyncio.run(wait_for_all())
    gc.collect()

    assert [str(error) for error in errors] == ["no such connection"] * 6


def test_after_a_client_could_not_be_made_the_next_wait_tries_again(
    platform: Platform, connect: Any, quick: None
) -> None:
    platform.add("r1", status="Succeeded")
    attempts: list[int] = []

    def make() -> DominoClient:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConfigurationError("not yet")
        return connect()

    async def wait_twice() -> watch.Watched:
        watcher = RunWatcher(make, "p1", interval=INTERVAL)
        with pytest.raises(ConfigurationError):
            await watcher.wait("r1")
        return await watcher.wait("r1")

    assert asyncio.run(wait_twice()).run.status.succeeded


# ---- deadlines and cancelling


def test_a_deadline_ends_the_wait_and_leaves_the_run_alone(platform: Platform, watcher: RunWatcher) -> None:
    platform.add("r1")

    with pytest.raises(RunWaitTimeoutError, match=r"status Running.*https://d/run") as caught:
        asyncio.run(watcher.wait("r1", deadline=datetime.now(UTC) + timedelta(seconds=0.05), url="https://d/run"))

    assert caught.value.run.id == "r1"
    assert {asked.method for asked in platform.domino.asked} == {"GET"}


def test_a_run_that_is_over_is_the_answer_even_when_the_deadline_has_passed(
    platform: Platform, watcher: RunWatcher
) -> None:
    platform.add("r1", status="Succeeded")
    long_ago = datetime.now(UTC) - timedelta(days=1)

    assert asyncio.run(watcher.wait("r1", deadline=long_ago)).run.status.succeeded


def test_a_deadline_holds_while_domino_does_not_answer(
    domino: Any, connect: Any, answer: Any, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LAST_LOOK_SECONDS", 0.05)
    gate = threading.Event()
    domino.on("GET", "/v4/jobs/r1", answer(status=503, gate=gate))
    watcher = RunWatcher(lambda: connect(retries=0), "p1", interval=INTERVAL)

    async def wait() -> None:
        try:
            await watcher.wait("r1", deadline=datetime.now(UTC) + timedelta(seconds=0.05))
        finally:
            gate.set()

    with pytest.raises(RunWaitTimeoutError, match="Unknown"):
        asyncio.run(wait())


def test_cancelling_one_wait_hurts_no_other(platform: Platform, watcher: RunWatcher) -> None:
    platform.add(*ids(4))

    async def cancel_some() -> list[watch.Watched]:
        waits = [asyncio.create_task(watcher.wait(run_id, on_log=lambda line: None)) for run_id in ids(4)]
        while platform.polls < 3:  # noqa: ASYNC110  counted by the threads of a server
            await asyncio.sleep(0.001)
        waits[0].cancel()
        waits[2].cancel()
        await asyncio.sleep(0)
        platform.status.update(dict.fromkeys(platform.status, "Succeeded"))
        return [await waits[1], await waits[3]]

    assert [one.run.id for one in asyncio.run(cancel_some())] == ["r1", "r3"]


def test_cancelling_a_wait_while_the_client_is_made_hurts_no_other(
    platform: Platform, connect: Any, quick: None
) -> None:
    platform.add("r1", status="Succeeded")
    gate = threading.Event()

    def make() -> DominoClient:
        gate.wait(30)
        return connect()

    async def cancel_one() -> watch.Watched:
        watcher = RunWatcher(make, "p1", interval=INTERVAL)
        first = asyncio.create_task(watcher.wait("r1", on_log=lambda line: None))
        second = asyncio.create_task(watcher.wait("r1"))
        await asyncio.sleep(0.02)
        first.cancel()
        await asyncio.sleep(0)
        gate.set()
        return await second

    assert asyncio.run(cancel_one()).run.status.succeeded


# ---- coming and going


class Closing:
    """Makes clients and knows which of them are closed."""

    def __init__(self, connect: Callable[..., DominoClient]) -> None:
        self.made = 0
        self.closed = threading.Event()
        self._connect = connect

    def __call__(self) -> DominoClient:
        self.made += 1
        client = self._connect()
        close = client.close

        def close_and_tell() -> None:
            close()
            self.closed.set()

        client.close = close_and_tell  # type: ignore[method-assign]
        return client


def test_when_nobody_waits_the_client_is_closed_and_no_task_or_thread_is_left(
    platform: Platform, connect: Any, quick: None
) -> None:
    platform.add("r1", status="Succeeded")
    make = Closing(connect)

    async def wait() -> set[str]:
        watcher = RunWatcher(make, "p1", interval=INTERVAL)
        await watcher.wait("r1")
        assert watcher.is_idle
        await asyncio.sleep(0)
        return {task.get_name() for task in asyncio.all_tasks()}

    tasks = asyncio.run(wait())

    assert make.closed.wait(10)
    assert "domino-watch" not in tasks
    for thread in [thread for thread in threading.enumerate() if thread.name.startswith("domino-watch")]:
        thread.join(10)
        assert not thread.is_alive()


def test_a_later_wait_makes_a_new_client(platform: Platform, connect: Any, quick: None) -> None:
    platform.add("r1", status="Succeeded")
    make = Closing(connect)

    async def wait_twice() -> None:
        watcher = RunWatcher(make, "p1", interval=INTERVAL)
        await watcher.wait("r1")
        await watcher.wait("r1")

    asyncio.run(wait_twice())

    assert make.made == 2


def test_waits_for_one_project_share_a_watcher_and_its_client(platform: Platform, connect: Any, quick: None) -> None:
    platform.add(*ids(10))
    make = Closing(connect)
    platform.after[5] = lambda: platform.status.update(dict.fromkeys(platform.status, "Succeeded"))

    async def wait_for_all() -> None:
        waits = (watcher_for("conn", make, "p1", interval=INTERVAL).wait(run_id) for run_id in ids(10))
        await asyncio.gather(*waits)

    asyncio.run(wait_for_all())

    assert make.made == 1


def test_watchers_are_told_apart_by_connection_project_and_loop() -> None:
    def never() -> DominoClient:
        raise AssertionError

    async def get(key: str, project: str) -> RunWatcher:
        return watcher_for(key, never, project)

    async def some() -> list[RunWatcher]:
        return [await get("a", "p1"), await get("a", "p1"), await get("b", "p1"), await get("a", "p2")]

    here, there = asyncio.run(some()), asyncio.run(some())

    assert here[0] is here[1]
    assert len({id(watcher) for watcher in (*here[1:], *there[1:])}) == 6


def test_the_shortest_interval_of_all_callers_holds() -> None:
    def never() -> DominoClient:
        raise AssertionError

    async def get() -> list[float]:
        first = watcher_for("a", never, "p1", interval=10)
        first._waiters.add(object())  # type: ignore[arg-type]
        return [watcher_for("a", never, "p1", interval=seconds).interval for seconds in (20, 5, 20)]

    assert asyncio.run(get()) == [10, 5, 5]


def test_one_watcher_does_not_serve_two_loops_at_once(platform: Platform, watcher: RunWatcher) -> None:
    platform.add("r1")

    async def wait_elsewhere() -> None:
        wait = asyncio.create_task(watcher.wait("r1"))
        await asyncio.sleep(0.01)
        error = await asyncio.to_thread(lambda: asyncio.run(_error_of(watcher)))
        wait.cancel()
        assert "one event loop" in str(error)

    asyncio.run(wait_elsewhere())


async def _error_of(watcher: RunWatcher) -> Exception | None:
    try:
        await watcher.wait("r2")
    except RuntimeError as error:
        return error
    return None


def test_the_event_loop_is_never_blocked(platform: Platform, domino: Any, connect: Any, answer: Any) -> None:
    gate = threading.Event()
    domino.on("GET", "/v4/jobs/r1", answer({"id": "r1", "statuses": {"isCompleted": True}}, gate=gate))

    async def count_while_waiting() -> int:
        wait = asyncio.create_task(RunWatcher(connect, "p1").wait("r1"))
        while domino.count("GET", "/v4/jobs/r1") == 0:  # noqa: ASYNC110  counted by the threads of a server
            await asyncio.sleep(0.001)
        turns = 0
        for turns in range(1, 101):  # noqa: B007
            await asyncio.sleep(0)
        assert not wait.done()
        gate.set()
        await wait
        return turns

    assert asyncio.run(count_while_waiting()) == 100


# ---- logs


def test_each_line_is_handed_over_once_and_the_last_ones_are_not_lost(platform: Platform, watcher: RunWatcher) -> None:
    platform.add("r1")
    platform.log["r1"] = ["one"]
    platform.after[3] = lambda: platform.log["r1"].append("two")

    def end() -> None:
        platform.log["r1"] += [f"late {number}" for number in range(500)]
        platform.status["r1"] = "Succeeded"

    platform.after[5] = end
    lines: list[LogLine] = []

    watched = asyncio.run(watcher.wait("r1", on_log=lines.append))

    assert [line.text for line in lines] == ["one", "two", *(f"late {number}" for number in range(500))]
    assert watched.log_cursor == "502"


def test_reading_begins_at_the_cursor_given(platform: Platform, watcher: RunWatcher) -> None:
    platform.add("r1", status="Succeeded")
    platform.log["r1"] = ["one", "two", "three"]
    lines: list[LogLine] = []

    asyncio.run(watcher.wait("r1", on_log=lines.append, log_cursor="2"))

    assert [line.text for line in lines] == ["three"]


def test_the_log_of_a_run_that_nobody_reads_is_not_asked_for(platform: Platform, watcher: RunWatcher) -> None:
    platform.add("r1", status="Succeeded")
    asyncio.run(watcher.wait("r1"))

    assert platform.domino.count("GET", "/v4/jobs/r1/logsWithProblemSuggestions") == 0


def test_a_log_that_cannot_be_read_does_not_fail_the_wait(
    domino: Any, platform: Platform, watcher: RunWatcher, answer: Any
) -> None:
    platform.add("r1", status="Succeeded")
    domino.on("GET", "/v4/jobs/r1/logsWithProblemSuggestions", answer(status=500))

    assert asyncio.run(watcher.wait("r1", on_log=print)).run.status.succeeded


def test_a_reader_that_raises_ends_only_its_own_wait(platform: Platform, watcher: RunWatcher) -> None:
    platform.add("r1", "r2")
    platform.log["r1"] = ["one"]

    def choke(line: LogLine) -> None:
        raise ZeroDivisionError

    async def wait_for_both() -> watch.Watched:
        other = asyncio.create_task(watcher.wait("r2"))
        with pytest.raises(ZeroDivisionError):
            await watcher.wait("r1", on_log=choke)
        platform.status["r2"] = "Succeeded"
        return await other

    assert asyncio.run(wait_for_both()).run.id == "r2"


def test_a_long_log_gives_the_event_loop_its_turns(platform: Platform, watcher: RunWatcher) -> None:
    platform.add("r1", status="Succeeded")
    platform.log["r1"] = [f"line {number}" for number in range(5000)]
    lines: list[LogLine] = []
    turns: list[int] = []

    async def wait() -> None:
        reading = asyncio.create_task(watcher.wait("r1", on_log=lines.append))
        while not reading.done():
            turns.append(len(lines))
            await asyncio.sleep(0)

    asyncio.run(wait())

    assert len(lines) == 5000
    assert len({count for count in turns if 0 < count < 5000}) >= 20


# ---- the blocking form


def test_the_blocking_wait_gives_the_run_and_its_log(platform: Platform, client: DominoClient, quick: None) -> None:
    platform.add("r1")
    platform.log["r1"] = ["one", "two"]
    platform.after[3] = lambda: platform.status.update({"r1": "Succeeded"})
    lines: list[LogLine] = []

    watched = wait_for_run(client, "r1", interval=INTERVAL, on_log=lines.append)

    assert watched.run.status.succeeded
    assert [line.text for line in lines] == ["one", "two"]


def test_the_blocking_wait_bears_trouble_within_its_budget(
    domino: Any, connect: Any, answer: Any, job: Any, quick: None
) -> None:
    trouble = [answer(status=status) for status in (503, 401, 404, 500)]
    domino.on("GET", "/v4/jobs/r1", [*trouble, answer(job("r1", "Stopped"))])

    assert wait_for_run(connect(retries=0), "r1", interval=INTERVAL).run.status.word == "Stopped"


def test_the_blocking_wait_ends_with_the_trouble_when_its_budget_is_used_up(
    domino: Any, connect: Any, answer: Any, quick: None
) -> None:
    domino.on("GET", "/v4/jobs/r1", answer(status=503))

    with pytest.raises(DominoUnavailableError):
        wait_for_run(connect(retries=0), "r1", interval=INTERVAL, outage_budget=0.03)


def test_the_blocking_wait_ends_at_its_deadline(platform: Platform, client: DominoClient, quick: None) -> None:
    platform.add("r1")

    with pytest.raises(RunWaitTimeoutError, match="https://d/run"):
        wait_for_run(
            client, "r1", interval=60.0, deadline=datetime.now(UTC) + timedelta(seconds=0.03), url="https://d/run"
        )


def test_the_blocking_wait_prefers_the_end_of_the_run_to_a_passed_deadline(
    platform: Platform, client: DominoClient
) -> None:
    platform.add("r1", status="Failed")

    watched = wait_for_run(client, "r1", interval=60.0, deadline=datetime.now(UTC) - timedelta(days=1))

    assert watched.run.status.word == "Failed"
