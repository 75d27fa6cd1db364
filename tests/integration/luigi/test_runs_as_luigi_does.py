"""The same random graphs, from the same targets, run by ``luigi.build`` and by the engine: the same comes of them."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import luigi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from luigi.execution_summary import _summary_dict
from luigi.task_register import Register

from airflow_domino.luigi.engine import running
from airflow_domino.luigi.engine.outcome import Problem

pytestmark = pytest.mark.filterwarnings("ignore:Task .* without outputs has no custom complete:UserWarning")

WRITES, FORGETS, FAILS, HALVES = "writes", "forgets", "fails", "halves"


@dataclass(frozen=True)
class Made:
    """What a task of a random graph is like.

    :param requires: numbers of earlier tasks
    :param yields: numbers of earlier tasks, which it asks for while it runs: those of each step
    :param does: what its run() does; it "halves" when it raises after it has written
    :param broken: "complete" or "requires": which of them raises
    :param is_there: whether its target is there at the beginning
    """

    kind: str
    requires: tuple[int, ...] = ()
    yields: tuple[tuple[int, ...], ...] = ()
    does: str = WRITES
    broken: str = ""
    priority: int = 0
    is_there: bool = False


class World:
    """Where the tasks of one way of running them live: their targets, and how often each ran."""

    graph: tuple[Made, ...] = ()
    folder = Path()

    @classmethod
    def note_run(cls, number: int) -> None:
        """Count a run, perhaps in a forked process."""
        with (cls.folder.parent / "runs").open("a") as file:
            file.write(f"{number}\n")

    @classmethod
    def counted_runs(cls) -> Counter[int]:
        """How often each task ran."""
        return Counter(map(int, (cls.folder.parent / "runs").read_text().split()))

    @classmethod
    def targets(cls) -> dict[str, list[str]]:
        """The targets that are there, files and folders, and who wrote into them."""
        return {
            str(path.relative_to(cls.folder)): sorted(path.read_text().split()) if path.is_file() else []
            for path in cls.folder.rglob("*")
        }


class OfGraph(luigi.Task):
    """The task with a number in the graph of the world at the moment."""

    number = luigi.IntParameter()
    task_namespace = "oracle"

    @property
    def made(self) -> Made:
        return World.graph[self.number]

    @property
    def priority(self) -> int:
        return self.made.priority

    def requires(self) -> list[luigi.Task]:
        if self.made.broken == "requires":
            raise KeyError("lost")
        return [task_of(number) for number in self.made.requires]

    def run(self) -> Any:
        World.note_run(self.number)
        if self.made.yields:
            return self._run_in_steps()
        self._end()
        return None

    def _run_in_steps(self) -> Iterator[Any]:
        for step in self.made.yields:
            targets = yield [task_of(number) for number in step]
            assert len(targets) == len(step)
        self._end()

    def _end(self) -> None:
        if self.made.does == FAILS:
            raise RuntimeError("told to fail")
        if self.made.does in (WRITES, HALVES) and not isinstance(self, Wrapper | Targetless):
            for number, made in enumerate(World.graph):
                if made.kind == "folder" and self.number in made.requires:
                    (World.folder / str(number)).mkdir(exist_ok=True)
            self.write()
        if self.made.does == HALVES:
            raise RuntimeError("told to fail after writing")

    def write(self) -> None:
        with self.output().open("w") as file:
            file.write(str(self.number))


class Plain(OfGraph):
    """A task with a target."""

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(World.folder / str(self.number)))

    def complete(self) -> bool:
        if self.made.broken == "complete":
            raise OSError("away")
        return super().complete()


class Folder(Plain):
    """A task with a folder for a target, which the runs of what it requires make."""

    def write(self) -> None:
        (World.folder / str(self.number)).mkdir(exist_ok=True)
        (World.folder / str(self.number) / "own").write_text(str(self.number))


class InPlace(Plain):
    """A task that goes on with the file of what it requires, if that is one."""

    def output(self) -> luigi.LocalTarget:
        first = task_of(self.made.requires[0]) if self.made.requires else None
        return first.output() if isinstance(first, Plain) and not isinstance(first, Folder) else super().output()

    def write(self) -> None:
        with Path(self.output().path).open("a") as file:
            file.write(f" {self.number}")


class Wrapper(OfGraph, luigi.WrapperTask):
    """A wrapper whose run() is counted like the others'."""


class Targetless(OfGraph):
    """A task that has nothing to show."""


class External(Plain):
    """Data that somebody else makes."""

    run = None


KINDS = {
    "plain": Plain,
    "folder": Folder,
    "in_place": InPlace,
    "wrapper": Wrapper,
    "targetless": Targetless,
    "external": External,
}


def task_of(number: int) -> luigi.Task:
    return KINDS[World.graph[number].kind](number=number)


@dataclass
class Outcome:
    """What came of a graph."""

    targets: dict[str, list[str]]
    runs: Counter[int]
    groups: dict[str, set[int]]

    def __post_init__(self) -> None:
        self.groups = {name: members for name, members in self.groups.items() if members}


