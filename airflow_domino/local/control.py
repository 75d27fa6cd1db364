"""The server's own routes under ``/_local/``: what happened, and faults on order. Nothing of this is Domino's."""

import re
from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from airflow_domino.local.errors import BadRequest
from airflow_domino.local.faults import CONTROL_PREFIX, Fault, Faults
from airflow_domino.local.platform import Platform


class FaultOrder(BaseModel):
    """Body of ``POST /_local/faults``; the fields are those of :class:`airflow_domino.local.faults.Fault`."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["status", "html", "drop", "delay"]
    path: str = ""
    method: str | None = None
    times: int = Field(1, ge=1)
    moment: Literal["before", "after"] = "before"
    status: int = Field(503, ge=400, le=599)
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    seconds: float = Field(0.0, ge=0, le=600)


def router(platform: Platform, faults: Faults) -> APIRouter:
    """Make the routes of the control plane.

    :param platform: knows what happened.
    :param faults: takes the orders.
    """
    routes = APIRouter(prefix=CONTROL_PREFIX.rstrip("/"))

    @routes.get("/ledger")
    def ledger(after: int = 0) -> dict[str, Any]:
        return {"entries": platform.ledger.entries(after)}

    @routes.get("/faults")
    def ordered() -> dict[str, Any]:
        return {"faults": [asdict(fault) for fault in faults.ordered()]}

    @routes.post("/faults")
    def order(body: FaultOrder) -> dict[str, Any]:
        try:
            re.compile(body.path)
        except re.error as error:
            raise BadRequest(f"path is no regular expression: {error}") from error
        faults.order(Fault(**body.model_dump()))
        return ordered()

    @routes.delete("/faults")
    def clear() -> dict[str, Any]:
        faults.clear()
        return ordered()

    return routes
