"""The time of day, as the server gives it: everything with a time in it asks here, so that tests can drive it."""

from __future__ import annotations

import threading
import time
from typing import Protocol

_NANOSECONDS = 1_000_000_000


class Follower(Protocol):
    """Somebody for whom something is due at a time of the clock."""

    def next_due(self) -> int | None:
        """Give the time, in nanoseconds of the clock, at which something is due next; None when nothing is."""

    def settle(self) -> None:
        """Do everything that is due."""


class Clock:
    """A clock that goes with the machine's until somebody advances or freezes it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._ahead = 0
        self._frozen_at: int | None = None
        self._followers: list[Follower] = []

    def now_ns(self) -> int:
        """Give the time in epoch nanoseconds."""
        frozen_at = self._frozen_at
        return time.time_ns() + self._ahead if frozen_at is None else frozen_at

    def now_ms(self) -> int:
        """Give the time as Domino does: epoch milliseconds."""
        return self.now_ns() // 1_000_000

    @property
    def is_frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen_at is not None

    @property
    def ahead_seconds(self) -> float:
        """How many seconds the clock is ahead of the machine's."""
        return (self.now_ns() - time.time_ns()) / _NANOSECONDS

    def freeze(self) -> None:
        """Let the clock stand still; it can still be advanced."""
        with self._lock:
            self._frozen_at = self.now_ns()
        self._settle()

    def run(self) -> None:
        """Let the clock go on from where it stands."""
        with self._lock:
            if self._frozen_at is not None:
                self._ahead, self._frozen_at = self._frozen_at - time.time_ns(), None
        self._settle()

    def reset(self) -> None:
        """Let the clock go with the machine's again, even if that is back in time."""
        with self._lock:
            self._ahead, self._frozen_at = 0, None
        self._settle()

    def advance(self, seconds: float) -> None:
        """Let time pass at once. What becomes due on the way is done in its order, each at its own time.

        :param seconds: how much time.
        :raises ValueError: when it is negative.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"the clock can only be advanced, not set by {seconds} seconds")
        with self._lock:
            left = round(seconds * _NANOSECONDS)
            goal = self.now_ns() + left
            while (due := self._next_due()) is not None and due <= goal:
                step = min(left, max(0, due - self.now_ns()))
                self._skip(step)
                left -= step
                self._settle()
            self._skip(left)
            self._settle()

    def follow(self, follower: Follower) -> None:
        """Let somebody do what is due whenever the clock is driven."""
        with self._lock:
            self._followers.append(follower)

    def leave(self, follower: Follower) -> None:
        """Forget a follower."""
        with self._lock:
            self._followers = [known for known in self._followers if known is not follower]

    def _skip(self, nanoseconds: int) -> None:
        if self._frozen_at is None:
            self._ahead += nanoseconds
        else:
            self._frozen_at += nanoseconds

    def _next_due(self) -> int | None:
        return min((due for known in self._followers if (due := known.next_due()) is not None), default=None)

    def _settle(self) -> None:
        for follower in list(self._followers):
            follower.settle()


# The clock of this process: a process serves one local Domino.
CLOCK = Clock()


def now_ms() -> int:
    """Give the time of day as Domino does: epoch milliseconds."""
    return CLOCK.now_ms()


def now_ns() -> int:
    """Give the time of day in epoch nanoseconds."""
    return CLOCK.now_ns()
