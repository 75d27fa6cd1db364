"""Asking Luigi's engine from an Airflow task: what the operator and the sensor share."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from airflow.sdk import BaseOperator

from airflow_domino.compat import (
    AirflowException,
    AirflowFailException,
    default_luigi_shared_folder,
    mask_secret,
    redact,
)
from airflow_domino.domino.errors import ConfigurationError
from airflow_domino.hooks.domino import DominoHook
from airflow_domino.hooks.runs import LOG_LIMIT_BYTES, Logger
from airflow_domino.luigi.engine.masking import secrets_in
from airflow_domino.luigi.execute import EngineAnswer, EngineProcess, EngineRequest, engine_environment
from airflow_domino.operators._domino_run import given
from airflow_domino.operators._luigi_arguments import as_text, as_values, freeze, parse_workers
from airflow_domino.operators._luigi_run_owner import owner_variables
from airflow_domino.operators._luigi_telling import GraphNews, of_dag_run, show_graph, show_tasks, tell_luigid

ENGINE_FIELDS: Sequence[str] = ("task", "luigi_params", "project_path", "working_dir", "python", "env", "config")
ENGINE_RENDERERS = {"luigi_params": "json", "env": "json"}


LAST_LINES = 100


class LuigiTaskError(AirflowException):
    """A Luigi task that is not complete after all; trying again may help."""


class EngineLog:
    """Copies the engine's output into a task's log, up to a limit; of what comes after, only the end.

    :param logger: the task's logger
    :param limit: bytes after which lines are held back
    """

    def __init__(self, logger: Logger, *, limit: int = LOG_LIMIT_BYTES) -> None:
        self._logger = logger
        self._left = limit
        self._held: deque[str] = deque(maxlen=LAST_LINES)
        self._held_back = 0

    def write(self, line: str) -> None:
        """Copy one line, or hold it back."""
        if self._left > 0:
            self._left -= len(line.encode()) + 1
            self._logger.info("%s", line)
            if self._left <= 0:
                self._logger.warning("The task writes much: of the rest, only the end will be shown")
            return
        self._held_back += 1
        self._held.append(line)

    def __enter__(self) -> EngineLog:
        return self

    def __exit__(self, *exception: object) -> None:
        if left_out := self._held_back - len(self._held):
            self._logger.warning("(%s lines are left out here)", left_out)
        for line in self._held:
            self._logger.info("%s", line)


class AsksLuigi(BaseOperator):
    """The part of an operator that names a Luigi task and asks the engine about it."""

    domino_conn_id: Any  # text, or None for no connection
    project: str | None
    workers: int | str = 1
    luigi_scheduler_url: str | None = None
    #: Where the Luigi task that has just run can be followed; for the link to it.
    luigi_tracking_url: str = ""

    #: What the engine said last, good or not.
    last_answer: EngineAnswer | None = None

    _engine: EngineProcess | None = None

    def name_task(
        self,
        task: Any,
        luigi_params: Mapping[str, Any] | None,
        project_path: str | Path | None,
        working_dir: str | Path | None,
        python: str | None,
        env: Mapping[str, str | int | float] | None,
        config: str | Path | None,
        node: Sequence[tuple[int, str]],
    ) -> None:
        """Keep the arguments of a constructor as they are; templates are rendered later."""
        self.task, self.luigi_params = freeze(task, luigi_params)
        self.project_path = as_text(project_path)
        self.working_dir = as_text(working_dir)
        self.python = python
        self.env = env
        self.config = as_text(config)
        self.node = node

    def ask_engine(self, action: Literal["check", "run", "survey"], **more: Any) -> EngineAnswer:
        """Ask, with the output in the task's log as it is written.

        :raises AirflowFailException: the request is wrong, so that no retry can help
        :raises LuigiTaskError: the answer is a failure
        """
        asked: dict[str, Any] = {
            "action": action,
            "task": self.task,
            "params": as_values(self.luigi_params or {}),
            "workers": parse_workers(self.workers),
            "project_path": given(self.project_path),
            "node": self.node,
            **of_dag_run(self.luigi_scheduler_url),
            **more,
        }
        secrets = Path(tempfile.mkdtemp(prefix="airflow-domino-"))
        try:
            env = self._environment(secrets)
            self._engine = EngineProcess(
                EngineRequest(**asked, masked_variables=_mask_secrets(env)),
                python=given(self.python),
                working_dir=self.working_folder(),
                env=env,
                private_folders=[secrets],
            )
            with EngineLog(self.log) as log:
                answer = self._engine.run(log.write, GraphNews(action, self.log).take if action == "run" else None)
        finally:
            shutil.rmtree(secrets, ignore_errors=True)
        self.last_answer = answer
        self.luigi_tracking_url = show_tasks(answer.facts)
        show_graph(self.graph_to_show(answer.facts), action)
        message = str(redact(answer.message))
        if answer.is_good:
            self.log.info("%s", message)
            return answer
        if answer.is_request_wrong:
            raise AirflowFailException(message)
        raise LuigiTaskError(message)

    def graph_to_show(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The graph of what the engine was asked about, as the page in Airflow's UI draws it."""
        graph: Mapping[str, Any] | None = facts.get("graph")
        return graph

    @property
    def has_luigid(self) -> bool:
        """Whether there is a central Luigi scheduler to tell."""
        return of_dag_run(self.luigi_scheduler_url).get("scheduler") is not None

    def tell_luigid(self, status: str, *, url: str | None = None, message: str = "") -> None:
        """Tell the central Luigi scheduler, if there is one, of the task that the engine has just been asked about.

        :param status: in luigid's words
        :param url: where to follow it
        :param message: what there is to say about it
        """
        if self.last_answer is not None and (task := self.last_answer.facts.get("lineage")):
            tell_luigid(self.luigi_scheduler_url, task, status, self.log, url=url, message=message)

    def end_engine(self) -> None:
        """End the engine's whole process group, if it runs."""
        if self._engine is not None:
            self._engine.end()

    def working_folder(self) -> Path:
        """Where relative targets are."""
        return Path(given(self.working_dir) or given(self.project_path) or Path.cwd()).absolute()

    def _environment(self, secrets: Path) -> dict[str, str]:
        domino: dict[str, str] = {}
        if connection := given(self.domino_conn_id):
            domino = DominoHook(connection).environment(given(self.project), token_folder=secrets)
        more = self.env or {}
        if not isinstance(more, Mapping):
            raise ConfigurationError(f"The environment variables (env) are a {type(more).__name__}: give a mapping")
        told = {**_shared_folders(), **owner_variables()}
        return engine_environment({**told, **domino, **more}, config=given(self.config))


def _mask_secrets(env: Mapping[str, str]) -> list[str]:
    """Have the secrets of an engine's environment masked in the task's log, and name the variables that hold some.

    :returns: those whose values Airflow masks, since they come from a connection perhaps
    """
    mask_secret(secrets_in(env))  # type: ignore[arg-type]
    return [name for name, value in env.items() if redact(value) != value]


def _shared_folders() -> dict[str, str]:
    """The variables by which engines on several machines share their locks, and what ``RunAnywayTarget`` remembers."""
    folder = default_luigi_shared_folder()
    if not folder:
        return {}
    return {
        "AIRFLOW_DOMINO_LUIGI_LOCKS": str(Path(folder, "locks")),
        "AIRFLOW_DOMINO_LUIGI_SHARED": folder,
    }
