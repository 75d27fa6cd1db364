"""The administrators' export of runs with their costs, batch by batch (``/v4/gateway/runs/getByBatchId``)."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from airflow_domino.local import answers_v4_batch as answers
from airflow_domino.local.ids import user_id
from airflow_domino.local.platform import Platform
from airflow_domino.local.routing import Routes
from airflow_domino.local.runs import Run
from airflow_domino.local.shapes_v4 import iso_time, present
from airflow_domino.local.usage import run_cents

_LARGEST_BATCH = 10_000
_CURRENCY = "USD"
_CENTS = 100


def router(platform: Platform) -> APIRouter:
    """Make the route.

    :param platform: whose runs.
    """
    routes = Routes(prefix="/v4/gateway/runs")

    @routes.get("/getByBatchId", response_model=answers.Batch)
    def list_to_json(
        batchId: str,  # noqa: N803 - the parameter's name in the API
        limit: Annotated[int, Query(ge=1, le=2**31 - 1)] = 1000,
    ) -> dict[str, Any]:
        """Give runs of all projects with their costs: from a batch id on, which is all zeros at first."""
        platform.rights.require_admin()
        wanted = min(limit, _LARGEST_BATCH)
        found = platform.runs.batch(batchId, wanted + 1)
        following = found[wanted].id if len(found) > wanted else None
        return {"runs": [_shape(platform, run) for run in found[:wanted]], **present(nextBatchId=following)}

    return routes


def _shape(platform: Platform, run: Run) -> dict[str, Any]:
    tier = platform.tier_of(run)
    project = platform.projects.find(run.project_id)
    owner, name = (project.owner, project.name) if project else ("", "")
    price = tier.cents_per_minute if run.cents_per_minute is None else run.cents_per_minute
    ended = None if run.completed_at is None else iso_time(run.completed_at)
    return {
        "batchId": run.id,
        "runId": run.id,
        "title": run.title or "",
        "command": run.command,
        "status": run.status,
        "runType": "Batch",
        "userName": run.started_by,
        "userId": user_id(run.started_by),
        "projectOwnerName": owner,
        "projectOwnerId": user_id(owner),
        "projectName": name,
        "projectId": run.project_id,
        "runDurationSec": (run.completed_at - run.started_at) / 1000 if run.started_at and run.completed_at else 0.0,
        "hardwareTier": tier.name,
        "hardwareTierCostCurrency": _CURRENCY,
        "hardwareTierCostAmount": price / _CENTS,
        "queuedTime": iso_time(run.submitted_at),
        "totalCostCurrency": _CURRENCY,
        "totalCostAmount": round(run_cents(run, tier) / _CENTS, 6),
        **present(startTime=None if run.started_at is None else iso_time(run.started_at), endTime=ended),
    }
