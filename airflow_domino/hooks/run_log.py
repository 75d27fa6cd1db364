"""A run's log lines in a task's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from airflow_domino.domino.models import LogLine

LOG_LIMIT_BYTES = 10 * 1024 * 1024
PROGRAM_STREAMS = frozenset({"stdout", "stderr", "console", ""})


class Logger(Protocol):
    """The part of a logger that is used here; Airflow's task loggers have it."""

    def info(self, message: Any, /, *arguments: Any) -> Any:
        """Write a line."""
        ...

    def warning(self, message: Any, /, *arguments: Any) -> Any:
        """Write a line that matters."""
        ...


class RunLog:
    """Copies a run's log lines into a task's log, up to a limit.

    Domino's own set-up lines are left out: its shell traces every command, which can show secrets.

    :param logger: the task's logger.
    :param url: where the rest can be read.
    :param limit: bytes after which no more lines are copied.
    :ivar size: bytes copied so far.
    """

    def __init__(self, logger: Logger, url: str, *, limit: int = LOG_LIMIT_BYTES) -> None:
        self._logger = logger
        self._url = url
        self._limit = limit
        self.size = 0

    def size_of(self, line: LogLine) -> int:
        """Return how many bytes of the limit a line takes."""
        return len(line.text) + 1 if line.stream in PROGRAM_STREAMS else 0

    def write(self, line: LogLine) -> None:
        """Copy one line."""
        left = self._limit - self.size
        if left <= 0 or line.stream not in PROGRAM_STREAMS:
            return
        text = line.text.rstrip("\r\n")[:left].encode("utf-8", "replace").decode()
        self.size += len(text) + 1
        self._logger.info("%s", text)
        if self.size >= self._limit:
            self._logger.warning("The run's log is long: read the rest of it at %s", self._url)
