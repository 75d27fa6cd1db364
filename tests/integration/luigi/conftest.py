"""A local Domino with little room, and what tests of many DominoRunTasks at once need of it."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_domino.luigi import DominoRunTask
from airflow_domino.luigi.remote_runs import RemoteRuns

PATIENCE = 90.0
ROOM = 4
PROGRAMS = {
    "sleep.py": "import sys, time\ntime.sleep(float(sys.argv[1]))\n",
    "fail.py": "import sys\nprint('about to fail')\nsys.exit(3)\n",
    "write.py": "import sys\nopen(sys.argv[1], 'w').write(sys.argv[2])\n",
    "late.py": "import sys, time\ntime.sleep(float(sys.argv[2]))\nopen(sys.argv[1], 'w').write('late')\n",
}


class ManyRuns:
    """A local Domino's runs in one test's own time."""

    def __init__(self, domino: Any) -> None:
        self.domino = domino
        self._before = len(domino.ledger())

    def task(self, *command: str, output: str, **more: Any) -> DominoRunTask:
        """A task that makes a file."""
        return DominoRunTask(list(command), "Narrow", output, poll_interval=0.5, **more)

    def sleepers(self, count: int) -> list[DominoRunTask]:
        """Tasks that do not end by themselves."""
        return [self.task("sleep.py", "300", output=f"never{number}.txt") for number in range(count)]

    def entries(self, event: str) -> list[dict[str, Any]]:
        """What happened, by the server's ledger."""
        return [entry for entry in self.domino.ledger()[self._before :] if entry["event"] == event]

    @property
    def started(self) -> int:
        """How many runs were started."""
        return len(self.entries("start"))

    @property
    def states(self) -> list[str]:
        """What each run is now."""
        return list({entry["runId"]: entry["to"] for entry in self.entries("state")}.values())

    def wait_until(self, is_so: Callable[[], object]) -> None:
        """Wait, but not for ever."""
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < deadline, f"it never came to that: {self.states}"
            time.sleep(0.05)

    def wait_until_started(self, count: int) -> None:
        """Wait until so many runs were started."""
        self.wait_until(lambda: self.started == count)


class Submitted:
    """Remote runs, and the ends that they told."""

    def __init__(self, runs: RemoteRuns) -> None:
        self.runs = runs
        self._ends: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()
        self._open = 0

    def submit(self, *tasks: DominoRunTask, **more: Any) -> None:
        """Submit tasks, whose ends are collected."""
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


@pytest.fixture(scope="session")
def narrow_domino(serve_domino: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A local Domino whose only tier has room for a few runs, so that many wait in its queue."""
    folder = tmp_path_factory.mktemp("narrow-domino")
    files = folder / "files"
    files.mkdir()
    for name, text in PROGRAMS.items():
        (files / name).write_text(text)
    tiers = folder / "tiers.json"
    tiers.write_text(
        '[{"id": "n", "name": "Narrow", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "default": true,'
        f' "capacity": {ROOM}}}]'
    )
    domino = serve_domino(folder / "root", {"domino/many": files}, [f"--tiers={tiers}"])
    yield domino
    domino.stop()


@pytest.fixture
def many(narrow_domino: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ManyRuns:
    """Work in an empty folder, with the variables by which a process finds that Domino."""
    for name in [name for name in os.environ if name.startswith("DOMINO_")]:
        monkeypatch.delenv(name)
    owner, name = narrow_domino.project.split("/")
    monkeypatch.setenv("DOMINO_API_HOST", narrow_domino.url)
    monkeypatch.setenv("DOMINO_USER_API_KEY", narrow_domino.token)
    monkeypatch.setenv("DOMINO_PROJECT_OWNER", owner)
    monkeypatch.setenv("DOMINO_PROJECT_NAME", name)
    monkeypatch.chdir(tmp_path)
    return ManyRuns(narrow_domino)


@pytest.fixture
def submit_to() -> Callable[[RemoteRuns], Submitted]:
    """Collects the ends of what is submitted to remote runs of a test's own."""
    return Submitted


@pytest.fixture
def submitted(many: ManyRuns) -> Iterator[Submitted]:
    """Remote runs."""
    with RemoteRuns() as runs:
        yield Submitted(runs)
