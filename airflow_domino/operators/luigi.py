"""LuigiTaskOperator: one Luigi task, with what it requires, as one Airflow task."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import BaseOperator

from airflow_domino.compat import AirflowException, AirflowFailException
from airflow_domino.luigi.execute import EngineAnswer, EngineProcess, EngineRequest, engine_environment
from airflow_domino.operators._luigi_params import LuigiParamsMeta

if TYPE_CHECKING:
    import luigi
    from airflow.sdk import Context


class LuigiTaskError(AirflowException):
    """A Luigi task that is not complete after all; trying again may help."""


class LuigiTaskOperator(BaseOperator, metaclass=LuigiParamsMeta):
    """Make a Luigi task complete: ask its ``complete()``, and run it and what it requires if the answer is no.

    The task runs by Luigi's own engine in a fresh process; Luigi itself is not loaded into Airflow's.

    :param task: ``"module:Family"``, or a Luigi task object whose class lives in an importable module (templated)
    :param params: values of the Luigi task's parameters; strings are parsed as on Luigi's command line (templated).
        Not Airflow's ``params``: those are the DAG's. For ``expand``, and in rendered templates: ``luigi_params``
    :param project_path: folder that is put first on the import path (templated)
    :param working_dir: where relative targets and ``luigi.cfg`` are; by default ``project_path`` (templated)
    :param python: interpreter that has the pipeline's dependencies; by default Airflow's
    :param workers: how many processes Luigi may use (templated)
    :param force: True makes the task again although it is complete; a list of families (or their names separated by
        commas) makes those of its graph again. Local outputs are put aside meanwhile, and put back if that fails
        (templated)
    :param only_self: fail when a requirement is not complete, instead of making it
    :param env: environment variables to add (templated)
    :param config: path of the ``luigi.cfg`` to use (templated)
    :param domino_conn_id: connection whose host and credentials the process gets, so that ``DominoRunTask`` works in it
    :param project: Domino project ``owner/name``; by default the connection's (templated)
    """

    template_fields: Sequence[str] = (
        "task",
        "luigi_params",
        "project_path",
        "working_dir",
        "python",
        "workers",
        "force",
        "env",
        "config",
        "domino_conn_id",
        "project",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"luigi_params": "json", "env": "json"}
    ui_color = "#d9ead3"

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
        only_self: bool = False,
        env: Mapping[str, str] | None = None,
        config: str | Path | None = None,
        domino_conn_id: str | None = None,
        project: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.task, self.luigi_params = _freeze(task, luigi_params)
        self.project_path = _path(project_path)
        self.working_dir = _path(working_dir)
        self.python = python
        self.workers = workers
        self.run_on = run_on
        self.force = force
        self.only_self = only_self
        self.env = env
        self.config = _path(config)
        self.domino_conn_id = domino_conn_id
        self.project = project
        self._engine: EngineProcess | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Check, run if due, check again.

        :raises AirflowFailException: the request is wrong, so that no retry can help
        :raises LuigiTaskError: the task is not complete after all
        """
        answer = self._ask(EngineRequest(action="run", **self._asked(), force=parse_force(self.force)))
        return self._result(answer)

    def on_kill(self) -> None:
        """End the engine's whole process group."""
        if self._engine is not None:
            self._engine.end()

    def _asked(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "params": self.luigi_params or {},
            "workers": _workers(self.workers),
            "only_self": self.only_self,
            "project_path": self.project_path,
        }

    def _ask(self, request: EngineRequest) -> EngineAnswer:
        secrets = Path(tempfile.mkdtemp(prefix="airflow-domino-"))
        try:
            self._engine = EngineProcess(
                request, python=self.python, working_dir=self.working_dir, env=self._environment(secrets)
            )
            answer = self._engine.run(lambda line: self.log.info("%s", line))
        finally:
            shutil.rmtree(secrets, ignore_errors=True)
        if answer.is_good:
            self.log.info("%s", answer.message)
            return answer
        if answer.is_request_wrong:
            raise AirflowFailException(answer.message)
        raise LuigiTaskError(answer.message)

    def _environment(self, secrets: Path) -> dict[str, str]:
        domino: dict[str, str] = {}
        if self.domino_conn_id:
            from airflow_domino.hooks.domino import DominoHook

            domino = DominoHook(self.domino_conn_id).environment(self.project, token_folder=secrets)
        return engine_environment({**domino, **(self.env or {})}, config=self.config)

    def _result(self, answer: EngineAnswer) -> dict[str, Any]:
        return {
            "task_id": answer.facts["task_id"],
            "already_complete": bool(answer.facts.get("already_complete")),
            "ran": list(answer.facts.get("ran", ())),
            "outputs": [output["path"] for output in answer.facts.get("outputs", ())],
        }


def parse_force(force: bool | str | Sequence[str] | None) -> bool | list[str]:
    """Read what a template may have made of ``force``: a truth value, or the families to make again.

    :param force: True/False, "true"/"false", family names separated by commas, or a list of them
    """
    if not force or isinstance(force, bool):
        return bool(force)
    families = force.split(",") if isinstance(force, str) else list(force)
    named = [family for family in (str(one).strip(" []'\"") for one in families) if family]
    if len(named) == 1 and named[0].lower() in ("true", "false", "none"):
        return named[0].lower() == "true"
    return named or False


def _workers(workers: int | str) -> int:
    try:
        number = int(workers)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise AirflowFailException(f"workers={workers!r}: give the number of processes that Luigi may use, 1 or more")
    return number


def _path(path: Any) -> Any:
    return str(path) if isinstance(path, Path) else path


def _freeze(task: Any, params: Any) -> tuple[Any, Any]:
    """A Luigi task object as its reference and parameters; anything else as it is."""
    luigi_module = sys.modules.get("luigi")
    if luigi_module is None or not isinstance(task, luigi_module.Task):
        return task, params
    from airflow_domino.luigi.spec import TaskSpec

    if params:
        raise ValueError("Give either a Luigi task object, which has its parameters, or 'module:Family' with params")
    spec = TaskSpec.freeze(task)
    return spec.reference, dict(spec.params)
