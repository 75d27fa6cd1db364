"""One run being executed: its folder, its program, its log and its results."""

from __future__ import annotations

import logging
import secrets
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO, cast

from airflow_domino.local import limits as limiting
from airflow_domino.local import logs, processes, statuses
from airflow_domino.local.clock import now_ms
from airflow_domino.local.endings import INTERRUPTED_MESSAGE, failed
from airflow_domino.local.limits import Watched
from airflow_domino.local.logs import RunLog
from airflow_domino.local.requirements import RequirementsError
from airflow_domino.local.run_files import RunFiles
from airflow_domino.local.runs import Run, Runs
from airflow_domino.local.saved_results import SavedResults
from airflow_domino.local.workplace import PlatformFaultError, Workplace

logger = logging.getLogger(__name__)


_LEFTOVER_GRACE = 1.0
_PIPE_GRACE = 10.0
# Domino's launcher says nothing about these: the command was killed, or was asked to end.
_SILENT_EXIT_CODES = (0, 137, 143)

# What a run that an earlier server left in one of these has written is whole, and still to be saved.
TAKEN_UP = (statuses.FINISHING, *statuses.STOP_WISHES, statuses.STOPPING)


class Execution:
    """Executes one run, in a thread of its own.

    :param run: the run; its status is Scheduled.
    :param workplace: where and for whom.
    :param runs: where changes of the run are remembered.
    :param log: where its output goes.
    """

    def __init__(self, run: Run, workplace: Workplace, runs: Runs, log: RunLog) -> None:
        self.run = run
        self.log = log
        # The run's own credentials, which end with it.
        self.key = secrets.token_hex(32)
        log.hide([self.key])
        # Set when the program has ended, or is to be ended.
        self.wake = threading.Event()
        self._place = workplace
        self._runs = runs
        self._files = RunFiles(run, workplace, self._say, self.wake)
        self._is_interrupted = False
        self._loss: Callable[[Run], Run] | None = None
        self._memory_used: int | None = None

    def interrupt(self) -> None:
        """End the run since the server ends."""
        self._is_interrupted = True
        self.wake.set()

    def lose(self, change: Callable[[Run], Run]) -> None:
        """End the run at once, as if its machine were gone.

        :param change: gives the value of the run that was lost.
        """
        self._loss = change
        self.wake.set()

    def execute(self) -> None:
        """Carry the run from Scheduled, or from where an earlier server left it, to a status that is final."""
        try:
            if self.run.status in TAKEN_UP:
                self._take_up()
            elif self._advance(statuses.PREPARING):
                self._prepare()
                self._execute_prepared()
            else:
                self._end_stopped()
        except PlatformFaultError as error:
            self._end_unprepared(error.reason, str(error), statuses.ERROR)
        except RequirementsError as error:
            self._end_unprepared("SetupFailed", str(error), statuses.FAILED)
        except Exception as error:
            logger.exception("run %s could not be executed", self.run.id)
            self._end_in_error("InternalError", f"{type(error).__name__}: {error}")
        finally:
            self._files.remove()

    def _take_up(self) -> None:
        self._say("The local Domino had ended before it saved the results of this run. It saves them now.")
        self._files.take_up()
        if self.run.status == statuses.FINISHING:
            self._finish(self.run.exit_code or 0)
        else:
            self._end_stopped()

    # Preparing

    def _prepare(self) -> None:
        place, run = self._place, self.run
        self._say(f"Run {run.number} of {place.project.full_name}: {run.command}")
        revision = place.revision
        self._say(f"Hardware tier {place.tier.name}, environment {place.environment.name}, revision {revision.number}")
        if run.compute_cluster is not None:
            self._say("A compute cluster was asked for. The local Domino starts none; the command runs without it.")
        self._files.prepare()
        if self._files.repositories:
            self._change(lambda run: replace(run, repositories=self._files.repositories))

    def _environment(self) -> dict[str, str]:
        place, run = self._place, self.run
        return {
            **self._files.base_variables(),
            **self._files.variables(),
            processes.MARK: run.id,
            "DOMINO_RUN_ID": run.id,
            "DOMINO_RUN_NUMBER": str(run.number),
            "DOMINO_PROJECT_ID": place.project.id,
            "DOMINO_PROJECT_NAME": place.project.name,
            "DOMINO_PROJECT_OWNER": place.project.owner,
            "DOMINO_STARTING_USERNAME": run.started_by,
            "DOMINO_USER_NAME": run.started_by,
            "DOMINO_API_HOST": place.api_host,
            "DOMINO_USER_HOST": place.user_host,
            "DOMINO_USER_API_KEY": self.key,
            "DOMINO_HARDWARE_TIER_ID": run.tier_id,
            "DOMINO_ENVIRONMENT_ID": run.environment_id,
            "DOMINO_IS_WORKFLOW_JOB": "false",
            "DOMINO_IS_LOCAL_DATA_PLANE": "true",
        }

    # Running

    def _execute_prepared(self) -> None:
        started = self._advance(statuses.RUNNING, started_at=now_ms())
        exit_code = self._run_program() if started and not self.wake.is_set() else 0
        if self._is_interrupted:
            self._end_in_error("ServerEnded", INTERRUPTED_MESSAGE)
        elif self._loss is not None:
            self.log.say(logs.STDERR, self._change(self._loss).failure_message or "")
        elif self._advance(statuses.FINISHING, completed_at=now_ms(), exit_code=exit_code):
            self._finish(exit_code)
        else:
            self._end_stopped()

    def _run_program(self) -> int:
        limits, tier = self._place.limits, self._place.tier
        with limits.processors(tier) as processors:
            for note in limits.notes(tier, processors):
                self._say(note)
            try:
                process = self._start_program(processors)
            except (processes.ProgramNotFoundError, OSError, ValueError) as error:
                self.log.say(logs.STDERR, f"The command cannot be started: {error}")
                return 127
            watched = Watched(self.run.id, process.pid, limits.memory_of(tier), self._run_out_of_memory)
            with limits.memory.watching(watched):
                code, spent = self._wait_for_end(process)
        usage = watched.usage(spent)
        self._change(lambda run: replace(run, usage=usage))
        return limiting.EXIT_CODE if self._memory_used is not None else code

    def _start_program(self, processors: frozenset[int] | None) -> subprocess.Popen[bytes]:
        environment = self._environment()
        python, folder = self._files.python, self._files.folder
        arguments = processes.program_of(self.run.arguments, python, folder, environment["PATH"])
        with limiting.on_processors(processors):
            process = processes.start(arguments, folder, environment)
        limiting.let_go_first(process.pid)
        return process

    def _wait_for_end(self, process: subprocess.Popen[bytes]) -> tuple[int, processes.Spent]:
        pipes = {
            logs.STDOUT: cast("BinaryIO", process.stdout),
            logs.STDERR: cast("BinaryIO", process.stderr),
        }
        pump = threading.Thread(target=processes.pump, args=(pipes, self.log.write), daemon=True)
        pump.start()
        threading.Thread(target=self._wake_at_end, args=(process,), daemon=True).start()
        self.wake.wait()
        processes.end_run(self.run.id, process.pid, self._grace())
        spent = processes.reap(process)
        # Whoever could still write has ended, so the pipes close by themselves.
        pump.join(_PIPE_GRACE)
        return process.returncode if process.returncode >= 0 else 128 - process.returncode, spent

    def _run_out_of_memory(self, used: int) -> None:
        self._memory_used = used
        self.wake.set()

    def _wake_at_end(self, process: subprocess.Popen[bytes]) -> None:
        processes.wait(process)
        self.wake.set()

    def _grace(self) -> float:
        if self._loss is not None or self._memory_used is not None:
            return 0.0
        if self._is_interrupted:
            return _LEFTOVER_GRACE
        stopping = self._change(
            lambda run: replace(run, status=statuses.STOPPING) if run.status in statuses.STOP_WISHES else run
        )
        return self._place.stop_grace if stopping.status == statuses.STOPPING else _LEFTOVER_GRACE

    # Ending

    def _finish(self, exit_code: int) -> None:
        if exit_code not in _SILENT_EXIT_CODES:
            self._say_once(f"Failed with exit code: {exit_code}")
        elif self._memory_used is not None:
            self.log.say(logs.STDERR, limiting.memory_message(self._place.tier, self._memory_used))
        elif exit_code:
            self._say(f"The command was ended by a signal (exit code {exit_code})")
        stats, are_broken = self._files.stats()
        saved = self._files.save(self.log.output)
        status = statuses.FAILED if exit_code else statuses.SUCCEEDED
        failure = self._failure(exit_code)
        if failure is None and saved.problem is not None:
            status, failure = statuses.ERROR, ("ResultsNotSaved", saved.problem)
        self._change(
            lambda run: replace(
                self._saved(run, saved),
                status=status,
                stats=stats,
                stats_are_broken=are_broken,
                failure_reason=failure and failure[0],
                failure_message=failure and failure[1],
            )
        )

    def _failure(self, exit_code: int) -> tuple[str, str] | None:
        if self._memory_used is not None:
            return limiting.OUT_OF_MEMORY, limiting.memory_message(self._place.tier, self._memory_used)
        return ("UserCodeFailed", f"The command ended with exit code {exit_code}") if exit_code else None

    def _end_stopped(self) -> None:
        stopping = self._change(lambda run: replace(run, status=statuses.STOPPING, completed_at=now_ms()))
        saved = self._files.save(self.log.output) if stopping.keep_results else SavedResults(None)
        self._change(lambda run: replace(self._saved(run, saved), status=statuses.STOPPED))

    def _saved(self, run: Run, saved: SavedResults) -> Run:
        is_kept = saved.commit is not None and saved.is_changed
        results = saved.as_document(self._place.project.results) if is_kept else None
        return replace(
            run,
            saved_at=now_ms(),
            output_commit=saved.commit,
            results=results,
            repositories=self._files.repositories or run.repositories,
        )

    def _end_unprepared(self, reason: str, message: str, status: str) -> None:
        """End a run whose program has not begun, unless it was stopped or cut short meanwhile."""
        if self._is_interrupted:
            self._end_in_error("ServerEnded", INTERRUPTED_MESSAGE)
        elif self._change(lambda run: run).status in statuses.STOP_WISHES:
            self._end_stopped()
        else:
            self._end_in_error(reason, message, status)

    def _end_in_error(self, reason: str, message: str, status: str = statuses.ERROR) -> None:
        self.log.say(logs.STDERR, message)
        # What the platform fails has no results; a run that fails has them, also where its command was never begun.
        saved = self._files.save(self.log.output) if status == statuses.FAILED else SavedResults(None)

        def change(run: Run) -> Run:
            if run.is_completed:
                return run
            return failed(self._saved(run, saved), reason=reason, message=message, status=status)

        self._change(change)

    def _advance(self, status: str, **values: int) -> bool:
        """Give the run its next status, unless somebody wished it stopped."""

        def change(run: Run) -> Run:
            if run.status in statuses.STOP_WISHES or run.status == statuses.STOPPING:
                return run
            return replace(run, status=status, **values)  # type: ignore[arg-type]

        return self._change(change).status == status

    def _change(self, change: Callable[[Run], Run]) -> Run:
        self.run = self._runs.change(self.run.id, change)
        return self.run

    def _say_once(self, text: str) -> None:
        if [line.text for line in self.log.tail(1, (logs.STDOUT, logs.STDERR))] != [text]:
            self.log.say(logs.STDOUT, text)

    def _say(self, text: str) -> None:
        self.log.say(logs.PREPARE, text)
