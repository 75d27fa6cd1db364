"""Programs that are started, watched and ended as a whole: each in a process group of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


def free_port(preferred: int | None = None, host: str = "127.0.0.1") -> int:
    """Find a TCP port that nobody listens on.

    :param preferred: taken when it is free; otherwise, and when it is None, the system picks one
    :param host: the address that will be listened on
    """
    for port in ([preferred] if preferred else []) + [0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError(f"no free port on {host}; end a program that listens there")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that can be recognised later, although process ids are used again."""

    pid: int
    started: float

    @classmethod
    def of(cls, process: psutil.Process) -> ProcessIdentity:
        """Take the identity of a living process."""
        return cls(process.pid, process.create_time())

    def process(self) -> psutil.Process | None:
        """Find the process, or None when it has ended (and perhaps another has its id now)."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) < 1:
                return process
        return None


class ManagedProcess:
    """One program in a process group of its own, with its output in a file.

    :param name: what people call it
    :param command: program and arguments
    :param environment: its whole environment
    :param log_path: file that its output is appended to
    :param cwd: working directory
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log_path: Path, cwd: Path
    ) -> None:
        self.name = name
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.identity = ProcessIdentity.of(psutil.Process(self._popen.pid))

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the process group."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._popen.poll()

    def log_tail(self, lines: int = 20) -> str:
        """Read the last lines of its output."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would, and leave its children alone."""
        self._popen.kill()
        self._popen.wait()

    def wait(self, timeout: float) -> None:
        """Wait for its end so that nothing is left of it in the process table."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(timeout)


def end_processes(identities: Iterable[ProcessIdentity], grace: float = 10.0) -> list[int]:
    """End programs with all their descendants: SIGTERM, a while of patience, then SIGKILL.

    :param identities: the programs that were started
    :param grace: seconds between SIGTERM and SIGKILL
    :return: ids of the processes that needed SIGKILL
    """
    roots = [process for identity in identities if (process := identity.process())]
    family = {process.pid: process for root in roots for process in _family(root)}
    for root in roots:
        _signal_group(root.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    alive = list(family.values())
    while alive and time.monotonic() < deadline:
        _, alive = psutil.wait_procs(alive, timeout=0.2)
        alive = [process for process in alive if _is_running(process)]
    for process in alive:
        with contextlib.suppress(psutil.Error):
            family.update({child.pid: child for child in process.children(recursive=True)})
    stubborn = [process for process in family.values() if _is_running(process)]
    for process in stubborn:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=5)
    return [process.pid for process in stubborn]


def _family(root: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [root, *root.children(recursive=True)]
    return [root]


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


class ProcessRegister:
    """The programs that a state folder owns, on disk, so that a killed owner's can be ended later.

    :param path: JSON file
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, identity: ProcessIdentity) -> None:
        """Note a program that was just started."""
        self._write([*self.read(), identity])

    def clear(self) -> None:
        """Forget them all: they have been ended."""
        self._path.unlink(missing_ok=True)

    def read(self) -> list[ProcessIdentity]:
        """List the programs noted."""
        if not self._path.exists():
            return []
        return [
            ProcessIdentity(int(entry["pid"]), float(entry["started"])) for entry in json.loads(self._path.read_text())
        ]

    def _write(self, identities: Sequence[ProcessIdentity]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([{"pid": identity.pid, "started": identity.started} for identity in identities])
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(self._path)
