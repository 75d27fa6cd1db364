"""Faults on order: what is to go wrong next, so that clients can be tested against that.

Faults of answers meet requests: the answer is an error, late, cut in half, or does not come at all. Faults of runs meet
runs when they are accepted: see :mod:`airflow_domino.local.disguises` for what becomes of such a run.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from airflow_domino.local.ledger import Ledger
from airflow_domino.local.runs import Run

CONTROL_PREFIX = "/_local/"

AnswerAction = Literal["status", "html", "drop", "delay", "half", "reset"]
RunAction = Literal["lose", "no_output", "word", "faulty", "slow_log", "stuck_log"]
Action = AnswerAction | RunAction
ANSWER_ACTIONS: tuple[str, ...] = get_args(AnswerAction)
RUN_ACTIONS: tuple[str, ...] = get_args(RunAction)
Moment = Literal["before", "after"]
Phase = Literal["always", "active", "completed"]


@dataclass(frozen=True)
class Fault:
    """One thing that is to go wrong.

    :param action: of answers: ``status`` answers with an error, ``html`` with a login page and 200, ``drop`` closes the
        connection without an answer, ``reset`` does so by a TCP reset, ``half`` carries the request out and closes the
        connection in the middle of the answer's body, ``delay`` only waits. Of runs: ``lose`` makes the run unknown,
        ``no_output`` keeps back its output commit, ``word`` shows another status, ``faulty`` ends it as Faulty,
        ``slow_log`` shows its log late, ``stuck_log`` shows no more than its first lines.
    :param path: only requests whose path has a match of this regular expression in it.
    :param method: only requests of this method; None for all.
    :param run: only runs with a match of this regular expression in their title or command.
    :param times: how many requests or runs it meets; None for all until it is taken back.
    :param skip: how many of them it lets pass first.
    :param probability: how likely it meets one that it could meet; one that it does not counts for nothing.
    :param seed: makes that chance come out alike every time; None draws from the chance of all faults.
    :param moment: ``before`` the request is carried out, or ``after``: it is carried out, and its answer lost.
    :param status: status of the answer, for ``status``.
    :param headers: further headers of the answer.
    :param retry_after: the header Retry-After, in seconds.
    :param body: text of the answer; None for an error in the API's own form.
    :param seconds: how long an answer waits first, how late a line of a slow log is shown, and how long after the
        start of a run it is lost or ends as Faulty.
    :param word: the status that is shown, for ``word``.
    :param phase: for ``word``: while the run is active, once it has completed, or always.
    :param lines: how many lines are shown of the log, for ``stuck_log``.
    """

    action: Action
    path: str = ""
    method: str | None = None
    run: str = ""
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seed: int | None = None
    moment: Moment = "before"
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: int | None = None
    body: str | None = None
    seconds: float = 0.0
    word: str = "Evicted"
    phase: Phase = "always"
    lines: int = 0

    @property
    def is_of_runs(self) -> bool:
        """Whether it meets runs, and not requests."""
        return self.action in RUN_ACTIONS

    def meets_request(self, method: str, path: str) -> bool:
        """Tell whether a request could get this answer."""
        return not self.is_of_runs and self.method in (None, method) and re.search(self.path, path) is not None

    def meets_run(self, run: Run) -> bool:
        """Tell whether this could become of a run."""
        return self.is_of_runs and any(re.search(self.run, text) is not None for text in (run.title or "", run.command))


@dataclass
class Order:
    """A fault on order, and what has become of it. ``left`` counts down what `Fault.times` says."""

    id: int
    fault: Fault
    chance: random.Random
    left: int | None
    met: int = 0
    passed: int = 0

    def strikes(self) -> bool:
        """Decide whether it meets one that it could meet, and count that."""
        if self.fault.probability < 1 and self.chance.random() >= self.fault.probability:
            return False
        if self.passed < self.fault.skip:
            self.passed += 1
            return False
        self.met += 1
        self.left = None if self.left is None else self.left - 1
        return True

    def shape(self) -> dict[str, Any]:
        """Give it as the control plane tells it; ``times`` is how often it is still to come."""
        return {**asdict(self.fault), "times": self.left, "id": self.id, "met": self.met}


class Faults:
    """The faults that are on order.

    :param ledger: where it is entered when one is met.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._ordered: list[Order] = []
        self._spent: dict[int, Order] = {}
        self._chance = random.Random()  # noqa: S311 - no secret is made of it
        self._last_id = 0

    def seed(self, seed: int | None) -> None:
        """Let the chance of all faults without a seed of their own come out alike from now on; None: by chance."""
        with self._lock:
            self._chance.seed(seed)

    def order(self, fault: Fault) -> Order:
        """Put a fault on order; faults that were ordered earlier come first."""
        with self._lock:
            self._last_id += 1
            chance = self._chance if fault.seed is None else random.Random(fault.seed)  # noqa: S311
            order = Order(self._last_id, fault, chance, fault.times)
            self._ordered.append(order)
        return order

    def take_back(self, number: int) -> Order | None:
        """Take an order back, and give what has become of it; None where there never was one of this number."""
        with self._lock:
            found = next((order for order in self._ordered if order.id == number), None)
            if found is not None:
                self._ordered.remove(found)
            return found or self._spent.pop(number, None)

    def clear(self) -> None:
        """Take back every order."""
        with self._lock:
            self._ordered.clear()
            self._spent.clear()

    def ordered(self, *, spent: bool = False) -> list[Order]:
        """List what is still on order.

        :param spent: also what has met as many as it was to meet, and was not taken back.
        """
        with self._lock:
            return [replace(order) for order in [*self._ordered, *(self._spent.values() if spent else ())]]

    def of_request(self, method: str, path: str) -> Fault | None:
        """Give the fault that a request meets, and count it as met; None where all is to go well."""
        if not self._ordered or path.startswith(CONTROL_PREFIX):
            return None
        met = self._take(lambda fault: fault.meets_request(method, path), one=True)
        for order in met:
            self._ledger.note("fault", None, {**_told(order), "method": method, "path": path})
        return met[0].fault if met else None

    def of_run(self, run: Run) -> list[Fault]:
        """Give the faults that an accepted run meets, and count them as met."""
        if not self._ordered:
            return []
        met = self._take(lambda fault: fault.meets_run(run), one=False)
        for order in met:
            self._ledger.enter("fault", run, _told(order))
        return [order.fault for order in met]

    def _take(self, could_meet: Callable[[Fault], bool], *, one: bool) -> list[Order]:
        met: list[Order] = []
        with self._lock:
            for order in list(self._ordered):
                if could_meet(order.fault) and order.strikes():
                    met.append(order)
                    if order.left == 0:
                        self._ordered.remove(order)
                        self._spent[order.id] = order
                    if one:
                        break
        return met


def _told(order: Order) -> dict[str, Any]:
    return {"fault": order.id, "action": order.fault.action}
