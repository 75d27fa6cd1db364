"""Addresses that no document of Domino's has, and that its own Python client (2.2.0) asks all the same."""

from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from airflow_domino.local import project_life, shapes_projects
from airflow_domino.local.answers import ObjectId
from airflow_domino.local.answers_v4_jobs import SparkSettings
from airflow_domino.local.errors import BadRequest, NotFound
from airflow_domino.local.platform import Platform
from airflow_domino.local.project_life import NewProject
from airflow_domino.local.routing import Routes
from airflow_domino.local.texts import refuse_what_cannot_be_kept

_SLOTS_OF_A_USER = 25


def router(platform: Platform) -> APIRouter:
    """Make the routes.

    :param platform: what they are about.
    """
    routes = Routes()

    @routes.post("/project")
    async def create_project(request: Request) -> dict[str, Any]:
        # The form of a page of old releases; with a token it needs no proof that the page sent it.
        form = parse_qs((await request.body()).decode(errors="replace"))
        refuse_what_cannot_be_kept(form)
        return await run_in_threadpool(_created, platform, form)

    @routes.get("/projectTags/{tag_id}")
    def tag_details(tag_id: str) -> dict[str, Any]:
        for project in platform.rights.visible():
            for name in project.tags:
                if shapes_projects.tag_id(name) == tag_id:
                    return shapes_projects.tag(project, name)
        raise NotFound(f"There is no tag with the id {tag_id}")

    @routes.get("/{owner}/{name}/collaborators")
    def collaborators(owner: str, name: str) -> list[dict[str, Any]]:
        project = platform.project_named(owner, name)
        return [
            {**shapes_projects.person(person), "projectRole": project.collaborators[person.name]}
            for person in project_life.collaborators(platform, project)
        ]

    @routes.get("/v4/jobs/project/{project_id}/defaultSparkSettings", response_model=SparkSettings)
    def get_default_spark_settings(project_id: ObjectId) -> dict[str, Any]:
        """Say what a Spark cluster of a project's jobs is made of; Domino's documents do not have this any more."""
        platform.project(project_id)
        return {
            "computeEnvironmentId": platform.default_environment.id,
            "executorCount": 1,
            "executorHardwareTierId": platform.default_tier.id,
            "masterHardwareTierId": platform.default_tier.id,
            "executorStorageMB": 0,
            "maximumExecutionSlotsPerUser": _SLOTS_OF_A_USER,
        }

    return routes


def _created(platform: Platform, form: dict[str, list[str]]) -> dict[str, Any]:
    name, owner = form.get("projectName", [""])[0], form.get("ownerOverrideUsername", [""])[0]
    person = platform.people.named(owner) if owner else None
    if owner and person is None:
        raise BadRequest(f"There is no user {owner}")
    return shapes_projects.created_project(project_life.create(platform, NewProject(name, person)))
