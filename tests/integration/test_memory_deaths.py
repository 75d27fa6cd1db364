"""Runs that die for want of memory, or of a place in time, on the local Domino, as our client tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_domino.domino import (
    ApiKey,
    DominoClient,
    Run,
    RunError,
    RunFailedError,
    RunOutOfMemoryError,
    RunQueueTimeoutError,
    RunRequest,
    RunStoppedError,
    run_error,
    wait_for_run,
)
from airflow_domino.domino.climbing import tier_index

KILLED = "import os, signal\nprint('loading', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
FILES = {
    "killed.py": KILLED,
    "killed.sh": "python killed.py\n",
    "swallowed.sh": "python killed.py\nexit 1\n",
    "eats.py": "print('loading')\nheld = bytearray(600 << 20)\nheld[::4096] = b'x' * len(held[::4096])\n",
    "raises.py": "print('loading')\nraise MemoryError('Unable to allocate 8 TiB')\n",
    "speaks.py": "import sys\nprint('out of memory? no: 3 GiB of memory are free', flush=True)\nsys.exit(3)\n",
    "handles.py": "try:\n    raise MemoryError\nexcept MemoryError:\n    raise ValueError('a wrong model') from None\n",
    "terminated.py": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n",
}


@pytest.fixture(scope="module")
def domino(serve_domino: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A local Domino with those programs, and a tier for one run at a time."""
    folder = tmp_path_factory.mktemp("memory-deaths")
    files = folder / "files"
    files.mkdir()
    for name, text in FILES.items():
        (files / name).write_text(text)
    common = {"cores": 1, "memory_gib": 0.25, "cents_per_minute": 1}
    tiers = folder / "tiers.json"
    small = {"id": "small", "name": "Small", "capacity": 2, "default": True}
    tiers.write_text(json.dumps([common | small, common | {"id": "narrow", "name": "Narrow", "capacity": 1}]))
    domino = serve_domino(folder / "root", {"domino/quick-start": files}, [f"--tiers={tiers}"])
    yield domino
    domino.stop()


@pytest.fixture
def client(domino: Any) -> Iterator[DominoClient]:
    """A client of it."""
    with DominoClient(domino.url, ApiKey(domino.token)) as client:
        yield client


def started(client: DominoClient, domino: Any, command: str, tier_id: str = "small") -> Run:
    project = client.project(domino.project)
    return client.start_run(RunRequest(project.id, command, tier_id=tier_id))


def error_of(client: DominoClient, domino: Any, command: str) -> RunError:
    """The error of a run that has come to its end, as the operator makes it."""
    run = wait_for_run(client, started(client, domino, command).id, interval=0.05).run
    return run_error(run, "https://d/run", client.log_tail(run.id), next_tier="Large")


@pytest.mark.parametrize("command", ["eats.py", "killed.py", "killed.sh", "swallowed.sh", "raises.py"])
def test_a_command_that_is_killed_or_raises_a_memory_error_has_run_out_of_memory(
    client: DominoClient, domino: Any, command: str
) -> None:
    error = error_of(client, domino, command)

    assert type(error) is RunOutOfMemoryError
    assert error.run.status.word == "Failed"
    assert error.next_tier == "Large"
    assert tier_index([error.run], ["Small", "Large"], None, lambda run: client.log_tail(run.id)) == 1


@pytest.mark.parametrize("command", ["speaks.py", "handles.py", "terminated.py"])
def test_a_command_that_fails_and_speaks_of_memory_has_only_failed(
    client: DominoClient, domino: Any, command: str
) -> None:
    error = error_of(client, domino, command)

    assert type(error) is RunFailedError
    assert tier_index([error.run], ["Small", "Large"], None, lambda run: client.log_tail(run.id)) == 0


def test_the_end_by_a_signal_is_told_without_the_line_that_names_other_exit_codes(domino: Any) -> None:
    job = domino.run("killed.py")

    assert "137" in job["abnormalStatus"]["runFailureMessage"]
    assert not [line for line in domino.log(job["id"]) if line.startswith("Failed with exit code")]


def test_a_run_that_is_stopped_in_the_queue_after_its_time_is_told_from_one_that_somebody_stopped(
    client: DominoClient, domino: Any
) -> None:
    first = started(client, domino, "sleep 300", tier_id="narrow")
    domino.wait_for_status(first.id, "Running")
    second = started(client, domino, "killed.py", tier_id="narrow")
    client.stop_run(second.id)
    stopped = wait_for_run(client, second.id, interval=0.05).run
    client.stop_run(first.id)

    assert stopped.queued_seconds is not None
    assert stopped.started_at is None
    assert type(run_error(stopped, "u", queue_timeout=stopped.queued_seconds)) is RunQueueTimeoutError
    assert type(run_error(stopped, "u", queue_timeout=stopped.queued_seconds + 600)) is RunStoppedError
