"""Runs programs with Domino's own client, one after the other, for the tests beside this folder.

It is started in the client's own environment. Each line of its input names a module of this folder; the line of its
output is what the `drive` of that module gave, and which methods of the client were called. The client is unchanged:
what a program gets in its place hands every call through to it.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import traceback
import warnings
from typing import Any

from domino import Domino

CALLED: set[str] = set()


class Noted:
    """A client that notes which of its methods are called."""

    def __init__(self, client: Domino) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        CALLED.add(name)
        return getattr(self._client, name)


def connect(project: str, **credentials: str) -> Noted:
    """Make a client of a project."""
    return Noted(Domino(project, **credentials))


def main() -> None:
    """Answer until there are no more questions."""
    warnings.simplefilter("ignore")
    logging.disable()
    answers, sys.stdout = sys.stdout, sys.stderr
    methods = sorted(name for name in vars(Domino) if not name.startswith("_"))
    for line in sys.stdin:
        CALLED.clear()
        try:
            answer = {"answer": importlib.import_module(line.strip()).drive(connect)}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        json.dump({**answer, "called": sorted(CALLED), "methods": methods}, answers)
        answers.write("\n")
        answers.flush()


if __name__ == "__main__":
    main()
