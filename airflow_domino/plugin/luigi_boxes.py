"""What is drawn of a graph of Luigi tasks: a box for each task, or for many tasks of a family one box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from airflow_domino.plugin.luigi_values import STATES, LuigiGraph, LuigiTask

#: A graph of so many tasks is drawn as it is.
MOST_PLAIN = 60
MOST_UNFOLDED = 60
MOST_BOXES = 300
_SMALL_FAMILY = 6
_MOST_STRIKING = 20
_STRIKING = frozenset({"failed", "running"})


@dataclass(frozen=True)
class Box:
    """One box of the drawing.

    :param key: of its task; of a family ``family:`` and its name
    :param task: what it stands for; None for a family
    :param counts: of a family: how many of its tasks are in each state, the most urgent first
    :param rest: of a family: whether some of its tasks have boxes of their own
    """

    key: str
    family: str
    task: LuigiTask | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    rest: bool = False

    @property
    def size(self) -> int:
        """How many tasks it stands for."""
        return 1 if self.task is not None else sum(self.counts.values())

    @property
    def state(self) -> str:
        """The task's state; of a family the most urgent one."""
        return self.task.state if self.task is not None else next(iter(self.counts), "unknown")


@dataclass(frozen=True)
class Boxes:
    """All boxes, and which leads to which.

    :param edges: from what is required to what requires it, with the number of requirements it stands for
    :param left_out: how many families are not drawn, since there would be too many boxes
    """

    boxes: tuple[Box, ...]
    edges: Mapping[tuple[str, str], int]
    left_out: int = 0

    @property
    def folded(self) -> tuple[Box, ...]:
        """The boxes of families."""
        return tuple(box for box in self.boxes if box.task is None)


def fold(graph: LuigiGraph, *, unfolded: Collection[str] = (), chosen: str = "") -> Boxes:
    """Choose what is drawn: all of a small graph; of a large one what strikes, and the rest by family.

    :param unfolded: families whose tasks are drawn one by one, as many as is reasonable
    :param chosen: key of a task that is drawn by itself in any case, as is what is next to it
    """
    alone = _alone(graph, frozenset(unfolded), chosen)
    place: dict[str, str] = {}
    members: dict[str, list[LuigiTask]] = {}
    for task in graph.tasks.values():
        place[task.key] = task.key if task.key in alone else f"family:{task.family}"
        if task.key not in alone:
            members.setdefault(task.family, []).append(task)
    shown = {task.family for task in graph.tasks.values() if task.key in alone}
    boxes = [Box(task.key, task.family, task) for task in graph.tasks.values() if task.key in alone]
    families = sorted(members.items(), key=lambda one: -len(one[1]))
    room = max(MOST_BOXES - len(boxes), 1)
    for family, tasks in families[:room]:
        boxes.append(Box(f"family:{family}", family, None, _counts(tasks), family in shown))
    drawn = {box.key for box in boxes}
    edges: Counter[tuple[str, str]] = Counter()
    for task in graph.tasks.values():
        for required in task.requires:
            ends = (place.get(required, ""), place[task.key])
            if ends[0] in drawn and ends[1] in drawn:
                edges[ends] += 1
    return Boxes(tuple(boxes), dict(edges), max(len(families) - room, 0))


def _alone(graph: LuigiGraph, unfolded: frozenset[str], chosen: str) -> set[str]:
    """Keys of the tasks that have boxes of their own."""
    tasks = graph.tasks
    if len(tasks) <= MOST_PLAIN:
        return set(tasks)
    sizes = Counter(task.family for task in tasks.values())
    small = [task.key for task in tasks.values() if sizes[task.family] <= _SMALL_FAMILY]
    found = set(small[: MOST_BOXES // 2])
    found.update(_first((task for task in tasks.values() if task.state in _STRIKING), _MOST_STRIKING))
    for family in sorted(unfolded):
        found.update(_first((task for task in tasks.values() if task.family == family), MOST_UNFOLDED))
    if chosen in tasks:
        around = [*tasks[chosen].requires, *graph.required_by.get(chosen, ())]
        found |= {chosen, *[key for key in around if key in tasks][:_MOST_STRIKING]}
    return found


def _first(tasks: Iterable[LuigiTask], most: int) -> list[str]:
    """Keys of the most urgent of some tasks."""
    order = {state: number for number, state in enumerate(STATES)}
    return [task.key for task in sorted(tasks, key=lambda task: order[task.state])[:most]]


def _counts(tasks: Iterable[LuigiTask]) -> dict[str, int]:
    found = Counter(task.state for task in tasks)
    return {state: found[state] for state in STATES if found[state]}
