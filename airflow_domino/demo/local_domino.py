"""The local Domino of the demo, in a process of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from airflow_domino.demo.processes import ManagedProcess, ProcessRegister, free_port
from airflow_domino.demo.state import StateFolder

PROJECT = "domino/luigi-multi-run"
OTHER_PROJECTS = ("domino/pivot",)


class LocalDominoError(Exception):
    """The local Domino did not start; the text holds the end of its log."""


class LocalDomino:
    """``airflow-domino serve`` on the demo's folder.

    :param state: where it keeps everything
    :param files: folder with the first files of the project; those of the other projects are beside it
    :param port: wished port; a free one is taken when it is busy
    """

    def __init__(self, state: StateFolder, files: Path, *, port: int | None = None) -> None:
        self.port = free_port(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self._state = state
        self._files = files.resolve()
        self._register = ProcessRegister(state.processes)
        self._process: ManagedProcess | None = None
        self._said_before = 0

    def start(self) -> None:
        """Start it, without waiting until it answers."""
        self._register.end_all()
        self._state.token()
        log = self._state.domino_log
        self._said_before = log.stat().st_size if log.exists() else 0
        self._process = ManagedProcess("local Domino", self._command(), _environment(), log, self._state.path)
        self._register.add(self._process.identity)

    def wait_until_ready(self, timeout: float = 60) -> None:
        """Wait until it answers.

        :param timeout: seconds
        :raises LocalDominoError: when it ends or says nothing in time
        """
        log = self._state.domino_log
        deadline = time.monotonic() + timeout
        while (ready := _ready_line(log, self._said_before)) is None:
            if self.exit_code is not None or time.monotonic() > deadline:
                tail = self._process.log_tail() if self._process else ""
                raise LocalDominoError(f"the local Domino did not start; correct what the end of {log} tells:\n{tail}")
            time.sleep(0.1)
        self.url = str(ready["url"])

    def _command(self) -> list[str]:
        options = {
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--root": str(self._state.domino_root),
            "--token-file": str(self._state.token_file),
        }
        return [
            sys.executable,
            "-m",
            "airflow_domino.cli",
            "serve",
            "--open-pages",
            *(word for pair in options.items() for word in pair),
            f"--project={PROJECT}={self._files}",
            *(f"--project={name}={folder}" for name, folder in self._other_projects().items()),
        ]

    def _other_projects(self) -> dict[str, Path]:
        folders = {name: self._files.with_name(name.partition("/")[2]) for name in OTHER_PROJECTS}
        return {name: folder for name, folder in folders.items() if folder.is_dir()}

    @property
    def exit_code(self) -> int | None:
        """The exit code of its process, None while it runs."""
        return self._process.exit_code if self._process else None

    def stop(self) -> None:
        """End it with every run that goes on.

        :raises ProcessesLeftError: when some processes go on
        """
        try:
            self._register.end_all()
        finally:
            if self._process is not None:
                self._process.wait(5)
                self._process = None

    def __enter__(self) -> LocalDomino:
        """Start, and stop again when that fails half way."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()


def _environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    # Settings for another Airflow or another Domino would reach the runs.
    kept = {name: value for name, value in environ.items() if not name.startswith(("AIRFLOW", "DOMINO_"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', '')}"}


def _ready_line(log: Path, start: int) -> dict[str, object] | None:
    with log.open("rb") as lines:
        lines.seek(start)
        for line in lines:
            if line.startswith(b"{") and line.endswith(b"\n"):
                ready: dict[str, object] = json.loads(line)
                if "url" in ready:
                    return ready
    return None
