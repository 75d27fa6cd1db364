"""Many DominoRunTasks of one process: one watcher, a handful of threads, and nothing left behind when it ends."""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import luigi
import psutil
import pytest
import requests
from luigi.task import externalize

from airflow_domino.domino.errors import ConfigurationError, NotFoundError, RunFailedError
from airflow_domino.luigi import DominoRunTask
from airflow_domino.luigi.execute import EngineAnswer, EngineProcess, EngineRequest, engine_environment
from airflow_domino.luigi.remote_runs import RemoteRuns, can_take
from airflow_domino.luigi.run_owner import OWNER_VARIABLE, RunOwner

PATIENCE = 90.0
MANY = 30
ROOM = 4
THREADS = 8  # the loop, those that ask, and some that come and go


@pytest.fixture(scope="module")
def narrow_domino(serve_domino, tmp_path_factory):
    """A local Domino whose only tier has room for a few runs, so that many wait in its queue."""
    folder = tmp_path_factory.mktemp("narrow-domino")
    files = folder / "files"
    files.mkdir()
    (files / "sleep.py").write_text("import sys, time\ntime.sleep(float(sys.argv[1]))\n")
    (files / "fail.py").write_text("import sys\nprint('about to fail')\nsys.exit(3)\n")
    (files / "write.py").write_text("import sys\nopen(sys.argv[1], 'w').write(sys.argv[2])\n")
    (files / "late.py").write_text(
        "import sys, time\ntime.sleep(float(sys.argv[2]))\nopen(sys.argv[1], 'w').write('late')\n"
    )
    tiers = folder / "tiers.json"
    tiers.write_text(
        '[{"id": "n", "name": "Narrow", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "default": true,'
        f' "capacity": {ROOM}}}]'
    )
    domino = serve_domino(folder / "root", {"domino/many": files}, [f"--tiers={tiers}"])
    yield domino
    domino.stop()


@pytest.fixture
def environment(narrow_domino) -> dict[str, str]:
    owner, name = narrow_domino.project.split("/")
    return {
        "DOMINO_API_HOST": narrow_domino.url,
        "DOMINO_USER_API_KEY": narrow_domino.token,
        "DOMINO_PROJECT_OWNER": owner,
        "DOMINO_PROJECT_NAME": name,
    }


