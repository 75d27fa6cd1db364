"""The tasks of one engine and how they depend on each other: who may run now, and who never will."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import luigi

from . import survey as found
from .loading import describe_error
from .resources import Resources
from .survey import Surveyed

WAITING = "waiting"
READY = "ready"
RUNNING = "running"

COMPLETE = "complete"
DONE = "done"
FAILED = "failed"
UPSTREAM_FAILED = "upstream_failed"
EXTERNAL_MISSING = "external_missing"
SCHEDULING_FAILED = "scheduling_failed"
DISABLED = "disabled"
NOT_RUN = "not_run"

GOOD = (COMPLETE, DONE)
UNDECIDED = (WAITING, READY, RUNNING)
#: States that keep what depends on a task from running, and how that is said.
BLOCKING = {
    FAILED: "which failed",
    SCHEDULING_FAILED: "whose complete() or requires() failed",
    DISABLED: "which is disabled",
    EXTERNAL_MISSING: "which is external data that is not there",
}

_OF_SURVEY = {
    found.COMPLETE: COMPLETE,
    found.DUE: WAITING,
    found.EXTERNAL_MISSING: EXTERNAL_MISSING,
    found.COMPLETE_FAILED: SCHEDULING_FAILED,
    found.REQUIRES_FAILED: SCHEDULING_FAILED,
    found.DISABLED: DISABLED,
}

logger = logging.getLogger("luigi-interface")


@dataclass(eq=False)
class Node:
    """One task and what becomes of it.

    :param number: in the order in which the tasks were found
    :param state: one of the words above
    :param waits_for: how many of its requirements are not good yet
    :param dependents: who waits for it
    :param unfit: requirements that ran well and can never be complete
    :param reasons: why it cannot run: a blocking state, and the task that is in it
    :param turn: the number of its first attempt
    :param is_target_missing: it failed since its run did not make it complete
    """

    task: luigi.Task
    number: int
    state: str
    requires: tuple[str, ...] = ()
    priority: float = 0.0
    needed: Mapping[str, int] = field(default_factory=dict)
    waits_for: int = 0
    dependents: list[Node] = field(default_factory=list)
    unfit: list[luigi.Task] = field(default_factory=list)
    reasons: dict[str, Node] = field(default_factory=dict)
    turn: int = 0
    was_locked: bool = False
    is_target_missing: bool = False
    asked_again: set[str] = field(default_factory=set)
    seconds: float = 0.0
    message: str = ""
    url: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether what depends on it may rely on it."""
        return self.state in GOOD


class Graph:
    """All nodes by Luigi id, in the order in which they were found."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._numbers = 0

    def add(self, surveyed: Iterable[Surveyed]) -> list[Node]:
        """Take in tasks that were looked at, and link them with those that are known."""
        new = [self._node(one) for one in surveyed]
        for node in new:
            if node.state == WAITING:
                self.wait(node, node.requires)
        self._raise_priorities(new)
        return new

    def _node(self, one: Surveyed) -> Node:
        self._numbers += 1
        node = Node(one.task, self._numbers, _OF_SURVEY[one.state], one.requires)
        node.message = one.problem.message if one.problem else ""
        if node.state == WAITING:
            try:
                node.priority = one.task.priority
                node.needed = dict(one.task.process_resources() or {})
            except Exception as error:
                logger.error("priority or resources of %s cannot be told", one.task, exc_info=error)
                node.state, node.message = SCHEDULING_FAILED, describe_error(error)
        self.nodes[one.task.task_id] = node
        return node

    def forget(self, task_id: str) -> None:
        """Let a task be added anew."""
        self.nodes.pop(task_id, None)

    def wait(self, node: Node, requires: Iterable[str]) -> None:
        """Let a node wait for those of the tasks that are not good yet."""
        for task_id in requires:
            required = self.nodes[task_id]
            if not required.is_good:
                node.waits_for += 1
                required.dependents.append(node)

    def _raise_priorities(self, new: list[Node]) -> None:
        """A task is as urgent as the most urgent one that waits for it (luigi.scheduler: ``_update_priority``)."""
        if len({node.priority for node in new}) < 2 and len(new) == len(self.nodes):
            return
        for start in sorted(new, key=lambda node: -node.priority):
            self.raise_below(start)

    def raise_below(self, start: Node) -> list[Node]:
        """Raise what a node requires to its priority.

        :returns: what was raised
        """
        raised: list[Node] = []
        stack = [start]
        while stack:
            for task_id in stack.pop().requires:
                node = self.nodes.get(task_id)
                if node is not None and node.state in UNDECIDED and node.priority < start.priority:
                    node.priority = start.priority
                    raised.append(node)
                    stack.append(node)
        return raised

    def settle(self, resources: Resources) -> None:
        """When nothing can run any more: say of what is left why it was not run."""
        for state in BLOCKING:
            self._blame(state)
        for node in self.nodes.values():
            if node.state in UNDECIDED:
                node.state, node.message = _verdict(node, resources)

    def _blame(self, state: str) -> None:
        causes = [node for node in self.nodes.values() if node.state == state]
        reached = [(cause, dependent) for cause in causes for dependent in cause.dependents]
        for cause, node in reached:  # grows while it is walked
            if node.state in UNDECIDED and state not in node.reasons:
                node.reasons[state] = cause
                reached += [(cause, dependent) for dependent in node.dependents]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())


def _verdict(node: Node, resources: Resources) -> tuple[str, str]:
    if node.reasons:
        state, cause = next(iter(node.reasons.items()))
        upstream = UPSTREAM_FAILED if set(node.reasons) - {EXTERNAL_MISSING} else NOT_RUN
        return upstream, f"it waits for {cause.task}, {BLOCKING[state]}"
    lacking = resources.never(node.needed)
    return NOT_RUN, lacking or "it requires itself in a circle, or something that does or that could not be run"


class ReadyNodes:
    """What may run now: the most urgent first, then the first found, as far as resources suffice.

    :param resources: shared by all that run
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._heap: list[tuple[float, int, Any]] = []
        self._blocked: dict[tuple[Any, ...], list[tuple[float, int, Any]]] = {}
        self._waiting_on: dict[str, set[tuple[Any, ...]]] = {}

    def push(self, node: Node) -> None:
        """Take in one whose requirements are met, or one that has become more urgent."""
        node.state = READY
        heapq.heappush(self._heap, (-node.priority, node.number, node))

    def pop(self) -> Node | None:
        """The one to run next, if any can be."""
        while self._heap:
            entry = heapq.heappop(self._heap)
            node: Node = entry[2]
            if node.state != READY:
                continue
            needs = tuple(sorted(node.needed.items()))
            lacking = self._resources.lacking(node.needed)
            if lacking is None:
                self._try_next(needs)
                return node
            heapq.heappush(self._blocked.setdefault(needs, []), entry)
            self._waiting_on.setdefault(lacking, set()).add(needs)
        return None

    def freed(self, resources: Iterable[str]) -> None:
        """There is more of these now. Of those with equal needs one is tried: the others cannot fit if it does not."""
        for name in resources:
            for needs in self._waiting_on.pop(name, ()):
                self._try_next(needs)

    def _try_next(self, needs: tuple[Any, ...]) -> None:
        if blocked := self._blocked.get(needs):
            heapq.heappush(self._heap, heapq.heappop(blocked))
