"""Following a run until it is over: its log, what it is doing, and what Ctrl-C does."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from airflow_domino.commands.failures import NOT_WELL, CommandError
from airflow_domino.commands.output import cents, remark, seconds
from airflow_domino.domino import DominoClient, HardwareTier, LogLine, Project, Run, run_error
from airflow_domino.domino.errors import RunOutOfMemoryError, RunStoppedError
from airflow_domino.domino.watch import wait_for_run
from airflow_domino.progress import changing

INTERRUPTED = 130
OUT_OF_MEMORY = 137
STOPPED = 143

# The last line of Domino's launcher, which is the only place where an exit code is told.
_EXIT_CODE = re.compile(r"Failed with exit code: (\d{1,3})\s*$")

Tell = Callable[[Run], None]


@dataclass(frozen=True)
class Followed:
    """A run that is over, and the exit code of its command where its log has told it."""

    run: Run
    exit_code: int | None


class _Log:
    """Prints the log of a run, and notes the exit code in it."""

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def __call__(self, line: LogLine) -> None:
        print_log_line(line)
        if found := _EXIT_CODE.search(line.text):
            self.exit_code = int(found[1])


def print_log_line(line: LogLine) -> None:
    """Print a line of a run where the run printed it."""
    stream = sys.stderr if line.stream == "stderr" else sys.stdout
    stream.write(f"{line.text}\n")
    stream.flush()


def follow(
    client: DominoClient,
    project: Project,
    run: Run,
    *,
    tier: HardwareTier | None = None,
    on_interrupt: Literal["ask", "stop", "leave"] = "leave",
) -> Followed:
    """Wait until a run is over, and print its log as it grows.

    :param tier: its hardware tier, where that is known, for what it costs
    :param on_interrupt: what becomes of the run at Ctrl-C
    """
    log = _Log()
    try:
        with telling(run, tier) as tell:
            ended = wait_for_run(client, run.id, interval=1, on_log=log, on_look=tell).run
    except KeyboardInterrupt:
        if on_interrupt == "stop" or (on_interrupt == "ask" and _agrees(run)):
            _stop(client, project, run)
        else:
            remark(f"Run {run.number} goes on; `airflow-domino stop {run.number}` stops it")
        raise
    return Followed(ended, log.exit_code)


def check_end(followed: Followed, url: str) -> None:
    """Let the command end as the run did.

    :param url: the run's page
    :raises CommandError: when the run ended badly, with the exit code of its command
    """
    run = followed.run
    if run.status.succeeded:
        return
    error = run_error(run, url)
    codes = {RunOutOfMemoryError: OUT_OF_MEMORY, RunStoppedError: STOPPED}
    exit_code = codes.get(type(error), followed.exit_code or NOT_WELL)
    text = str(error)
    if followed.exit_code:
        text = f"{text}\nIts exit code was {followed.exit_code}"
    raise CommandError(text, exit_code)


def _agrees(run: Run) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"\nStop run {run.number}? Otherwise it goes on. [y/N] ")
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return False


def _stop(client: DominoClient, project: Project, run: Run) -> None:
    remark(f"Stopping run {run.number}; what it has written is kept")
    client.stop_run(run.id, project_id=project.id)
    ended = wait_for_run(client, run.id, interval=1).run
    remark(f"Run {run.number}: {ended.status}")


@contextmanager
def telling(run: Run, tier: HardwareTier | None = None) -> Iterator[Tell]:
    """Give what tells how a run is doing: a line that changes on a terminal, otherwise a line for each status.

    :param run: as it was seen last
    :param tier: its hardware tier, where that is known, for what it costs
    """
    word, line = run.status.word, _status(run)
    with changing(progress(run, tier), line, is_told=False) as show:

        def tell(seen: Run) -> None:
            nonlocal word, line
            if seen.status.is_completed:
                return
            if seen.status.word != word:  # why it is queued may be told otherwise at each look
                word, line = seen.status.word, _status(seen)
            show(progress(seen, tier), line)

        yield tell


def _status(run: Run) -> str:
    return f"Run {run.number} {run.status}" + (f": {run.queue_explanation}" if run.queue_explanation else "")


def progress(run: Run, tier: HardwareTier | None, now: float | None = None) -> str:
    """Say in a line how a run is doing.

    :param tier: its hardware tier, where that is known
    :param now: seconds since the epoch
    """
    moment = time.time() if now is None else now
    begin = run.started_at or run.submitted_at
    lasted = max(0.0, moment - begin.timestamp()) if begin else None
    words = [f"Run {run.number}", str(run.status), seconds(lasted)]
    if run.started_at and tier and lasted is not None:
        words.append(cents(tier.cost_cents(lasted)))
    if run.queue_explanation:
        words.append(run.queue_explanation)
    return " · ".join(word for word in words if word)
