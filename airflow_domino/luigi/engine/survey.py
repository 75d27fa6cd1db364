"""What is complete in the graph of a task, asked top-down as Luigi asks: below a complete task nothing is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import luigi

from .bulk import complete_in_bulk
from .completion import dependencies, is_complete, is_external
from .outcome import PLAN_IMPOSSIBLE, Problem

COMPLETE = "complete"
DUE = "due"
EXTERNAL_MISSING = "external_missing"
COMPLETE_FAILED = "complete_failed"
REQUIRES_FAILED = "requires_failed"
DISABLED = "disabled"

THREADS = 8
MOST_TASKS = 100_000
# Local files are answered faster than a thread is woken; anything that goes over a network is not.
_SLOW_SECONDS = 0.002
_TRIED_FIRST = 3


@dataclass(slots=True)
class Surveyed:
    """One task of the graph and what was found out about it.

    :param state: one of the words above; what cannot be told is told by ``problem``
    :param requires: ids of what it requires; empty where nobody needed to look
    """

    task: luigi.Task
    state: str = DUE
    requires: tuple[str, ...] = ()
    problem: Problem | None = None


class Survey:
    """The graph below some tasks as far as Luigi would look at it, breadth first, each task asked once.

    :param threads: how many ``complete()`` may be asked at once where they take long; 1 asks in turn
    :param most_tasks: refuse a larger graph: it has no end in sight
    :param due: tasks that are not asked, since an earlier look found them incomplete
    """

    def __init__(self, *, threads: int = THREADS, most_tasks: int = MOST_TASKS, due: Iterable[luigi.Task] = ()) -> None:
        self.nodes: dict[str, Surveyed] = {}
        self._threads = threads
        self.due = {task.task_id for task in due}
        self._most_tasks = most_tasks

    def add(self, roots: Iterable[luigi.Task]) -> list[Surveyed]:
        """Look at some tasks and what is below them; those that are known already are not asked again.

        :returns: the tasks that were not known before
        :raises Problem: the graph has no end in sight
        """
        level = self._unknown(roots)
        new: list[Surveyed] = []
        while level:
            below: list[luigi.Task] = []
            for task, answer in zip(level, self._ask(level), strict=True):
                surveyed = self.nodes[task.task_id]
                new.append(surveyed)
                below += self._judge(surveyed, answer)
            level = self._unknown(below)
        self._settle_wrappers(new)
        for surveyed in new:
            _tell(surveyed)
        return new

    def _unknown(self, tasks: Iterable[luigi.Task]) -> list[luigi.Task]:
        found = []
        for task in tasks:
            if task.task_id not in self.nodes:
                self.nodes[task.task_id] = Surveyed(task)
                found.append(task)
        if len(self.nodes) > self._most_tasks:
            raise Problem(
                PLAN_IMPOSSIBLE,
                f"The graph has more than {self._most_tasks} tasks (it got to {found[-1]}): it has no end in sight; "
                "look for a requires() without one",
            )
        return found

    def _judge(self, surveyed: Surveyed, answer: bool | Problem | None) -> list[luigi.Task]:
        """Note what is known of a task now, and return what has to be looked at below it."""
        task = surveyed.task
        if isinstance(answer, Problem):
            surveyed.state, surveyed.problem = COMPLETE_FAILED, answer
            return []
        if answer:
            surveyed.state = COMPLETE
            return []
        if is_external(task):
            surveyed.state = EXTERNAL_MISSING
            return []
        try:
            required = dependencies(task)
        except Problem as problem:
            surveyed.state, surveyed.problem = REQUIRES_FAILED, problem
            task.trigger_event(luigi.Event.BROKEN_TASK, task, problem.__cause__ or problem)
            return []
        for one in required:
            task.trigger_event(luigi.Event.DEPENDENCY_DISCOVERED, task, one)
        surveyed.requires = tuple(dict.fromkeys(one.task_id for one in required))
        if task.disabled:
            surveyed.state = DISABLED
        return required

    def _ask(self, level: list[luigi.Task]) -> list[bool | Problem | None]:
        """Ask each task's ``complete()``; None for a wrapper, which is what the tasks below it are."""
        answers: dict[str, bool | Problem | None] = {task.task_id: None for task in level if is_plain_wrapper(task)}
        answers |= {task.task_id: False for task in level if task.task_id in self.due - answers.keys()}
        answers.update(complete_in_bulk([task for task in level if task.task_id not in answers]))
        rest = [task for task in level if task.task_id not in answers]
        for task, answer in zip(rest, in_parallel(_asked, rest, self._threads), strict=True):
            answers[task.task_id] = answer
        return [answers[task.task_id] for task in level]

    def _settle_wrappers(self, new: list[Surveyed]) -> None:
        """A wrapper is complete when all that it requires is: told without asking anybody again."""
        unsettled = {one.task.task_id for one in new if one.state == DUE and is_plain_wrapper(one.task)}
        for start in list(unsettled):
            stack = [start]
            while stack:
                surveyed = self.nodes[stack[-1]]
                unsettled.discard(stack[-1])
                waiting = [key for key in surveyed.requires if key in unsettled]
                if waiting:
                    stack.append(waiting[0])
                    continue
                stack.pop()
                if all(self.nodes[key].state == COMPLETE for key in surveyed.requires):
                    surveyed.state = COMPLETE


def is_plain_wrapper(task: luigi.Task) -> bool:
    """Whether a task's ``complete()`` is nothing but Luigi's own rule for wrappers."""
    cls = type(task)
    return (
        isinstance(task, luigi.WrapperTask)
        and cls.complete is luigi.WrapperTask.complete
        and cls.deps is luigi.Task.deps
        and cls._requires is luigi.Task._requires
        and not is_external(task)
    )


def in_parallel(ask: Callable[[Any], Any], questions: list[Any], threads: int) -> list[Any]:
    """Ask in turn while answers come at once, and with some threads when they do not.

    :param ask: one question
    :param threads: the most threads; 1 for none
    """
    answers: list[Any] = []
    began = time.monotonic()
    for question in questions:
        if threads > 1 and len(answers) >= _TRIED_FIRST and time.monotonic() - began > _SLOW_SECONDS * len(answers):
            break
        answers.append(ask(question))
    rest = questions[len(answers) :]
    if not rest:
        return answers
    pool = ThreadPoolExecutor(threads, thread_name_prefix="complete")
    try:
        return answers + list(pool.map(ask, rest))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _asked(task: luigi.Task) -> bool | Problem:
    try:
        return is_complete(task)
    except Problem as problem:
        return problem


def _tell(surveyed: Surveyed) -> None:
    """Fire Luigi's events of planning."""
    task = surveyed.task
    if surveyed.state == COMPLETE:
        task.trigger_event(luigi.Event.DEPENDENCY_PRESENT, task)
    elif surveyed.state in (EXTERNAL_MISSING, COMPLETE_FAILED):
        task.trigger_event(luigi.Event.DEPENDENCY_MISSING, task)
