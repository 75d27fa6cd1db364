"""A run for which no thread can be had ends alone, and leaves its place to others."""

from __future__ import annotations

import threading
import time

from airflow_domino.local import statuses
from airflow_domino.local.platform import Platform
from airflow_domino.local.starting import StartRequest

PATIENCE = 30.0


def wait_for_end(platform: Platform, run_id: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (run := platform.run(run_id)).is_completed:
        assert time.monotonic() < deadline, run.status
        time.sleep(0.02)
    return run.status


def test_a_thread_that_cannot_be_started_takes_no_place_of_the_tier(tmp_path, monkeypatch):
    platform = Platform(root=tmp_path / "root")
    project = platform.add_project("domino/quick-start")
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("run "):
            raise RuntimeError("can't start new thread")
        start(thread)

    platform.runner.start("http://127.0.0.1:1", "http://127.0.0.1:1")
    try:
        capacity = platform.tier(None).capacity
        monkeypatch.setattr(threading.Thread, "start", refuse)
        for _ in range(capacity):
            run = platform.start(project, StartRequest("true", ["true"]))
            assert wait_for_end(platform, run.id) == statuses.ERROR
        assert "can't start new thread" in (platform.run(run.id).failure_message or "")
        monkeypatch.undo()
        run = platform.start(project, StartRequest("true", ["true"]))
        assert wait_for_end(platform, run.id) == statuses.SUCCEEDED
    finally:
        platform.close()
