"""A real luigid is told what becomes of Luigi tasks, and nothing depends on it."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_domino.luigi.execute import EngineAnswer, EngineProcess, EngineRequest

PIPELINE = """
import os, pathlib, time
import luigi
from luigi.parameter import ParameterVisibility

def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.02)

class Raw(luigi.ExternalTask):
    def output(self):
        return luigi.LocalTarget("raw.txt")

class Part(luigi.Task):
    n = luigi.IntParameter()
    password = luigi.Parameter(default="secret!", visibility=ParameterVisibility.PRIVATE)
    def output(self):
        return luigi.LocalTarget(f"part-{self.n}.txt")
    def run(self):
        self.set_tracking_url(f"https://cluster/job/{self.n}")
        self.set_status_message("counting")
        self.set_progress_percentage(40)
        if self.n == 9:
            raise ValueError("no luck today")
        if os.path.exists("slow"):
            wait_for("go-on")
        pathlib.Path(self.output().path).touch()

class Whole(luigi.Task):
    parts = luigi.IntParameter(default=3)
    def requires(self):
        return [Part(n=n) for n in range(self.parts)]
    def output(self):
        return luigi.LocalTarget("whole.txt")
    def run(self):
        pathlib.Path(self.output().path).touch()

class Odd(luigi.Task):
    def requires(self):
        return [Part(n=9), Raw(), Part(n=1)]
    def output(self):
        return luigi.LocalTarget("odd.txt")

class Late(luigi.Task):
    def output(self):
        return luigi.LocalTarget("late.txt")
    def run(self):
        yield [Part(n=n) for n in range(2)]
        pathlib.Path(self.output().path).touch()

class Lucky(luigi.Task):
    def output(self):
        return luigi.LocalTarget("lucky.txt")
    def run(self):
        if os.path.exists("slow"):
            wait_for("go-on")
        if not os.path.exists("luck"):
            raise ValueError("no luck today")
        pathlib.Path(self.output().path).touch()
