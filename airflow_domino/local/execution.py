"""One run being executed: its folder, its program, its log and its results."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

from airflow_domino.local import logs, processes, statuses
from airflow_domino.local.clock import now_ms
from airflow_domino.local.environments import Environment, Revision
from airflow_domino.local.logs import RunLog
from airflow_domino.local.projects import Project
from airflow_domino.local.repository import Checkout, ProjectRepository
from airflow_domino.local.runs import Run, Runs
from airflow_domino.local.tiers import Tier

logger = logging.getLogger(__name__)

GIT_REF_TYPES = ("head", "branches", "tags", "commitId", "ref")
INTERRUPTED_MESSAGE = "The local Domino ended while this run was executing."

_STATS_FILE = "dominostats.json"
_LARGEST_STATS = 1 << 20
_LEFTOVER_GRACE = 1.0
_PIPE_GRACE = 10.0
# Domino's launcher says nothing about these: the command was killed, or was asked to end.
_SILENT_EXIT_CODES = (0, 137, 143)


class PlatformFaultError(Exception):
    """The run cannot be executed for a reason that is not its program's; the message says which."""


@dataclass(frozen=True)
class Workplace:
    """Where and for whom a run is executed."""

    project: Project
    repository: ProjectRepository
    environment: Environment
    revision: Revision
    tier: Tier
    folder: Path
    datasets: Path
    api_host: str
    user_host: str
    user: str
    stop_grace: float


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
        # Set when the program has ended, or is to be ended.
        self.wake = threading.Event()
        self._place = workplace
        self._runs = runs
        self._is_interrupted = False

    def interrupt(self) -> None:
        """End the run since the server ends."""
        self._is_interrupted = True
        self.wake.set()

    def execute(self) -> None:
        """Carry the run from Scheduled to a status that is final."""
        try:
            if self._advance(statuses.PREPARING):
                self._execute_prepared(self._prepare())
            else:
                self._end_stopped(None)
        except PlatformFaultError as error:
            self._end_in_error("PlatformFault", str(error))
        except Exception as error:
            logger.exception("run %s could not be executed", self.run.id)
            self._end_in_error("InternalError", f"{type(error).__name__}: {error}")
        finally:
            shutil.rmtree(self._place.folder, ignore_errors=True)

    # Preparing

    def _prepare(self) -> Checkout:
        place, run = self._place, self.run
        self._say(f"Run {run.number} of {place.project.full_name}: {run.command}")
        revision = place.revision
        self._say(f"Hardware tier {place.tier.name}, environment {place.environment.name}, revision {revision.number}")
        if run.git_ref is not None and run.git_ref.get("type") not in GIT_REF_TYPES:
            raise PlatformFaultError(f"unknown reference type: {run.git_ref.get('type')}")
        if run.compute_cluster is not None:
            self._say("A compute cluster was asked for. The local Domino starts none; the command runs without it.")
        shutil.rmtree(place.folder, ignore_errors=True)
        place.folder.mkdir(parents=True)
        place.datasets.mkdir(parents=True, exist_ok=True)
        checkout = place.repository.check_out(run.input_commit, place.folder)
        (place.folder / _STATS_FILE).unlink(missing_ok=True)
        self._say(f"Files of commit {run.input_commit}: {len(checkout.stamps)}")
        return checkout

    def _environment(self) -> dict[str, str]:
        place, run = self._place, self.run
        return {
            **processes.base_environment(place.revision.python),
            processes.MARK: run.id,
            "DOMINO_RUN_ID": run.id,
            "DOMINO_RUN_NUMBER": str(run.number),
            "DOMINO_PROJECT_ID": place.project.id,
            "DOMINO_PROJECT_NAME": place.project.name,
            "DOMINO_PROJECT_OWNER": place.project.owner,
            "DOMINO_STARTING_USERNAME": run.started_by,
            "DOMINO_USER_NAME": place.user,
            "DOMINO_WORKING_DIR": str(place.folder),
            "DOMINO_DATASETS_DIR": str(place.datasets),
            "DOMINO_API_HOST": place.api_host,
            "DOMINO_USER_HOST": place.user_host,
            "DOMINO_USER_API_KEY": self.key,
            "DOMINO_HARDWARE_TIER_ID": run.tier_id,
            "DOMINO_ENVIRONMENT_ID": run.environment_id,
            "DOMINO_IS_GIT_BASED": "false",
            "DOMINO_IS_WORKFLOW_JOB": "false",
            "DOMINO_IS_LOCAL_DATA_PLANE": "true",
        }

    # Running

    def _execute_prepared(self, checkout: Checkout) -> None:
        started = self._advance(statuses.RUNNING, started_at=now_ms())
        exit_code = self._run_program() if started else 0
        if self._is_interrupted:
            self._end_in_error("ServerEnded", INTERRUPTED_MESSAGE)
        elif self._advance(statuses.FINISHING, completed_at=now_ms(), exit_code=exit_code):
            self._finish(checkout, exit_code)
        else:
            self._end_stopped(checkout)

    def _run_program(self) -> int:
        environment = self._environment()
        python, folder = self._place.revision.python, self._place.folder
        try:
            arguments = processes.program_of(self.run.arguments, python, folder, environment["PATH"])
            process = processes.start(arguments, folder, environment)
        except (processes.ProgramNotFoundError, OSError, ValueError) as error:
            self.log.say(logs.STDERR, f"The command cannot be started: {error}")
            return 127
        pipes = {
            logs.STDOUT: cast("BinaryIO", process.stdout),
            logs.STDERR: cast("BinaryIO", process.stderr),
        }
        pump = threading.Thread(target=processes.pump, args=(pipes, self.log.write), daemon=True)
        pump.start()
        threading.Thread(target=self._wake_at_end, args=(process,), daemon=True).start()
        self.wake.wait()
        processes.end_run(self.run.id, process.pid, self._grace())
        code = process.wait()
        # Whoever could still write has ended, so the pipes close by themselves.
        pump.join(_PIPE_GRACE)
        return code if code >= 0 else 128 - code

    def _wake_at_end(self, process: subprocess.Popen[bytes]) -> None:
        processes.wait(process)
        self.wake.set()

    def _grace(self) -> float:
        if self._is_interrupted:
            return _LEFTOVER_GRACE
        stopping = self._change(
            lambda run: replace(run, status=statuses.STOPPING) if run.status in statuses.STOP_WISHES else run
        )
        return self._place.stop_grace if stopping.status == statuses.STOPPING else _LEFTOVER_GRACE

    # Ending

    def _finish(self, checkout: Checkout, exit_code: int) -> None:
        if exit_code not in _SILENT_EXIT_CODES:
            self.log.say(logs.STDOUT, f"Failed with exit code: {exit_code}")
        elif exit_code:
            self._say(f"The command was ended by a signal (exit code {exit_code})")
        stats, are_broken = self._read_stats()
        output_commit = self._save(checkout)
        failure = None if exit_code == 0 else "UserCodeFailed"
        self._change(
            lambda run: replace(
                run,
                status=statuses.SUCCEEDED if exit_code == 0 else statuses.FAILED,
                saved_at=now_ms(),
                output_commit=output_commit,
                stats=stats,
                stats_are_broken=are_broken,
                failure_reason=failure,
                failure_message=failure and f"The command ended with exit code {exit_code}",
            )
        )

    def _end_stopped(self, checkout: Checkout | None) -> None:
        stopping = self._change(lambda run: replace(run, status=statuses.STOPPING, completed_at=now_ms()))
        output_commit = self._save(checkout) if checkout is not None and stopping.keep_results else None
        self._change(lambda run: replace(run, status=statuses.STOPPED, saved_at=now_ms(), output_commit=output_commit))

    def _end_in_error(self, reason: str, message: str) -> None:
        self.log.say(logs.STDERR, message)

        def change(run: Run) -> Run:
            now = now_ms()
            ended = replace(run, status=statuses.ERROR, completed_at=run.completed_at or now, saved_at=now)
            return replace(ended, failure_reason=reason, failure_message=message)

        self._change(change)

    def _read_stats(self) -> tuple[list[dict[str, str]], bool]:
        path = self._place.folder / _STATS_FILE
        if path.is_symlink() or not path.is_file():
            return [], False
        try:
            if path.stat().st_size > _LARGEST_STATS:
                raise ValueError("the file is too large")
            values = json.loads(path.read_bytes())
            if not isinstance(values, dict):
                raise ValueError("it must hold one JSON object")
        except (OSError, ValueError) as error:
            self._say(f"{_STATS_FILE} cannot be used: {error}")
            return [], True
        return [{"name": name, "value": _as_text(value)} for name, value in values.items()], False

    def _save(self, checkout: Checkout) -> str | None:
        run, notes = self.run, list[str]()
        has_output = self.log.output.stat().st_size > 0
        saved = self._place.repository.commit_run(
            checkout,
            run.id,
            f"Results of run {run.number}: {run.title or run.command}",
            run.started_by,
            extra={"results/stdout.txt": self.log.output} if has_output else {},
            isolated=self._place.project.results == "isolated",
            notes=notes,
        )
        for note in (*notes, *saved.sentences()):
            self._say(note)
        return saved.commit

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

    def _say(self, text: str) -> None:
        self.log.say(logs.PREPARE, text)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
