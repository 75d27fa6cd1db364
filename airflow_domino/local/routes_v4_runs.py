"""Runs in version 4 of the API (``/v4/runs``): what older clients of Domino start runs with; it names a tier."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from airflow_domino.local import answers_v4_runs as answers
from airflow_domino.local.platform import Platform
from airflow_domino.local.routing import Routes
from airflow_domino.local.shapes_v4 import present
from airflow_domino.local.starting import StartRequest, split_command


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)


class RunGitRef(_Body):
    """``{refType, refValue}``: which code of a git-based project."""

    ref_type: str
    ref_value: str | None = None


class StartRun(_Body):
    """Body of ``POST /v4/runs``."""

    project_id: str = Field(pattern=r"^[0-9a-f]{24}$")
    command_to_run: str
    commit_id: str | None = None
    main_repo_git_ref: RunGitRef | None = None
    hardware_tier_name: str | None = None


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: what they are about.
    """
    routes = Routes(prefix="/v4/runs")

    @routes.post("", response_model=answers.StartedRun)
    def v4_start(body: StartRun) -> dict[str, Any]:
        """Start a run."""
        ref = body.main_repo_git_ref
        request = StartRequest(
            command=body.command_to_run,
            arguments=split_command(body.command_to_run),
            tier_id=platform.tier_named(body.hardware_tier_name).id,
            commit_id=body.commit_id,
            git_ref=None if ref is None else present(type=ref.ref_type, value=ref.ref_value),
        )
        run = platform.start(platform.project(body.project_id), request)
        return {"runId": run.id}

    return routes