@pytest.fixture
def here(tmp_path, environment, monkeypatch) -> Path:
    """Work in an empty folder, with the variables by which a process finds its Domino."""
    for name in [name for name in os.environ if name.startswith("DOMINO_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Submitted:
    """Remote runs, and the ends that they told."""

    def __init__(self, runs: RemoteRuns) -> None:
        self.runs = runs
        self._ends: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()
        self._open = 0

    def submit(self, *tasks: DominoRunTask, **more: Any) -> None:
        for task in tasks:
            self._open += 1
            self.runs.submit(task, lambda error, task=task: self._ends.put((task, error)), **more)

    def ends(self) -> dict[Any, BaseException | None]:
        """How each task that was submitted ended, in the order of their ends."""
        found = {}
        for _ in range(self._open):
            task, error = self._ends.get(timeout=PATIENCE)
            assert task not in found, f"{task} ended twice"
            found[task] = error
        assert self._ends.empty()
        self._open = 0
        return found


@pytest.fixture
def submitted(here) -> Iterator[Submitted]:
    with RemoteRuns() as runs:
        yield Submitted(runs)


@pytest.fixture
def new_entries(narrow_domino) -> Callable[..., list[dict[str, Any]]]:
    """What happened in the test's own time, by the server's ledger."""
    before = len(narrow_domino.ledger())
    return lambda event: [entry for entry in narrow_domino.ledger()[before:] if entry["event"] == event]


def run_task(*command: str, output: str) -> DominoRunTask:
    return DominoRunTask(list(command), "Narrow", output, poll_interval=0.5)


def sleepers(count: int) -> list[DominoRunTask]:
    return [run_task("sleep.py", "300", output=f"never{number}.txt") for number in range(count)]


def wait_until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def last_states(entries: list[dict[str, Any]]) -> list[str]:
    return list({entry["runId"]: entry["to"] for entry in entries}.values())


def test_the_files_of_all_runs_come_here_and_each_task_is_told_of_its_run(submitted, here, narrow_domino):
    tasks = [run_task("write.py", f"out{n}.txt", f"text {n}", output=f"out{n}.txt") for n in range(6)]
    told: dict[str, list[str]] = {}
    for task in tasks:
        task.set_tracking_url = told.setdefault(task.output_file_path, []).append
        task.set_status_message = told[task.output_file_path].append
    submitted.submit(*tasks)
    assert set(submitted.ends().values()) == {None}
    assert [(here / f"out{n}.txt").read_text() for n in range(6)] == [f"text {n}" for n in range(6)]
    for url, message in told.values():
        assert url.startswith(f"{narrow_domino.url}/jobs/domino/many/")
        assert message.startswith("Domino run #")
        assert "on tier Narrow" in message


def test_many_waiting_runs_cost_few_requests_a_handful_of_threads_and_no_process(
    submitted, narrow_domino, new_entries, monkeypatch
):
    asked: list[str] = []
    send = requests.Session.send

    def counted(session, request, **options):
        if threading.current_thread().name.startswith("domino-watch"):
            asked.append(request.path_url)
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", counted)
    before = threading.active_count()
    submitted.submit(*sleepers(MANY))
    wait_until(lambda: len(new_entries("start")) == MANY)
    time.sleep(1.0)
    asked.clear()
    intervals = 6
    time.sleep(intervals * 0.5)
    assert 1 <= len(asked) <= intervals * 3, asked
    assert threading.active_count() - before <= THREADS
    assert multiprocessing.active_children() == []


def test_a_failed_run_is_told_with_its_last_log_lines_and_hurts_no_other(submitted, here):
    bad, good = run_task("fail.py", output="bad.txt"), run_task("write.py", "good.txt", "well", output="good.txt")
    without = run_task("write.py", "other.txt", "well", output="asked.txt")
    submitted.submit(bad, good, without)
    ends = submitted.ends()
    assert isinstance(ends[bad], RunFailedError)
    assert "about to fail" in str(ends[bad])
    assert isinstance(ends[without], NotFoundError)
    assert ends[good] is None
    assert [path.name for path in here.iterdir()] == ["good.txt"]


def test_failed_runs_are_followed_by_others_as_often_as_the_task_says_within_its_time(submitted, new_entries):
    twice = DominoRunTask(["fail.py"], "Narrow", "twice.txt", poll_interval=0.5, max_retries=1)
    late = DominoRunTask(["fail.py"], "Narrow", "late.txt", poll_interval=0.5, max_retries=1000)
    submitted.submit(twice)
    assert isinstance(submitted.ends()[twice], RunFailedError)
    assert len(new_entries("start")) == 2
    submitted.submit(late, timeout=5.0)
    assert isinstance(submitted.ends()[late], TimeoutError)


def test_a_run_is_launched_once_though_the_answer_to_its_start_is_lost(submitted, narrow_domino, new_entries):
    narrow_domino.order_fault("drop", method="POST", path="/v4/jobs/start", moment="after")
    submitted.submit(run_task("write.py", "once.txt", "x", output="once.txt"))
    assert list(submitted.ends().values()) == [None]
    assert len(new_entries("start")) == 1


def test_a_start_that_was_turned_away_is_made_again(submitted, narrow_domino, new_entries):
    narrow_domino.order_fault("status", method="POST", path="/v4/jobs/start", status=503, times=2)
    submitted.submit(run_task("write.py", "late.txt", "x", output="late.txt"))
    assert list(submitted.ends().values()) == [None]
    assert len(new_entries("start")) == 1


def test_no_more_than_asked_are_in_flight_and_the_others_wait_in_order(here, new_entries):
    tasks = [run_task("write.py", f"turn{n}.txt", "x", output=f"turn{n}.txt") for n in range(5)]
    with RemoteRuns(most=1) as runs:
        submitted = Submitted(runs)
        submitted.submit(*tasks)
        assert list(submitted.ends()) == tasks
    assert [entry["command"].split()[1] for entry in new_entries("start")] == [f"turn{n}.txt" for n in range(5)]
    going = 0
    for entry in new_entries("state"):
        going += (entry["from"] is None) - (entry["to"] in ("Succeeded", "Failed", "Stopped", "Error"))
        assert going <= 1


def test_stopping_stops_every_run_in_flight_and_launches_none_of_those_that_waited(here, new_entries):
    *tasks, late = sleepers(10)
    with RemoteRuns(most=6) as runs:
        submitted = Submitted(runs)
        submitted.submit(*tasks)
        wait_until(lambda: len(new_entries("start")) == 6)
        runs.stop_all()
        assert last_states(new_entries("state")) == ["Stopped"] * 6  # confirmed: it is so already
        submitted.submit(late)
        assert {type(error) for error in submitted.ends().values()} == {KeyboardInterrupt}
    assert len(new_entries("start")) == 6


def test_a_run_whose_launch_is_under_way_is_stopped_too(submitted, narrow_domino, new_entries):
    narrow_domino.order_fault("delay", method="POST", path="/v4/jobs/start", moment="after", seconds=3)
    submitted.submit(*sleepers(1))
    wait_until(lambda: new_entries("start"))
    submitted.runs.stop_all()
    assert last_states(new_entries("state")) == ["Stopped"]


def test_a_run_whose_start_was_never_answered_is_found_and_stopped(submitted, narrow_domino, new_entries):
    narrow_domino.order_fault("drop", method="POST", path="/v4/jobs/start", moment="after")
    narrow_domino.order_fault("status", method="GET", path="/v4/jobs$", status=500, times=3)
    submitted.submit(*sleepers(1))
    wait_until(lambda: new_entries("start"))
    submitted.runs.stop_all()
    assert last_states(new_entries("state")) == ["Stopped"]


def test_leaving_by_an_exception_stops_what_is_in_flight(here, new_entries):
    def break_off() -> None:
        with RemoteRuns() as runs:
            Submitted(runs).submit(*sleepers(3))
            wait_until(lambda: len(new_entries("start")) == 3)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        break_off()
    assert last_states(new_entries("state")) == ["Stopped"] * 3


def test_a_task_that_takes_too_long_is_ended_with_its_run(submitted, new_entries):
    slow, other = sleepers(2)
    submitted.submit(slow, timeout=2.0)
    (error,) = submitted.ends().values()
    assert isinstance(error, TimeoutError)
    assert "took longer than 2 s" in str(error)
    assert last_states(new_entries("state")) == ["Stopped"]
    submitted.submit(other)
    wait_until(lambda: len(new_entries("start")) == 2)


def test_a_task_can_be_made_again_and_gets_a_run_of_its_own(submitted, new_entries):
    bad = run_task("fail.py", output="again.txt")
    for _ in range(2):
        submitted.submit(bad)
        assert isinstance(submitted.ends()[bad], RunFailedError)
    assert len(new_entries("start")) == 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_stops_nothing(submitted, new_entries):
    submitted.submit(*sleepers(1))
    wait_until(lambda: new_entries("start"))
    child = multiprocessing.get_context("fork").Process(target=submitted.runs.close)
    child.start()
    child.join(PATIENCE)
    assert child.exitcode == 0
    assert new_entries("stop") == []


def test_an_environment_without_a_domino_is_told_to_each_task(submitted, monkeypatch):
    monkeypatch.delenv("DOMINO_API_HOST")
    submitted.submit(*sleepers(2))
    assert [type(error) for error in submitted.ends().values()] == [ConfigurationError] * 2


def test_a_task_outside_of_the_project_is_told_so(submitted, new_entries):
    submitted.submit(run_task("hello.py", output="/elsewhere/x.txt"))
    (error,) = submitted.ends().values()
    assert "outside the project's files" in str(error)
    assert new_entries("start") == []


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
def test_killing_the_process_stops_all_of_its_runs(here, new_entries, ending):
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: len(new_entries("start")) == 12)
        process.send_signal(ending)
        _, said = process.communicate(timeout=PATIENCE)
    assert last_states(new_entries("state")) == ["Stopped"] * 12
    assert "still be going" not in said


@pytest.fixture
def same_owner(monkeypatch) -> RunOwner:
    """Let all processes of a test work for one owner, as the attempts of an Airflow task do."""
    owner = RunOwner(uuid.uuid4().hex, datetime.now(UTC))
    for name, value in owner.variables().items():
        monkeypatch.setenv(name, value)
    return owner


LEFT = """
    import threading
    from airflow_domino.luigi import DominoRunTask
    from airflow_domino.luigi.remote_runs import RemoteRuns

    runs = RemoteRuns()
    for number in range(3):
        name = f"left{number}.txt"
        runs.submit(DominoRunTask(["late.py", name, "5"], "Narrow", name, poll_interval=0.5), print)
    threading.Event().wait()
"""


def test_runs_that_a_killed_process_left_are_taken_up_by_the_next_attempt(same_owner, submitted, here, new_entries):
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(LEFT)]) as process:
        wait_until(lambda: len(new_entries("start")) == 3)
        process.kill()
    submitted.submit(*[run_task("late.py", f"left{n}.txt", "5", output=f"left{n}.txt") for n in range(3)])
    assert set(submitted.ends().values()) == {None}
    assert [(here / f"left{n}.txt").read_text() for n in range(3)] == ["late"] * 3
    assert len(new_entries("start")) == 3


