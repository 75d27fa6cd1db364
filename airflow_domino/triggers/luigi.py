"""Waits in the triggerer until a Luigi task is complete."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from airflow_domino.compat import BaseTrigger, TaskSuccessEvent, TriggerEvent, trigger_event
from airflow_domino.luigi.engine.outcome import NODE_ABSENT
from airflow_domino.luigi.execute import EngineAnswer, EngineProcess, EngineRequest, engine_environment
from airflow_domino.triggers._kill import still_waits, task_key
from airflow_domino.triggers._xcoms import ended_well
from airflow_domino.triggers.domino import settle

JITTER = 0.1
MOST_LOOKS = 2
# Each look is a process: however many sensors wait in this triggerer, only a few look at a time.
_looks = ThreadPoolExecutor(MOST_LOOKS, thread_name_prefix="luigi-look")


class LuigiTargetTrigger(BaseTrigger):
    """Asks ``complete()`` of a Luigi task now and then, each time in a fresh process of the triggerer's machine.

    :param luigi_task: ``module:Family``.
    :param luigi_params: its parameters; never private ones.
    :param node: be about the task that this path leads to from `luigi_task`.
    :param project_path: folder that is put first on the import path.
    :param working_dir: where relative targets are.
    :param python: interpreter that has the pipeline's dependencies.
    :param config: path of the `luigi.cfg` to use.
    :param poll_interval: seconds between two looks.
    :param deadline: absolute time (ISO 8601) at which the sensor gives up.
    :param ends_task: whether a success ends the task here.
    :param push_result: whether that success pushes the XCom `return_value`.
    :param deferred_at: when the worker deferred (ISO 8601).
    """

    ARGUMENTS = (
        "luigi_task",
        "luigi_params",
        "node",
        "project_path",
        "working_dir",
        "python",
        "config",
        "poll_interval",
        "deadline",
        "ends_task",
        "push_result",
        "deferred_at",
    )

    def __init__(
        self,
        *,
        luigi_task: str,
        luigi_params: Mapping[str, Any] | None = None,
        node: Sequence[Sequence[Any]] = (),
        project_path: str | None = None,
        working_dir: str | None = None,
        python: str | None = None,
        config: str | None = None,
        poll_interval: float = 60.0,
        deadline: str | None = None,
        ends_task: bool = False,
        push_result: bool = True,
        deferred_at: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.luigi_task = luigi_task
        self.luigi_params = dict(luigi_params or {})
        self.node = [list(step) for step in node]
        self.project_path = project_path
        self.working_dir = working_dir
        self.python = python
        self.config = config
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.ends_task = ends_task
        self.push_result = push_result
        self.deferred_at = deferred_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments by which any triggerer makes this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {n: getattr(self, n) for n in self.ARGUMENTS}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then end the task or hand it back to a worker."""
        event = await self._event()
        if not isinstance(event, TaskSuccessEvent):
            event.payload["task"] = task_key(self.task_instance)
            await settle(self.deferred_at)
        yield event

    async def _event(self) -> TriggerEvent:
        while True:
            if self.deadline is not None and datetime.now(UTC) >= datetime.fromisoformat(self.deadline):
                return trigger_event({"outcome": "deadline"})
            await asyncio.sleep(self.poll_interval * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
            answer = await self._look()
            if not answer.is_good:
                self.log.warning("%s", answer.message)
                return trigger_event({"outcome": "look"})  # a worker looks again, and fails as it should
            if answer.is_complete or answer.outcome == NODE_ABSENT:
                self.log.info("%s", answer.message)
                if self.ends_task and await still_waits(self.task_instance):
                    xcoms = {"return_value": answer.result} if self.push_result else {}
                    if (event := await ended_well(self.task_instance, xcoms)) is not None:
                        return event
                return trigger_event({"outcome": "look"})

    async def _look(self) -> EngineAnswer:
        request = EngineRequest(
            action="check",
            task=self.luigi_task,
            params=self.luigi_params,
            project_path=self.project_path,
            node=[(int(index), str(family)) for index, family in self.node],
        )
        engine = EngineProcess(
            request,
            python=self.python,
            working_dir=self.working_dir or self.project_path or Path.cwd(),
            env=engine_environment(config=self.config),
            grace=1.0,
        )
        said: list[str] = []
        look = asyncio.get_running_loop().run_in_executor(_looks, partial(engine.run, said.append))
        try:
            answer = await asyncio.shield(look)
        except asyncio.CancelledError:
            # The process is told to end by its own thread's neighbour: ending it may take a second.
            asyncio.get_running_loop().run_in_executor(None, engine.end)
            raise
        for line in said if not answer.is_good else ():
            self.log.info("%s", line)
        return answer
