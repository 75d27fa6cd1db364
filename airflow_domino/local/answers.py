"""What the answers of all generations of the API are built on: types that an answer is held to before it is sent.

An answer with a field that its type does not name, or without one that it needs, is an error of this server's own. So
the types, from which the served descriptions are made (:mod:`airflow_domino.local.described`), cannot tell lies. A type
of an answer names its fields as the API does; ``NotRequired`` are those that are left out where they have no value.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, WithJsonSchema, with_config
from typing_extensions import TypedDict

# These describe more than they check: what has another form is refused by the rules, in words of their own.
ObjectId = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{24}$"})]
CommitId = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9a-f]{40}$"})]
Milliseconds = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64", "description": "epoch ms"})]
IsoTime = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
Nanoseconds = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,19}$"})]
# Keys of its own choice, such as the labels of a machine.
Free = dict[str, Any]


@with_config(ConfigDict(extra="forbid"))
class Answer(TypedDict):
    """A part of an answer, which has the fields that are named here and no others."""


class Nothing(Answer):
    """What is answered where there is nothing to tell."""


class Stat(Answer):
    """One statistic that a run left in ``dominostats.json``."""

    name: str
    value: str


class Message(Answer):
    """A refusal in version 1 and in version 4."""

    message: str


class Refusal(Answer):
    """A refusal in the public API with 400, 404, 409 or 500."""

    error: str


class Refusals(Answer):
    """A refusal in the public API with 401, 403, 413, 422 or 429."""

    requestId: str
    errors: list[str]
