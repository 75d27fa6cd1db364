"""Reading what tasks have stored: plain JSON, of which nothing is believed before it is looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit


def plain(value: Any) -> Any:
    """Return the stored value; text that holds JSON other than a number is read (an id of digits alone stays text)."""
    if not isinstance(value, str) or not value.startswith(("{", "[", '"')):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a stored dictionary; an empty one where it is something else."""
    read = plain(value)
    return read if isinstance(read, dict) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the dictionaries of a stored list."""
    read = plain(value)
    return [each for each in read if isinstance(each, dict)] if isinstance(read, list) else []


def text(value: Any) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def number(value: Any) -> float | None:
    """Return a number that is not negative, and finite."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < float("inf") else None


def whole_number(value: Any) -> int | None:
    """Return a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def moment(value: Any) -> datetime | None:
    """Return a time that was stored as ISO 8601; one without a zone is in UTC."""
    try:
        read = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def web_address(value: Any) -> str | None:
    """Return an address that a browser may follow; one of another kind (``javascript:``) is no link."""
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme in {"http", "https"} and parts.netloc else None
