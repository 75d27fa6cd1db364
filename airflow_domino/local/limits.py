"""What holds runs to the cores and the memory of their tier, as far as this machine allows."""

from __future__ import annotations

import contextlib
import heapq
import logging
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import psutil

from airflow_domino.local import process_table, processes
from airflow_domino.local.process_table import Process
from airflow_domino.local.processes import Spent
from airflow_domino.local.tiers import Tier

logger = logging.getLogger(__name__)

GIB = 1 << 30
OUT_OF_MEMORY = "OutOfMemory"
EXIT_CODE = 137
# A processor fills memory no faster than this, so a run with room for a second need not be looked at for a second.
_FASTEST_GROWTH = 4 * GIB
_SHORTEST_INTERVAL = 0.02
_LONGEST_INTERVAL = 1.0
# Where the machine itself runs out of memory, the kernel takes a run, and not the server.
_FIRST_TO_GO = "800"


@dataclass
class Watched:
    """A run whose memory is watched.

    :param run_id: the run.
    :param leader: process id of its program.
    :param limit: bytes that all its processes may use together; None only takes note.
    :param when_exceeded: told of the bytes once they are more; the processes have been killed by then.
    """

    run_id: str
    leader: int
    limit: int | None
    when_exceeded: Callable[[int], None]
    most_memory: int = 0
    most_cpu: float = 0.0
    _cpu: dict[int, float] = field(default_factory=dict)
    _begun_at: float = field(default_factory=time.monotonic)
    _seen_at: float = field(default_factory=time.monotonic)

    def see(self, found: Sequence[Process], now: float) -> float:
        """Take note of what the processes use, and give the seconds until they are to be looked at again."""
        self._note_cpu(found, now)
        used = sum(process.resident for process in found)
        if self.limit is not None and used > self.limit and len(found) > 1:
            used = sum(process_table.shared_out(process) for process in found)
        self.most_memory = max(self.most_memory, used)
        if self.limit is None:
            return _LONGEST_INTERVAL
        if used > self.limit:
            processes.kill(found)
            self.when_exceeded(used)
            self.limit = None
            return _SHORTEST_INTERVAL
        return min(_LONGEST_INTERVAL, max(_SHORTEST_INTERVAL, (self.limit - used) / _FASTEST_GROWTH))

    def usage(self, spent: Spent) -> dict[str, float]:
        """Give the most that the run was seen to use: ``cpu`` in percent of one processor, and ``memory`` in GiB.

        :param spent: what its program had used at its end, for a run that was over before anybody looked.
        """
        seconds = max(time.monotonic() - self._begun_at, 1 / 1000)
        return {
            "cpu": round(max(self.most_cpu, 100 * spent.cpu / seconds), 1),
            "memory": round(max(self.most_memory, spent.memory) / GIB, 4),
        }

    def _note_cpu(self, found: Sequence[Process], now: float) -> None:
        spent = sum(process.cpu - self._cpu.get(process.pid, 0.0) for process in found)
        seconds = now - self._seen_at
        # A tick of the kernel's clock is 10 ms, so over less time the share would be mostly chance.
        if seconds >= _LONGEST_INTERVAL / 4:
            self.most_cpu = max(self.most_cpu, 100 * spent / seconds)
            self._cpu = {process.pid: process.cpu for process in found}
            self._seen_at = now