"""
WORKER = "Airflow(dag_id=daily, run_id=manual__1)"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "reported.py").write_text(textwrap.dedent(PIPELINE))
    return tmp_path / "work"


@pytest.fixture
def begin(work, luigid) -> Callable[..., Any]:
    """Start an engine that tells luigid; `.answer()` waits for its end, `.lines` is its log."""
    engines = []

    def start(task: str, params: dict[str, Any] | None = None, *, worker: str = WORKER, **more: Any) -> Any:
        scheduler = {"url": luigid.url, "worker": worker, **more.pop("scheduler", {})}
        request = EngineRequest(
            action=more.pop("action", "run"),
            task=f"reported:{task}",
            params=params or {},
            project_path=str(work.parent),
            scheduler=scheduler,
            locks=str(work.parent / "locks"),
            **more,
        )
        engine = EngineProcess(request, working_dir=work, grace=10)
        lines: list[str] = []
        answers: list[EngineAnswer] = []
        thread = threading.Thread(target=lambda: answers.append(engine.run(lines.append)))
        thread.start()

        def answer() -> EngineAnswer:
            thread.join(60)
            return answers[0]

        running = SimpleNamespace(answer=answer, lines=lines, engine=engine)
        engines.append(running)
        return running

    yield start
    (work / "go-on").touch()
    for running in engines:
        running.answer()
    assert luigid.refusals() == []


def eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def about_luigid(lines: list[str]) -> list[str]:
    return [line for line in lines if "central scheduler" in line]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_whole_graph_is_shown_as_done(begin, luigid, workers):
    begun = begin("Whole", workers=workers)
    root = begun.answer().facts["task_id"]
    assert luigid.states() == {f"Part(n={n})": "DONE" for n in range(3)} | {"Whole(parts=3)": "DONE"}
    graph = luigid.ask("dep_graph", task_id=root)
    assert len(graph[root]["deps"]) == 3
    assert all(graph[part]["name"] == "Part" for part in graph[root]["deps"])
    assert about_luigid(begun.lines) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_running_task_says_is_shown_while_it_runs(begin, luigid, work, workers):
    (work / "slow").touch()
    begun = begin("Whole", {"parts": 1}, workers=workers)
    eventually(lambda: luigid.states().get("Part(n=0)") == "RUNNING")
    eventually(lambda: luigid.task("Part(n=0)")["progress_percentage"] == 40)
    shown = luigid.task("Part(n=0)")
    assert (shown["tracking_url"], shown["status_message"]) == ("https://cluster/job/0", "counting")
    assert shown["worker_running"] == WORKER
    assert luigid.states()["Whole(parts=1)"] == "PENDING"
    (worker,) = luigid.ask("worker_list")
    assert (worker["name"], worker["num_running"], worker["first_task_display_name"]) == (WORKER, 1, "Whole(parts=1)")
    (work / "go-on").touch()
    begun.answer()
    assert luigid.task("Part(n=0)")["tracking_url"] == "https://cluster/job/0"


def test_private_parameters_stay_here(begin, luigid):
    begin("Part", {"n": 1, "password": "secret!"}).answer()
    assert "secret" not in json.dumps(luigid.ask("graph"))


def test_failures_missing_data_and_what_waits_for_them_are_shown_as_what_they_are(begin, luigid):
    begun = begin("Odd")
    begun.answer()
    assert luigid.states() == {"Part(n=9)": "FAILED", "Raw()": "PENDING", "Part(n=1)": "DONE", "Odd()": "PENDING"}
    (failed,) = (key for key, task in luigid.ask("task_list").items() if task["status"] == "FAILED")
    assert "ValueError: no luck today" in json.loads(luigid.ask("fetch_error", task_id=failed)["error"])
    assert set(luigid.ask("task_list", status="PENDING", upstream_status="UPSTREAM_FAILED")) == {
        begun.answer().facts["task_id"]
    }


def test_complete_tasks_are_shown_as_done_though_nothing_ran(begin, luigid, work):
    (work / "whole.txt").touch()
    assert begin("Whole").answer().facts["already_complete"]
    assert luigid.states() == {"Whole(parts=3)": "DONE"}


def test_what_a_run_yields_is_shown_below_it(begin, luigid):
    begun = begin("Late")
    root = begun.answer().facts["task_id"]
    assert set(luigid.states().values()) == {"DONE"}
    assert len(luigid.ask("dep_graph", task_id=root)[root]["deps"]) == 2


def test_a_task_that_yielded_waits_until_what_it_wants_is_made(begin, luigid, work):
    (work / "slow").touch()
    begun = begin("Late")
    eventually(lambda: luigid.states() == {"Late()": "PENDING", "Part(n=0)": "RUNNING", "Part(n=1)": "PENDING"})
    (work / "go-on").touch()
    assert begun.answer().is_good


@pytest.mark.parametrize("worker", [WORKER, "Airflow(dag_id=daily, run_id=manual__2)"], ids=["retry", "next DAG run"])
def test_a_task_that_failed_is_shown_as_done_when_it_is_made_after_all(begin, luigid, work, worker):
    begin("Lucky").answer()
    assert luigid.states() == {"Lucky()": "FAILED"}
    (work / "luck").touch()
    assert begin("Lucky", worker=worker).answer().is_good
    assert luigid.states() == {"Lucky()": "DONE"}


def test_a_task_that_another_dag_run_was_seen_running_is_shown_as_done(begin, luigid, work):
    (work / "slow").touch()
    for run_id in ("manual__1", "manual__2"):
        begun = begin("Lucky", worker=f"Airflow(dag_id=daily, run_id={run_id})")
        eventually(lambda: luigid.states() == {"Lucky()": "RUNNING"})
        (work / "go-on").touch()
        begun.answer()
        (work / "go-on").unlink()
        (work / "luck").touch()
    assert luigid.states() == {"Lucky()": "DONE"}


def test_several_processes_of_a_dag_run_draw_one_graph(begin, luigid):
    for n in range(3):
        begin("Part", {"n": n}).answer()
    root = begin("Whole").answer().facts["task_id"]
    assert len(luigid.ask("dep_graph", task_id=root)) == 4
    assert set(luigid.states().values()) == {"DONE"}


def test_a_look_at_a_whole_plan_shows_what_there_is_to_do(begin, luigid, work):
    (work / "part-1.txt").touch()
    nodes = [("Whole", []), *((f"Part{n}", [(n, "Part")]) for n in range(3))]
    begin("Whole", action="survey", nodes=nodes, targets=["Whole"]).answer()
    due = {f"Part(n={n})": "PENDING" for n in (0, 2)}
    assert luigid.states() == {"Whole(parts=3)": "PENDING", "Part(n=1)": "DONE", **due}


def test_a_task_that_is_ended_is_shown_as_failed(begin, luigid, work):
    (work / "slow").touch()
    begun = begin("Part", {"n": 1})
    eventually(lambda: luigid.states() == {"Part(n=1)": "RUNNING"})
    begun.engine.end()
    assert luigid.states() == {"Part(n=1)": "FAILED"}


def test_a_task_without_a_page_of_its_own_leads_to_airflows_log(begin, luigid, work):
    (work / "luck").touch()
    begin("Lucky", scheduler={"tracking_url": "https://airflow/log"}).answer()
    assert luigid.task("Lucky()")["tracking_url"] == "https://airflow/log"


def test_a_dead_luigid_costs_one_line_in_the_log(begin, luigid, work):
    luigid.kill()
    begun = begin("Whole", workers=2)
    assert begun.answer().outcome == "done"
    assert (work / "whole.txt").exists()
    (line,) = about_luigid(begun.lines)
    assert luigid.url in line


def test_a_luigid_that_does_not_answer_is_not_waited_for(begin, luigid, work):
    assert luigid.process is not None
    os.kill(luigid.process.pid, signal.SIGSTOP)
    try:
        begun = begin("Whole")
        assert begun.answer().outcome == "done"
    finally:
        os.kill(luigid.process.pid, signal.SIGCONT)
    assert len(about_luigid(begun.lines)) == 1


def test_a_luigid_that_dies_halfway_costs_one_line(begin, luigid, work):
    (work / "slow").touch()
    begun = begin("Whole")
    eventually(lambda: luigid.states().get("Part(n=0)") == "RUNNING")
    luigid.kill()
    (work / "go-on").touch()
    assert begun.answer().outcome == "done"
    assert len(about_luigid(begun.lines)) == 1


def test_a_luigid_that_begins_anew_is_told_the_whole_graph_again(begin, luigid, work):
    (work / "slow").touch()
    begun = begin("Whole")
    eventually(lambda: luigid.states().get("Part(n=0)") == "RUNNING")
    luigid.kill()
    luigid.start()
    assert luigid.states() == {}
    (work / "go-on").touch()
    assert begun.answer().outcome == "done"
    assert set(luigid.states().values()) == {"DONE"}
    assert len(luigid.states()) == 4
    assert about_luigid(begun.lines) == []
