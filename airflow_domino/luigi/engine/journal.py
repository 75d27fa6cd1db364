"""What happens to the Luigi tasks of one engine, told to whoever subscribed; forked processes tell through a file."""

from __future__ import annotations

import json
import os
import threading
import traceback
from collections.abc import Callable
from typing import Any

from .masking import kept_text

PENDING = "pending"
RUNNING = "running"
TRACKING_URL = "tracking_url"
STATUS = "status"
PROGRESS = "progress"
RESOURCES = "resources"

_READ_AT_ONCE = 65_536
# What users' code wrote of an entry. The rest are names and numbers.
_TEXTS = ("message", "explanation", "url")

Entry = dict[str, Any]


class Journal:
    """One line of news for each thing that happens to a task.

    Every entry has ``task_id`` and ``event``. Events and what else their entries hold:

    - ``pending``: ``task`` (the Luigi task), ``requires`` (Luigi ids), ``priority``, ``resources``: it will be run
    - ``running``: an attempt of it begins
    - ``tracking_url``: ``url``; ``status``: ``message``; ``progress``: ``percentage``; ``resources``: ``decrease``:
      what the running task says through what Luigi lends it
    - a state in which it ended (``complete``, ``done``, ``failed``, ``external_missing``, ``scheduling_failed``,
      ``disabled``, ``upstream_failed``, ``not_run``): ``seconds``, ``message``; and for what never was ``pending`` also
      ``task`` and ``requires``

    Texts are masked and cut (:mod:`.masking`) before anybody is told.

    :param path: the file through which forked processes tell, one JSON object per line
    """

    def __init__(self, path: str) -> None:
        self._owner = os.getpid()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._offset = 0
        self._rest = b""
        self._callbacks: list[Callable[[Entry], None]] = []
        self._lock = threading.RLock()

    def subscribe(self, callback: Callable[[Entry], None]) -> None:
        """Call back for each entry from now on, in the engine's own process and in any of its threads.

        :param callback: must be quick; what it raises is printed and does no harm
        """
        self._callbacks.append(callback)

    def note(self, entry: Entry) -> None:
        """Tell one thing, from the engine's process or one forked from it."""
        entry = {**entry, **{name: kept_text(entry[name]) for name in _TEXTS if entry.get(name)}}
        if os.getpid() == self._owner:
            with self._lock:
                self._tell(entry)
        else:
            os.write(self._file, (json.dumps(entry, default=str) + "\n").encode())

    def catch_up(self) -> None:
        """Pass on what forked processes told since the last time."""
        with self._lock:
            while data := os.pread(self._file, _READ_AT_ONCE, self._offset):
                self._offset += len(data)
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self._tell(json.loads(line))

    def _tell(self, entry: Entry) -> None:
        for callback in self._callbacks:
            try:
                callback(entry)
            except Exception:
                traceback.print_exc()
