"""The names of old outputs that were moved aside. Standard library only: also used where Luigi is not loaded."""

from __future__ import annotations

import time
from collections.abc import Callable

_MARK = ".before-force-"


def time_stamp() -> str:
    """Now, as it is written into a name: such as 20261121T081500Z."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def aside_name(path: str, stamp: str, is_taken: Callable[[str], bool]) -> str:
    """A free name beside an output.

    :param path: where the output is
    :param stamp: when it is moved (:func:`time_stamp`)
    :param is_taken: whether there is something of a name
    """
    name = free = f"{path}{_MARK}{stamp}"
    number = 1
    while is_taken(free):
        number += 1
        free = f"{name}-{number}"
    return free
