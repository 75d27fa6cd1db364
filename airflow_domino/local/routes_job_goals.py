"""Jobs that are linked to goals of their project, in version 4 and in the public API."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from airflow_domino.local import answers_job_goals as answers
from airflow_domino.local.answers import ObjectId
from airflow_domino.local.answers_public import Success
from airflow_domino.local.bodies import OBJECT_ID
from airflow_domino.local.errors import NotFound
from airflow_domino.local.memberships import Permission
from airflow_domino.local.platform import Platform
from airflow_domino.local.routes_public import metadata
from airflow_domino.local.routing import Routes
from airflow_domino.local.runs import Run
from airflow_domino.local.shapes_v4 import present

_PUBLIC = "/api/jobs/v1/goals"


class GoalLink(BaseModel):
    """Which goal."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel)

    goal_id: str = Field(pattern=OBJECT_ID)


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: what they are about.
    """
    routes = Routes()

    @routes.post("/v4/jobs/{job_id}/linkJobToGoal", response_model=answers.LinkedGoalV4)
    def link_job_to_goal(job_id: ObjectId, body: GoalLink) -> dict[str, Any]:
        """Link a job to a goal of its project."""
        run = _linked(platform, job_id, body.goal_id)
        return {**_shape(platform, run, body.goal_id), "jobNumber": run.number}

    @routes.post("/v4/jobs/{job_id}/unlinkJobGoal", response_model=answers.LinkedGoalV4)
    def unlink_job_from_goal(job_id: ObjectId, body: GoalLink) -> dict[str, Any]:
        """Take the link to a goal from a job."""
        run = platform.run(job_id, Permission.RUN)
        shape = {**_shape(platform, run, body.goal_id), "jobNumber": run.number}
        _unlink(platform, run, body.goal_id)
        return shape

    _add_public(routes, platform)
    return routes


def _add_public(routes: APIRouter, platform: Platform) -> None:
    @routes.get(_PUBLIC, response_model=answers.LinkedGoals)
    def get_linked_goals_for_job(jobId: ObjectId) -> dict[str, Any]:  # noqa: N803 - the parameter's name in the API
        """List the goals that a job is linked to."""
        run = platform.run(jobId)
        known = {goal["id"] for goal in platform.project(run.project_id).goals}
        goals = [_shape(platform, run, goal_id) for goal_id in run.goal_ids if goal_id in known]
        return {"goals": goals, "metadata": metadata()}

    @routes.post(_PUBLIC, response_model=answers.LinkedGoalEnvelope)
    def link_job_to_goal(jobId: ObjectId, body: GoalLink) -> dict[str, Any]:  # noqa: N803
        """Link a job to a goal of its project."""
        run = _linked(platform, jobId, body.goal_id)
        return {"goal": _shape(platform, run, body.goal_id), "metadata": metadata()}

    @routes.delete(f"{_PUBLIC}/{{goal_id}}", response_model=Success)
    def unlink_job_from_goal(goal_id: ObjectId, jobId: ObjectId) -> dict[str, Any]:  # noqa: N803
        """Take the link to a goal from a job."""
        _unlink(platform, platform.run(jobId, Permission.RUN), goal_id)
        return {"success": True, "metadata": metadata()}


def _linked(platform: Platform, job_id: str, goal_id: str) -> Run:
    run = platform.run(job_id, Permission.RUN)
    _goal(platform, run, goal_id)

    def change(run: Run) -> Run:
        return run if goal_id in run.goal_ids else replace(run, goal_ids=[*run.goal_ids, goal_id])

    return platform.runs.change(run.id, change)


def _unlink(platform: Platform, run: Run, goal_id: str) -> None:
    if goal_id not in run.goal_ids:
        raise NotFound(f"Job {run.id} is not linked to a goal with the id {goal_id}")

    def change(run: Run) -> Run:
        return replace(run, goal_ids=[known for known in run.goal_ids if known != goal_id])

    platform.runs.change(run.id, change)


def _goal(platform: Platform, run: Run, goal_id: str) -> dict[str, Any]:
    project = platform.project(run.project_id)
    found = next((goal for goal in project.goals if goal["id"] == goal_id), None)
    if found is None:
        raise NotFound(f"Project {project.full_name} has no goal with the id {goal_id}")
    return found


def _shape(platform: Platform, run: Run, goal_id: str) -> dict[str, Any]:
    goal = _goal(platform, run, goal_id)
    return {
        "goalId": goal["id"],
        "jobId": run.id,
        "projectId": run.project_id,
        "title": goal["title"],
        "currentStage": "Complete" if goal["isComplete"] else "In progress",
        **present(description=goal.get("description")),
    }
