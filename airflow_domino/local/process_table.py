"""The processes of this machine, read all at once, and which of them belong to a run.

Where there is ``/proc``, a look takes a few milliseconds for hundreds of processes; elsewhere psutil looks, slowly.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

# Every process of a run has this variable with the run's id, so that those are found too which left their group.
MARK = "AIRFLOW_DOMINO_LOCAL_RUN"
_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "stat").exists()
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_ZOMBIE = b"Z"
# Places in /proc/<pid>/stat behind the name in brackets.
_STATE, _PARENT, _GROUP, _SESSION, _USER_TIME, _SYSTEM_TIME, _STARTED, _RESIDENT = 0, 1, 2, 3, 11, 12, 19, 21


@dataclass(frozen=True, slots=True)
class Process:
    """One process that is not a zombie: its numbers, when it was started, its memory in bytes and CPU time in seconds.

    ``started`` has no unit: with the number it tells the process from others that had the number before.
    """

    pid: int
    parent: int
    group: int
    session: int
    started: float
    resident: int
    cpu: float


Table = Mapping[int, Process]


def look() -> Table:
    """List all processes by their number."""
    if not _HAS_PROC:
        return _look_with_psutil()
    found = (process_at(int(name)) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208 - names will do
    return {process.pid: process for process in found if process is not None}


def process_at(pid: int) -> Process | None:
    """Give a process by its number; None where there is none, or a zombie."""
    if not _HAS_PROC:
        try:
            return _of_psutil(psutil.Process(pid))
        except psutil.Error:
            return None
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        # The name, in brackets, may have anything in it; numbers follow.
        fields = os.read(descriptor, 4096).rpartition(b")")[2].split()
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if len(fields) <= _RESIDENT or fields[_STATE] == _ZOMBIE:
        return None
    return Process(
        pid,
        int(fields[_PARENT]),
        int(fields[_GROUP]),
        int(fields[_SESSION]),
        int(fields[_STARTED]),
        int(fields[_RESIDENT]) * _PAGE,
        (int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])) / _TICKS,
    )


def shared_out(process: Process) -> int:
    """Give the memory of a process in bytes, where what several processes share counts in parts (its PSS).

    The kernel goes through all its pages for that; where it does not tell, what is shared counts whole.
    """
    try:
        text = (_PROC / str(process.pid) / "smaps_rollup").read_bytes()
    except OSError:
        return process.resident
    for line in text.splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return process.resident


class Marks:
    """Knows of which run each process carries the mark; the environment of a process is read only once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[tuple[int, float], str | None] = {}

    def members(self, table: Table, run_id: str, leader: int | None) -> list[Process]:
        """Find the processes of a run: its session and group, its descendants, and whoever carries its mark.

        :param table: all processes.
        :param run_id: the run.
        :param leader: process id of its program, or None when it is not known.
        """
        marks = self._read(table)
        own = {
            process.pid
            for process in table.values()
            if (leader is not None and leader in (process.pid, process.group, process.session))
            or marks.get(process.pid) == run_id
        }
        if own:
            own |= _descendants(table, own)
        return [table[pid] for pid in own]

    def _read(self, table: Table) -> dict[int, str]:
        with self._lock:
            known = {(process.pid, process.started): process.pid for process in table.values()}
            self._of = {key: mark for key, mark in self._of.items() if key in known}
            for key, pid in known.items():
                if key not in self._of:
                    self._of[key] = _mark_of(pid)
            return {key[0]: mark for key, mark in self._of.items() if mark is not None}


def _descendants(table: Table, own: Collection[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    rest = list(own)
    while rest:
        for child in children.get(rest.pop(), ()):
            if child not in found:
                found.add(child)
                rest.append(child)
    return found


def _mark_of(pid: int) -> str | None:
    if not _HAS_PROC:
        try:
            return str(psutil.Process(pid).environ()[MARK])
        except KeyError:
            return None
        except (psutil.Error, OSError):
            return None
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    place = environment.find(f"{MARK}=".encode())
    if place < 0 or (place > 0 and environment[place - 1] != 0):
        return None
    return environment[place:].partition(b"\0")[0].partition(b"=")[2].decode(errors="replace")


def _look_with_psutil() -> Table:
    found = {}
    for known in psutil.process_iter():
        try:
            process = _of_psutil(known)
        except (psutil.Error, OSError):
            continue
        if process is not None:
            found[known.pid] = process
    return found


def _of_psutil(known: psutil.Process) -> Process | None:
    if known.status() == psutil.STATUS_ZOMBIE:
        return None
    times = known.cpu_times()
    try:
        resident = known.memory_info().rss
    except psutil.Error:
        resident = 0
    return Process(
        known.pid,
        known.ppid(),
        os.getpgid(known.pid),
        os.getsid(known.pid),
        known.create_time(),
        resident,
        times.user + times.system,
    )
