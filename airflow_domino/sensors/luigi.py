"""Wait for what a Luigi task stands for, such as data that somebody else delivers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from airflow_domino.compat import default_poll_interval
from airflow_domino.luigi.engine.outcome import NODE_ABSENT
from airflow_domino.operators._domino_run import refusing_wrong_requests
from airflow_domino.operators._luigi_engine import ENGINE_FIELDS, ENGINE_RENDERERS, AsksLuigi, luigi_result
from airflow_domino.operators._luigi_params import LuigiParamsMeta

if TYPE_CHECKING:
    import luigi
    from airflow.sdk import Context

__all__ = ["LuigiTargetSensor"]


class LuigiTargetSensor(AsksLuigi, BaseSensorOperator, metaclass=LuigiParamsMeta):
    """Wait until a Luigi task's ``complete()`` says True; never run it. Meant for ``luigi.ExternalTask``.

    Between two looks the worker's slot is given back (``mode="reschedule"``); each look is a fresh process.

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
        **kwargs: Any,
    ) -> None:
        interval = default_poll_interval() if poke_interval is None else poke_interval
        super().__init__(mode=mode, poke_interval=interval, **kwargs)
        self.name_task(task, luigi_params, project_path, working_dir, python, env, config, node)
        self.domino_conn_id = domino_conn_id
        self.project = project

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask complete() once.

        :raises AirflowFailException: the request is wrong, so that no waiting can help
        :raises LuigiTaskError: complete() raised
        """
        with refusing_wrong_requests():
            answer = self.ask_engine("check")
        if answer.is_complete or answer.outcome == NODE_ABSENT:
            return PokeReturnValue(is_done=True, xcom_value=luigi_result(answer))
        missing = [output["path"] for output in answer.facts["outputs"] if not output["exists"]]
        self.log.info("Waiting for %s", ", ".join(missing) or answer.facts["task"])
        return PokeReturnValue(is_done=False)

    def on_kill(self) -> None:
        """End the look that is going on."""
        self.end_engine()
