"""Logs of runs, in files: the bytes as they were written, and an index of their lines.

A log may have a hundred megabytes: it is written in pieces, and read by seeking in the index, never as a whole.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from airflow_domino.local.clock import now_ns

STDOUT = "stdout"
STDERR = "stderr"
PREPARE = "prepareoutput"
STREAMS = (STDOUT, STDERR, PREPARE)

# One line in the index: time in nanoseconds, start and length in the content, number of the stream.
_RECORD = struct.Struct("<QQIB")
_CHUNK_RECORDS = 4096
DEFAULT_LIMIT = 256 << 20
_STARS = b"********"


@dataclass(frozen=True)
class Line:
    """One line of a log. ``time_ns`` is epoch nanoseconds and larger than that of any line before it."""

    time_ns: int
    stream: str
    content: bytes

    @property
    def text(self) -> str:
        """The line as text without its end; bytes that are not UTF-8 are shown as ``\\xff``."""
        return self.content.decode("utf-8", errors="backslashreplace").rstrip("\r\n")


class ReadableLog(Protocol):
    """A log that can be read: that of a run which is executed, or which is simulated."""

    def lines(self, streams: Collection[str] = STREAMS, *, after_ns: int = 0) -> Iterator[Line]:
        """Give the lines of some streams, oldest first; see :meth:`RunLog.lines`."""

    def tail(self, count: int, streams: Collection[str] = STREAMS, *, largest: int = 16 << 20) -> list[Line]:
        """Give the last lines of some streams; see :meth:`RunLog.tail`."""


class RunLog:
    """The log of one run.

    :param folder: where its files are; made when it does not exist.
    :param limit: bytes of content and index after which further lines are dropped, with a note as the last line.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._content = folder / "content"
        self._index = folder / "index"
        self.output = folder / "output"
        self._limit = limit
        self._lock = threading.Lock()
        self._hidden: re.Pattern[bytes] | None = None
        self._is_full = False
        self._last_ns = 0
        for path in (self._content, self._index, self.output):
            path.touch()
        self._size = self._content.stat().st_size
        self._records = self._index.stat().st_size // _RECORD.size
        if self._index.stat().st_size % _RECORD.size:
            # The server was killed in the middle of a line's entry.
            os.truncate(self._index, self._records * _RECORD.size)
        if self._records:
            with self._index.open("rb") as index:
                index.seek((self._records - 1) * _RECORD.size)
                self._last_ns = _RECORD.unpack(index.read(_RECORD.size))[0]

    def hide(self, texts: Collection[str]) -> None:
        """Show stars in the place of secrets, in everything that is written from now on.

        :param texts: the secrets, each of them within one line.
        """
        longest_first = sorted((text.encode() for text in texts if text), key=len, reverse=True)
        self._hidden = re.compile(b"|".join(map(re.escape, longest_first))) if longest_first else None

    def write(self, stream: str, lines: Collection[bytes]) -> None:
        """Append lines.

        :param stream: one of :data:`STREAMS`.
        :param lines: the lines as they were written, with their ends; the last one may have none.
        """
        with self._lock:
            kept: list[bytes] = []
            records: list[bytes] = []
            for line in lines:
                if self._is_full:
                    break
                if self._hidden is not None:
                    line = self._hidden.sub(_STARS, line)
                self._records += 1
                if self._size + len(line) + self._records * _RECORD.size > self._limit:
                    self._is_full = True
                    line = b"\n[The log has reached its limit; further output is not kept.]\n"
                self._last_ns = max(now_ns(), self._last_ns + 1)
                records.append(_RECORD.pack(self._last_ns, self._size, len(line), STREAMS.index(stream)))
                kept.append(line)
                self._size += len(line)
            self._append(stream, b"".join(kept), b"".join(records))

    def say(self, stream: str, text: str) -> None:
        """Append a line of the server's own, on a line of its own."""
        with self._lock:
            unfinished = self._ends_without_newline(stream)
        self.write(stream, [b"\n"] if unfinished else [])
        self.write(stream, [f"{text}\n".encode(errors="backslashreplace")])

    def _append(self, stream: str, content: bytes, records: bytes) -> None:
        # The content comes first: an index entry never points at bytes that are not there yet.
        targets = [(self._content, content), (self._index, records)]
        if stream != PREPARE:
            targets.insert(0, (self.output, content))
        for path, data in targets:
            with path.open("ab") as file:
                file.write(data)

    def _ends_without_newline(self, stream: str) -> bool:
        path = self._content if stream == PREPARE else self.output
        with path.open("rb") as file:
            if file.seek(0, 2) == 0:
                return False
            file.seek(-1, 2)
            return file.read(1) != b"\n"

    def lines(self, streams: Collection[str] = STREAMS, *, after_ns: int = 0) -> Iterator[Line]:
        """Give the lines of some streams, oldest first, as they are read from the files.

        :param streams: which ones.
        :param after_ns: only lines that are younger than this time.
        """
        wanted = {STREAMS.index(stream) for stream in streams}
        with self._index.open("rb") as index, self._content.open("rb") as content:
            total = index.seek(0, 2) // _RECORD.size
            position = _first_after(index, total, after_ns)
            index.seek(position * _RECORD.size)
            while chunk := index.read(_CHUNK_RECORDS * _RECORD.size):
                whole = len(chunk) - len(chunk) % _RECORD.size
                for time_ns, start, length, stream in _RECORD.iter_unpack(chunk[:whole]):
                    if stream in wanted:
                        content.seek(start)
                        yield Line(time_ns, STREAMS[stream], content.read(length))
                if whole < len(chunk):
                    return

    def tail(self, count: int, streams: Collection[str] = STREAMS, *, largest: int = 16 << 20) -> list[Line]:
        """Give the last lines of some streams.

        :param count: how many at most.
        :param streams: which ones.
        :param largest: how many bytes at most, in all.
        """
        wanted = {STREAMS.index(stream) for stream in streams}
        found = size = 0
        for time_ns, _, length, stream in self._records_from_the_end():
            if stream not in wanted:
                continue
            if found == count or size + length > largest:
                return list(self.lines(streams, after_ns=time_ns))
            found, size = found + 1, size + length
        return list(self.lines(streams))

    def _records_from_the_end(self) -> Iterator[tuple[int, int, int, int]]:
        with self._index.open("rb") as index:
            end = index.seek(0, 2) // _RECORD.size
            while end > 0:
                begin = max(0, end - _CHUNK_RECORDS)
                index.seek(begin * _RECORD.size)
                chunk = index.read((end - begin) * _RECORD.size)
                yield from reversed(list(_RECORD.iter_unpack(chunk)))
                end = begin


def _first_after(index: BinaryIO, total: int, after_ns: int) -> int:
    """Find the first record that is younger than a time, by halving: times only grow."""
    low, high = 0, total
    while low < high:
        middle = (low + high) // 2
        index.seek(middle * _RECORD.size)
        if _RECORD.unpack(index.read(_RECORD.size))[0] > after_ns:
            high = middle
        else:
            low = middle + 1
    return low
