"""The log of a simulated run: made of its plan and its times whenever it is read, and kept nowhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from airflow_domino.local import logs, statuses
from airflow_domino.local.clock import now_ns
from airflow_domino.local.logs import Line
from airflow_domino.local.runs import Run
from airflow_domino.local.simulation import Plan, filled_in

_NS_PER_MS = 1_000_000


class SimulatedLog:
    """What a simulated run has written up to now.

    :param run: the run, as it is now.
    :param plan: its plan.
    :param seed: the seed by which its seconds are chosen.
    """

    def __init__(self, run: Run, plan: Plan, seed: int) -> None:
        self._run = run
        self._plan = plan
        self._seed = seed

    def lines(self, streams: Collection[str] = logs.STREAMS, *, after_ns: int = 0) -> Iterator[Line]:
        """Give the lines of some streams, oldest first.

        :param streams: which ones.
        :param after_ns: only lines that are younger than this time.
        """
        last = 0
        for time_ns, stream, text in self._written():
            last = max(time_ns, last + 1)
            if last > after_ns and stream in streams:
                yield Line(last, stream, f"{filled_in(text, self._run)}\n".encode())

    def tail(self, count: int, streams: Collection[str] = logs.STREAMS, *, largest: int = 16 << 20) -> list[Line]:
        """Give the last lines of some streams.

        :param count: how many at most.
        :param streams: which ones.
        :param largest: how many bytes at most, in all.
        """
        found: list[Line] = []
        for line in reversed(list(self.lines(streams))):
            largest -= len(line.content)
            if len(found) == count or largest < 0:
                break
            found.append(line)
        return found[::-1]

    def _written(self) -> Iterator[tuple[int, str, str]]:
        run, plan = self._run, self._plan
        if run.status == statuses.QUEUED:
            return
        yield run.submitted_at * _NS_PER_MS, logs.PREPARE, f"Run {run.number}: {run.command}"
        yield run.submitted_at * _NS_PER_MS, logs.PREPARE, "This run is simulated: its command is not executed."
        if run.started_at is not None:
            yield from self._output(run.started_at * _NS_PER_MS)
        end = (run.completed_at or 0) * _NS_PER_MS
        if run.exit_code is not None and plan.exit_line is not None:
            yield end, logs.STDOUT, plan.exit_line
        if run.failure_message and run.status != statuses.FAILED:
            yield end, logs.STDERR, run.failure_message

    def _output(self, begin: int) -> Iterator[tuple[int, str, str]]:
        run, plan = self._run, self._plan
        seconds = plan.duration(statuses.RUNNING, run, self._seed) or 0.0
        end = now_ns() if run.completed_at is None else run.completed_at * _NS_PER_MS
        ended_by_itself = run.exit_code is not None
        for number, line in enumerate(plan.log, 1):
            time_ns = begin + round(seconds * 1e9 * number / (len(plan.log) + 1))
            if time_ns > end and not ended_by_itself:
                return
            yield min(time_ns, end), line.stream, line.text
