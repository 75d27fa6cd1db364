"""Run a command on Domino."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import StartTriggerArgs

from airflow_domino.domino.errors import ConfigurationError, DominoError
from airflow_domino.domino.run_request import command_line
from airflow_domino.hooks.arguments import given
from airflow_domino.hooks.launching import WantedRun
from airflow_domino.operators._domino_run import BaseDominoRunOperator
from airflow_domino.operators._files import bring_back, plan_inputs, plan_outputs, stage
from airflow_domino.operators._starting import StartsInTriggerer, can_start_without_worker
from airflow_domino.triggers.launch import DominoLaunchTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context, ObjectStoragePath

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Project, Run

__all__ = ["DominoRunOperator"]


class DominoRunOperator(StartsInTriggerer, BaseDominoRunOperator):
    """Run one command on a Domino hardware tier, and bring back what it wrote.

    The XCom `return_value` holds `run_id, number, status, url, project, tier, tier_id, title, input_commit,
    output_commit, queued_seconds, run_seconds, cost_cents, stats` and `outputs`; `run_id` is an XCom of its own from
    the launch on.

    :param command: a command line, passed as it is, or a list of arguments, each quoted.
    :param inputs: files to put into the project before: a mapping of names in the project to local paths, URLs,
        ObjectStoragePaths, `{"commit_id": …, "path": …}` or a whole upstream result (`{"a.zip": upstream.output}`); or
        a list of names that are the same below `output_dir`. The run then begins with the one commit that holds all.
    :param outputs: files of the run to bring back: a list of names, kept below `output_dir`, or a mapping of names to
        local paths, URLs or ObjectStoragePaths.
    :param output_dir: absolute path or URL at which relative local paths begin; default ``[domino] output_dir``.
    :param kwargs: see :class:`~airflow_domino.operators._domino_run.BaseDominoRunOperator` for `project`, `tier`,
        `commit_id`, `branch`, `git_ref`, `environment`, `environment_revision`, `title`, `compute_cluster`,
        `external_volumes`, `domino_conn_id`, `deferrable`, `start_from_trigger`, `poll_interval`, `log_run`, `on_kill`,
        `on_clear`, `keep_results`, `queue_timeout` and `max_active_runs`.
    """

    template_fields: Sequence[str] = (
        "command",
        "inputs",
        "outputs",
        "output_dir",
        *BaseDominoRunOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **BaseDominoRunOperator.template_fields_renderers,
        "command": "bash",
        "inputs": "json",
        "outputs": "json",
    }

    def __init__(
        self,
        *,
        command: str | Sequence[str],
        inputs: Mapping[str, Any] | Sequence[str] | None = None,
        outputs: Mapping[str, Any] | Sequence[str] | None = None,
        output_dir: str | ObjectStoragePath | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.inputs = inputs
        self.outputs = outputs
        self.output_dir = output_dir

    def starting_arguments(self) -> StartTriggerArgs | None:
        """Return how the triggerer launches the run; None for a task that puts files into the project before."""
        values = WantedRun.of(self).to_dict()
        templated = {**values, "domino_conn_id": self.domino_conn_id}
        needs_worker = self.inputs or not (
            self.deferrable and self.may_start_from_trigger and self._outputs_are_clear()
        )
        if needs_worker or not can_start_without_worker(self, DominoRunOperator, templated):
            return None
        return StartTriggerArgs(
            trigger_cls=f"{DominoLaunchTrigger.__module__}.{DominoLaunchTrigger.__qualname__}",
            trigger_kwargs={**values, **self.waiting_arguments(), "max_active_runs": self.max_active_runs},
            next_method="execute_complete",
            next_kwargs=self.for_listener(),
        )

    def _outputs_are_clear(self) -> bool:
        """Say whether no output can be refused any more once its templates are rendered."""
        try:
            plan_outputs(self.outputs, self.output_dir)
        except (DominoError, ValueError):
            return False
        return True

    def run_command(self, context: Context) -> str | Sequence[str]:
        """Return the command as it was given."""
        return self.command

    def check_arguments(self, context: Context) -> None:
        """Refuse an empty command and files that have no place."""
        command_line(self.command)
        plan_outputs(self.outputs, self.output_dir)
        if self.inputs and given(self.commit_id):
            raise ConfigurationError(
                "inputs are staged on the project's latest commit, so they cannot be combined with commit_id "
                f"({self.commit_id!r}); leave commit_id out, and stage files of upstream runs as inputs too"
            )

    def stage_inputs(self, client: DominoClient, project: Project, commit: str | None) -> str | None:
        """Put the inputs into the project."""
        planned = plan_inputs(self.inputs, self.output_dir)
        if not planned:
            return None
        commit = stage(client, project, planned, self.log.info)
        self.log.info("Staged %d files for the run in commit %s", len(planned), commit)
        return commit

    def needs_worker_at_end(self) -> bool:
        """Say that outputs are brought back by a worker."""
        return bool(self.outputs)

    def deliver(self, context: Context, client: DominoClient, run: Run, result: dict[str, Any]) -> dict[str, Any]:
        """Bring the outputs back."""
        planned = plan_outputs(self.outputs, self.output_dir)
        project = client.project(result["project"])
        brought = bring_back(client, project, run, planned, self.log.info)
        for name, place in brought.items():
            self.log.info("Brought %s back to %s", name, place)
        return {**result, "outputs": brought}
