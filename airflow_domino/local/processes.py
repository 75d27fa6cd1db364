"""Starting the program of a run, and ending it with everything that it left behind."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from airflow_domino.local import process_table
from airflow_domino.local.process_table import Marks, Process

MARK = process_table.MARK
_MARKS = Marks()
_POLL_SECONDS = 0.02
_CHUNK = 1 << 16
_LONGEST_LINE = 1 << 16

# What a run gets of the server's own environment: what programs need to work at all, and nothing of the server's.
_INHERITED = (
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
)
_LOOPBACK = "127.0.0.1,localhost,::1"


class ProgramNotFoundError(Exception):
    """The first word of a command names no program; the message says which."""


@dataclass(frozen=True)
class Spent:
    """What a program has used: the largest memory of one of its processes in bytes, and CPU time in seconds."""

    memory: int
    cpu: float


def base_environment(python: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Make the environment that all runs of an interpreter have in common.

    :param python: the interpreter; its folder comes first in PATH.
    :param environ: the server's own environment.
    """
    inherited = {name: environ[name] for name in _INHERITED if name in environ}
    locale = {name: value for name, value in environ.items() if name.startswith("LC_")}
    exempt = [part for name in ("no_proxy", "NO_PROXY") if (part := environ.get(name))]
    no_proxy = ",".join([*exempt[:1], _LOOPBACK])
    return {
        **inherited,
        **locale,
        "PATH": os.pathsep.join([str(python.parent), environ.get("PATH", os.defpath)]),
        "no_proxy": no_proxy,
        "NO_PROXY": no_proxy,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
    }


def program_of(words: Sequence[str], python: Path, folder: Path, path: str) -> list[str]:
    """Turn the words of a command into the arguments of a process, as Domino's launcher chooses by the file's ending.

    :param words: the command's words.
    :param python: interpreter of ``.py`` files.
    :param folder: folder that the command runs in.
    :param path: PATH of the run.
    :raises ProgramNotFoundError: when the first word is no file of the folder and no program of PATH.
    """
    name = words[0]
    if name.endswith(".py"):
        return [str(python), *words]
    if name.endswith(".sh"):
        return ["bash", *words]
    found = shutil.which(str(folder / name) if "/" in name else name, path=path)
    if found is None:
        raise ProgramNotFoundError(
            f"{name}: no such program, and not a .py or .sh file; begin the command with one of these"
        )
    return [found, *words[1:]]


def start(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program in a session, and so in a process group, of its own.

    :param arguments: the program and its arguments.
    :param folder: folder that it runs in.
    :param environment: its whole environment, with :data:`MARK`.
    """
    return subprocess.Popen(
        arguments,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def pump(streams: Mapping[str, BinaryIO], write: Callable[[str, list[bytes]], None]) -> None:
    """Carry lines from pipes to a log until every pipe has come to its end, and close them.

    :param streams: the pipes, by name.
    :param write: gets the name and the lines; a line that is longer than 64 KiB comes in pieces.
    """
    rest = dict.fromkeys(streams, b"")
    with selectors.DefaultSelector() as selector:
        for name, pipe in streams.items():
            selector.register(pipe, selectors.EVENT_READ, name)
        while selector.get_map():
            for key, _ in selector.select():
                name = key.data
                chunk = os.read(key.fd, _CHUNK)
                lines = _split(rest[name] + chunk)
                rest[name] = b""
                if chunk and lines and not lines[-1].endswith(b"\n") and len(lines[-1]) < _LONGEST_LINE:
                    rest[name] = lines.pop()
                if lines:
                    write(name, lines)
                if not chunk:
                    selector.unregister(key.fileobj)
                    streams[name].close()


def _split(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def wait(process: subprocess.Popen[bytes]) -> None:
    """Wait until a program has ended, without reaping it: so long, its number belongs to no other process.

    :param process: the program.
    """
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def end_run(run_id: str, leader: int | None, grace: float) -> None:
    """End every process of a run: its session, its descendants, and those that left both but carry its mark.

    :param run_id: the run.
    :param leader: process id of its program, or None when it is not known.
    :param grace: seconds between the polite signal and the other one.
    """
    deadline = time.monotonic() + grace
    # Who loses its parent is no descendant any more, so those of the beginning are kept in mind.
    known: dict[int, float] = {}

    def living() -> list[Process]:
        table = process_table.look()
        members = {process.pid: process for process in _MARKS.members(table, run_id, leader)}
        for pid, started in known.items():
            if pid in table and table[pid].started == started:
                members[pid] = table[pid]
        known.update({process.pid: process.started for process in members.values()})
        return list(members.values())

    signalled = [process for process in living() if _signal(process, signal.SIGTERM)]
    while signalled and time.monotonic() < deadline and living():
        time.sleep(_POLL_SECONDS)
    # What is killed may have made another process just before, so this is done until nothing is left.
    while [process for process in living() if _signal(process, signal.SIGKILL)]:
        time.sleep(_POLL_SECONDS)


def members(table: process_table.Table, run_id: str, leader: int) -> list[Process]:
    """Find the processes of a run among all; see :meth:`airflow_domino.local.process_table.Marks.members`."""
    return _MARKS.members(table, run_id, leader)


def kill(found: Iterable[Process]) -> None:
    """Kill processes at once, and do not wait for it."""
    for process in found:
        _signal(process, signal.SIGKILL)


def reap(process: subprocess.Popen[bytes]) -> Spent:
    """Take the end of a program, and tell what it and the processes that it waited for have used.

    :param process: the program, which has ended or is about to.
    """
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return Spent(usage.ru_maxrss * unit, usage.ru_utime + usage.ru_stime)


def _signal(process: Process, number: signal.Signals) -> bool:
    """Signal a process; False where it is gone or somebody else's."""
    try:
        os.kill(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