@contextmanager
def world(graph: tuple[Made, ...]) -> Iterator[None]:
    """Fresh targets for the graph."""
    with tempfile.TemporaryDirectory() as folder:
        World.graph, World.folder = graph, Path(folder) / "targets"
        World.folder.mkdir()
        (Path(folder) / "runs").touch()
        Register.clear_instance_cache()
        for number, made in enumerate(graph):
            if made.is_there and made.kind in ("plain", "external"):
                (World.folder / str(number)).write_text("from before")
        logging.disable()
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def run_by_luigi(graph: tuple[Made, ...]) -> Outcome:
    with world(graph):
        result = luigi.build(
            [task_of(len(graph) - 1)], local_scheduler=True, detailed_summary=True, log_level="CRITICAL"
        )
        groups = _summary_dict(result.worker)
        pending = numbers(groups["still_pending_ext"] | groups["still_pending_not_ext"])
        return Outcome(
            World.targets(),
            World.counted_runs(),
            {
                "done": numbers(groups["completed"]),
                "complete": numbers(groups["already_done"]),
                "failed": numbers(groups["failed"]),
                "scheduling_failed": numbers(groups["scheduling_error"]),
                # Luigi's summary also takes for external what waits for a requirement that its run() yielded.
                "external_missing": {one for one in pending if graph[one].kind == "external"},
                "waiting": {one for one in pending if graph[one].kind != "external"},
                "upstream_failed": numbers(groups["upstream_failure"]),
            },
        )


def numbers(tasks: Any) -> set[int]:
    return {task.number for task in tasks}


def run_by_engine(graph: tuple[Made, ...], **how: Any) -> Outcome:
    with world(graph), tempfile.TemporaryDirectory() as private:
        root = task_of(len(graph) - 1)
        ids = {task_of(number).task_id: number for number in range(len(graph))}
        try:
            answer = running.run(root, running.Journal(f"{private}/journal"), locks=f"{private}/locks", **how)
        except Problem as problem:
            answer = {"outcome": problem.outcome, **problem.details}
        groups: dict[str, set[int]] = {}
        if "tasks" not in answer:  # the root alone was asked
            state = "complete" if answer["outcome"] == "complete" else "scheduling_failed"
            groups[state] = {root.number}
        for one in answer.get("tasks", []):
            groups.setdefault(one["state"], set()).add(ids[one["task_id"]])
        if "complete" in groups:
            groups["complete"] &= looked_at_by_luigi(graph, groups) | {root.number}
        upstream_failed = groups.setdefault("upstream_failed", set())
        groups["waiting"] = upstream_failed | groups.pop("not_run", set())
        return Outcome(World.targets(), World.counted_runs(), groups)


def looked_at_by_luigi(graph: tuple[Made, ...], groups: dict[str, set[int]]) -> set[int]:
    """What is required or yielded by anything that is not complete: a complete wrapper is all that Luigi sees of it."""
    ran = World.counted_runs()
    incomplete = set().union(*groups.values()) - groups["complete"]
    steps = [step for number in incomplete if ran[number] for step in graph[number].yields]
    return set().union(*(graph[number].requires for number in incomplete), *steps)


# Their targets can appear before they run.
APPEARING = ("in_place", "folder")


def leaves_a_target(made: Made) -> bool:
    """Whether a task that ran is complete. If not, Luigi plans what requires it anew, and asks its complete() then."""
    return made.kind in ("plain", "external", *APPEARING) and made.does != FORGETS


@st.composite
def graphs(draw: st.DrawFn, *, dynamic: bool = False, most: int = 12) -> tuple[Made, ...]:
    """A graph whose last task is the root; each task may require any earlier ones."""
    # What never is complete although it ran lets Luigi's worker run what yields it again and again. And a wrapper asks
    # all below it: what raises there raises in Luigi's look at the wrapper, and not in ours.
    odd, broken = [("wrapper", []), ("external", ["requires"] if dynamic else ["complete", "requires"])][
        draw(st.booleans())
    ]
    # What a run() yields is asked while it runs, so it depends on the order of tasks what is there by then.
    kinds = ["plain"] * 6 + [odd, "external"] + ([] if dynamic else ["targetless", "in_place", "in_place", "folder"])
    endings = [WRITES] * 8 + [FAILS] + ([] if dynamic else [HALVES, FORGETS])
    made: list[Made] = []
    for number in range(draw(st.integers(1, most))):
        earlier = st.lists(st.integers(0, number - 1), max_size=4, unique=True) if number else st.just([])
        kind = draw(st.sampled_from(kinds))
        steps = draw(st.lists(earlier.map(tuple), max_size=3)) if dynamic and kind == "plain" else []
        made.append(
            Made(
                kind,
                tuple(one for one in draw(earlier) if kind not in APPEARING or leaves_a_target(made[one])),
                tuple(step for step in steps if step),
                draw(st.sampled_from([one for one in endings if one != FORGETS or kind not in APPEARING])),
                draw(st.sampled_from([""] * 20 + broken)),
                draw(st.sampled_from([0, 0, 0, 1, 5])),
                draw(st.sampled_from([False, False, False, True])),
            )
        )
    return tuple(made)


