"""A Luigi task as a Domino run: its command, its inputs before, and its local targets brought back after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_domino.domino.errors import NotFoundError
from airflow_domino.luigi.engine.outcome import NODE_ABSENT
from airflow_domino.operators._domino_run import BaseDominoRunOperator
from airflow_domino.operators._luigi_arguments import (
    forced_command,
    luigi_command,
    parse_force,
    parse_workers,
    project_files,
)
from airflow_domino.operators._luigi_engine import AsksLuigi, LuigiTaskError, luigi_result

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, Run


class RunsLuigiOnDomino(AsksLuigi, BaseDominoRunOperator):
    """The part of an operator that makes a Luigi task in a Domino run instead of on this worker.

    Domino runs Luigi's own command line at a commit of the project, so the task's local targets below the working
    folder are files of the project there.
    """

    force: Any
    force_downstream: Any

    _command: Sequence[str] = ()

    def prepare_domino_run(self) -> dict[str, Any] | None:
        """Ask complete() here; return the task's result if that is all, else settle the command of the run."""
        force, workers = parse_force(self.force), parse_workers(self.workers)
        answer = self.ask_engine("check", command=True, force=force)
        if answer.outcome == NODE_ABSENT:
            return luigi_result(answer)
        if answer.is_complete and not force:
            self.log.info("Already complete: no Domino run is needed")
            self.has_no_run()
            return luigi_result(answer)
        project_files(answer.facts["outputs"], self.working_folder())
        if force:
            task = f"{answer.facts['module']}:{answer.facts['family']}"
            downstream = parse_force(self.force_downstream) is True
            self._command = forced_command(task, answer.facts["params"], force, workers, downstream=downstream)
        else:
            self._command = luigi_command(answer.facts["command"], workers)
        return None

    def has_no_run(self) -> None:
        """Show no link to a Domino run: this task has none."""
        self.operator_extra_links = ()  # type: ignore[assignment]  # else a link to nothing is looked for

    def run_command(self, context: Context) -> Sequence[str]:
        """Return the command that makes the task in the Domino run."""
        return self._command

    def needs_worker_at_end(self) -> bool:
        """Say that targets are brought back and completion is asked again, both by a worker."""
        return True

    def deliver(self, context: Context, client: DominoClient, run: Run, result: dict[str, Any]) -> dict[str, Any]:
        """Bring the task's local targets back from the run's results commit, and ask complete() again here."""
        answer = self.ask_engine("check")
        force = parse_force(self.force)
        if not answer.is_complete or force:
            self._bring_back(client, run, result, project_files(answer.facts["outputs"], self.working_folder()))
            answer = self.ask_engine("check")
        if not answer.is_complete:
            missing = [output["path"] for output in answer.facts["outputs"] if not output["exists"]]
            raise LuigiTaskError(
                f"Domino run {run.number} succeeded, so the task was complete there, but it is not complete on this"
                f" worker (missing here: {', '.join(missing) or 'nothing; its complete() says False'}). See"
                f" {result['url']}"
            )
        return {**result, **luigi_result(answer), "already_complete": False}

    def _bring_back(self, client: DominoClient, run: Run, result: dict[str, Any], files: dict[str, Path]) -> None:
        project, commit, here = client.project(result["project"]), run.results_commit, self.working_folder()
        if commit is None:
            raise LuigiTaskError(f"Domino run {run.number} names no commit that holds its results: {result['url']}")
        for name, destination in files.items():
            try:
                bring(client, project, commit, name, destination, here)
            except NotFoundError as error:
                raise LuigiTaskError(
                    f"Domino run {run.number} succeeded, but its results lack the target {name!r}: {error}."
                    f" See {result['url']}"
                ) from error
            self.log.info("Brought %s back from Domino run %s", name, run.number)


def bring(client: DominoClient, project: Project, commit: str, name: str, destination: Path, within: Path) -> None:
    """Bring one target here: a file, or a folder with all that is below it.

    :raises NotFoundError: the commit has neither
    """
    try:
        client.download_file(project, commit, name, destination, within=within)
    except NotFoundError:
        below = [file.path for file in client.files(project, commit, name) if file.path.startswith(f"{name}/")]
        if not below:
            raise
        for path in below:
            client.download_file(project, commit, path, destination / path[len(name) + 1 :], within=within)
