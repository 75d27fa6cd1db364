"""One attempt at a Luigi task, in the process in which it runs: what ``luigi.worker.TaskProcess`` does in Luigi."""

from __future__ import annotations

import collections.abc
import contextlib
import importlib
import logging
import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import luigi
from luigi.task import flatten, getpaths

from .completion import dependencies, is_complete, missing_outputs, outputs, runs_each_time, truth
from .graph import COMPLETE, DONE, FAILED
from .journal import PROGRESS, RESOURCES, STATUS, TRACKING_URL, Journal
from .masking import kept_text
from .outcome import Problem, Terminated
from .race import lost_race
from .settings import Settings
from .survey import is_plain_wrapper

TARGET_MISSING = "target_missing"
NEEDS = "needs"

# What Luigi lends to a task while it runs, and the name of it here (luigi.worker.TaskProcess).
_LENT = {
    "set_tracking_url": "update_tracking_url",
    "set_status_message": "update_status_message",
    "set_progress_percentage": "update_progress_percentage",
    "decrease_running_resources": "decrease_running_resources",
    "scheduler_messages": "scheduler_messages",
}

logger = logging.getLogger("luigi-interface")


@dataclass
class Result:
    """How an attempt ended; its texts are masked and cut before anybody keeps them.

    :param ending: ``complete``, ``done``, ``failed``, or one of the words above
    :param seconds: how long ``run()`` took
    :param message: what went wrong, in one line
    :param explanation: what ``on_success()`` or ``on_failure()`` returned
    :param needs: what it has to wait for: requirements that ``run()`` yielded, or that turned out to be incomplete
    """

    ending: str
    seconds: float = 0.0
    message: str = ""
    explanation: Any = None
    needs: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Mask and cut what users' code wrote."""
        self.message = kept_text(self.message)
        if self.explanation:
            self.explanation = kept_text(self.explanation)


class TargetMissingError(Exception):
    """``run()`` went well, and the task is not complete all the same."""


class UnfulfilledError(RuntimeError):
    """A requirement turned out to be incomplete right before the run.

    :param missing: the requirements
    """

    def __init__(self, missing: Sequence[luigi.Task]) -> None:
        names = ", ".join(f"{task} ({', '.join(missing_outputs(task)) or 'it has no target'})" for task in missing)
        super().__init__(f"Unfulfilled {'dependency' if len(missing) == 1 else 'dependencies'} at run time: {names}")
        self.missing = list(missing)


class StatusReporter:
    """What a running task tells about itself, into the journal.

    Stands for ``luigi.worker.TaskStatusReporter``, whose names are kept: users' context managers may know them.
    """

    def __init__(self, task: luigi.Task, journal: Journal) -> None:
        self._task_id = task.task_id
        self._journal = journal
        self.scheduler_messages: Any = multiprocessing.Queue() if task.accepts_messages else None

    def _note(self, event: str, **said: Any) -> None:
        self._journal.note({"task_id": self._task_id, "event": event, **said})

    def update_tracking_url(self, tracking_url: str) -> None:
        """Tell where the task can be watched."""
        self._note(TRACKING_URL, url=tracking_url)

    def update_status_message(self, message: str) -> None:
        """Tell what it is doing."""
        self._note(STATUS, message=message)

    def update_progress_percentage(self, percentage: float) -> None:
        """Tell how far it is."""
        self._note(PROGRESS, percentage=percentage)

    def decrease_running_resources(self, decrease_resources: dict[str, int]) -> None:
        """Give back some of its resources before it ends."""
        self._note(RESOURCES, decrease=dict(decrease_resources))

    def report_task_statistics(self, statistics: dict[str, Any]) -> None:
        """Take what Luigi's scheduler would keep for its metrics."""


