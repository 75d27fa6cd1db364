"""Many DominoRunTasks of one process: one watcher, a handful of threads, and nothing left behind when it ends."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import luigi
import pytest
import requests
from luigi.task import externalize

from airflow_domino.domino.errors import ConfigurationError, NotFoundError, RunFailedError
from airflow_domino.luigi import DominoRunTask
from airflow_domino.luigi.remote_runs import RemoteRuns, can_take

PATIENCE = 90.0
MANY = 30
THREADS = 8  # the loop, those that ask, and some that come and go


def test_the_files_of_all_runs_come_here_and_each_task_is_told_of_its_run(submitted, tmp_path, many):
    tasks = [many.task("write.py", f"out{n}.txt", f"text {n}", output=f"out{n}.txt") for n in range(6)]
    told: dict[str, list[str]] = {}
    for task in tasks:
        task.set_tracking_url = told.setdefault(task.output_file_path, []).append
        task.set_status_message = told[task.output_file_path].append
    submitted.submit(*tasks)
    assert set(submitted.ends().values()) == {None}
    assert [(tmp_path / f"out{n}.txt").read_text() for n in range(6)] == [f"text {n}" for n in range(6)]
    for url, message in told.values():
        assert url.startswith(f"{many.domino.url}/jobs/domino/many/")
        assert message.startswith("Domino run #")
        assert "on tier Narrow" in message


def test_many_waiting_runs_cost_few_requests_a_handful_of_threads_and_no_process(submitted, monkeypatch, many):
    asked: list[str] = []
    send = requests.Session.send

    def counted(session, request, **options):
        if threading.current_thread().name.startswith("domino-watch"):
            asked.append(request.path_url)
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", counted)
    before = threading.active_count()
    submitted.submit(*many.sleepers(MANY))
    many.wait_until_started(MANY)
    time.sleep(1.0)
    asked.clear()
    intervals = 6
    time.sleep(intervals * 0.5)
    assert 1 <= len(asked) <= intervals * 3, asked
    assert threading.active_count() - before <= THREADS
    assert multiprocessing.active_children() == []


def test_a_failed_run_is_told_with_its_last_log_lines_and_hurts_no_other(submitted, tmp_path, many):
    bad, good = many.task("fail.py", output="bad.txt"), many.task("write.py", "good.txt", "well", output="good.txt")
    without = many.task("write.py", "other.txt", "well", output="asked.txt")
    submitted.submit(bad, good, without)
    ends = submitted.ends()
    assert isinstance(ends[bad], RunFailedError)
    assert "about to fail" in str(ends[bad])
    assert isinstance(ends[without], NotFoundError)
    assert ends[good] is None
    assert [path.name for path in tmp_path.iterdir()] == ["good.txt"]


def test_failed_runs_are_followed_by_others_as_often_as_the_task_says_within_its_time(submitted, many):
    twice = DominoRunTask(["fail.py"], "Narrow", "twice.txt", poll_interval=0.5, max_retries=1)
    late = DominoRunTask(["fail.py"], "Narrow", "late.txt", poll_interval=0.5, max_retries=1000)
    submitted.submit(twice)
    assert isinstance(submitted.ends()[twice], RunFailedError)
    assert many.started == 2
    submitted.submit(late, timeout=5.0)
    assert isinstance(submitted.ends()[late], TimeoutError)


def test_a_run_is_launched_once_though_the_answer_to_its_start_is_lost(submitted, many):
    many.domino.order_fault("drop", method="POST", path="/v4/jobs/start", moment="after")
    submitted.submit(many.task("write.py", "once.txt", "x", output="once.txt"))
    assert list(submitted.ends().values()) == [None]
    assert many.started == 1


def test_a_start_that_was_turned_away_is_made_again(submitted, many):
    many.domino.order_fault("status", method="POST", path="/v4/jobs/start", status=503, times=2)
    submitted.submit(many.task("write.py", "late.txt", "x", output="late.txt"))
    assert list(submitted.ends().values()) == [None]
    assert many.started == 1


def test_no_more_than_asked_are_in_flight_and_the_others_wait_in_order(many, submit_to):
    tasks = [many.task("write.py", f"turn{n}.txt", "x", output=f"turn{n}.txt") for n in range(5)]
    with RemoteRuns(most=1) as runs:
        submitted = submit_to(runs)
        submitted.submit(*tasks)
        assert list(submitted.ends()) == tasks
    assert [entry["command"].split()[1] for entry in many.entries("start")] == [f"turn{n}.txt" for n in range(5)]
    going = 0
    for entry in many.entries("state"):
        going += (entry["from"] is None) - (entry["to"] in ("Succeeded", "Failed", "Stopped", "Error"))
        assert going <= 1


def test_stopping_stops_every_run_in_flight_and_launches_none_of_those_that_waited(many, submit_to):
    *tasks, late = many.sleepers(10)
    with RemoteRuns(most=6) as runs:
        submitted = submit_to(runs)
        submitted.submit(*tasks)
        many.wait_until_started(6)
        runs.stop_all()
        assert many.states == ["Stopped"] * 6  # confirmed: it is so already
        submitted.submit(late)
        assert {type(error) for error in submitted.ends().values()} == {KeyboardInterrupt}
    assert many.started == 6


def test_a_run_whose_launch_is_under_way_is_stopped_too(submitted, many):
    many.domino.order_fault("delay", method="POST", path="/v4/jobs/start", moment="after", seconds=3)
    submitted.submit(*many.sleepers(1))
    many.wait_until(lambda: many.entries("start"))
    submitted.runs.stop_all()
    assert many.states == ["Stopped"]


def test_a_run_whose_start_was_never_answered_is_found_and_stopped(submitted, many):
    many.domino.order_fault("drop", method="POST", path="/v4/jobs/start", moment="after")
    many.domino.order_fault("status", method="GET", path="/v4/jobs$", status=500, times=3)
    submitted.submit(*many.sleepers(1))
    many.wait_until(lambda: many.entries("start"))
    submitted.runs.stop_all()
    assert many.states == ["Stopped"]


def test_leaving_by_an_exception_stops_what_is_in_flight(many, submit_to):
    def break_off() -> None:
        with RemoteRuns() as runs:
            submit_to(runs).submit(*many.sleepers(3))
            many.wait_until_started(3)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        break_off()
    assert many.states == ["Stopped"] * 3


def test_a_task_that_takes_too_long_is_ended_with_its_run(submitted, many):
    slow, other = many.sleepers(2)
    submitted.submit(slow, timeout=2.0)
    (error,) = submitted.ends().values()
    assert isinstance(error, TimeoutError)
    assert "took longer than 2 s" in str(error)
    assert many.states == ["Stopped"]
    submitted.submit(other)
    many.wait_until_started(2)


def test_a_task_can_be_made_again_and_gets_a_run_of_its_own(submitted, many):
    bad = many.task("fail.py", output="again.txt")
    for _ in range(2):
        submitted.submit(bad)
        assert isinstance(submitted.ends()[bad], RunFailedError)
    assert many.started == 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_stops_nothing(submitted, many):
    submitted.submit(*many.sleepers(1))
    many.wait_until(lambda: many.entries("start"))
    child = multiprocessing.get_context("fork").Process(target=submitted.runs.close)
    child.start()
    child.join(PATIENCE)
    assert child.exitcode == 0
    assert many.entries("stop") == []


def test_an_environment_without_a_domino_is_told_to_each_task(submitted, monkeypatch, many):
    monkeypatch.delenv("DOMINO_API_HOST")
    submitted.submit(*many.sleepers(2))
    assert [type(error) for error in submitted.ends().values()] == [ConfigurationError] * 2


def test_a_task_outside_of_the_project_is_told_so(submitted, many):
    submitted.submit(many.task("hello.py", output="/elsewhere/x.txt"))
    (error,) = submitted.ends().values()
    assert "outside the project's files" in str(error)
    assert many.entries("start") == []


SCRIPT = """
    import signal, sys, threading
    from airflow_domino.luigi import DominoRunTask
    from airflow_domino.luigi.remote_runs import RemoteRuns

    def end(signum, frame):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    with RemoteRuns() as runs:
        for number in range(12):
            runs.submit(DominoRunTask(["sleep.py", "300"], "Narrow", f"x{number}.txt", poll_interval=0.5), print)
        threading.Event().wait()
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_killing_the_process_stops_all_of_its_runs(ending, many):
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], stderr=subprocess.PIPE, text=True
    ) as process:
        many.wait_until_started(12)
        process.send_signal(ending)
        _, said = process.communicate(timeout=PATIENCE)
    assert many.states == ["Stopped"] * 12
    assert "still be going" not in said


class WithItsOwnWay(DominoRunTask):
    """Does something else as well."""

    def run(self) -> None:
        super().run()
        shutil.move(self.output_file_path, self.output_file_path + ".moved")


class Named(DominoRunTask):
    """Only has another name."""


def test_only_tasks_that_run_as_a_domino_run_task_does_are_taken():
    words = (["hello.py"], "Narrow", "x.txt")
    assert can_take(DominoRunTask(*words))
    assert can_take(Named(*words))
    assert not can_take(WithItsOwnWay(*words))
    assert not can_take(externalize(DominoRunTask(*words)))
    assert not can_take(luigi.WrapperTask())
