"""Loading Luigi without the libraries that it holds ready for few: that is most of what its import takes."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# Luigi needs them to validate parameters by a schema, and to ask a central scheduler.
_FOR_FEW = ("jsonschema", "requests")


class _Deferred(ModuleType):
    """Stands for a module until something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


def import_luigi() -> None:
    """Import Luigi; it has its libraries loaded when it first uses them, and a pipeline imports the real ones.

    :raises ImportError: this interpreter has no Luigi
    """
    deferred = [_Deferred(name) for name in _FOR_FEW if name not in sys.modules and find_spec(name) is not None]
    sys.modules.update({module.__name__: module for module in deferred})
    try:
        importlib.import_module("luigi")
    finally:
        for module in deferred:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]
