"""Types of the answers about projects: what is made of them, who works in them, and what runs in them get."""

from __future__ import annotations

from typing import Literal, NotRequired

from airflow_domino.local.answers import Answer, Free, IsoTime, ObjectId
from airflow_domino.local.answers_v4 import ProjectStatus, ProjectTag

Visibility = Literal["Public", "Searchable", "Private"]


class ProjectCollaborator(Answer):
    """Somebody who works in a project, in version 4."""

    collaboratorId: ObjectId
    projectRole: str


class _Project(Answer):
    id: ObjectId
    name: str
    description: str
    visibility: Visibility
    ownerId: ObjectId
    ownerUsername: str
    mainRepository: NotRequired[Free]
    collaboratorIds: list[ObjectId]
    collaborators: list[ProjectCollaborator]
    tags: list[ProjectTag]
    stageId: ObjectId
    status: ProjectStatus


class MadeProject(_Project):
    """A project that was made or copied."""

    importedGitRepos: list[Free]


class ProjectSummary(_Project):
    """A project that was asked for by its id."""

    created: IsoTime
    importedGitRepositories: list[Free]
    internalTags: list[str]
    projectType: str
