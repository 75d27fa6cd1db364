"""A local Domino, in a process of its own, that has room for one run, so that any number of runs stays queued."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "domino/benchmark"
TIER = {"id": "t", "name": "T", "cores": 1, "memory_gib": 1, "cents_per_minute": 1, "capacity": 1, "default": True}
MARK = "[airflow 0123456789ab-0123456789abcdef-01234567]"


def clean_environment() -> dict[str, str]:
    """Give this process's environment without proxies and without settings of Domino and Airflow."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("DOMINO_", "AIRFLOW"))
    }


class LocalDomino:
    """A local Domino of one project.

    :param folder: what it keeps is here.
    :param files: names and texts of the project's files.
    :param tier: its only hardware tier.
    :param arguments: further arguments of the server.
    """

    def __init__(self, folder: Path, files: dict[str, str], tier: dict[str, Any], *arguments: str) -> None:
        content = folder / "files"
        content.mkdir(parents=True)
        for name, text in files.items():
            (content / name).write_text(text)
        (folder / "tiers.json").write_text(json.dumps([tier]))
        places = [f"--root={folder / 'root'}", f"--project={PROJECT}={content}", f"--tiers={folder / 'tiers.json'}"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "airflow_domino.local", "--port=0", *places, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env=clean_environment(),
        )
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self.url, self.token, self.project_id = ready["url"], ready["token"], ready["projects"][0]["id"]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["X-Domino-Api-Key"] = self.token

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """Give the answer to a request."""
        answer = self._session.request(method, f"{self.url}{path}", json=body or None, timeout=60)
        answer.raise_for_status()
        return dict(answer.json())

    def __enter__(self) -> Self:
        """Return itself, running."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the server."""
        self._process.terminate()
        self._process.communicate(timeout=60)
        self._session.close()


class FullDomino(LocalDomino):
    """A local Domino whose only place is taken.

    :param folder: what it keeps is here.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {"sleep.py": "import time\ntime.sleep(86400)\n"}, TIER)
        self.runs: list[str] = []

    def fill(self, count: int) -> None:
        """Start as many runs as are missing; the first one executes, and the others wait behind it."""
        while len(self.runs) < count:
            title = f"run {len(self.runs)} {MARK}"
            start = {"projectId": self.project_id, "commandToRun": "sleep.py", "title": title}
            self.runs.append(str(self.ask("POST", "/v4/jobs/start", **start)["id"]))

    def end(self, run_id: str) -> float:
        """Stop a queued run; returns when that was answered."""
        self.ask("POST", "/v4/jobs/stop", jobId=run_id, projectId=self.project_id, commitResults=False)
        self.runs.remove(run_id)
        return time.time()
