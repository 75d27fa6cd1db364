"""Routes under ``/_local/`` that drive what runs meet: the clock, the hardware tiers, the simulation, single runs."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from airflow_domino.local.bodies import Order
from airflow_domino.local.clock import CLOCK
from airflow_domino.local.errors import BadRequest, NotFound
from airflow_domino.local.platform import Platform
from airflow_domino.local.runs import Run
from airflow_domino.local.simulation import SimulationError, read_simulation
from airflow_domino.local.simulator import Simulator

_LONGEST_SECONDS = 10 * 366 * 86400.0


class ClockOrder(Order):
    """Body of ``POST /_local/clock``; what is left out stays as it is.

    :param reset: go with the machine's clock again, even if that is back in time.
    :param frozen: stand still, or go on.
    :param advance: seconds that pass at once.
    """

    reset: bool = False
    frozen: bool | None = None
    advance: float = Field(0.0, ge=0, le=_LONGEST_SECONDS)


class TierOrder(Order):
    """Body of ``POST /_local/tiers/{tierId}``; what is left out stays as it is.

    :param capacity: how many runs it executes at once; with 0 it is full.
    :param archived: whether it is retired: not listed, and not to be started on.
    :param away: whether its machines are taken away: it is full, and some runs are lost.
    :param lose: which ones: those on spot machines, all that execute on it, or none.
    """

    capacity: int | None = Field(None, ge=0)
    archived: bool | None = None
    away: bool | None = None
    lose: Literal["spot", "all", "none"] = "spot"


class Loss(Order):
    """Body of ``POST /_local/runs/{runId}/lose``: how a run ends whose machine is gone."""

    reason: str = "NodeLost"
    message: str = "The machine of this run was lost"
    status: Literal["Error", "Faulty"] = "Error"


class Move(Order):
    """Body of ``POST /_local/runs/{runId}/move``: the status to go on to; None is the next one."""

    to: str | None = None


def add_to(routes: APIRouter, platform: Platform) -> None:
    """Add the routes.

    :param routes: where to.
    :param platform: what is driven.
    """
    _add_clock(routes)
    _add_tiers(routes, platform)
    _add_simulation(routes, platform)
    _add_runs(routes, platform)


def _add_clock(routes: APIRouter) -> None:
    @routes.get("/clock")
    def clock() -> dict[str, Any]:
        return {"now": CLOCK.now_ms(), "isFrozen": CLOCK.is_frozen, "aheadSeconds": round(CLOCK.ahead_seconds, 3)}

    @routes.post("/clock")
    def drive(body: ClockOrder) -> dict[str, Any]:
        if body.reset:
            CLOCK.reset()
        if body.frozen is not None:
            (CLOCK.freeze if body.frozen else CLOCK.run)()
        if body.advance:
            CLOCK.advance(body.advance)
        return clock()


def _add_tiers(routes: APIRouter, platform: Platform) -> None:
    tiers, runner = platform.tiers_in_use, platform.runner

    def state(tier_id: str) -> dict[str, Any]:
        found = next((tier for tier in tiers if tier.id == tier_id), None)
        if found is None:
            raise NotFound(f"There is no hardware tier {tier_id}")
        capacity = tiers.capacities()[tier_id]
        return {
            "id": found.id,
            "name": found.name,
            "capacity": found.capacity,
            "isArchived": found.is_archived,
            "isAway": tiers.is_away(found.id),
            "executing": capacity.executing,
            "queued": capacity.queued,
            "isFull": not capacity.free,
        }

    @routes.get("/tiers")
    def all_tiers() -> dict[str, Any]:
        return {"tiers": [state(tier.id) for tier in tiers]}

    @routes.post("/tiers/{tier_id}")
    def change(tier_id: str, body: TierOrder) -> dict[str, Any]:
        state(tier_id)
        tiers.change(tier_id, capacity=body.capacity, is_archived=body.archived)
        lost = list[Run]()
        if body.away:
            lost = runner.take_away(tier_id, lose=body.lose)
        elif body.away is not None:
            runner.bring_back(tier_id)
        runner.look()
        platform.ledger.note("tier", None, {"tier": tier_id, **body.model_dump(exclude_unset=True)})
        return state(tier_id) | {"lost": [run.id for run in lost]}


def _add_simulation(routes: APIRouter, platform: Platform) -> None:
    def simulator() -> Simulator:
        if platform.runner.simulator is None:
            raise BadRequest("Runs are executed here, not simulated: start the server with --depth simulate")
        return platform.runner.simulator

    @routes.get("/simulation")
    def simulation() -> dict[str, Any]:
        if platform.runner.simulator is None:
            return {"depth": "execute", "simulation": None, "applied": []}
        script = platform.runner.simulator.script
        shown = script.simulation.model_dump(mode="json", exclude_defaults=True)
        return {"depth": "simulate", "simulation": shown, "applied": script.applied()}

    @routes.post("/simulation")
    def play(document: dict[str, Any] | list[Any]) -> dict[str, Any]:
        try:
            platform.runner.play(simulator(), read_simulation(document))
        except SimulationError as error:
            raise BadRequest(f"The simulation cannot be played: {error}") from error
        return simulation()


def _add_runs(routes: APIRouter, platform: Platform) -> None:
    def known(run_id: str) -> Run:
        run = platform.runs.find(run_id)
        if run is None:
            raise NotFound(f"There is no run with the id {run_id}")
        return run

    def shape(run: Run) -> dict[str, Any]:
        return {
            "id": run.id,
            "status": run.status,
            "isCompleted": run.is_completed,
            "failureReason": run.failure_reason,
            "failureMessage": run.failure_message,
        }

    @routes.post("/runs/{run_id}/lose")
    def lose(run_id: str, body: Loss | None = None) -> dict[str, Any]:
        loss = body or Loss()
        run = known(run_id)
        return shape(platform.runner.lose(run.id, reason=loss.reason, message=loss.message, status=loss.status))

    @routes.post("/runs/{run_id}/move")
    def move(run_id: str, body: Move | None = None) -> dict[str, Any]:
        return shape(platform.runner.move(known(run_id).id, body.to if body else None))
