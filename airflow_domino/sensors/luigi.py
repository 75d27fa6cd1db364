"""Wait for what a Luigi task stands for, such as data that somebody else delivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_domino.compat import AirflowSensorTimeout, AirflowSkipException, default_poll_interval
from airflow_domino.luigi.engine.outcome import NODE_ABSENT
from airflow_domino.operators._domino_run import given, refusing_wrong_requests
from airflow_domino.operators._luigi_arguments import as_values
from airflow_domino.operators._luigi_engine import ENGINE_FIELDS, ENGINE_RENDERERS, AsksLuigi
from airflow_domino.operators._luigi_params import LuigiParamsMeta
from airflow_domino.operators._rules import ends_without_worker, is_for_another
from airflow_domino.triggers.luigi import LuigiTargetTrigger

if TYPE_CHECKING:
    import luigi
    from airflow.sdk import Context

__all__ = ["LuigiTargetSensor"]


class LuigiTargetSensor(AsksLuigi, BaseSensorOperator, metaclass=LuigiParamsMeta):
    """Wait until a Luigi task's ``complete()`` says True; never run it. Meant for ``luigi.ExternalTask``.

    Between two looks the worker's slot is given back (``mode="reschedule"``); each look is a fresh process. Where the
    triggerer sees the project and the targets, ``deferrable=True`` looks from there, without a worker.

    :param task: ``"module:Family"``, or a Luigi task object (templated)
    :param params: values of the Luigi task's parameters (templated; ``luigi_params`` with ``partial``/``expand``)
    :param project_path: folder that is put first on the import path (templated)
    :param working_dir: where relative targets are; by default ``project_path`` (templated)
    :param python: interpreter that has the pipeline's dependencies (templated)
    :param env: environment variables to add (templated)
    :param config: path of the ``luigi.cfg`` to use (templated)
    :param domino_conn_id: connection whose host and credentials the process gets, for targets in Domino projects
    :param project: Domino project ``owner/name`` for such targets (templated)
    :param node: be about the task that this path leads to from ``task``
    :param poke_interval: seconds between two looks; by default ``[domino] poll_interval``
    :param deferrable: wait in the triggerer. With ``env``, ``domino_conn_id`` or a private parameter it waits by
        rescheduling all the same: these may hold secrets, which are not written into a trigger
    """

    template_fields: Sequence[str] = (*ENGINE_FIELDS, "domino_conn_id", "project")
    template_fields_renderers: ClassVar[dict[str, str]] = ENGINE_RENDERERS
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
        env: Mapping[str, str | int | float] | None = None,
        config: str | Path | None = None,
        domino_conn_id: str | None = None,
        project: str | None = None,
        node: Sequence[tuple[int, str]] = (),
        mode: str = "reschedule",
        poke_interval: Any = None,
        deferrable: bool = False,
        **kwargs: Any,
    ) -> None:
        interval = default_poll_interval() if poke_interval is None else poke_interval
        super().__init__(mode=mode, poke_interval=interval, **kwargs)
        self.name_task(task, luigi_params, project_path, working_dir, python, env, config, node)
        self.domino_conn_id = domino_conn_id
        self.project = project
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Look once; when the task is not complete, wait."""
        if not self.deferrable or self.env or self.domino_conn_id:
            return super().execute(context)
        seen = self.poke(context)
        if not seen.is_done and self.last_answer is not None and self.last_answer.facts.get("private"):
            return super().execute(context)
        if not seen.is_done:
            self._defer(context)
        return seen.xcom_value

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on after the trigger has fired: look again, or give up.

        :raises AirflowSensorTimeout: the time is over
        """
        if isinstance(event, Mapping) and event.get("outcome") == "deadline" and not is_for_another(event, context):
            message = (
                f"Gave up waiting for {self.task} after {self.timeout:.0f} seconds: it is not complete; let what makes "
                "it run, or allow the sensor a longer timeout"
            )
            raise AirflowSkipException(message) if self.soft_fail else AirflowSensorTimeout(message)
        return self.execute(context)

    def _defer(self, context: Context) -> NoReturn:
        started = context["ti"].start_date or datetime.now(UTC)
        trigger = LuigiTargetTrigger(
            luigi_task=self.task,
            luigi_params=as_values(self.luigi_params or {}),
            node=self.node,
            project_path=given(self.project_path),
            working_dir=str(self.working_folder()),
            python=given(self.python),
            config=given(self.config),
            poll_interval=float(self.poke_interval),
            deadline=(started + timedelta(seconds=float(self.timeout))).isoformat(),
            ends_task=ends_without_worker(self),
            push_result=bool(self.do_xcom_push),
            deferred_at=datetime.now(UTC).isoformat(),
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=None)

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask complete() once.

        :raises AirflowFailException: the request is wrong, so that no waiting can help
        :raises LuigiTaskError: complete() raised
        """
        with refusing_wrong_requests():
            answer = self.ask_engine("check")
        if answer.is_complete or answer.outcome == NODE_ABSENT:
            return PokeReturnValue(is_done=True, xcom_value=answer.result)
        missing = [output["path"] for output in answer.facts["outputs"] if not output["exists"]]
        self.log.info("Waiting for %s", ", ".join(missing) or answer.facts["task"])
        return PokeReturnValue(is_done=False)

    def on_kill(self) -> None:
        """End the look that is going on."""
        self.end_engine()
