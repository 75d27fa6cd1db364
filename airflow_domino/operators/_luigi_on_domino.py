"""A Luigi task as a Domino run: its inputs by commit before, its targets brought here after, asked from both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_domino.compat import TaskDeferred
from airflow_domino.domino.errors import ConfigurationError, NotFoundError
from airflow_domino.domino.launch import work_key
from airflow_domino.hooks.arguments import given
from airflow_domino.hooks.runs import push_single_xcoms
from airflow_domino.luigi.engine.outcome import NODE_ABSENT
from airflow_domino.operators._domino_run import MadeByAnotherRun, refusing_wrong_requests
from airflow_domino.operators._luigi_arguments import (
    HONEST_EXIT_CODES,
    forced_command,
    luigi_command,
    parse_force,
    parse_workers,
    project_files,
)
from airflow_domino.operators._luigi_aside import kept_aside
from airflow_domino.operators._luigi_engine import LuigiTaskError
from airflow_domino.operators._luigi_exit_codes import meaning
from airflow_domino.operators._luigi_forced import is_forced_by_plan, luigi_command_again
from airflow_domino.operators._luigi_known_files import KnownFiles
from airflow_domino.operators._luigi_needs import KnowsItsFiles
from airflow_domino.operators._luigi_other_run import AwaitsOtherRuns
from airflow_domino.operators._luigi_project import ProjectCommit, stage_targets
from airflow_domino.operators._rules import RENEWABLE

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, Run
    from airflow_domino.luigi.execute import EngineAnswer


class RunsLuigiOnDomino(KnowsItsFiles, AwaitsOtherRuns):
    """The part of an operator that makes a Luigi task in a Domino run instead of on this worker.

    Domino runs Luigi's own command line at a commit of the project, so the task's local targets below the working
    folder are files of the project there: such a target exists if it is here or in the project's latest commit.
    """

    force_downstream: Any

    _command: Sequence[str] = ()
    _needed: Mapping[str, Path] = {}
    _known: KnownFiles | None = None
    _is_forced_by_plan: bool | None = None

    def execute_run(self, context: Context) -> Any:
        """Be the run, unless the task is complete: here, or in the project, from where its targets are brought then.

        :raises AirflowFailException: when the request is wrong, or Domino cannot see what the task needs.
        :raises LuigiTaskError: when the task is not complete after all.
        """
        try:
            with refusing_wrong_requests(passing=() if context["ti"].try_number <= 1 else RENEWABLE):
                finished = self._prepare(context)
        except MadeByAnotherRun as other:
            return self.execute_after(context, other.handle)
        except BaseException:
            self.hook.close()
            raise
        if finished is None:
            return self._be_the_run(context)
        self.tell_luigid("DONE")
        self.has_no_run()
        self.hook.close()
        return finished

    def _be_the_run(self, context: Context) -> Any:
        try:
            return super().execute_run(context)
        except TaskDeferred:
            handle = self.run_handle
            self.tell_luigid("PENDING", url=handle.url if handle else None, message="It is made by a Domino run")
            raise

    # ---- before the run ----------------------------------------------------------------------------------------------

    def _prepare(self, context: Context) -> dict[str, Any] | None:
        """Return the result of a task that is complete; else settle the command and the inputs of its run."""
        self._context = context
        force = self._force()
        asked: dict[str, Any] = {"command": True, "inputs": True, "force": force}
        answer = self.ask_engine("check", **asked)
        if answer.outcome == NODE_ABSENT:
            return answer.result
        is_undelivered = self.has_earlier_run(context)
        if answer.is_complete and not force and not is_undelivered:
            self.log.info("Already complete on this worker: no Domino run is needed")
            return answer.result
        self.work = work_key(*(str(answer.facts[name]) for name in ("module", "family", "task_id")))
        if not is_undelivered:
            project_files(answer.facts["outputs"], self.working_folder())  # refuses those that a run cannot leave
            client = self.hook.client
            project = client.project(self.hook.project_name(given(self.project)))
            twin = self.twin_in(project, context)  # before the files: it may end, and have made them, in between
            answer, self._known = self.ask_with_known_files(context, client, project, answer, **asked)
            if answer.is_complete and not force:
                return self._take_from_project(context, answer, self._known)
            if twin is not None:
                raise MadeByAnotherRun(twin)
            self._refuse_invisible(answer)
            self._needed = project_files(_complete_inputs(answer), self.working_folder())
        self._command = self._luigi_command(answer, force)
        return None

    def _force(self) -> bool | list[str]:
        """Return what to make again: as the author says, or as the first task of a drawn pipeline was told."""
        said = parse_force(self.force)
        if said or self._context is None:
            return said
        if self._is_forced_by_plan is None:
            self._is_forced_by_plan = is_forced_by_plan(self, self._context)
        return self._is_forced_by_plan

    def _luigi_command(self, answer: EngineAnswer, force: bool | list[str]) -> Sequence[str]:
        workers, arguments = parse_workers(self.workers), answer.facts.get("command")
        if not force:
            return luigi_command(answer.facts["command"], workers)
        files = list(project_files(answer.facts["outputs"], self.working_folder()))
        if arguments and files and len(files) == len(answer.facts["outputs"]):
            return luigi_command_again(arguments, workers, files)
        downstream = parse_force(self.force_downstream) is True
        return forced_command(answer.facts["reference"], answer.facts["params"], force, workers, downstream=downstream)

    def _take_from_project(self, context: Context, answer: EngineAnswer, known: KnownFiles) -> dict[str, Any]:
        """Bring the targets of a task that is complete in the project; no run is needed."""
        latest = known.latest
        self.log.info("Already complete in the project at commit %s: no Domino run is needed", latest.commit)
        for name, destination in project_files(answer.facts["outputs"], self.working_folder()).items():
            if not destination.exists() and latest.holds(name):
                latest.bring(name, destination)
                self.log.info("Brought %s here from the project's commit %s", name, latest.commit)
        where = {"project": latest.project.full_name, "output_commit": latest.commit}
        push_single_xcoms(context["ti"], where)
        return {**answer.result, **where}

    def _refuse_invisible(self, answer: EngineAnswer) -> None:
        """Refuse what the run could not find, or could not leave for anybody.

        :raises ConfigurationError: naming the target, its task and the way out.
        """
        task = answer.facts["task"]
        way_out = (
            "give it a path below the working directory or a target that both see, such as S3 or DominoFileTarget,"
            " or give run_on='worker'"
        )
        for target in answer.facts["invisible"]:
            raise ConfigurationError(f"{task} cannot run on Domino: its target {target}; {way_out}")
        for target in _complete_inputs(answer):
            if target["invisible"]:
                raise ConfigurationError(
                    f"{task} cannot run on Domino: it rests on {target['task']}, whose target {target['path']!r}"
                    f" ({target['kind']}) {target['invisible']}, so that no Domino run can read it; {way_out}"
                )

    def has_no_run(self) -> None:
        """Show no link to a Domino run: this task has none."""
        self.operator_extra_links = ()  # type: ignore[assignment]  # else a link to nothing is looked for

    def run_command(self, context: Context) -> Sequence[str]:
        """Return the command that makes the task in the Domino run."""
        return self._command

    def stage_inputs(self, client: DominoClient, project: Project, commit: str | None) -> str | None:
        """Put the targets that the task rests on into the project, as far as they are here and not there yet.

        :raises ConfigurationError: when the run is to begin with another commit, which lacks them.
        """
        here, known = self.working_folder(), self._known
        if not self._needed or known is None:
            return None
        latest = known.latest
        base = latest if commit in (None, latest.commit) else ProjectCommit(client, project, commit, here)
        for name, destination in self._needed.items():
            if destination.exists() or known.is_in(base, name):
                continue
            if origin := known.bring(name, destination):
                self.log.info("Brought %s here from %s", name, origin)
        if commit is not None:
            self._refuse_lacking(base)
            return commit
        staged_commit, staged = stage_targets(base, self._needed)
        for name in staged:
            self.log.info("Put %s, which the task rests on, into the project", name)
        self.log.info("The run begins with commit %s", staged_commit)
        return staged_commit

    def _refuse_lacking(self, base: ProjectCommit) -> None:
        if lacking := base.lacking(self._needed):
            raise ConfigurationError(
                f"The run is to begin with commit {base.commit} (commit_id={self.commit_id!r}), which does not have"
                f" {', '.join(one.path for one in lacking)} as it is here, and the task rests on it: leave commit_id"
                " out, and the run begins with a commit that has it"
            )

    # ---- after the run -----------------------------------------------------------------------------------------------

    def needs_worker_at_end(self) -> bool:
        """Say that targets are brought back and completion is asked again, both by a worker."""
        return True

    def deliver(self, context: Context, client: DominoClient, run: Run, result: dict[str, Any]) -> dict[str, Any]:
        """Bring the task's local targets back from the run's results, and ask complete() again with them in mind."""
        answer = self.ask_engine("check")
        if answer.is_complete and not self._force():
            self.tell_luigid("DONE", url=result["url"])
            return {**result, **answer.result, "already_complete": False}
        if run.results_commit is None:
            raise LuigiTaskError(
                f"Domino run {run.number} names no commit that holds its results; run the task again. See "
                f"{result['url']}"
            )
        project = client.project(result["project"])
        results = ProjectCommit(client, project, run.results_commit, self.working_folder())
        self._bring_back(results, run, result, project_files(answer.facts["outputs"], self.working_folder()))
        answer = self.ask_engine("check", project_files=list(results.files))
        if not answer.is_complete and not answer.facts["runs_each_time"]:
            missing = ", ".join(output["path"] for output in answer.facts["outputs"] if not output["exists"])
            raise LuigiTaskError(
                f"Domino run {run.number} succeeded, so {answer.facts['task']} was complete there, but it is not"
                f" complete on this worker, even with the files of the run's results: "
                f"{f'this worker does not see {missing}' if missing else 'its complete() says False here'}."
                f" What complete() asks must be the same from both sides. See {result['url']}"
            )
        self.tell_luigid("DONE", url=result["url"])
        return {**result, **answer.result, "already_complete": False}

    def _bring_back(self, results: ProjectCommit, run: Run, result: dict[str, Any], files: Mapping[str, Path]) -> None:
        for name, destination in files.items():
            try:
                with kept_aside(destination, self.log) if self._force() else nullcontext():
                    results.bring(name, destination)
            except NotFoundError as error:
                raise LuigiTaskError(
                    f"Domino run {run.number} succeeded, so the task was complete there, but its results lack the"
                    f" target {name!r}, and so does this worker: {error}. See {result['url']}"
                ) from error
            self.log.info("Brought %s back from Domino run %s", name, run.number)

    def explain_failure(self, run: Run, log_tail: Sequence[str]) -> str:
        """Say what Luigi meant by the exit code of the run's command."""
        return meaning(run, log_tail) if HONEST_EXIT_CODES[0] in run.command else ""


def _complete_inputs(answer: EngineAnswer) -> list[Mapping[str, Any]]:
    return [target for target in answer.facts.get("inputs", ()) if target["complete"]]
