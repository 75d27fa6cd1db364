"""Reading JSON fields without failing on what is missing, null or of another type."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BYTES_PER_UNIT: dict[str, float] = {
    unit: float(base**power)
    for power, letter in enumerate("KMGTPE", start=1)
    for base, unit in ((1000, f"{letter}B"), (1024, f"{letter}iB"))
}


def parse_time(value: object) -> datetime | None:
    """Read a moment as Domino writes it: epoch milliseconds (v1, v4) or ISO 8601 (public API).

    :param value: the field's value; anything unreadable is None.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        if not value.isdigit():
            return _parse_iso(value)
        value = int(value)
    if isinstance(value, int | float):
        try:
            return _EPOCH + timedelta(milliseconds=value) if value > 0 else None
        except (OverflowError, ValueError):
            return None
    return None


def _parse_iso(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def text(value: object) -> str | None:
    """The field as text; null and empty mean "not set"."""
    return None if value is None or value == "" else str(value)


def number(value: object) -> float:
    """The field as a number, 0 when it is none."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0
    return found if math.isfinite(found) else 0.0


def count(value: object) -> int | None:
    """The field as a number of things, None when it is none."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return int(value)
    return None


def mapping(value: object) -> Mapping[str, Any]:
    """The field as an object, an empty one when it is none."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> Iterable[Mapping[str, Any]]:
    """The objects in a list field; anything else is no object."""
    return (item for item in value if isinstance(item, Mapping)) if isinstance(value, list | tuple) else ()


def first(*values: object) -> Any:
    """The first value that is not None: the same field under its names in several APIs."""
    return next((value for value in values if value is not None), None)


def required_text(data: Mapping[str, Any], *names: str) -> str:
    """Read an id without which the answer is of no use.

    :raises ValueError: when none of the fields is set.
    """
    found = text(first(*(data.get(name) for name in names)))
    if found is None:
        raise ValueError(f"the answer has no {' or '.join(names)}")
    return found


def gibibytes(memory: object) -> float:
    """Read an amount of memory, `{value, unit}` (v4), `{value, units}` (public) or a bare number of GiB."""
    if not isinstance(memory, Mapping):
        return number(memory)
    unit = str(first(memory.get("unit"), memory.get("units"), "GiB"))
    return number(memory.get("value")) * _BYTES_PER_UNIT.get(unit, 1024.0**3) / 1024.0**3


def one(read: Callable[[Mapping[str, Any]], T]) -> Callable[[Any], T]:
    """Make a reader of an answer that is one object; another answer is a ValueError."""

    def read_object(data: Any) -> T:
        if not isinstance(data, Mapping):
            raise ValueError("an object was due")
        return read(data)

    return read_object


def many(read: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    """Make a reader of an answer that is a list, or v1's `{data: […]}`; another answer is a ValueError."""

    def read_list(data: Any) -> list[T]:
        entries = data.get("data") if isinstance(data, Mapping) else data
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping | str) for entry in entries):
            raise ValueError("a list was due")
        return [read(entry) for entry in entries]

    return read_list


def has_id(data: Mapping[str, Any]) -> bool:
    """Say whether an answer describes something: a project or a run, possibly wrapped."""
    return any(data.get(name) for name in ("id", "project", "job"))
