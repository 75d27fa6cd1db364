"""Luigi's resources: how much of each the running tasks use, and whether another one may start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

# What [resources] does not mention can be used by one task at a time (luigi.scheduler.Scheduler._has_resources).
_UNDECLARED = 1


class Resources:
    """Counts what is in use.

    :param declared: how much there is of each; 1 of what is not mentioned
    """

    def __init__(self, declared: Mapping[str, int]) -> None:
        self._declared = dict(declared)
        self._used: Counter[str] = Counter()
        self._held: dict[str, Counter[str]] = {}

    def lacking(self, needed: Mapping[str, int]) -> str | None:
        """The first resource that does not suffice at the moment, if any."""
        for name, amount in needed.items():
            if self._used[name] + amount > self._total(name):
                return name
        return None

    def never(self, needed: Mapping[str, int]) -> str | None:
        """What of the need can never be met, in words, if anything."""
        for name, amount in needed.items():
            if amount > self._total(name):
                return f"it needs {amount} of the resource {name!r}, and there is {self._total(name)} ([resources])"
        return None

    def _total(self, name: str) -> int:
        return self._declared.get(name, _UNDECLARED)

    def take(self, task_id: str, needed: Mapping[str, int]) -> None:
        """A task starts to use some."""
        if needed:
            self._held[task_id] = Counter(needed)
            self._used.update(needed)

    def give_back(self, task_id: str, decrease: Mapping[str, Any] | None = None) -> list[str]:
        """A task does not use some any more.

        :param decrease: what it gives back; by default all that it still holds
        :returns: the names of what there is more of now
        """
        held = self._held.get(task_id)
        if not held:
            return []
        back = dict(held) if decrease is None else {name: min(held[name], int(n)) for name, n in decrease.items()}
        held.subtract(back)
        self._used.subtract(back)
        if decrease is None:
            del self._held[task_id]
        return [name for name, amount in back.items() if amount > 0]
