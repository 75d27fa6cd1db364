"""Runs the tasks of a graph in linear time: each is looked at when something that it waits for has ended."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from multiprocessing.connection import wait as wait_for_any
from typing import Any

import luigi
from luigi import notifications

from . import journal as news
from .attempt import NEEDS, TARGET_MISSING, Attempt, Result, what_is_left
from .children import Child
from .completion import is_complete, is_external, runs_each_time
from .graph import (
    COMPLETE,
    DONE,
    EXTERNAL_MISSING,
    FAILED,
    GOOD,
    READY,
    RUNNING,
    SCHEDULING_FAILED,
    UNDECIDED,
    WAITING,
    Graph,
    Node,
    ReadyNodes,
)
from .journal import Entry, Journal
from .locks import Locks
from .masking import masked
from .outcome import Problem
from .progress import Progress
from .remote import Remote
from .resources import Resources
from .settings import MOST_DOMINO_RUNS, Settings
from .survey import Survey, Surveyed

_LOOK_AGAIN_SECONDS = 1.0
_TICK_SECONDS = 0.25
_GRACE_SECONDS = 30.0
_MOST_NAMED = 10

logger = logging.getLogger("luigi-interface")


class Dispatch:
    """Makes tasks with what they require, as far as that can be done.

    :param survey: asks what is complete
    :param settings: how tasks are run
    :param journal: is told what happens
    :param locks: keep other engines from running the same task at the same time
    :param domino_runs: how many Domino runs may be under way at once
    """

    def __init__(
        self,
        survey: Survey,
        settings: Settings,
        journal: Journal,
        locks: Locks,
        *,
        domino_runs: int = MOST_DOMINO_RUNS,
    ) -> None:
        self.graph = Graph()
        self.ran: list[str] = []
        self._survey = survey
        self._settings = settings
        self._journal = journal
        self._locks = locks
        self._progress = Progress()
        self._resources = Resources(settings.resources)
        self._ready = ReadyNodes(self._resources)
        self._ready_on_domino = ReadyNodes(self._resources)
        self._remote = Remote(domino_runs)
        self._children: dict[str, tuple[Node, Child]] = {}
        self._leaving: list[Child] = []
        self._locked: list[Node] = []
        self._look_again = 0.0

    def make(self, surveyed: Iterable[Surveyed]) -> None:
        """Run what is due; when this returns, every node of the graph has its verdict.

        :param surveyed: all that was found below some tasks
        """
        self._journal.subscribe(self._listen)
        self._add(surveyed)
        try:
            while self._start_all_that_can():
                self._wait()
        except BaseException:
            for _, child in self._children.values():
                child.signal(signal.SIGTERM)
            raise
        finally:
            self._remote.close()
            for child in [*self._leaving, *(child for _, child in self._children.values())]:
                child.join(_GRACE_SECONDS)
            self._locks.release_all()
        self._settle()

    # ---- planning ----------------------------------------------------------------------------------------------------

    def _add(self, surveyed: Iterable[Surveyed]) -> list[Node]:
        new = self.graph.add(surveyed)
        for node in new:
            self._adjust(node)
            event = news.PENDING if node.state == WAITING else node.state
            self._note(node, event, task=node.task, requires=node.requires, priority=node.priority)
        for node in new:
            if node.state == WAITING:
                self._progress.total += 1
                if not node.waits_for:
                    self._push(node)
        return new

    def _adjust(self, node: Node) -> None:
        most = self._settings.most_tasks
        if node.state == EXTERNAL_MISSING and self._settings.retries_external:
            node.state = WAITING
        if node.state == WAITING and most is not None and node.number > most:
            node.state, node.message = SCHEDULING_FAILED, f"there are more than {most} tasks ([worker] task_limit)"

    def _push(self, node: Node) -> None:
        (self._ready_on_domino if self._remote.takes(node.task) else self._ready).push(node)

    def _settle(self) -> None:
        undecided = [node for node in self.graph if node.state in UNDECIDED]
        self.graph.settle(self._resources)
        for node in undecided:
            self._note(node, node.state, message=node.message)

    # ---- starting ----------------------------------------------------------------------------------------------------

    def _start_all_that_can(self) -> bool:
        """Start as much as may run at once, and tell whether there is anything to wait for."""
        while True:
            self._take_ended()
            while self._remote.has_place and (node := self._ready_on_domino.pop()):
                self._start(node)
            if len(self._children) >= self._settings.workers:
                return True
            node = self._ready.pop()
            if node is None:
                return bool(self._children or self._remote.running or self._locked)
            self._start(node)

    def _start(self, node: Node) -> None:
        if not self._locks.take(node.task):
            self._leave_to_others(node)
        elif is_external(node.task):
            self._ask_external(node)
        else:
            node.state = RUNNING
            self._resources.take(node.task.task_id, node.needed)
            self._note(node, news.RUNNING)
            self._attempt(node)

    def _attempt(self, node: Node) -> None:
        attempt = Attempt(node.task, self._settings, self._journal, asks_first=node.was_locked, unfit=node.unfit)
        if self._remote.takes(node.task):
            self._progress.begins(node, " on Domino")
            ended = attempt.start()
            if ended is None:
                self._remote.submit(node, attempt)
            else:
                self._end(node, ended)
            return
        self._progress.begins(node)
        if attempt.use_multiprocessing:
            self._children[node.task.task_id] = (node, Child(attempt, self._locks))
        else:
            self._end(node, attempt.run())

    def _leave_to_others(self, node: Node) -> None:
        node.state = WAITING
        if not node.was_locked:
            logger.info("%s is being made by %s: left to it", node.task, self._locks.holder(node.task))
            node.was_locked = True
        if not self._locked:
            self._look_again = time.monotonic() + _LOOK_AGAIN_SECONDS
        self._locked.append(node)

    def _ask_external(self, node: Node) -> None:
        try:
            node.state = COMPLETE if is_complete(node.task) else EXTERNAL_MISSING
        except Problem as problem:
            node.state, node.message = SCHEDULING_FAILED, problem.message
        self._locks.release(node.task)
        self._decided(node)

    # ---- ending ------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        waitables = [waitable for _, child in self._children.values() for waitable in child.waitables]
        wait_for_any([self._remote.wake, *waitables], _TICK_SECONDS if self._children else _LOOK_AGAIN_SECONDS)

    def _take_ended(self) -> None:
        self._journal.catch_up()
        if self._remote.running:
            for node, attempt, error in self._remote.take_ended():
                if isinstance(error, TimeoutError):
                    node.task.trigger_event(luigi.Event.TIMEOUT, node.task, str(error))
                self._end(node, attempt.conclude(error))
        for task_id, (node, child) in list(self._children.items()):
            ended = child.poll()
            if ended is None:
                child.end_if_late()
            else:
                del self._children[task_id]
                self._leaving.append(child)
                self._journal.catch_up()
                self._end(node, self._result(child, ended))
        self._leaving = [child for child in self._leaving if not child.reap()]
        if self._locked and time.monotonic() >= self._look_again:
            locked, self._locked = self._locked, []
            for node in locked:
                self._push(node)

    def _result(self, child: Child, ended: Result | str) -> Result:
        """What a forked process answered, or what is known when it did not."""
        task = child.task
        if isinstance(ended, Result) and not (child.has_timed_out and ended.ending == FAILED):
            return ended
        if child.has_timed_out:
            event, message = luigi.Event.TIMEOUT, f"it took longer than {child.timeout:g} s (worker_timeout): ended"
        else:
            event, message = luigi.Event.PROCESS_FAILURE, str(ended)
        task.trigger_event(event, task, f"{task}: {message}")
        return Result(FAILED, child.seconds, message + what_is_left(task))

    def _end(self, node: Node, result: Result) -> None:
        task = node.task
        self._locks.release(task)
        self._freed(self._resources.give_back(task.task_id))
        node.seconds += result.seconds
        if result.needs:
            result = self._reconsider(node, result)
        if result.ending == NEEDS:
            self._note(node, news.PENDING, task=task, requires=node.requires, priority=node.priority)
            self._progress.ended(node, result)
            return
        node.message = result.message
        node.is_target_missing = result.ending == TARGET_MISSING
        node.state = result.ending if result.ending in GOOD else FAILED
        if node.state == FAILED:
            self._progress.failed(node)
            self._mail(node, result)
        else:
            self._progress.ended(node, result)
        if node.state == DONE:
            self.ran.append(task.task_id)
            self._locks.note_made(task)
        self._decided(node, result.explanation)

    def _decided(self, node: Node, explanation: Any = None) -> None:
        self._note(node, node.state, seconds=node.seconds, message=node.message, explanation=explanation)
        if not node.is_good or not node.dependents:
            return
        unfit = self._settings.strict and node.state == DONE and runs_each_time(node.task)
        for dependent in node.dependents:
            dependent.waits_for -= 1
            if unfit:
                dependent.unfit.append(node.task)
            if not dependent.waits_for and dependent.state == WAITING:
                self._push(dependent)
        node.dependents = []

    def _reconsider(self, node: Node, result: Result) -> Result:
        """Let a task wait for what turned out to be incomplete, and say NEEDS; or say that this leads nowhere."""
        needs = result.needs
        for task in needs:
            known = self.graph.nodes.get(task.task_id)
            if known is not None and known.state == COMPLETE and task.task_id not in node.asked_again:
                # It was there when we asked: somebody took it away since.
                node.asked_again.add(task.task_id)
                self.graph.forget(task.task_id)
                self._survey.nodes.pop(task.task_id, None)
        new = self._add(self._survey.add(needs))
        ids = tuple(dict.fromkeys(task.task_id for task in needs))
        if not new and all(self.graph.nodes[task_id].is_good for task_id in ids):
            return result if result.ending == FAILED else self._leads_nowhere(node, needs)
        node.state = WAITING
        node.requires = tuple(dict.fromkeys((*node.requires, *ids)))
        self.graph.wait(node, ids)
        for raised in self.graph.raise_below(node):
            if raised.state == READY:
                self._push(raised)
        if not node.waits_for:
            self._push(node)
        return Result(NEEDS, result.seconds)

    def _leads_nowhere(self, node: Node, needs: list[luigi.Task]) -> Result:
        incomplete = [task for task in needs if not task.complete()][:_MOST_NAMED]
        names = ", ".join(map(str, incomplete or needs[:_MOST_NAMED]))
        why = (
            "its complete() still says False. Does that depend on an insignificant parameter? Luigi takes tasks that"
            " differ only in such for one and the same (spotify/luigi#3255)"
            if incomplete
            else "its custom_complete still says that it is not complete"
        )
        error = RuntimeError(f"run() yielded {names}, which has been made, but {why}")
        return Attempt(node.task, self._settings, self._journal).conclude(error)

    # ---- telling -----------------------------------------------------------------------------------------------------

    def _listen(self, entry: Entry) -> None:
        node = self.graph.nodes.get(entry["task_id"])
        if node is None:
            return
        if entry["event"] == news.TRACKING_URL:
            node.url = entry["url"]
        elif entry["event"] == news.STATUS:
            node.message = str(entry["message"])
        elif entry["event"] == news.RESOURCES:
            self._freed(self._resources.give_back(entry["task_id"], entry["decrease"]))

    def _freed(self, resources: list[str]) -> None:
        self._ready.freed(resources)
        self._ready_on_domino.freed(resources)

    def _note(self, node: Node, event: str, **more: Any) -> None:
        self._journal.note({"task_id": node.task.task_id, "event": event, **more})

    def _mail(self, node: Node, result: Result) -> None:
        """Tell a failure by e-mail, where the configuration's ``[email]`` has receivers (luigi.worker.Worker)."""
        if not self._settings.mails:
            return
        command, text = subprocess.list2cmdline(sys.argv), str(result.explanation or node.message)
        message = notifications.format_task_error("A task failed when running.", node.task, command, text)
        # Luigi lists all parameters in it, private ones too.
        notifications.send_error_email(f"Luigi: {node.task} FAILED", masked(message), node.task.owner_email)