def test_a_run_of_an_earlier_attempt_that_went_well_is_not_made_again_by_a_task_alone(same_owner, here, new_entries):
    made = run_task("write.py", "again.txt", "x", output="again.txt")
    made.run()
    (here / "again.txt").unlink()
    run_task("write.py", "again.txt", "x", output="again.txt").run()
    assert (here / "again.txt").read_text() == "x"
    assert len(new_entries("start")) == 1


def test_a_run_of_an_earlier_attempt_that_failed_is_followed_by_another(same_owner, here, new_entries):
    bad = run_task("fail.py", output="bad.txt")
    for _ in range(2):
        with RemoteRuns() as runs:
            submitted = Submitted(runs)
            for _ in range(2):
                submitted.submit(bad)
                assert isinstance(submitted.ends()[bad], RunFailedError)
    starts = new_entries("start")
    assert len(starts) == len({entry["title"] for entry in starts}) == 4


def test_runs_of_another_owner_are_not_taken_up(submitted, here, new_entries, monkeypatch):
    task = run_task("write.py", "other.txt", "x", output="other.txt")
    for name, value in RunOwner("somebody else", datetime.now(UTC)).variables().items():
        monkeypatch.setenv(name, value)
    task.run()
    monkeypatch.delenv(OWNER_VARIABLE)
    submitted.submit(task)
    assert submitted.ends()[task] is None
    assert len(new_entries("start")) == 2


