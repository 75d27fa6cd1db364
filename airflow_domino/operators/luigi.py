"""LuigiTaskOperator: one Luigi task, with what it requires, as one Airflow task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_domino.compat import AirflowException
from airflow_domino.hooks.arguments import one_of
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.links.luigi import LuigiTrackingLink
from airflow_domino.operators._domino_run import BaseDominoRunOperator, refusing_wrong_requests
from airflow_domino.operators._luigi_arguments import parse_force
from airflow_domino.operators._luigi_assets import TellsWhatWasMade
from airflow_domino.operators._luigi_due import follow_plan
from airflow_domino.operators._luigi_engine import ENGINE_FIELDS, ENGINE_RENDERERS, LuigiTaskError
from airflow_domino.operators._luigi_on_domino import RunsLuigiOnDomino
from airflow_domino.operators._luigi_params import LuigiParamsMeta
from airflow_domino.operators._luigi_places import PartialLuigiTask, check_place, refuse_on_worker

if TYPE_CHECKING:
    import luigi
    from airflow.sdk import Context

    from airflow_domino.domino.client import DominoClient
    from airflow_domino.domino.models import Run
    from airflow_domino.luigi.execute import EngineAnswer

__all__ = ["LuigiTaskError", "LuigiTaskOperator"]


class LuigiTaskOperator(TellsWhatWasMade, RunsLuigiOnDomino, metaclass=LuigiParamsMeta):
    """Make a Luigi task complete: ask its ``complete()``, and run it and what it requires if the answer is no.

    The task runs by Luigi's own engine in a fresh process, on this worker or as a Domino run; Luigi itself is not
    loaded into Airflow's process. The XCom ``return_value`` holds ``task_id`` (Luigi's), ``already_complete``, ``ran``
    (Luigi ids of the tasks that ran, in this order; on a worker) and ``outputs`` (paths), and for a Domino run what
    :class:`~airflow_domino.operators.domino.DominoRunOperator` tells beside.

    :param task: ``"module:Family"``, or a Luigi task object whose class lives in an importable module (templated)
    :param params: values of the Luigi task's parameters; strings are parsed as on Luigi's command line, and dates are
        also taken in ISO form, such as ``{{ ts }}`` (templated).
        Airflow shows them among the rendered templates: give a private one, if at all, as a template of what Airflow
        masks, such as ``{{ conn.warehouse.password }}``. Not Airflow's ``params``: those are the DAG's. With
        ``partial``/``expand`` and in rendered templates it is called ``luigi_params``
    :param project_path: folder that is put first on the import path (templated)
    :param working_dir: absolute path where relative targets and ``luigi.cfg`` are; by default ``project_path``
        (templated)
    :param python: interpreter that has the pipeline's dependencies; by default Airflow's (templated)
    :param workers: how many processes Luigi may use (templated)
    :param run_on: "worker", or "domino" for a Domino run of the project that holds the module. The local targets below
        ``working_dir`` are then files of the project: those that the task rests on are put there before, and the run
        begins with the commit that has them; its own are brought back, also from the project's latest commit where they
        are there already, and no run is needed then
    :param force: True makes the task again although it is complete; a list of families (or their names separated by
        commas) makes those of its graph again. On a worker their old outputs are moved aside, to
        ``<name>.before-force-<time>``: they come back if it fails, and stay there if it does not. A Domino run needs
        airflow_domino in its environment for it (templated)
    :param force_downstream: with families: make all that requires them again too, up to the task (templated)
    :param only_self: fail when a requirement is not complete, instead of making it (worker only)
    :param run_wrapper: run a ``WrapperTask`` that has a ``run()`` of its own also when all that it requires is
        complete, as Luigi does where something of that was not when it began (worker only)
    :param check: "strict" asks ``complete()`` right after each run, so that a task which made nothing fails; "luigi"
        asks as Luigi does by default, which leaves that to what requires it (worker only)
    :param check_threads: how many ``complete()`` may be asked at once where they take long; 1 where they must not
        meet (worker only)
    :param domino_runs: how many runs of ``DominoRunTask`` may be under way at once (worker only)
    :param env: environment variables to add, for Luigi on this worker (templated)
    :param config: path of the ``luigi.cfg`` to use, for Luigi on this worker (templated)
    :param domino_conn_id: the connection. On a worker: if given, the process gets its host and credentials, so that
        ``DominoRunTask`` works in it
    :param node: be the task that this path leads to from ``task`` (:class:`airflow_domino.luigi.plan.PlanNode`)
    :param emit_assets: tell Airflow of each output that was made, as an event of the asset with its URI; by default
        ``[domino] emit_assets``, which is true. Another DAG can be scheduled on ``Asset("file:///data/report.csv")``,
        ``Asset("s3://bucket/report.csv")``, or on all outputs of a family: ``AssetAlias("luigi:reports:DailyReport")``
    :param asset_alias: another name for the alias of this task's own outputs
    :param luigi_scheduler_url: address of a central Luigi scheduler (``luigid``) to tell, for its graph page; by
        default ``[domino] luigi_scheduler_url``, and none if it is empty; Airflow shows it among the rendered
        templates (templated)
    :param kwargs: see :class:`~airflow_domino.operators._domino_run.BaseDominoRunOperator` for ``project``, ``tier``,
        ``commit_id`` and the other choices of a Domino run; where the task runs on a worker, those that only a Domino
        run has are refused
    :raises ValueError: an argument has no such value, or no effect where the task runs
    """

    template_fields: Sequence[str] = (
        *ENGINE_FIELDS,
        "workers",
        "force",
        "force_downstream",
        "luigi_scheduler_url",
        *BaseDominoRunOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **BaseDominoRunOperator.template_fields_renderers,
        **ENGINE_RENDERERS,
    }
    ui_color = "#d9ead3"
    ui_fgcolor = "#1b3317"

    def __init__(
        self,
        *,
        task: str | luigi.Task,
        luigi_params: Mapping[str, Any] | None = None,
        project_path: str | Path | None = None,
        working_dir: str | Path | None = None,
        python: str | None = None,
        workers: int | str = 1,
        run_on: Literal["worker", "domino"] = "worker",
        force: bool | str | Sequence[str] = False,
        force_downstream: bool | str = False,
        only_self: bool = False,
        run_wrapper: bool = False,
        check: Literal["strict", "luigi"] = "strict",
        check_threads: int = 8,
        domino_runs: int = 100,
        env: Mapping[str, str | int | float] | None = None,
        config: str | Path | None = None,
        domino_conn_id: str | None = None,
        node: Sequence[tuple[int, str]] = (),
        emit_assets: bool | None = None,
        asset_alias: str | None = None,
        luigi_scheduler_url: str | None = None,
        **kwargs: Any,
    ) -> None:
        if check_place(run_on) == "worker":
            refuse_on_worker(kwargs.get("task_id"), kwargs)  # what default_args say for a whole DAG is not among them
        super().__init__(domino_conn_id=domino_conn_id or DominoHook.default_conn_name, **kwargs)
        self.name_task(task, luigi_params, project_path, working_dir, python, env, config, node)
        self.workers = workers
        self.run_on = run_on
        self.force = force
        self.force_downstream = force_downstream
        self.only_self = only_self
        self.run_wrapper = run_wrapper
        self.check = one_of("check", check, ("strict", "luigi"))
        self.check_threads = check_threads
        self.domino_runs = domino_runs
        self.luigi_scheduler_url = luigi_scheduler_url
        self.declare_outputs(self.task, emit_assets, asset_alias)
        if run_on == "worker":
            self.domino_conn_id = domino_conn_id
            self.operator_extra_links = (LuigiTrackingLink(),)  # type: ignore[assignment]  # there is no Domino run

    @classmethod
    def partial(cls, **kwargs: Any) -> PartialLuigiTask:
        """Begin a mapped task; see Airflow's ``BaseOperator.partial``."""
        return PartialLuigiTask.of(super().partial(**kwargs), kwargs)

    def execute(self, context: Context) -> Any:
        """Check, run if due, check again.

        :raises AirflowFailException: the request is wrong, so that no retry can help
        :raises LuigiTaskError: the task is not complete after all
        :raises RunError: the Domino run ended badly
        """
        with refusing_wrong_requests():
            if self.run_on == "worker":
                self.bring_needed_files(context)
                return self._run_here(context).result
        return self.execute_run(context)

    def _run_here(self, context: Context) -> EngineAnswer:
        try:
            answer = self.ask_engine(
                "run",
                force=parse_force(self.force),
                force_downstream=parse_force(self.force_downstream) is True,
                only_self=self.only_self,
                run_wrapper=self.run_wrapper,
                **follow_plan(self, context),
                check=self.check,
                threads=self.check_threads,
                domino_runs=self.domino_runs,
            )
        except LuigiTaskError:
            self.keep_what_was_made(context, self._facts().get("made", ()))
            raise
        self.tell_what_was_made(context, answer.facts.get("made", ()), answer.facts.get("task_id"))
        return answer

    def deliver(self, context: Context, client: DominoClient, run: Run, result: dict[str, Any]) -> dict[str, Any]:
        """Bring the targets of a good Domino run here, and tell of them."""
        delivered = super().deliver(context, client, run, result)
        self._tell_of_own_outputs(context)
        return delivered

    def note_failure(self, run: Run, result: Mapping[str, Any]) -> None:
        """Tell luigid that the task has failed."""
        if self.last_answer is None and self.has_luigid:
            with suppress(AirflowException):
                self.ask_engine("check")
        self.tell_luigid("FAILED", url=result["url"], message=f"Domino run {run.number} ended as {run.status.word}")

    def _tell_of_own_outputs(self, context: Context) -> None:
        own = self._facts()["lineage"]
        self.tell_what_was_made(context, [own], own["task_id"])

    def _facts(self) -> Mapping[str, Any]:
        return self.last_answer.facts if self.last_answer is not None else {}

    def on_kill(self) -> None:
        """End the engine's whole process group; stop the Domino run as its operator would."""
        self.end_engine()
        if self.run_on == "domino":
            super().on_kill()
