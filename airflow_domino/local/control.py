"""The server's own routes under ``/_local/``: what happened, and what is to go wrong. Nothing of this is Domino's."""

import asyncio
import re
from typing import Any, Literal, Self

from fastapi import APIRouter, Query, Request
from fastapi.routing import APIRoute
from pydantic import Field, model_validator
from starlette.concurrency import run_in_threadpool

from airflow_domino.local import control_depth, control_people, control_state
from airflow_domino.local.bodies import Order
from airflow_domino.local.disguises import Disguise
from airflow_domino.local.errors import BadRequest, NotFound
from airflow_domino.local.fault_layer import Freeze, RequestLog
from airflow_domino.local.faults import ANSWER_ACTIONS, CONTROL_PREFIX, RUN_ACTIONS, Action, Fault, Moment, Phase
from airflow_domino.local.platform import Platform
from airflow_domino.local.routing import Routes
from airflow_domino.local.run_faults import meet
from airflow_domino.local.runs import Run

_LONGEST_WAIT = 60.0
_ONLY_OF_ANSWERS = ("path", "method", "moment", "status", "headers", "retry_after", "body")
_ONLY_OF_RUNS = ("run", "word", "phase", "lines")


class FaultOrder(Order):
    """Body of ``POST /_local/faults``; the fields are those of :class:`airflow_domino.local.faults.Fault`."""

    action: Action
    path: str = ""
    method: str | None = None
    run: str = ""
    times: int | None = Field(1, ge=1)
    skip: int = Field(0, ge=0)
    probability: float = Field(1.0, gt=0, le=1)
    seed: int | None = None
    moment: Moment = "before"
    status: int = Field(503, ge=400, le=599)
    headers: dict[str, str] = Field(default_factory=dict)
    retry_after: int | None = Field(None, ge=0)
    body: str | None = None
    seconds: float = Field(0.0, ge=0, le=86_400)
    word: str = Field("Evicted", min_length=1)
    phase: Phase = "always"
    lines: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("path", "run"):
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                raise ValueError(f"{name} is no regular expression: {error}") from error
        strange = _ONLY_OF_ANSWERS if self.action in RUN_ACTIONS else _ONLY_OF_RUNS
        if given := [name for name in strange if name in self.model_fields_set]:
            raise ValueError(f"the fault {self.action!r} has no {', '.join(given)}")
        return self

    def fault(self) -> Fault:
        """Give it as the server keeps it."""
        return Fault(**self.model_dump())


class FreezeOrder(Order):
    """Body of ``POST /_local/freeze``: how long; without seconds until it is thawed."""

    seconds: float | None = Field(None, gt=0, le=86_400)


def router(platform: Platform, freeze: Freeze, requests: RequestLog) -> APIRouter:
    """Make the routes of the control plane.

    :param platform: knows what happened.
    :param freeze: lets the server hang.
    :param requests: the latest requests.
    """
    routes = Routes(prefix=CONTROL_PREFIX.rstrip("/"))
    _add_ledger(routes, platform)
    _add_faults(routes, platform)
    _add_freeze(routes, freeze)
    _add_runs(routes, platform)
    control_state.add_to(routes, platform, freeze, requests)
    control_people.add_to(routes, platform)
    control_depth.add_to(routes, platform)
    _add_index(routes)
    return routes


def _add_index(routes: APIRouter) -> None:
    @routes.get("/")
    def index(request: Request) -> dict[str, Any]:
        served = [(route.path, sorted(route.methods)) for route in request.app.routes if isinstance(route, APIRoute)]
        listed = [
            f"{method} {path}" for path, methods in served for method in methods if path.startswith(CONTROL_PREFIX)
        ]
        return {"routes": listed, "documentation": "docs/reference.md, section Testing"}