class MemoryWatch:
    """Looks at the memory of all runs, in one thread: often where little room is left, seldom where there is much."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._due: list[tuple[float, int, Watched]] = []
        self._watched: set[int] = set()
        self._has_thread = False

    @contextlib.contextmanager
    def watching(self, watched: Watched) -> Iterator[None]:
        """Watch a run for as long as the context lasts."""
        with self._wake:
            self._watched.add(id(watched))
            heapq.heappush(self._due, (time.monotonic() + _SHORTEST_INTERVAL, id(watched), watched))
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._watch, name="memory", daemon=True).start()
            self._wake.notify()
        try:
            yield
        finally:
            with self._wake:
                self._watched.discard(id(watched))

    def _watch(self) -> None:
        while True:
            with self._wake:
                due = self._next_due()
                if due is None:
                    # The next run brings another thread.
                    self._has_thread = False
                    return
                now = time.monotonic()
                if due > now:
                    self._wake.wait(due - now)
                    continue
                batch = self._taken(now)
            self._see(batch, now)

    def _see(self, batch: Sequence[Watched], now: float) -> None:
        table = process_table.look()
        for watched in batch:
            try:
                interval = watched.see(processes.members(table, watched.run_id, watched.leader), now)
            except Exception:
                logger.exception("the memory of run %s cannot be told", watched.run_id)
                interval = _LONGEST_INTERVAL
            with self._wake:
                heapq.heappush(self._due, (now + interval, id(watched), watched))

    def _next_due(self) -> float | None:
        while self._due and self._due[0][1] not in self._watched:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _taken(self, now: float) -> list[Watched]:
        """Take what is due, and what soon will be: one look at the processes serves all of them."""
        batch = list[Watched]()
        while (due := self._next_due()) is not None and due <= now + _SHORTEST_INTERVAL / 2:
            batch.append(heapq.heappop(self._due)[2])
        return batch


class Cores:
    """Gives runs processors of this machine: those that the fewest runs have, and among these in turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: Counter[int] = Counter()
        self._turns: Counter[int] = Counter()
        self._own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    @property
    def count(self) -> int:
        """How many processors this server has."""
        return len(self._own) or os.cpu_count() or 1

    @contextlib.contextmanager
    def taken(self, cores: float) -> Iterator[frozenset[int] | None]:
        """Give processors for as long as the context lasts; None where the run may use all, or cannot be held.

        :param cores: how many; a part of one counts as one.
        """
        if not self._own or cores > len(self._own) - 1:
            yield None
            return
        wanted = max(1, math.ceil(cores))
        with self._lock:
            fewest_first = sorted(self._own, key=lambda number: (self._given[number], self._turns[number]))
            taken = frozenset(fewest_first[:wanted])
            self._given.update(taken)
            self._turns.update(taken)
        try:
            yield taken
        finally:
            with self._lock:
                self._given.subtract(taken)


@contextlib.contextmanager
def on_processors(numbers: frozenset[int] | None) -> Iterator[None]:
    """Bind this thread, and so whatever process it starts, to processors for as long as the context lasts."""
    if numbers is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, numbers)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass
class Limits:
    """Holds runs to their tiers.

    :param are_enforced: whether they are; otherwise it is only noted what they use.
    """

    are_enforced: bool = True
    cores: Cores = field(default_factory=Cores)
    memory: MemoryWatch = field(default_factory=MemoryWatch)

    def processors(self, tier: Tier) -> contextlib.AbstractContextManager[frozenset[int] | None]:
        """Give a run of a tier processors for as long as the context lasts; see :meth:`Cores.taken`."""
        return self.cores.taken(tier.cores if self.are_enforced and tier.cores else math.inf)

    def memory_of(self, tier: Tier) -> int | None:
        """Give the bytes that a run of a tier may use; None for any amount."""
        return round(tier.memory_gib * GIB) if self.are_enforced and tier.memory_gib else None

    def notes(self, tier: Tier, processors: frozenset[int] | None) -> list[str]:
        """Say for the log of a run what it is held to, and what not.

        :param tier: its tier.
        :param processors: those that it is bound to.
        """
        if not self.are_enforced:
            return ["The cores and the memory of the tier are not enforced (--limits off)"]
        cores, total = f"Cores: {tier.cores:g}", psutil.virtual_memory().total
        if processors is not None:
            listed = ", ".join(map(str, sorted(processors)))
            cores += f", enforced: bound to processor {listed} of {self.cores.count}"
        else:
            cores += f", not enforced: this machine has {self.cores.count} and all can be used"
        memory = f"Memory: {amount(round(tier.memory_gib * GIB))}, enforced: a run that uses more is ended"
        if tier.memory_gib * GIB > total:
            memory += f"; this machine has only {amount(total)}"
        gpus = [f"GPUs: {tier.gpus}, not enforced"] if tier.gpus else []
        return [cores, memory, *gpus]


def memory_message(tier: Tier, used: int) -> str:
    """Say that a run was ended for want of memory."""
    return (
        f"Out of memory: the run used {amount(used)}, more than the {amount(round(tier.memory_gib * GIB))} of hardware "
        f"tier {tier.name}, and was killed (exit code {EXIT_CODE})"
    )


def let_go_first(pid: int) -> None:
    """Tell the kernel to end a process, and what it starts, before others when the machine runs out of memory."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write(_FIRST_TO_GO)


def amount(size: int) -> str:
    """Write a number of bytes for people."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / (1 << 20):.0f} MiB"
