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
from typing import Any

import psutil

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys" / "kernel" / "random" / "boot_id"
_DEATH_SECONDS = 10.0


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


class ProcessesLeftError(Exception):
    """Processes go on although they were killed; the text names them."""


def birth_of(pid: int) -> str | None:
    """Return what identifies a process among all that ever have its id; None where there is no such process.

    No step of the system's clock changes it, unlike psutil's ``create_time()`` (on Linux reckoned from the clock).
    """
    try:
        # The name, in brackets, may have anything in it; the 22nd field is the start, in ticks since the system's.
        ticks = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[19]
        return f"{_BOOT_ID.read_text().strip()}:{int(ticks)}"
    except OSError:
        return None if _BOOT_ID.exists() else _birth_by_ps(pid)


def _birth_by_ps(pid: int) -> str | None:
    # Elsewhere (macOS) the kernel notes the moment of the start once, and ps writes just that.
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout.strip() or None


@dataclass(frozen=True)
class ProcessIdentity:
    """A process that can be recognised later, although process ids are used again.

    :param birth: see :func:`birth_of`
    """

    pid: int
    birth: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Take the identity of a process that has not been waited for.

        :raises psutil.NoSuchProcess: when there is none
        """
        birth = birth_of(pid)
        if birth is None:
            raise psutil.NoSuchProcess(pid)
        return cls(pid, birth)

    def process(self) -> psutil.Process | None:
        """Find the process, or None when it is gone (and perhaps another has its id now)."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if birth_of(self.pid) == self.birth:
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
        self.identity = ProcessIdentity.of(self._popen.pid)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the process group."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs.

        It is not reaped before :meth:`wait`: until then nobody else can have its id, and what it left is found by it.
        """
        if self._popen.returncode is not None:
            return self._popen.returncode
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

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

    :param identities: the programs that were started, each as the leader of a session
    :param grace: seconds between SIGTERM and SIGKILL
    :return: ids of the processes that go on all the same
    """
    roots = [process for identity in identities if (process := identity.process())]
    family: dict[int, psutil.Process] = {}

    def living() -> list[psutil.Process]:
        # Who loses its parent, or leaves the session, is in neither any more, so those seen before are kept in mind.
        for process in [*roots, *family.values()]:
            family.update({member.pid: member for member in _descendants(process)})
        sessions = {root.pid for root in roots}
        family.update({member.pid: member for member in psutil.process_iter() if _session(member.pid) in sessions})
        return [process for process in family.values() if _is_running(process)]

    alive = living()
    for root in roots:
        _signal_group(root.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while alive and time.monotonic() < deadline:
        psutil.wait_procs(alive, timeout=0.2)
        alive = living()
    deadline = time.monotonic() + _DEATH_SECONDS
    # What is killed may have made another process just before, so this is done until nothing is left.
    while alive and time.monotonic() < deadline:
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=0.2)
        alive = living()
    return [process.pid for process in alive]


def _descendants(root: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [root, *root.children(recursive=True)]
    return [root]


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


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

    def end_all(self, grace: float = 10.0) -> None:
        """End the programs noted with all their descendants, and forget them.

        :param grace: seconds until what has not ended by itself is killed
        :raises ProcessesLeftError: when some go on; they stay noted
        """
        noted = self.read()
        left = end_processes(noted, grace)
        if left:
            self._write([*noted, *(ProcessIdentity(pid, birth) for pid in left if (birth := birth_of(pid)))])
            raise ProcessesLeftError(
                f"the processes {', '.join(map(str, left))} go on although they were killed; end them, or start the "
                f"demo again on the same folder, which tries it anew: they stay noted in {self._path}"
            )
        self._path.unlink(missing_ok=True)

    def read(self) -> list[ProcessIdentity]:
        """List the programs noted."""
        if not self._path.exists():
            return []
        noted = [_identity_of(entry) for entry in json.loads(self._path.read_text())]
        return [identity for identity in noted if identity is not None]

    def _write(self, identities: Sequence[ProcessIdentity]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([{"pid": identity.pid, "birth": identity.birth} for identity in identities])
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(self._path)


def _identity_of(entry: Mapping[str, Any]) -> ProcessIdentity | None:
    if "birth" in entry:
        return ProcessIdentity(int(entry["pid"]), str(entry["birth"]))
    # Registers of before hold the moment of the start by the clock.
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(entry["pid"]))
        if abs(process.create_time() - float(entry["started"])) < 1:
            return ProcessIdentity.of(process.pid)
    return None
