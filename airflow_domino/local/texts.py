"""Texts that cannot be kept: refused in requests, made harmless in what runs write.

A NUL is the end of a text for git and for programs. Half of a surrogate pair, which JSON can spell and Python makes of
file names that are not UTF-8, has no encoding: an answer that holds one could never be sent. A NUL that a run wrote can
be sent, and is, as by Domino.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from fastapi import HTTPException, Request

_NOT_KEPT = re.compile("[\0\ud800-\udfff]")
_NOT_SENT = re.compile("[\ud800-\udfff]")
# How JSON of ASCII characters alone spells them; and the halves of pairs, which are no fault.
_SPELLED = re.compile(r"\\ud[89a-f]")
_MAX_DEPTH = 100


def problem(value: Any, depth: int = 0) -> str | None:
    """Return why a value cannot be kept: a text, or JSON as Python has it; None where it can.

    :param value: the value.
    :param depth: how many lists and objects it is in.
    """
    if isinstance(value, str):
        return "a text holds a NUL or half of a surrogate pair" if _NOT_KEPT.search(value) else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a number"
    if not isinstance(value, list | dict):
        return None
    if depth == _MAX_DEPTH:
        return f"it is nested more than {_MAX_DEPTH} deep"
    parts = value if isinstance(value, list) else [*value, *value.values()]
    return next(filter(None, (problem(part, depth + 1) for part in parts)), None)


def refuse_what_cannot_be_kept(value: Any) -> None:
    """Refuse a request that holds what cannot be kept.

    :param value: a text of the request, or its JSON.
    :raises HTTPException: with 400, when it does.
    """
    if (reason := problem(value)) is not None:
        raise HTTPException(400, f"The request cannot be kept: {reason}")


def harmless(value: Any) -> Any:
    r"""Spell out what cannot be sent in a value, as in ``caf\udce9.csv``."""
    if isinstance(value, str):
        return _NOT_SENT.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    if isinstance(value, list):
        return [harmless(part) for part in value]
    return {harmless(key): harmless(part) for key, part in value.items()} if isinstance(value, dict) else value


def dumped(value: Any) -> str:
    """Write a value as JSON without what cannot be sent."""
    text = json.dumps(value)
    return json.dumps(harmless(value)) if _SPELLED.search(text) else text


def loaded(text: str) -> Any:
    """Read JSON that was kept; earlier versions kept texts that cannot be sent."""
    value = json.loads(text)
    return harmless(value) if _SPELLED.search(text) else value


class KeptRequest(Request):
    """A request whose JSON is refused where it cannot be kept."""

    async def json(self) -> Any:
        """Return the body.

        :raises HTTPException: with 400, when it holds what cannot be kept.
        """
        value = await super().json()
        refuse_what_cannot_be_kept(value)
        return value
