"""What the page of a DAG run's Luigi tasks shows of them, as its address says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from urllib.parse import quote, urlencode

from airflow_domino.plugin.addresses import base_path
from airflow_domino.plugin.luigi_boxes import Box, Boxes, fold
from airflow_domino.plugin.luigi_layout import HEIGHT, WIDTH, Layout, lay_out
from airflow_domino.plugin.luigi_targets import Answer, Place, answer_for, lost, places_of
from airflow_domino.plugin.luigi_values import STATES, LuigiGraph, LuigiTask, Target

ROWS = 50
TARGETS_IN_ROW = 3
MOST_NEIGHBOURS = 20
_LONGEST_TITLE = 23
_LONGEST_LINE = 29
_BAR = 180


@dataclass(frozen=True)
class Chosen:
    """The page's address in words.

    :param task: key of the task whose details are shown
    :param unfold: families whose tasks are drawn one by one
    :param state: only these are listed
    :param family: only these are listed
    :param words: only tasks whose name or values hold this are listed
    :param start: how many are listed before those shown
    """

    dag_id: str
    run_id: str
    task: str = ""
    unfold: tuple[str, ...] = ()
    state: str = ""
    family: str = ""
    words: str = ""
    start: int = 0
    tab: bool = False

    def address(self, **other: object) -> str:
        """The page with another choice, relative to the application."""
        return f"luigi?{self._query(replace(self, **other))}"  # type: ignore[arg-type]  # each is named by its field

    @staticmethod
    def _query(chosen: Chosen) -> str:
        pairs = [("dag_id", chosen.dag_id), ("run_id", chosen.run_id), ("task", chosen.task)]
        pairs += [("unfold", family) for family in chosen.unfold]
        pairs += [("state", chosen.state), ("family", chosen.family), ("q", chosen.words)]
        pairs += [("start", str(chosen.start or "")), ("tab", "1" if chosen.tab else "")]
        return urlencode([pair for pair in pairs if pair[1]])


@dataclass(frozen=True)
class Part:
    """A part of the bar that shows the states of a family."""

    state: str
    x: float
    width: float


@dataclass(frozen=True)
class Drawn:
    """A box with its place and its words.

    :param says: all about it in one sentence, for who hears or points at it
    """

    box: Box
    x: int
    y: int
    title: str
    line: str
    says: str
    href: str
    parts: tuple[Part, ...] = ()
    is_chosen: bool = False
    is_lost: bool = False


@dataclass(frozen=True)
class View:
    """All that the page shows.

    :param boxes: what is drawn
    :param targets: what is known of targets now
    """

    graph: LuigiGraph
    chosen: Chosen
    boxes: Boxes
    targets: Mapping[Place, Answer] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: LuigiGraph, chosen: Chosen, look: Callable[[list[Place]], Mapping[Place, Answer]]) -> View:
        """Choose what is shown, and have its targets looked for.

        :param look: tells of some targets whether they exist
        """
        view = cls(graph, chosen, fold(graph, unfolded=chosen.unfold, chosen=chosen.task))
        return replace(view, targets=look(view.places()))

    @cached_property
    def layout(self) -> Layout:
        """Where."""
        return lay_out([box.key for box in self.boxes.boxes], self.boxes.edges)

    @property
    def task(self) -> LuigiTask | None:
        """The task whose details are shown."""
        return self.graph.tasks.get(self.chosen.task)

    @cached_property
    def found(self) -> list[LuigiTask]:
        """The tasks that the list is of, the most urgent first."""
        order = {state: number for number, state in enumerate(STATES)}
        fitting = [task for task in self.graph.tasks.values() if _fits(task, self.chosen)]
        return sorted(fitting, key=lambda task: order[task.state])

    @property
    def rows(self) -> list[LuigiTask]:
        """Those that are listed on this page."""
        return self.found[self.chosen.start : self.chosen.start + ROWS]

    @property
    def families(self) -> list[str]:
        """All families, by name."""
        return sorted({task.family for task in self.graph.tasks.values()})

    def places(self) -> list[Place]:
        """Where the targets are that can be seen on this page: of the chosen task first."""
        chosen = places_of([self.task]) if self.task else []
        alone = [box.task for box in self.boxes.boxes if box.task is not None]
        return [*chosen, *places_of([*self.rows, *alone], TARGETS_IN_ROW)]

    def drawn(self) -> list[Drawn]:
        """The boxes, from left to right and from top to bottom, which is also the keyboard's way."""
        found = [self._drawn(box) for box in self.boxes.boxes]
        return sorted(found, key=lambda one: (one.x, one.y))

    def _drawn(self, box: Box) -> Drawn:
        x, y = self.layout.places[box.key]
        if box.task is not None:
            return self._of_task(box, box.task, x, y)
        counts = ", ".join(f"{number:,} {STATES[state]}" for state, number in box.counts.items())
        more = "more of " if box.rest else ""
        unfold = () if box.family in self.chosen.unfold else (box.family,)
        return Drawn(
            box,
            x,
            y,
            title=cut(f"{box.size:,} × {box.family}", _LONGEST_TITLE),
            line=cut(counts, _LONGEST_LINE + 2),
            says=f"{box.size:,} {more}{box.family}: {counts}",
            href=self.chosen.address(unfold=(*self.chosen.unfold, *unfold), family=box.family, start=0),
            parts=_parts(box.counts),
        )

    def _of_task(self, box: Box, task: LuigiTask, x: int, y: int) -> Drawn:
        is_lost = bool(lost(self.targets, task))
        kind = "external" if task.is_external else "wrapper" if task.is_wrapper else task.tier or ""
        what = ", ".join(part for part in (task.values, kind) if part)
        told_apart_by = ", ".join(part for part in (task.values_of(self.graph.telling[task.family]), kind) if part)
        said = f"{task.name}: {STATES[task.state]}{', but its target is missing now' if is_lost else ''}"
        line = "target missing now" if is_lost else STATES[task.state]
        if task.state == "running" and task.progress is not None:
            line = f"{line} {task.progress} %"
        return Drawn(
            box,
            x,
            y,
            title=cut(task.name, _LONGEST_TITLE),
            line=cut(f"{line} · {told_apart_by}" if told_apart_by else line, _LONGEST_LINE),
            says=f"{said}; {what}" if what else said,
            href=self.chosen.address(task=task.key),
            is_chosen=task.key == self.chosen.task,
            is_lost=is_lost,
        )

    def answer(self, task: LuigiTask, target: Target) -> Answer:
        """What is known of a task's target now."""
        return answer_for(self.targets, task, target) or Answer("asked")

    def reasons(self, task: LuigiTask) -> list[str]:
        """Why it cannot be told whether targets of a task exist."""
        answers = (self.answer(task, target).why for target in task.targets)
        return list(dict.fromkeys(why for why in answers if why))

    @property
    def run_path(self) -> str:
        """Address of the DAG run in Airflow's UI, relative to the host."""
        return f"{base_path()}/dags/{quote(self.chosen.dag_id, safe='')}/runs/{quote(self.chosen.run_id, safe='')}"

    def neighbours(self, keys: Sequence[str]) -> list[LuigiTask]:
        """The first of some tasks."""
        return [self.graph.tasks[key] for key in keys if key in self.graph.tasks][:MOST_NEIGHBOURS]

    @property
    def box_size(self) -> tuple[int, int]:
        """Width and height of each box."""
        return WIDTH, HEIGHT


def _fits(task: LuigiTask, chosen: Chosen) -> bool:
    if chosen.state and task.state != chosen.state:
        return False
    if chosen.family and task.family != chosen.family:
        return False
    return (
        not chosen.words or chosen.words.lower() in f"{task.name} {task.family} {task.values} {task.luigi_id}".lower()
    )


def _parts(counts: Mapping[str, int]) -> tuple[Part, ...]:
    """The states of a family as parts of a bar, each at least so wide that it can be seen."""
    total, x, found = sum(counts.values()), 0.0, []
    wide = {state: max(_BAR * number / total, 3.0) for state, number in counts.items()}
    shrink = _BAR / sum(wide.values()) if wide else 1.0
    for state, width in wide.items():
        found.append(Part(state, round(x, 1), round(width * shrink, 1)))
        x += width * shrink
    return tuple(found)


def cut(text: str, longest: int) -> str:
    """A text that is not longer than there is room."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