class Attempt:
    """Runs a task once: :meth:`run`, or :meth:`start` and :meth:`conclude` around a run that happens elsewhere.

    :param asks_first: ask complete() before the run, and do nothing if it says so: another process made the task
        meanwhile, perhaps
    :param unfit: requirements that cannot be complete
    """

    def __init__(
        self,
        task: luigi.Task,
        settings: Settings,
        journal: Journal,
        *,
        asks_first: bool = False,
        unfit: Sequence[luigi.Task] = (),
    ) -> None:
        self.task = task
        self.worker_id = f"airflow-domino-{os.getpid()}"
        self.worker_timeout = timeout_of(task, settings)
        self.use_multiprocessing = settings.forks or self.worker_timeout > 0
        self.status_reporter = StatusReporter(task, journal)
        self._settings = settings
        # A wrapper is complete as soon as what it requires is; its run() is due all the same.
        self._asks_first = asks_first and not isinstance(task, luigi.WrapperTask)
        self._unfit = unfit
        self._around = contextlib.ExitStack()
        self._began: float | None = None

    def run(self) -> Result:
        """All of it."""
        ended = self.start()
        if ended is not None:
            return ended
        try:
            needs = unmet_requirements(self.task)
            if Terminated.is_under_way:
                raise Terminated("run() went on although it was to end")
        except KeyboardInterrupt:
            self._around.close()
            raise
        except BaseException as error:
            return self.conclude(error)
        return self.conclude(needs=needs)

    def start(self) -> Result | None:
        """Do what comes before the run.

        :returns: how the attempt ended, if it is not to be run
        """
        try:
            self._around.enter_context(process_context(self._settings.context, self))
            if self._asks_first and is_complete(self.task):
                self._around.close()
                return Result(COMPLETE)
            self._check_requirements()
            self.task.trigger_event(luigi.Event.START, self.task)
            self._began = time.monotonic()
            self._around.enter_context(lent(self.task, self.status_reporter))
        except KeyboardInterrupt:
            self._around.close()
            raise
        except BaseException as error:
            return self.conclude(error)
        return None

    def conclude(self, error: BaseException | None = None, *, needs: Sequence[luigi.Task] = ()) -> Result:
        """Do what comes after the run.

        :param error: what it raised
        :param needs: what it yielded and waits for
        """
        with self._around:
            try:
                give_back(self.task)
                if error is not None:
                    raise error
                return Result(NEEDS, self._seconds(), needs=list(needs)) if needs else self._succeeded()
            except KeyboardInterrupt:
                raise
            except BaseException as raised:
                return self._failed(raised)

    def _check_requirements(self) -> None:
        missing = list(self._unfit)
        if not self._settings.strict and self._settings.checks_requirements:
            missing = [task for task in dependencies(self.task) if not is_complete(task)]
        if missing:
            raise UnfulfilledError(missing)

    def _succeeded(self) -> Result:
        seconds = self._seconds()
        if self._settings.checks_after and not self._is_taken_as_complete() and not is_complete(self.task):
            raise TargetMissingError(without_target(self.task))
        self.task.trigger_event(luigi.Event.PROCESSING_TIME, self.task, seconds)
        explanation = self.task.on_success()
        self.task.trigger_event(luigi.Event.SUCCESS, self.task)
        return Result(DONE, seconds, explanation=explanation)

    def _is_taken_as_complete(self) -> bool:
        if not self._settings.strict:
            return False
        return is_plain_wrapper(self.task) or runs_each_time(self.task)

    def _failed(self, error: BaseException) -> Result:
        if self._settings.strict and lost_race(error, self.task) and _is_complete_now(self.task):
            logger.warning("%s: another process made its target meanwhile: counted as done", self.task, exc_info=error)
            self.task.trigger_event(luigi.Event.SUCCESS, self.task)
            return Result(DONE, self._seconds())
        logger.error("failed %s", self.task, exc_info=error)
        raised = authors_own(error)
        self.task.trigger_event(luigi.Event.FAILURE, self.task, raised)
        explanation = self._ask_on_failure(raised)
        message = _in_words(error)
        if type(self.task).on_failure is not luigi.Task.on_failure and explanation:
            message += f" ({explanation})"
        ending, needs = FAILED, []
        if isinstance(error, TargetMissingError):
            ending, message = TARGET_MISSING, str(error)
        elif isinstance(error, UnfulfilledError):
            needs = error.missing
        elif self._began is not None:
            message += what_is_left(self.task)
        return Result(ending, self._seconds(), message, explanation, needs)

    def _ask_on_failure(self, raised: BaseException) -> Any:
        """What ``on_failure()`` returns; what it raises stands beside the failure, not instead of it."""
        try:
            return self.task.on_failure(raised)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            logger.error("on_failure() of %s raised", self.task, exc_info=error)
            return f"on_failure() raised {_in_words(error)}"

    def _seconds(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began


def timeout_of(task: luigi.Task, settings: Settings) -> float:
    """Seconds that the task's run may take; 0 for no limit."""
    return float(task.worker_timeout if task.worker_timeout is not None else settings.timeout)


def process_context(name: str | None, attempt: Attempt) -> Any:
    """The context manager that the configuration wants around each run (``[worker] task_process_context``)."""
    if not name:
        return contextlib.nullcontext()
    module, _, cls = name.rpartition(".")
    return getattr(importlib.import_module(module), cls)(attempt)


@contextlib.contextmanager
def lent(task: luigi.Task, reporter: StatusReporter) -> Any:
    """Lend the task what it may use while it runs, and nowhere else."""
    for theirs, ours in _LENT.items():
        setattr(task, theirs, getattr(reporter, ours))
    try:
        yield
    finally:
        give_back(task)


def give_back(task: luigi.Task) -> None:
    """Take back what was lent. Safe to repeat."""
    for theirs in _LENT:
        setattr(task, theirs, None)


def unmet_requirements(task: luigi.Task) -> list[luigi.Task]:
    """Run the task until its end, or until it yields requirements that are not complete, which are returned."""
    steps = task.run()
    if not isinstance(steps, collections.abc.Generator):
        return []
    answer = None
    while True:
        try:
            required, is_met, answer = _yielded(task, steps.send(answer))
        except StopIteration:
            return []
        if not is_met:
            return required


def _yielded(task: luigi.Task, yielded: Any) -> tuple[list[luigi.Task], bool, Any]:
    """What was yielded: the tasks, whether they are complete, and what is sent back."""
    own_kind = getattr(luigi, "DynamicRequirements", None)
    wrapped = own_kind is not None and isinstance(yielded, own_kind)
    required = list(flatten(yielded.requirements if wrapped else yielded))
    for one in required:
        if not isinstance(one, luigi.Task):
            raise TypeError(
                f"run() of {task} yielded {one!r}, which is not a Luigi task; yield instances, such as Orders()"
            )
    if wrapped:
        is_met = truth(yielded.complete(is_complete), f"custom_complete of what run() of {task} yielded")
        return required, is_met, yielded.paths if is_met else None
    is_met = all(map(is_complete, required))
    return required, is_met, getpaths(yielded) if is_met else None


def authors_own(error: BaseException) -> BaseException:
    """What the pipeline's own code raised, where that was put into words since."""
    return error.__cause__ if isinstance(error, Problem) and error.__cause__ is not None else error


def _in_words(error: BaseException) -> str:
    text = kept_text(error)  # also of an exception that cannot be written
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def what_is_left(task: luigi.Task) -> str:
    """What to say of a failed run whose task is complete all the same: the next start would not run it again."""
    if isinstance(task, luigi.WrapperTask) or not _is_complete_now(task):
        return ""
    return ". Its targets exist all the same, so the next start takes it for complete: remove them if it has to run"


def _is_complete_now(task: luigi.Task) -> bool:
    try:
        return is_complete(task)
    except Problem as problem:
        logger.warning("After its run it could not be asked whether %s is complete: %s", task, problem)
        return False


def without_target(task: luigi.Task) -> str:
    """What is wrong with a task that ran and is not complete."""
    missing = missing_outputs(task)
    if missing:
        return (
            f"{task} ran without an error, but its target is missing: {', '.join(missing)}. Let run() write "
            "what output() names."
        )
    if outputs(task):
        return (
            f"{task} ran without an error and its targets exist, but its complete() still says False. Correct "
            "complete()."
        )
    return (
        f"{task} ran without an error, but it has no target, so what requires it can never run. Give it an "
        "output() or a complete()."
    )