ORACLE = settings(max_examples=60, deadline=None)
FEW = settings(max_examples=8, deadline=None)


def comparable(graph: tuple[Made, ...], outcome: Outcome) -> Outcome:
    """Without what depends on the order of tasks that may run at once, and two of Luigi's ways.

    How often a task with dynamic requirements runs depends on what has been made by then. Luigi's summary finds out
    why something waits by requires() alone, and its worker tries a task that failed once more for each run() that
    yields it.
    """
    outcome.groups.pop("upstream_failed", None)
    for number, made in enumerate(graph):
        assert outcome.runs[number] <= 1 + len(made.yields) or made.does == FAILS
        if made.does == FAILS or made.yields:
            outcome.runs[number] = min(outcome.runs[number], 1)
    return outcome


@ORACLE
@given(graphs())
def test_by_luigis_rules_a_graph_ends_as_in_luigi(graph):
    ours, luigis = run_by_engine(graph, check="luigi"), run_by_luigi(graph)
    # Its summary looks one step up for what could not be scheduled; here that is told of all that waits for it.
    assert luigis.groups.pop("upstream_failed", set()) <= ours.groups.pop("upstream_failed", set())
    assert ours == luigis


@ORACLE
@given(graphs(dynamic=True))
def test_by_luigis_rules_a_graph_with_dynamic_requirements_ends_as_in_luigi(graph):
    assert comparable(graph, run_by_engine(graph, check="luigi")) == comparable(graph, run_by_luigi(graph))


@FEW
@given(graphs(dynamic=True, most=8))
def test_by_luigis_rules_in_several_processes_a_graph_ends_as_in_luigi(graph):
    ours = comparable(graph, run_by_engine(graph, check="luigi", workers=3))
    assert ours == comparable(graph, run_by_luigi(graph))


@ORACLE
@given(graphs())
def test_strictly_a_graph_ends_as_in_luigi_but_for_tasks_that_write_nothing(graph):
    assert_equal_but_for_forgetful(graph, run_by_engine(graph), run_by_luigi(graph))


@ORACLE
@given(graphs(dynamic=True))
def test_strictly_a_graph_with_dynamic_requirements_ends_as_in_luigi(graph):
    assert comparable(graph, run_by_engine(graph)) == comparable(graph, run_by_luigi(graph))


@FEW
@given(graphs(most=8))
def test_strictly_in_several_processes_a_graph_ends_as_in_luigi_but_for_tasks_that_write_nothing(graph):
    assert_equal_but_for_forgetful(graph, run_by_engine(graph, workers=3), run_by_luigi(graph))


def assert_equal_but_for_forgetful(graph: tuple[Made, ...], ours: Outcome, luigis: Outcome) -> None:
    """A run without its target fails here at once; Luigi lets those fail that require it. Nothing else differs."""
    assert (ours.targets, ours.runs) == (luigis.targets, luigis.runs)
    forgetful = {n for n, made in enumerate(graph) if made.kind == "plain" and made.does == FORGETS and luigis.runs[n]}
    for same in ("complete", "external_missing", "scheduling_failed"):
        assert ours.groups.get(same) == luigis.groups.get(same)
    done, failed, waiting = (luigis.groups.get(name, set()) for name in ("done", "failed", "waiting"))
    assert ours.groups.get("done", set()) == done - forgetful
    assert ours.groups.get("failed", set()) | ours.groups.get("waiting", set()) == failed | waiting | forgetful
    assert forgetful <= ours.groups.get("failed", set())


@pytest.mark.parametrize("check", ["strict", "luigi"])
def test_a_second_run_makes_what_the_first_could_not(check):
    graph = (Made("plain"), Made("plain", does=FAILS), Made("plain", (0,)), Made("plain", (1, 2)))
    with world(graph), tempfile.TemporaryDirectory() as private:
        how = {"locks": f"{private}/locks", "check": check}
        with pytest.raises(Problem, match="told to fail"):
            running.run(task_of(3), running.Journal(f"{private}/first"), **how)
        World.graph = (*graph[:1], Made("plain"), *graph[2:])
        answer = running.run(task_of(3), running.Journal(f"{private}/second"), **how)
        assert World.counted_runs() == {0: 1, 1: 2, 2: 1, 3: 1}
    assert answer["counts"] == {"complete": 1, "done": 2}


def test_a_task_runs_from_the_top_once_for_each_step_that_was_not_complete():
    graph = (Made("plain"), Made("plain"), Made("plain", is_there=True), Made("plain", yields=((0,), (1, 2), (2,))))
    ours, luigis = run_by_engine(graph), run_by_luigi(graph)
    assert ours == luigis
    assert ours.runs == {0: 1, 1: 1, 3: 3}
