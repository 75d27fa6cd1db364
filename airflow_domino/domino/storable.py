"""Values that others wrote, in a form that Airflow can store and every reader of it can read.

What a run left in `dominostats.json`, a line of its log or the text of an error goes through Airflow's messages
(msgpack) into its database (PostgreSQL, MySQL or SQLite), and is deserialized by the tasks and pages that read it. Each
of them refuses something, or takes it for something else:

- PostgreSQL's JSON has no NUL, and msgpack no half of a surrogate pair: they become U+FFFD, as in the log of a run;
- JSON has no NaN and no infinities: they become texts;
- Airflow's messages refuse integers of more than 64 bits, and PostgreSQL gives large floats back as integers: numbers
  beyond 64 bits become texts, and other floats from 1e16 on the integers that they are;
- Airflow takes a mapping with one of :data:`RESERVED_KEYS` for a serialized object: such keys get one more underscore
  in front;
- MySQL takes no more than 100 levels, and nobody takes just any size.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

RESERVED_KEYS = frozenset(
    {"__cache__", "__classname__", "__data__", "__id__", "__source", "__type", "__var", "__version__"}
)
"""Keys by which Airflow knows the mappings that stand for serialized objects."""

DEEPEST = 64
"""Levels of mappings and lists; what is below is left out."""

LARGEST = 4_000_000
"""Characters of the value as JSON, about; of a larger one the rest is left out."""

_LARGEST_INTEGER = 2**63 - 1
_WHOLE_FLOATS = 1e16  # from here on a float has no decimals, and Python writes it with an exponent
_TOO_DEEP = f"… (what is more than {DEEPEST} levels deep is left out)"
_NOTE_ROOM = 60
_LEAST_ROOM = 100  # of a value that is cut; an entry takes a few times as much with its key
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class _TooLargeError(Exception):
    """A value takes more room than there is."""


def storable(value: object, largest: int = LARGEST) -> Any:
    """Return a value as plain JSON that Airflow can store; a plain good value is returned as an equal one.

    Whatever is changed shows it, and changing it again changes nothing. Never raises.

    :param largest: characters that it may take as JSON, about.
    """
    return _cut(value, max(largest, _LEAST_ROOM), DEEPEST)[0]


def storable_text(text: str) -> str:
    """Return a text without NUL and without halves of surrogate pairs, which become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


class _Cleaner:
    """Makes a value storable as long as there is room.

    :param room: characters.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self.size = 0

    def clean(self, value: object, levels: int) -> Any:
        """Return the value as plain JSON.

        :param levels: how many levels of mappings and lists are left.
        :raises _TooLargeError: when it needs more room than there is.
        """
        value = _plain(value)
        if isinstance(value, dict | list):
            if levels == 0:
                return self._spend(_TOO_DEEP, len(_TOO_DEEP) + 2)
            self._spend(None, 2)
            if isinstance(value, dict):
                return self._mapping(value, levels - 1)
            return [self.clean(one, levels - 1) for one in value]
        if isinstance(value, str):
            self._spend(None, len(value) + 4)
            return storable_text(value)
        return self._spend(value, len(repr(value)) + 2)

    def _mapping(self, value: Mapping[object, object], levels: int) -> dict[str, Any]:
        cleaned: dict[str, Any] = {}
        for name, one in value.items():
            key = _key(name, cleaned)
            self._spend(None, len(key) + 4)
            cleaned[key] = self.clean(one, levels)
        return cleaned

    def _spend(self, value: Any, size: int) -> Any:
        self.size += size
        if self.size > self._room:
            raise _TooLargeError
        return value


def _cut(value: object, room: int, levels: int) -> tuple[Any, int]:
    """Return a value as plain JSON of which that is left out for which there is no room, and the room that it takes.

    :param levels: how many levels of mappings and lists are left.
    """
    cleaner = _Cleaner(room)
    try:
        return cleaner.clean(value, levels), cleaner.size
    except _TooLargeError:
        pass
    value = _plain(value)
    if isinstance(value, dict | list):
        return _cut_entries(value, room - _NOTE_ROOM, levels - 1), room
    kept = storable_text(str(value)[: room - _NOTE_ROOM])
    return f"{kept}… ({len(str(value)) - len(kept)} more characters are left out)", room


def _cut_entries(value: dict[Any, Any] | list[Any], room: int, levels: int) -> Any:
    """Keep the first entries; one that takes more than half of the room that is left is cut to that."""
    kept: dict[Any, Any] = {}
    for position, name in enumerate(value):
        if room < 5 * _LEAST_ROOM:
            kept["…"] = f"{len(value) - position} more are left out"
            break
        given = room // 2
        if isinstance(value, dict):
            key = _key(_cut(name, max(given // 4, _LEAST_ROOM), 1)[0], kept)
            kept[key], size = _cut(value[name], max(given - len(key) - 4, _LEAST_ROOM), levels)
            size += len(key) + 4
        else:
            kept[position], size = _cut(name, given, levels)
        room -= size
    return kept if isinstance(value, dict) else list(kept.values())


def _key(name: object, taken: Mapping[str, Any]) -> str:
    key = storable_text(_text(_plain(name)))
    while key in RESERVED_KEYS or key in taken:
        key = f"_{key}"
    return key


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"({type(value).__name__})"


def _plain(value: object) -> Any:
    """Return a value as one of JSON's types that are stored as they are; anything else as its text."""
    if value is None or isinstance(value, bool):
        return value
    try:
        return _read(value)
    except Exception:
        return f"({type(value).__name__})"


def _read(value: object) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value) if abs(value) <= _LARGEST_INTEGER else str(int(value))
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, Mapping):
        return value if type(value) is dict else dict(value)
    if isinstance(value, list | tuple | set | frozenset):
        return value if type(value) is list else list(value)
    return str(value)


def _number(value: float) -> int | float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if abs(value) < _WHOLE_FLOATS:
        return value
    return int(value) if abs(value) <= _LARGEST_INTEGER else repr(value)
