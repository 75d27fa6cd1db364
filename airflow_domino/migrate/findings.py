"""What a person is told about a line of a file that is converted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Whether a finding asks for something."""

    NOTE = "note"
    LEFT = "by hand"


@dataclass(frozen=True, order=True)
class Finding:
    """One remark.

    :param line: number of the line in the file as it was
    :param kind: a note says what is different now; what is left has to be done by hand
    """

    line: int
    kind: Kind
    text: str
