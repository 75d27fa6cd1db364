"""What running tasks say about themselves, in the log and in the answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_domino.luigi.engine import said as module
from airflow_domino.luigi.engine.said import Said

TALKING = """
class Train(luigi.Task):
    model = luigi.Parameter()
    def output(self):
        return luigi.LocalTarget(self.model)
    def run(self):
        self.set_tracking_url("https://cluster/job/7")
        self.set_status_message("reading")
        self.set_progress_percentage(40)
        with self.output().open("w"):
            pass

class Both(luigi.WrapperTask):
    def requires(self):
        return [Train(model="forest"), Train(model="net")]
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_line_of_the_log_tells_where_to_follow_a_task_how_it_does_and_how_far_it_is(write_module, ask, workers):
    write_module("talking", TALKING)
    ask("run", "talking:Both", workers=workers)
    for model in ("forest", "net"):
        said = [line for line in ask.lines if line.startswith(f"Luigi: Train(model={model}): ")]
        assert [line.split("): ")[1] for line in said] == ["follow it at https://cluster/job/7", "reading", "40 %"]


def test_the_answer_has_the_page_of_each_task(write_module, ask):
    write_module("talking", TALKING)
    tasks = ask("run", "talking:Both").facts["tasks"]
    assert [task["url"] for task in tasks if task["family"] == "Train"] == ["https://cluster/job/7"] * 2


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(time=100.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: now.time)
    return now


@pytest.fixture
def say(capsys):
    said = Said()

    def note(event, task_id="Train_7", **more):
        said.note({"task_id": task_id, "event": event, **more})
        return capsys.readouterr().out.splitlines()

    return note


def test_a_task_that_counts_aloud_is_heard_once_a_second(say, clock):
    heard = []
    for percentage in range(100):
        clock.time += 0.1
        heard += say("progress", percentage=percentage)
    assert 9 <= len(heard) <= 11


def test_the_end_is_always_heard(say, clock):
    say("progress", percentage=99)
    assert say("progress", percentage=100) == ["Luigi: Train_7: 100 %"]


def test_the_same_is_not_said_twice(say, clock):
    say("status", message="reading")
    clock.time += 60
    assert say("status", message="reading") == []


def test_one_task_does_not_silence_another(say, clock):
    say("progress", percentage=1)
    assert say("progress", task_id="Train_8", percentage=1) == ["Luigi: Train_8: 1 %"]


def test_a_status_that_is_taken_back_is_no_line(say, clock):
    assert say("status", message=None) == []


def test_other_news_are_no_lines(say, clock):
    assert say("running") + say("done", message="x") == []