def test_an_owner_that_cannot_be_read_starts_nothing(submitted, new_entries, monkeypatch):
    monkeypatch.setenv(OWNER_VARIABLE, "nobody")
    submitted.submit(*sleepers(1))
    (error,) = submitted.ends().values()
    assert isinstance(error, ConfigurationError)
    assert new_entries("start") == []


PIPELINE = """
    import luigi
    from airflow_domino.luigi import DominoRunTask

    class Many(luigi.WrapperTask):
        command = luigi.Parameter()
        def requires(self):
            return [DominoRunTask([*self.command.format(n).split()], "Narrow", f"made{n}.txt", poll_interval=0.5)
                    for n in range(MANY)]
"""


@pytest.fixture
def pipeline(here) -> Callable[[str], EngineProcess]:
    """Makes engines for a pipeline of many Domino runs, with one worker."""
    (here / "many_runs.py").write_text(textwrap.dedent(PIPELINE).replace("MANY", str(MANY)))

    def engine(command: str) -> EngineProcess:
        request = EngineRequest("run", "many_runs:Many", {"command": command}, project_path=str(here))
        return EngineProcess(request, env=engine_environment())

    return engine


def test_one_worker_makes_a_pipeline_of_many_runs(pipeline, here, new_entries):
    answer = pipeline("write.py made{0}.txt text{0}").run(lambda line: None)
    assert answer.is_complete, answer.message
    assert [(here / f"made{n}.txt").read_text() for n in range(MANY)] == [f"text{n}" for n in range(MANY)]
    assert len(new_entries("start")) == MANY


def test_ending_the_engine_of_many_runs_stops_them_all(pipeline, new_entries):
    engine = pipeline("sleep.py 300{0}")
    answers: list[EngineAnswer] = []
    thread = threading.Thread(target=lambda: answers.append(engine.run(lambda line: None)))
    thread.start()
    wait_until(lambda: len(new_entries("start")) == MANY)
    engine.end()
    thread.join(PATIENCE)
    assert answers[0].outcome == "terminated"
    assert last_states(new_entries("state")) == ["Stopped"] * MANY


STARTER = """
    from airflow_domino.luigi.execute import EngineProcess, EngineRequest
    EngineProcess(EngineRequest("run", "many_runs:Many", {"command": "sleep.py 300{0}"}, project_path=".")).run(print)
"""


def test_all_runs_are_stopped_when_the_process_that_started_the_engine_is_killed(pipeline, new_entries):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(STARTER)], stdout=subprocess.DEVNULL)
    wait_until(lambda: len(new_entries("start")) == MANY)
    process.kill()
    process.wait()
    wait_until(lambda: last_states(new_entries("state")) == ["Stopped"] * MANY)


def test_an_engine_that_crashed_leaves_its_runs_to_the_next_attempt(same_owner, pipeline, here, new_entries):
    crashed = pipeline("late.py made{0}.txt 2")
    thread = threading.Thread(target=lambda: crashed.run(lambda line: None))
    thread.start()
    wait_until(lambda: len(new_entries("start")) == MANY)
    (engine,) = [
        child for child in psutil.Process().children() if "airflow_domino_luigi_engine" in str(child.cmdline())
    ]
    engine.kill()
    thread.join(PATIENCE)
    answer = pipeline("late.py made{0}.txt 2").run(lambda line: None)
    assert answer.is_complete, answer.message
    assert len(list(here.glob("made*.txt"))) == MANY
    assert len(new_entries("start")) == MANY


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