def _add_ledger(routes: APIRouter, platform: Platform) -> None:
    @routes.get("/ledger")
    async def ledger(
        after: int = 0,
        wait: float = Query(0.0, ge=0, le=_LONGEST_WAIT),
        run: str | None = None,
        project: str | None = None,
        event: list[str] = Query(default=[]),  # noqa: B008 - how FastAPI is told of a repeated parameter
        limit: int | None = Query(None, ge=1),
    ) -> dict[str, Any]:
        def entries() -> list[dict[str, Any]]:
            return platform.ledger.entries(after, events=event, run_id=run, project_id=found, limit=limit)

        found = None if project is None else await run_in_threadpool(_project_id, platform, project)
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        with platform.ledger.heard(lambda: loop.call_soon_threadsafe(news.set)):
            answer = await run_in_threadpool(entries)
            deadline = loop.time() + wait
            while not answer and (left := deadline - loop.time()) > 0:
                try:
                    await asyncio.wait_for(news.wait(), left)
                except TimeoutError:
                    break
                news.clear()
                answer = await run_in_threadpool(entries)
        return {"entries": answer}

    @routes.get("/ledger/totals")
    def totals() -> dict[str, Any]:
        return platform.ledger.totals()


def _project_id(platform: Platform, text: str) -> str:
    owner, slash, name = text.partition("/")
    return platform.project_named(owner, name).id if slash else platform.project(text).id


def _add_faults(routes: APIRouter, platform: Platform) -> None:
    @routes.get("/faults")
    def ordered(spent: bool = False) -> dict[str, Any]:
        return {
            "faults": [order.shape() for order in platform.faults.ordered(spent=spent)],
            "actions": {"answers": ANSWER_ACTIONS, "runs": RUN_ACTIONS},
        }

    @routes.post("/faults")
    def order(body: FaultOrder) -> dict[str, Any]:
        made = platform.faults.order(body.fault())
        return ordered() | {"id": made.id}

    @routes.delete("/faults")
    def clear() -> dict[str, Any]:
        platform.faults.clear()
        return {"faults": []}

    @routes.delete("/faults/{number}")
    def take_back(number: int) -> dict[str, Any]:
        found = platform.faults.take_back(number)
        if found is None:
            raise NotFound(f"There is no fault {number} on order")
        return found.shape()


def _add_freeze(routes: APIRouter, freeze: Freeze) -> None:
    def state() -> dict[str, Any]:
        left = freeze.seconds_left
        return {"isFrozen": left > 0, "secondsLeft": left if 0 < left < float("inf") else None}

    @routes.get("/freeze")
    def frozen() -> dict[str, Any]:
        return state()

    @routes.post("/freeze")
    def begin(body: FreezeOrder) -> dict[str, Any]:
        freeze.begin(body.seconds)
        return state()

    @routes.delete("/freeze")
    def thaw() -> dict[str, Any]:
        freeze.thaw()
        return state()


class RunFault(FaultOrder):
    """Body of ``POST /_local/runs/{runId}/faults``: a fault of runs, for this run and from now on."""

    times: Literal[1] = 1
    probability: Literal[1] = 1


def _add_runs(routes: APIRouter, platform: Platform) -> None:
    def known(run_id: str) -> Run:
        # The control plane also knows the runs that the API has lost.
        run = platform.runs.find(run_id)
        if run is None:
            raise NotFound(f"There is no run with the id {run_id}")
        return run

    def state(run_id: str) -> dict[str, Any]:
        run, disguise = known(run_id), platform.disguises.of(run_id) or Disguise()
        return {
            "id": run.id,
            "number": run.number,
            "projectId": run.project_id,
            "status": run.status,
            "isCompleted": run.is_completed,
            "outputCommitId": run.output_commit,
            "results": run.results,
            "isLost": disguise.is_lost,
            "disguise": None if disguise == Disguise() else vars(disguise),
        }

    @routes.get("/runs/{run_id}")
    def run(run_id: str) -> dict[str, Any]:
        return state(run_id)

    @routes.post("/runs/{run_id}/faults")
    def meet_now(run_id: str, body: RunFault) -> dict[str, Any]:
        if body.action not in RUN_ACTIONS:
            raise BadRequest(f"The fault {body.action!r} is one of answers, not of runs")
        run = known(run_id)
        platform.ledger.enter("fault", run, {"fault": None, "action": body.action})
        meet(platform, run, body.fault())
        return state(run_id)

    @routes.delete("/runs/{run_id}/faults")
    def undo(run_id: str) -> dict[str, Any]:
        platform.disguises.put_on(known(run_id).id, Disguise())
        return state(run_id)
